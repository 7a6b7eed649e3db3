"""`@limit_concurrency`: so many at once, however a call ends, and on every host."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import SocketAttribute, SocketStream, TaskStatus
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from gatewright import Call, ConfigurationError, Gate, NotFound, Principal, Result, compose, ok, with_rate_limit
from gatewright._core.callers import by_address, by_principal, by_principal_or_address, metered
from gatewright._core.decorate import guarded_by
from gatewright._core.gate import default_gate
from gatewright._core.guard import Answer
from gatewright._core.phase import Phase
from gatewright._core.storage.opening import Storage
from gatewright.concurrency import limit_concurrency
from gatewright.fastapi import GuardedRoute as FastAPIRoute
from gatewright.starlette import GuardedRoute
from gatewright.testing import EventList, FrozenClock, Reply, call, disconnecting, enter, handshake, make_call
from tests.core.kit import Step
from tests.toys import Identify

pytestmark = pytest.mark.anyio
Handler = Callable[..., Any]
PREFLIGHT = {"origin": "https://a.example", "access-control-request-method": "POST"}


def gate_in_memory() -> Gate:
    """Return a gate of a test's own."""
    return Gate(clock=FrozenClock(), log=EventList())


def held(gate: Gate) -> int:
    """Return how many slots of a gate in memory are lent."""
    return int(repr(gate.leases).partition("held=")[2].rstrip(">"))


# The hosts: the same handler, served in each of the ways that there are, and the gate that lends.


def _function(handler: Handler) -> tuple[ASGIApp, Gate]:
    return Starlette(routes=[Route("/", handler, methods=["GET", "POST"])]), default_gate()


def _installed(handler: Handler) -> tuple[ASGIApp, Gate]:
    app, gate = Starlette(routes=[Route("/", handler, methods=["GET", "POST"])]), gate_in_memory()
    gate.install(app)
    return app, gate


def _guarded_route(handler: Handler) -> tuple[ASGIApp, Gate]:
    gate = gate_in_memory()
    return gate.wrap(Starlette(routes=[GuardedRoute("/", handler, methods=["GET", "POST"])])), gate


def _fastapi(handler: Handler) -> tuple[ASGIApp, Gate]:
    app = FastAPI()
    app.api_route("/", methods=["GET", "POST"])(handler)
    return app, default_gate()


def _fastapi_route(handler: Handler) -> tuple[ASGIApp, Gate]:
    router, app, gate = APIRouter(route_class=FastAPIRoute), FastAPI(), gate_in_memory()
    router.api_route("/", methods=["GET", "POST"])(handler)
    app.include_router(router)
    return gate.wrap(app), gate


def _fastapi_installed(handler: Handler) -> tuple[ASGIApp, Gate]:
    app, gate = FastAPI(), gate_in_memory()
    app.api_route("/", methods=["GET", "POST"])(handler)
    gate.install(app)
    return app, gate


def _raw_app(handler: Handler) -> tuple[ASGIApp, Gate]:
    gate = gate_in_memory()
    app = Starlette(routes=[Route("/", handler.handler, methods=["GET", "POST"])])  # type: ignore[attr-defined]
    return gate.wrap(guarded_by(*handler.pipeline.guards)(app)), gate  # type: ignore[attr-defined]


HOSTS = [_function, _installed, _guarded_route, _fastapi, _fastapi_route, _fastapi_installed, _raw_app]
ON_EVERY_HOST = pytest.mark.parametrize("host", HOSTS, ids=[host.__name__.strip("_") for host in HOSTS])
Host = Callable[[Handler], tuple[ASGIApp, Gate]]


class Client:
    """A client who reads when a test lets him."""

    def __init__(self, app: ASGIApp, address: str = "203.0.113.7") -> None:
        self.app = app
        self.address = address
        self.messages: list[Message] = []
        self.read = anyio.Event()
        self.read.set()

    @property
    def status(self) -> int:
        """Return the status that came back."""
        return int(self.messages[0]["status"])

    async def __call__(self) -> None:
        """Send a request, and take what comes."""
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "https",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"testserver")],
            "client": (self.address, 50000),
            "server": ("testserver", 443),
        }
        body = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Message:
            if body:
                return body.pop()
            await anyio.sleep_forever()
            raise AssertionError

        async def send(message: Message) -> None:
            await self.read.wait()
            await self.take(message)

        await self.app(scope, receive, send)

    async def take(self, message: Message) -> None:
        """Keep what is sent."""
        self.messages.append(message)
        await anyio.lowlevel.checkpoint()


