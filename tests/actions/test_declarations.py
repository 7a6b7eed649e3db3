"""What an action is made of, and what cannot be meant."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from gatewright import (
    Call,
    ConfigurationError,
    FromInput,
    Gate,
    Principal,
    Redirect,
    Result,
    SessionCookie,
    action,
    compose,
    cross_origin,
    idempotent,
    ok,
    redirect,
    validate,
    with_auth,
    with_rate_limit,
)
from gatewright._core.function import state_of
from gatewright._core.pipeline import Host
from gatewright.fastapi import GuardedRoute as FastAPIRoute
from gatewright.starlette import GuardedRoute
from gatewright.testing import call, handshake
from gatewright.transactions import transactional
from tests.actions.kit import BROWSER, HTMX, PROGRAM, Blog, PostIn, form_page
from tests.transactions.kit import Ledger

pytestmark = pytest.mark.anyio


async def _create(form: FromInput[PostIn], principal: Principal) -> Result[None]:
    return ok()


async def _log_out() -> Redirect:
    return redirect("/")


def _pipeline(handler: Any) -> str:
    return repr(handler.pipeline)


def test_what_it_brings_along() -> None:
    """One name for what belongs together."""
    assert _pipeline(action(_log_out)) == (
        "OBSERVE action > SHIELD cross_origin() > METER keep_input > PARSE reached(PARSE) > "
        "PARSE previous > PARSE validate > REFINE reached(REFINE)"
    )
    assert _pipeline(action()(_log_out)) == _pipeline(action(_log_out))
    said = action(page=form_page, then="/posts", invalidates=["posts"], target="#form", forget=["pin"])
    assert _pipeline(said(_log_out)).startswith(
        "OBSERVE action(page=tests.actions.kit.form_page, then='/posts', invalidates=('posts',), target='#form', "
        "forget=frozenset({'pin'})) > "
    )
    once = _pipeline(action(once=True)(_log_out))
    replayed = "REPLAY idempotent(field='_once', wait=10.0) > REFINE"
    assert once == _pipeline(action(_log_out)).replace("REFINE", replayed, 1)


async def test_a_handler_that_takes_nothing_works() -> None:
    """A button to log out has no fields."""
    blog = Blog()
    assert (await blog.post(action(_log_out))).headers["location"] == "/"

    @action
    def plain(call: Call) -> Result[None]:
        return ok()

    assert (await blog.post(plain, client=PROGRAM)).json == {"success": True, "data": None}


DECORATORS: Sequence[Callable[[Any], Any]] = [
    action(page=lambda call, state: "", once=True),
    with_auth(SessionCookie()),
    validate,
    with_rate_limit("5/minute"),
    transactional(Ledger()),
]


@pytest.mark.parametrize("order", list(permutations(range(len(DECORATORS))))[::7])
def test_decorators_commute(order: tuple[int, ...]) -> None:
    """Whichever stands on top, the same guards run in the same order, and `.run` is there."""
    handler: Any = _create
    for index in order:
        handler = DECORATORS[index](handler)
    expected = compose(*DECORATORS)(_create)
    assert _pipeline(handler) == _pipeline(expected)
    assert callable(handler.run)
    assert handler.handler is _create


def test_what_is_written_takes_the_place_of_what_comes_along() -> None:
    """`validate`, `cross_origin`: the author says more than `action` knows."""
    assert _pipeline(cross_origin(missing="deny")(action(_log_out))).count("cross_origin") == 1
    assert "cross_origin(missing='deny')" in _pipeline(action(cross_origin(missing="deny")(_log_out)))
    written = validate(empty="keep")(action(_create))
    (found,) = [guard for guard in written.pipeline.guards if guard.name == "validate"]
    assert not found.implied


@pytest.mark.parametrize(
    ("decorate", "says"),
    [
        (lambda handler: action(action(handler)), "two action"),
        (lambda handler: validate(action(refine=_log_out)(handler)), "two validate"),
        (lambda handler: validate(action(empty="keep")(handler)), "two validate"),
        (lambda handler: idempotent()(action(once=True)(handler)), "two idempotent"),
        (lambda handler: action(page="form.html")(handler), "page='form.html'"),
        (lambda handler: action(page=lambda call: "")(handler), "a function of the call and the state"),
        (lambda handler: action(page=validate(_create))(handler), "without decorators"),
        (lambda handler: action(page=dict)(handler), "a function of the call and the state"),
        (lambda handler: action(then="https://evil.example/")(handler), "write a path on this host"),
        (lambda handler: action(then="//evil.example/")(handler), "write a path on this host"),
        (lambda handler: action(target="")(handler), 'such as "#form"'),
        (lambda handler: action(target="#a\r\nx: y")(handler), 'such as "#form"'),
        (lambda handler: action(target="#é")(handler), 'such as "#form"'),
        (lambda handler: action(htmx_status=303)(handler), "write 422"),
        (lambda handler: action(htmx_status=204)(handler), "write 422"),
        (lambda handler: action(invalidates="posts")(handler), "invalidates=["),
        (lambda handler: action(invalidates=[""])(handler), "invalidates=["),
        (lambda handler: action(forget="pin")(handler), "forget=["),
        (lambda handler: action(refine="check")(handler), "refine"),
        (lambda handler: action(refine_within=0)(handler), "refine_within=0"),
        (lambda handler: action(empty="drop")(handler), "empty='drop'"),
    ],
)
def test_what_cannot_be_meant(decorate: Callable[[Any], Any], says: str) -> None:
    """Said when the handler is decorated, with what to write instead."""
    with pytest.raises(ConfigurationError) as raised:
        decorate(_log_out)
    assert says in str(raised.value)


def test_no_mutation_by_get() -> None:
    """A link, an image, a prefetch: other sites can make a browser send a GET, cookies and all."""
    handler = action(_log_out)
    for methods in (None, ["GET"], ["GET", "POST"], ["HEAD", "POST"], ["OPTIONS"]):
        with pytest.raises(ConfigurationError, match="changes something"):
            GuardedRoute("/", handler, methods=methods)
        with pytest.raises(ConfigurationError, match="changes something"):
            Gate().install(Starlette(routes=[Route("/", handler, methods=methods)]))
    with pytest.raises(ConfigurationError, match="changes something"):
        FastAPIRoute("/", handler, methods=["GET"])


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_no_mutation_by_get_where_nobody_looked(method: str) -> None:
    """A route that nothing of ours has seen; a method that an app makes up."""
    done: list[int] = []

    @action(page=lambda call, state: "")
    async def handler(request: Request) -> Result[None]:
        done.append(1)
        return ok()

    app = Starlette(routes=[Mount("/", Starlette(routes=[Route("/x", handler, methods=["GET", "POST", "OPTIONS"])]))])
    for client in (BROWSER, HTMX, PROGRAM):
        reply = await call(app, method=method, path="/x", headers=client)
        assert (reply.status, reply.headers["allow"], done) == (405, "POST", [])
    assert (await call(app, method="POST", path="/x", headers=PROGRAM)).status == 200


def test_it_stands_in_front_of_a_handler() -> None:
    """An app has no fields, and no result."""
    with pytest.raises(ConfigurationError, match="put it on the handler"):
        action(Starlette())  # type: ignore[type-var]


async def test_a_websocket_has_no_form() -> None:
    """Said when it is sealed, as for every surround."""

    async def talk(websocket: WebSocket) -> None: ...

    state = state_of(action(talk))
    assert state is not None
    with pytest.raises(ConfigurationError, match="no answer for action"):
        state.plans(Host.WEBSOCKET).check()
    refused = await handshake(Starlette(routes=[WebSocketRoute("/", action(talk))]))
    assert (refused.accepted, refused.status) == (False, 500)


async def test_a_plain_fastapi_route_cannot_enclose() -> None:
    """It says what to write instead."""
    app = FastAPI()
    app.post("/")(action(_log_out))
    with pytest.raises(ConfigurationError, match="route_class=gatewright"):
        await call(app, method="POST")


async def test_a_method_of_a_class_is_a_handler() -> None:
    """`self` is its own business, in `.run` as well."""

    class Posts(HTTPEndpoint):
        kind = "posts"

        @action
        async def post(self, form: FromInput[PostIn]) -> Result[str]:
            return ok(f"{self.kind}: {form.title}")

    app = Starlette(routes=[Route("/", Posts)])
    Gate().install(app)
    assert (await call(app, form={"title": "a"})).json["data"] == "posts: a"
    endpoint = object.__new__(Posts)
    assert await Posts.post.run(endpoint, PostIn(title="b")) == ok("posts: b")


def test_nobody_pays_for_what_he_does_not_use() -> None:
    """`import gatewright` loads none of it."""
    code = "import gatewright, sys; print([name for name in sys.modules if name.startswith('gatewright.actions')])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


async def test_empty_entries_are_missing() -> None:
    """A browser sends every text field, filled in or not; a default is for those that were left empty."""
    for decorate, stars in ((action, 0), (compose(action, validate(empty="keep")), None)):

        async def handler(form: FromInput[PostIn]) -> Result[int]:
            return ok(form.stars)

        reply = await Blog().post(decorate(handler), client=PROGRAM, form={"title": "a", "stars": ""})
        assert (reply.json["data"] if reply.status == 200 else None) == stars


async def test_an_action_may_stream() -> None:
    """What is written for programs or people as a stream is not collected first."""

    @action
    async def handler() -> Any:
        return PlainTextResponse("x" * 10)

    assert (await Blog().post(handler)).body == b"x" * 10
