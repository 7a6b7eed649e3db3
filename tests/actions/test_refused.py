"""The author's page is for whoever may send its form: nobody whom a guard refused gets to see it."""

from __future__ import annotations

import anyio
import pytest
from pydantic import BaseModel
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatewright import (
    ActionState,
    Call,
    Forbidden,
    FromInput,
    InvalidInput,
    NotFound,
    Owned,
    Principal,
    Redirect,
    Result,
    Unauthorized,
    action,
    err,
    ok,
    owned,
    require,
    role,
    timeout,
    with_rate_limit,
)
from gatewright._core.guard import Proceed, Surround
from gatewright._core.outcome import Outcome
from gatewright._core.phase import Phase
from gatewright.guards import guarded_by
from tests.actions.kit import BROWSER, CLIENTS, HOSTS, HTMX, PROGRAM, Blog, Host, PostIn
from tests.toys import Identify

pytestmark = pytest.mark.anyio

ADA, EVE = {"x-caller": "ada"}, {"x-caller": "eve"}
ELSEWHERE = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}


class Post(BaseModel):
    """What there is already."""

    author_id: str = "ada"
    text: str = "the unpublished text"


async def find(post_id: int) -> Post | None:
    """Load the only post."""
    if post_id == 500:
        raise ValueError("the database is away")
    if post_id == 504:
        await anyio.sleep_forever()
    return Post() if post_id == 1 else None


async def edit_form(call: Call, state: ActionState) -> str:
    """Show what the post is now, as an edit form does."""
    return f"{state.status} {Post().text}"


def _edit() -> object:
    @require(owned(find, owner="author_id"))
    @timeout(first_byte=0.2)
    @action(page=edit_form)
    async def edit(post: Owned[Post], form: FromInput[PostIn]) -> Result[None]:
        return err("No")

    return guarded_by(Identify())(edit)