class Work:
    """Work that begins when it is asked for, and ends when a test says so."""

    def __init__(self) -> None:
        self.begun = anyio.Event()
        self.end = anyio.Event()

    async def __call__(self) -> None:
        """Do it; not for ever, where a call was let in that a test takes for refused."""
        self.begun.set()
        with anyio.fail_after(5):
            await self.end.wait()

    async def under_way(self) -> None:
        """Wait until it has begun; not for ever, where a slot was not given back."""
        with anyio.fail_after(5):
            await self.begun.wait()

    async def parts(self) -> AsyncIterator[bytes]:
        """Do it between the first part of a stream and the last."""
        yield b"first"
        await self()
        yield b"last"


class Endless:
    """A stream without an end; no generator, which on trio complains when it is left."""

    def __aiter__(self) -> Endless:
        return self

    async def __anext__(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        return b"more"


# How many


async def test_one_more_than_the_limit_is_refused_until_one_ends() -> None:
    """Two are at work, the third is refused at once; when one of them ended, the next is let in."""
    works = [Work(), Work(), Work()]
    todo = iter(works)

    @limit_concurrency(2)
    async def handler(request: Request) -> Result[None]:
        await next(todo)()
        return ok()

    app, gate = _installed(handler)
    async with anyio.create_task_group() as tasks:
        for work in works[:2]:
            tasks.start_soon(Client(app))
            await work.under_way()
        assert (await call(app)).status == 503
        works[0].end.set()
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(Client(app))
        await works[2].under_way()
        assert (await call(app)).status == 503
        for work in works:
            work.end.set()
    assert held(gate) == 0


async def refused_by(decorator: Any, **request: Any) -> Reply:
    """Return what a call gets while another one is at work."""
    work = Work()

    @decorator
    async def handler(request: Request) -> Result[None]:
        await work()
        return ok()

    async with anyio.create_task_group() as tasks:
        gate = gate_in_memory()
        tasks.start_soon(lambda: call(handler, gate=gate))
        await work.under_way()
        reply = await call(handler, gate=gate, **request)
        work.end.set()
    return reply


async def test_a_refusal_where_all_callers_share() -> None:
    """503: nobody did too much; when to come back, and what the limit is."""
    reply = await refused_by(limit_concurrency(1), headers={"accept": "application/problem+json"})
    assert reply.status == 503
    assert reply.headers["retry-after"] == "1"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["ratelimit-policy"] == '"1-at-once";q=1;qu="concurrent-requests"'
    assert reply.headers["ratelimit"] == '"1-at-once";r=0'
    problem = reply.json
    del problem["request_id"]
    assert problem == {
        "type": "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
        "title": "The service is busy",
        "status": 503,
        "code": "service_unavailable",
        "violated-policies": ["1-at-once"],
    }


async def test_a_refusal_of_one_caller() -> None:
    """429: this caller has too much at once, and others have not."""
    decorator = limit_concurrency(1, by=by_address)
    reply = await refused_by(decorator, headers={"accept": "application/problem+json"})
    assert (reply.status, reply.json["code"], reply.headers["retry-after"]) == (429, "too_many_requests", "1")
    assert reply.json["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert reply.json["violated-policies"] == ["1-at-once"]
    assert reply.headers["ratelimit-policy"] == '"1-at-once";q=1;qu="concurrent-requests"'


async def test_an_answer_that_is_let_through_says_nothing_of_the_limit() -> None:
    """How many slots are taken is the business of others."""

    @limit_concurrency(1)
    async def handler() -> Result[None]:
        return ok()

    reply = await call(handler)
    assert not {"ratelimit", "ratelimit-policy"} & reply.headers.keys()


# However a call ends


async def _returns(work: Work) -> Response:
    await work()
    return PlainTextResponse("done")


async def _raises(work: Work) -> Response:
    await work()
    raise ValueError("hunter2")


async def _refuses(work: Work) -> Response:
    await work()
    raise NotFound


async def _streams(work: Work) -> Response:
    return StreamingResponse(work.parts())


async def _goes_on(work: Work) -> Response:
    return PlainTextResponse("done", background=BackgroundTask(work))


async def _breaks_off(work: Work) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b"first"
        await work()
        raise ValueError("hunter2")

    return StreamingResponse(parts())


ENDINGS = [_returns, _raises, _refuses, _streams, _goes_on, _breaks_off]
HOWEVER_IT_ENDS = pytest.mark.parametrize("ending", ENDINGS, ids=[ending.__name__.strip("_") for ending in ENDINGS])


def working(ending: Callable[[Work], Awaitable[Response]], work: Work, *guards: Any) -> Handler:
    """Return a handler with one slot."""

    @compose(limit_concurrency(1), *guards)
    async def handler(request: Request) -> Response:
        return await ending(work)

    return handler


@ON_EVERY_HOST
@HOWEVER_IT_ENDS
async def test_a_slot_is_held_until_the_call_is_over(host: Host, ending: Callable[[Work], Awaitable[Response]]) -> None:
    """While there is anything to do, of the handler, the stream or a background task; and no longer."""
    work = Work()
    app, gate = host(working(ending, work))

    async def client() -> None:
        # What happens after the head, or where nothing is installed, is the server's to log.
        with suppress(ValueError):
            await Client(app)()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client)
        await work.under_way()
        assert held(gate) == 1
        assert (await call(app, method="POST")).status == 503
        work.end.set()
    assert held(gate) == 0


@ON_EVERY_HOST
@HOWEVER_IT_ENDS
async def test_a_slot_is_free_when_the_call_is_cancelled(
    host: Host, ending: Callable[[Work], Awaitable[Response]]
) -> None:
    """In the handler, in the middle of a stream, in a background task."""
    work = Work()
    app, gate = host(working(ending, work))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Client(app))
        await work.under_way()
        assert held(gate) == 1
        tasks.cancel_scope.cancel()
    assert held(gate) == 0


@ON_EVERY_HOST
async def test_a_slot_is_free_when_the_client_leaves(host: Host) -> None:
    """In the middle of the body that he sends, and of the one that he gets."""

    @limit_concurrency(1)
    async def handler(request: Request) -> Response:
        await request.body()
        return StreamingResponse(Endless())

    app, gate = host(handler)
    with suppress(ClientDisconnect):
        await call(app, data=disconnecting(b"half"), method="POST")
    assert held(gate) == 0

    class Leaving(Client):
        async def take(self, message: Message) -> None:
            await super().take(message)
            if len(self.messages) == 3:
                assert held(gate) == 1
                raise OSError("the client has gone")

    with pytest.raises((ClientDisconnect, OSError)):
        await Leaving(app)()
    assert held(gate) == 0


def _refuse(made: Call) -> Answer:
    raise NotFound


@ON_EVERY_HOST
@pytest.mark.parametrize("does", [_refuse, lambda made: Answer(PlainTextResponse("mine"))], ids=["refuses", "answers"])
async def test_a_slot_is_free_when_a_later_guard_keeps_the_call(host: Host, does: Callable[[Call], Answer]) -> None:
    """The handler never ran."""
    asked: list[int] = []

    def ask(made: Call) -> Answer:
        asked.append(held(made.gate))
        return does(made)

    app, gate = host(working(_returns, Work(), guarded_by(Step(Phase.PARSE, ask))))
    await call(app)
    assert (asked, held(gate)) == ([1], 0)


async def test_story_ha_mcp_22_a_client_who_does_not_read_keeps_nobody_waiting() -> None:
    """There the counter's lock was held while a refusal was sent: one client who did not read stopped everybody."""
    work = Work()

    @limit_concurrency(1)
    async def handler(request: Request) -> Result[None]:
        await work()
        return ok()

    app, gate = _installed(handler)
    deaf = [Client(app), Client(app)]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Client(app))
        await work.under_way()
        for client in deaf:
            client.read = anyio.Event()
            tasks.start_soon(client)
        await anyio.wait_all_tasks_blocked()
        assert (await call(app)).status == 503
        work.end.set()
        await anyio.wait_all_tasks_blocked()
        assert held(gate) == 0
        assert (await call(app)).status == 200
        for client in deaf:
            client.read.set()
    assert [client.status for client in deaf] == [503, 503]


@ON_EVERY_HOST
async def test_story_livery_5_and_shunt_271_a_slow_reader_of_a_stream_holds_his_slot(host: Host) -> None:
    """There the slot was free as soon as the response existed, and not when its body had been sent."""
    work = Work()
    work.end.set()
    app, gate = host(working(_streams, work))
    slow = Client(app)
    slow.read = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slow)
        await anyio.wait_all_tasks_blocked()
        assert not work.begun.is_set()
        assert held(gate) == 1
        assert (await call(app, method="POST")).status == 503
        slow.read.set()
    assert held(gate) == 0