@pytest.mark.parametrize(
    ("who", "post_id", "status"),
    [
        ({}, 1, 401),
        (EVE, 1, 404),
        (ADA, 2, 404),
        (ADA, 500, 500),
        (EVE, 504, 504),
        (ADA | ELSEWHERE, 1, 403),
    ],
)
async def test_a_form_is_not_shown_to_whom_a_guard_refused(who: dict[str, str], post_id: int, status: int) -> None:
    """A page that loads the object itself would show a stranger what it holds."""
    reply = await Blog().post(_edit(), form={"title": "mine"}, headers=who, path_params={"post_id": post_id})
    assert (reply.status, reply.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert b"unpublished" not in reply.body
    assert (b"mine</textarea>" in reply.body) is (status in (404, 500, 504))
    assert "form-action 'none'" in reply.headers["content-security-policy"]
    assert reply.headers["cache-control"] == "no-store"
    assert (b"in another tab, then reload" in reply.body) is (status == 401)


async def test_a_form_is_shown_to_whom_the_handler_refused() -> None:
    """And to whom it says what is wrong with the input, before anybody looked for the object."""
    for form, status in (({"title": "a"}, 400), ({}, 400)):
        reply = await Blog().post(_edit(), form=form, headers=ADA, path_params={"post_id": 1})
        assert (reply.status, reply.body) == (status, b"400 the unpublished text")


@pytest.mark.parametrize("error", [Unauthorized, Forbidden, NotFound])
@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
async def test_a_login_form_is_shown_again(error: type[Unauthorized | Forbidden | NotFound], host: Host) -> None:
    """What the handler raises itself is its word, whatever its status: a wrong password is a 401."""

    @action(page=edit_form)
    async def log_in(form: FromInput[PostIn]) -> Result[None]:
        raise error("Wrong")

    reply = await Blog().post(host(log_in, Blog().gate), path="/posts", form={"title": "a"})
    assert reply.body == f"{error().status_code} the unpublished text".encode()


@pytest.mark.parametrize("guarded", ["role", "limit"])
async def test_roles_and_limits_come_before_the_page(guarded: str) -> None:
    """Whoever lacks a role, and whoever is one of a flood."""

    @action(page=edit_form)
    async def handler(form: FromInput[PostIn], principal: Principal) -> Result[None]:
        return err("No")

    blog = Blog()
    limited = guarded_by(Identify())(
        (require(role("editor")) if guarded == "role" else with_rate_limit("1/minute"))(handler)
    )
    await blog.post(limited, form={"title": "a"}, headers=ADA)
    reply = await blog.post(limited, form={"title": "a"}, headers=ADA)
    assert reply.status in (403, 429)
    assert b"unpublished" not in reply.body


class Spy(Surround):
    """Remember what the call said once the action was through."""

    name = "spy"
    phase = Phase.OBSERVE
    # The action is called "action", so that this one comes first.
    rank = -1

    def __init__(self) -> None:
        self.failed: list[bool] = []

    async def around(self, call: Call, proceed: Proceed) -> Outcome:
        """Look at the call afterwards."""
        try:
            return await proceed()
        finally:
            self.failed.append(call.failed)


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
async def test_a_failure_is_known_as_one_however_it_is_shown(client: dict[str, str]) -> None:
    """With 200 for an old htmx, or with the way to a login: what is around the action must not commit, or keep it."""

    async def away(call: Call, state: ActionState) -> Response:
        return RedirectResponse("/login", 303)

    for page in (away, edit_form):
        spy = Spy()

        @action(page=page, htmx_status=200)
        async def handler(form: FromInput[PostIn]) -> Result[None]:
            if form.title == "fine":
                return ok(None)
            raise InvalidInput("No")

        for title in ("fine", "bad"):
            await Blog().post(guarded_by(spy)(handler), client=client, form={"title": title})
        assert spy.failed == [False, True]


SCRIPTS = [
    "javascript:alert(1)",
    " JavaScript:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "\x01javascript:x",
]
PLACES = [
    "/posts/1",
    "posts?a=b:c",
    "https://pay.example/1",
    "HTTP://pay.example",
    "#a:b",
    "//pay.example",
    "?to=javascript:x",
]


def _leads(place: str, header: str = "location") -> object:
    @action(then="/done")
    async def handler() -> Response:
        if header == "location":
            return Response(status_code=302, headers={"Location": place, "X-Seen": "1"})
        return HTMLResponse("<p>", headers={header: place})

    return handler


@pytest.mark.parametrize("place", SCRIPTS)
async def test_nobody_is_sent_to_a_script(place: str) -> None:
    """`location.assign("javascript:...")` runs it, and so does htmx: it came with the request."""
    for client in CLIENTS.values():
        blog = Blog()
        reply = await blog.post(_leads(place), client=client)
        told = reply.headers.get("location") or reply.headers.get("hx-redirect") or reply.json["redirect"]
        assert (told, reply.headers["x-seen"]) == ("/done", "1")
        (warning,) = [event for event in blog.events if event["event"] == "redirect_refused"]
        assert (warning["level"], warning["header"]) == ("warning", "location")
        assert "alert" not in str(warning)
    reply = await Blog().post(_leads(place, "HX-Redirect"), client=HTMX)
    assert (reply.headers["hx-redirect"], reply.body) == ("/done", b"<p>")

    async def away(call: Call, state: ActionState) -> Response:
        return HTMLResponse("<p>", headers={"HX-Redirect": place})

    @action(page=away)
    async def refuses() -> Redirect:
        raise InvalidInput("No")

    assert (await Blog().post(refuses, client=HTMX, path="/posts")).headers["hx-redirect"] == "/posts"


@pytest.mark.parametrize("place", PLACES)
async def test_a_place_of_the_web_is_where_one_is_sent(place: str) -> None:
    """Relative, or of http(s), wherever it is: a checkout is another host's."""
    assert (await Blog().post(_leads(place), client=PROGRAM)).json["redirect"] == place
    assert (await Blog().post(_leads(place), client=HTMX)).headers["hx-redirect"] == place
    reply = await Blog().post(_leads(place), client=BROWSER)
    assert (reply.status, reply.headers["location"]) == (302, place)
    assert (await Blog().post(_leads(place, "HX-Redirect"), client=HTMX)).headers["hx-redirect"] == place