# Websockets


def _sockets_plain(handler: Handler) -> tuple[ASGIApp, Gate]:
    return Starlette(routes=[WebSocketRoute("/", handler)]), default_gate()


def _sockets_installed(handler: Handler) -> tuple[ASGIApp, Gate]:
    app, gate = Starlette(routes=[WebSocketRoute("/", handler)]), gate_in_memory()
    gate.install(app)
    return app, gate


def _sockets_fastapi(handler: Handler) -> tuple[ASGIApp, Gate]:
    app = FastAPI()
    app.websocket("/")(handler)
    return app, default_gate()


def _sockets_raw(handler: Handler) -> tuple[ASGIApp, Gate]:
    gate = gate_in_memory()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await handler.handler(WebSocket(scope, receive, send))  # type: ignore[attr-defined]

    return gate.wrap(guarded_by(*handler.pipeline.guards)(app)), gate  # type: ignore[attr-defined]


SOCKETS = [_sockets_plain, _sockets_installed, _sockets_fastapi, _sockets_raw]


@pytest.mark.parametrize("host", SOCKETS, ids=[host.__name__.strip("_") for host in SOCKETS])
async def test_a_websocket_holds_its_slot_for_the_whole_conversation(host: Host) -> None:
    """One more is refused before it is accepted; after the goodbye the next is welcome."""
    works = [Work(), Work()]
    todo = iter(works)

    @limit_concurrency(1)
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await next(todo)()
        await websocket.close()

    app, gate = host(handler)
    for work in works:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(handshake, app)
            await work.under_way()
            assert held(gate) == 1
            refused = await handshake(app, denial=False)
            assert (refused.accepted, refused.code) == (False, 1008)
            work.end.set()
        assert held(gate) == 0


# Whose slots


async def _two_at_once(decorator: Any, first: dict[str, Any], second: dict[str, Any]) -> int:
    """Return the status of a call while another one is at work."""
    works = iter([Work(), Work()])
    work, other = next(works), Work()
    other.end.set()
    todo = iter([work, other])

    @decorator
    async def handler(request: Request) -> Result[None]:
        await next(todo)()
        return ok()

    gate = gate_in_memory()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: call(handler, gate=gate, **first))
        await work.under_way()
        reply = await call(handler, gate=gate, **second)
        work.end.set()
    assert held(gate) == 0
    return reply.status


async def _by_tenant(made: Call) -> str:
    await anyio.lowlevel.checkpoint()
    return (made.header(b"x-tenant") or b"none").decode()


@pytest.mark.parametrize(
    ("by", "one", "another"),
    [
        (by_address, {"client": "192.0.2.1"}, {"client": "192.0.2.2"}),
        (_by_tenant, {"headers": {"x-tenant": "a"}}, {"headers": {"x-tenant": "b"}}),
        (by_principal, {"principal": Principal("a")}, {"principal": Principal("b")}),
        (metered(_by_tenant), {"headers": {"x-tenant": "a"}}, {"headers": {"x-tenant": "b"}}),
        (by_principal_or_address, {"client": "192.0.2.1"}, {"client": "192.0.2.2"}),
    ],
    ids=["address", "async function", "principal", "metered function", "principal or address"],
)
async def test_callers_have_slots_of_their_own(by: Any, one: dict[str, Any], another: dict[str, Any]) -> None:
    """One has none left while another has."""
    decorator = limit_concurrency(1, by=by)
    if by not in (by_address, _by_tenant, by_principal_or_address) and "principal" not in one:
        decorator = compose(decorator, guarded_by(Identify()))
        one, another = ({"headers": {**each["headers"], "x-caller": "u"}} for each in (one, another))
    assert await _two_at_once(decorator, one, one) == 429
    assert await _two_at_once(decorator, one, another) == 200


async def test_whose_calls_are_counted_decides_when() -> None:
    """By address before anybody is known; by principal after, and only where somebody identifies callers."""

    async def handler(principal: Principal | None = None) -> Result[None]:
        return ok()

    decorator = compose(
        limit_concurrency(3, by=by_principal), limit_concurrency(2, by=by_address), guarded_by(Identify())
    )
    phases = [guard.phase for guard in decorator(handler).pipeline.guards]
    assert phases == [Phase.ADMIT, Phase.IDENTIFY, Phase.METER]
    with pytest.raises(ConfigurationError, match="needs a principal"):
        await call(limit_concurrency(3, by=by_principal)(handler))
    assert (await call(limit_concurrency(3, by=by_principal_or_address)(_nothing))).status == 200


async def _nothing() -> Result[None]:
    return ok()


async def test_a_request_id_that_two_clients_choose_alike_is_not_one_holder() -> None:
    """Otherwise a client who repeats an id would share one slot with himself, and have as many calls as he likes."""
    request = {"headers": {"x-request-id": "same"}}
    assert await _two_at_once(limit_concurrency(1), request, request) == 503


async def test_a_gate_without_chance_tells_calls_apart_all_the_same() -> None:
    """Tests make entropy repeatable."""
    work = Work()

    @limit_concurrency(1)
    async def handler(request: Request) -> Result[None]:
        await work()
        return ok()

    gate = Gate(log=EventList(), entropy=bytes)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: call(handler, gate=gate))
        await work.under_way()
        assert (await call(handler, gate=gate)).status == 503
        work.end.set()


@pytest.mark.parametrize("said", ["", None, 5])
async def test_a_caller_without_a_name_is_a_mistake(said: Any) -> None:
    """Never an exemption, and never one caller for all."""
    with pytest.raises(ConfigurationError, match="return a str that names the caller"):
        await enter(limit_concurrency(1, by=lambda made: said), make_call())


# Which handlers share


def _routes(*decorators: Any, work: Work) -> Starlette:
    """Return an app with a busy handler, and one for each decorator."""

    async def busy(request: Request) -> Result[None]:
        await work()
        return ok()

    first, *rest = decorators
    return Starlette(
        routes=[
            Route("/busy/{id}", first(busy)),
            *(Route(f"/{at}/{{id}}", decorator(_quick)) for at, decorator in enumerate(rest)),
        ]
    )


async def _quick(request: Request) -> Result[None]:
    return ok()


async def _while_busy(app: Starlette, work: Work, *paths: str) -> list[int]:
    gate_in_memory().install(app)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: call(app, path="/busy/1"))
        await work.under_way()
        statuses = [(await call(app, path=path)).status for path in paths]
        work.end.set()
    return statuses


async def test_a_handler_counts_by_its_template() -> None:
    """Never by the concrete path, which a client chooses; and other handlers have slots of their own."""
    work = Work()
    app = _routes(limit_concurrency(1), limit_concurrency(1), work=work)
    assert await _while_busy(app, work, "/busy/2", "/0/1") == [503, 200]


async def test_a_scope_is_shared() -> None:
    """Each takes a slot of the pool only where that leaves no more than its own number taken."""
    work = Work()
    app = _routes(
        limit_concurrency(3, scope="db"), limit_concurrency(1, scope="db"), limit_concurrency(2, scope="db"), work=work
    )
    assert await _while_busy(app, work, "/0/1", "/1/1") == [503, 200]


async def test_apps_that_are_limited_as_a_whole_share() -> None:
    """As with limits on how often; a scope tells them apart."""
    for scope, expected in ((None, 503), ("b", 200)):
        work, gate = Work(), gate_in_memory()

        async def busy(scope: Scope, receive: Receive, send: Send, work: Work = work) -> None:
            await work()
            await PlainTextResponse("done")(scope, receive, send)

        async def idle(scope: Scope, receive: Receive, send: Send) -> None:
            await PlainTextResponse("done")(scope, receive, send)

        one, other = limit_concurrency(1)(Starlette(routes=[Mount("/", busy)])), limit_concurrency(1, scope=scope)(idle)
        app = gate.wrap(Starlette(routes=[Mount("/a", one), Mount("/b", other)]))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda app=app: call(app, path="/a/"))
            await work.under_way()
            assert (await call(app, path="/b/")).status == expected
            work.end.set()


async def test_one_limit_around_an_app_and_on_its_handler_takes_one_slot() -> None:
    """The same object met twice acts once."""
    limit = limit_concurrency(1, scope="all")

    @limit
    async def handler(request: Request) -> Result[None]:
        return ok()

    app = Starlette(routes=[Route("/", handler)])
    assert (await call(gate_in_memory().wrap(limit(app)))).status == 200


async def test_a_preflight_takes_no_slot() -> None:
    """It asks whether it may ask; any other OPTIONS is work."""
    work = Work()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            await work()
        await PlainTextResponse("done")(scope, receive, send)

    guarded = gate_in_memory().wrap(limit_concurrency(1, by=by_address)(app))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Client(guarded))
        await work.under_way()
        assert (await call(guarded, method="OPTIONS", headers=PREFLIGHT)).status == 200
        assert (await call(guarded, method="OPTIONS", headers={"origin": "https://a.example"})).status == 429
        assert (await call(guarded, method="GET", headers=PREFLIGHT)).status == 429
        work.end.set()


# Several


async def test_a_caller_without_a_slot_takes_none_of_everybodys() -> None:
    """Narrow first, however they were written: a greedy caller may not crowd the others out for a moment even."""
    decorators = [limit_concurrency(1, by=by_address), limit_concurrency(1)]
    for each in (decorators, decorators[::-1]):
        guards = compose(*each)(_nothing).pipeline.guards
        assert [repr(guard) for guard in guards] == ["limit_concurrency(1, by=by_address)", "limit_concurrency(1)"]
    work = Work()
    works = iter([work])

    @compose(limit_concurrency(1, by=by_address), limit_concurrency(2))
    async def handler(request: Request) -> Result[None]:
        for each in works:
            await each()
        return ok()

    app, gate = _installed(handler)
    greedy = Client(app)
    greedy.read = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Client(app))
        await work.under_way()
        assert held(gate) == 2  # one of his own, one of everybody's
        tasks.start_soon(greedy)
        await anyio.wait_all_tasks_blocked()
        assert held(gate) == 2
        assert (await call(app, client="192.0.2.1")).status == 200
        greedy.read.set()
        work.end.set()
    assert (greedy.status, held(gate)) == (429, 0)


async def test_the_second_limit_that_refuses_gives_back_what_the_first_took() -> None:
    """A refusal is the end of a call like any other."""
    work = Work()

    @compose(
        limit_concurrency(5, by=by_address), limit_concurrency(1), limit_concurrency(5, by=by_principal_or_address)
    )
    async def handler(request: Request) -> Result[None]:
        await work()
        return ok()

    app, gate = _installed(handler)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Client(app))
        await work.under_way()
        assert held(gate) == 3
        assert (await call(app)).status == 503
        assert held(gate) == 3
        work.end.set()
    assert held(gate) == 0


async def test_a_flood_that_a_rate_limit_refuses_takes_no_slot() -> None:
    """Slots are asked for last of what is asked on admission: they are the dearest."""
    decorator = compose(limit_concurrency(1), limit_concurrency(1, by=by_address), with_rate_limit("1/minute"))
    names = [guard.name for guard in decorator(_nothing).pipeline.guards]
    assert names == ["with_rate_limit", "limit_concurrency", "limit_concurrency"]


def test_two_that_would_take_the_same_slots_are_refused() -> None:
    """One call would take two of them."""
    for one, other in (
        (limit_concurrency(1), limit_concurrency(2)),
        (limit_concurrency(1, by=by_address), limit_concurrency(2, by=by_address)),
    ):
        with pytest.raises(ConfigurationError, match=r"would share slots; write one, or give one a scope"):
            gate_in_memory().install(Starlette(routes=[Route("/", compose(one, other)(_nothing))]))
    fine = compose(limit_concurrency(1), limit_concurrency(2, scope="db"))
    gate_in_memory().install(Starlette(routes=[Route("/", fine(_nothing))]))


# What is written


@pytest.mark.parametrize("n", [0, -1, True, 1.5, "5", None])
def test_a_number_that_is_none_is_refused_when_decorating(n: Any) -> None:
    """The message says what to write."""
    with pytest.raises(ConfigurationError, match="write how many calls may be at work at once, 1 or more"):
        limit_concurrency(n)


def test_other_mistakes_are_refused_when_decorating() -> None:
    """A string is no function, and an empty name is none."""
    with pytest.raises(ConfigurationError, match="by='address': write by=by_address"):
        limit_concurrency(1, by="address")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="write a name, or nothing"):
        limit_concurrency(1, scope="")


@pytest.mark.parametrize(
    ("decorator", "written"),
    [
        (limit_concurrency(3), "ADMIT limit_concurrency(3)"),
        (limit_concurrency(3, by=by_address, scope="db"), "ADMIT limit_concurrency(3, by=by_address, scope='db')"),
        (limit_concurrency(3, by=by_principal), "METER limit_concurrency(3, by=by_principal)"),
    ],
)
def test_it_prints_as_it_is_written(decorator: Any, written: str) -> None:
    """`repr(pipeline)` is what a reader compares with the source."""
    assert repr(decorator(_nothing).pipeline) == written


async def test_the_log_says_which_limit_refused() -> None:
    """The client learns the number, the log the limit."""
    events = EventList()
    work = Work()

    @limit_concurrency(1, by=by_address)
    async def handler(request: Request) -> Result[None]:
        await work()
        return ok()

    gate = Gate(log=events)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: call(handler, gate=gate))
        await work.under_way()
        await call(handler, gate=gate)
        work.end.set()
    assert events[0]["reason"] == "limit_concurrency(1, by=by_address)"
    assert events[0]["guards"] == {"limit_concurrency": "refused: too_many_requests"}


# On a server


class Relay:
    """Stand between a client and Redis, and keep answers back while a test says so."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 6379
        self._database = parts.path.strip("/") or "0"
        self.reached = anyio.Event()
        self.answers = anyio.Event()
        self.answers.set()

    async def serve(self, *, task_status: TaskStatus[str]) -> None:
        """Listen on a port of its own, and say where."""
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            port = listener.extra(SocketAttribute.local_port)
            task_status.started(f"redis://127.0.0.1:{port}/{self._database}")
            await listener.serve(self._relay)

    async def _relay(self, client: SocketStream) -> None:
        server = await anyio.connect_tcp(self._host, self._port)
        async with client, server, anyio.create_task_group() as tasks:
            tasks.start_soon(self._answer, server, client)
            with suppress(anyio.BrokenResourceError):
                async for data in client:
                    await server.send(data)
            tasks.cancel_scope.cancel()

    async def _answer(self, server: SocketStream, client: SocketStream) -> None:
        with suppress(anyio.BrokenResourceError):
            async for data in server:
                if not self.answers.is_set():
                    self.reached.set()
                    await self.answers.wait()
                await client.send(data)


async def _members(url: str, prefix: str) -> int:
    """Return how many slots are lent on the server."""
    import redis.asyncio

    async with redis.asyncio.Redis.from_url(url) as client:
        keys = [key async for key in client.scan_iter(f"{prefix}:*")]
        return sum([int(await client.zcard(key)) for key in keys])


ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@pytest.mark.redis
@ON_ASYNCIO
async def test_two_processes_share_their_slots_on_redis(redis_url: str, prefix: str) -> None:
    """Two gates, as in two processes: together no more than the limit, and everything is given back."""
    work = Work()
    inside = 0

    @limit_concurrency(3)
    async def handler(request: Request) -> Result[None]:
        nonlocal inside
        inside += 1
        await work.end.wait()
        return ok()

    gates = [Gate(storage=Storage(redis_url, deadline=5, prefix=prefix), log=EventList()) for _ in range(2)]
    statuses: list[int] = []

    async def one(gate: Gate) -> None:
        statuses.append((await call(handler, gate=gate)).status)
        if len(statuses) == 37:
            work.end.set()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for at in range(40):
                tasks.start_soon(one, gates[at % 2])
    assert (inside, statuses.count(200), statuses.count(503)) == (3, 3, 37)
    assert await _members(redis_url, prefix) == 0
    for gate in gates:
        await gate.close()


@pytest.mark.redis
@ON_ASYNCIO
async def test_a_slot_that_redis_granted_to_who_was_cancelled_meanwhile_is_given_back(
    redis_url: str, prefix: str
) -> None:
    """The server has lent it, and nobody heard: it must not stay lent until its lease ends."""

    @limit_concurrency(1)
    async def handler(request: Request) -> Result[None]:
        return ok()

    async with anyio.create_task_group() as relaying:
        relay = Relay(redis_url)
        gate = Gate(storage=Storage(await relaying.start(relay.serve), deadline=5, prefix=prefix), log=EventList())
        assert (await call(handler, gate=gate)).status == 200  # the script is known, a connection is open
        relay.answers = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: call(handler, gate=gate))
            with anyio.fail_after(5):
                await relay.reached.wait()
            assert await _members(redis_url, prefix) == 1
            tasks.cancel_scope.cancel()
            relay.answers.set()
        assert await _members(redis_url, prefix) == 0
        assert (await call(handler, gate=gate)).status == 200
        await gate.close()
        relaying.cancel_scope.cancel()
