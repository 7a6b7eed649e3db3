"""`redirect(...)`: a value that sends a browser to a place on this host, whatever a request had to say about it."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel
from starlette.types import ASGIApp

from gatewright import ConfigurationError, Cookie, FromQuery, Gate, Redirect, Result, ok, redirect, validate
from gatewright._core.decorate import guarded_by
from gatewright.redirect import is_place
from gatewright.testing import EventList, call
from tests.core.kit import Step
from tests.hosts import fastapi, fastapi_route, starlette, starlette_route

pytestmark = pytest.mark.anyio

SHOP = "https://checkout.example.com"
EVIL = [
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "\\\\evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "\x00//evil.example",
    "\x1f/\\evil.example",
    "https://evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https:\\\\evil.example",
    "HTTPS://evil.example",
    "http://testserver@evil.example",
    "//testserver@evil.example",
    "javascript:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,a",
    "\u2028//evil.example",
    "\u3000//evil.example",
    "\uff0f\uff0fevil.example",
    "evil.example",
    "?next=//evil.example",
    "",
    ".",
    "..//evil.example",
]
URLISH = st.lists(
    st.sampled_from(
        [*"/\\\t\n\r .:@?#%&;[]\x00\x1f\x7f", "evil.example", "https", "javascript:", "%2f", "%5c", "é", "\u2028"]
    ),
    max_size=8,
).map("".join)


def leads_off(location: str) -> bool:
    """Say whether a browser that is on this host leaves it for *location* (WHATWG URL, 4.4, of a special scheme)."""
    location = re.sub(r"[\t\n\r]", "", location.strip("".join(map(chr, range(0x21)))))
    location = location.replace("\\", "/")
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", location) is not None or location.startswith("//")


# Where it leads


@pytest.mark.parametrize(
    ("to", "location"),
    [
        ("/", "/"),
        ("/posts/1", "/posts/1"),
        ("/posts?page=2&q=a+b#end", "/posts?page=2&q=a+b#end"),
        ("/posts/%C3%A9t%C3%A9", "/posts/%C3%A9t%C3%A9"),
        ("/posts/été", "/posts/%C3%A9t%C3%A9"),
        ("/a b", "/a%20b"),
        ('/a"<b>', "/a%22%3Cb%3E"),
        ("/a//b", "/a//b"),
        ("/a\r\nSet-Cookie: b=c", "/a%0D%0ASet-Cookie:%20b=c"),
        ("/a\ud800b", "/a?b"),
    ],
)
def test_a_path_of_this_app(to: str, location: str) -> None:
    """It may be written as one reads it; what a URL cannot hold is encoded."""
    assert redirect(to).to == location
    assert is_place(location)


@pytest.mark.parametrize("to", [each for each in EVIL if not each.startswith(("/\t", "/\n", "/\r", "/\\"))])
def test_what_leads_off_this_host_is_refused(to: str) -> None:
    """With what to write instead."""
    with pytest.raises(ConfigurationError, match=r"leads off this host; write a path such as redirect\('/posts'\)"):
        redirect(to)


@pytest.mark.parametrize("to", EVIL)
def test_what_a_request_says_goes_nowhere_else(to: str) -> None:
    """With `otherwise`, a place from a request that is none leads there."""
    assert redirect(to, otherwise="/home").to == "/home"


@pytest.mark.parametrize("to", [None, 1, b"/posts"])
def test_a_place_is_text(to: Any) -> None:
    """A route's URL is an object."""
    with pytest.raises(ConfigurationError, match="write a path"):
        redirect(to)


def test_otherwise_has_to_be_a_place_itself() -> None:
    """It is the author's, and has nothing to fall back to."""
    with pytest.raises(ConfigurationError, match="leads off this host"):
        redirect("//evil.example", otherwise="//evil.example")
    assert redirect("/there", otherwise="/home").to == "/there"


@pytest.mark.parametrize("to", [f"{SHOP}/pay/1?a=b", SHOP, f"{SHOP}/", f"{SHOP}?a", f"{SHOP}#a"])
def test_other_origins_are_named(to: str) -> None:
    """By scheme, host and port."""
    assert redirect(to, origins=[SHOP]).to == to
    assert redirect(to, otherwise="/", origins=[SHOP]).to == to
    with pytest.raises(ConfigurationError):
        redirect(to)


@pytest.mark.parametrize(
    "to",
    [
        *EVIL,
        "https://checkout.example.com.evil.example/",
        "https://checkout.example.com@evil.example/",
        "https://evil.example\\@checkout.example.com/",
        "https://checkout.example.com:444/",
        "http://checkout.example.com/",
        "//checkout.example.com/",
        "https://checkout.example.com\\.evil.example/",
        "https://[evil",
        "https://check\tout.example.com/",
        "https://checkout.example.com/ a",
        "https://checkout.example.com/é",
    ],
)
def test_no_other_origin_passes_for_one_that_was_named(to: str) -> None:
    """Nor a name that begins or ends like it."""
    assert redirect(to, otherwise="/", origins=[SHOP]).to == "/"


@pytest.mark.parametrize(
    "origins",
    [
        SHOP,
        "",
        [f"{SHOP}/"],
        [f"{SHOP}/pay"],
        [f"{SHOP}?a"],
        ["checkout.example.com"],
        ["https://*.example.com"],
        ["https://Checkout.example.com"],
        ["https://a@b.example"],
        ["https://"],
        ["https://a.example:"],
        ["javascript://a.example"],
        ["null"],
        [SHOP, ""],
        [f"{SHOP}\n"],
    ],
)
@pytest.mark.parametrize("to", [SHOP, "/", "https://", "https://checkout.example"])
def test_origins_are_a_list_of_origins(origins: Any, to: str) -> None:
    """A str would be searched for what a request says: "https://checkout.example" is in it, and another host."""
    for otherwise in (None, "/"):
        with pytest.raises(ConfigurationError, match=r"origins=\['https://checkout.example.com'\]"):
            redirect(to, origins=origins, otherwise=otherwise)


@pytest.mark.parametrize("origin", ["http://localhost:8000", "https://[::1]:8443", "https://a-b.example"])
def test_an_origin_may_have_a_port(origin: str) -> None:
    """And be an address."""
    assert redirect(f"{origin}/a", origins=[origin]).to == f"{origin}/a"


@given(to=URLISH | st.text())
@example("/%2f/evil.example")
@example("/%5cevil.example")
@example("/.//evil.example")
def test_a_browser_stays_on_this_host(to: str) -> None:
    """Whatever a request says, and however a browser reads it; the header holds plain ASCII."""
    location = redirect(to, otherwise="/").to
    assert location.isascii()
    assert location.isprintable()
    assert " " not in location
    assert not leads_off(location)
    try:
        written = redirect(to).to
    except ConfigurationError:
        return
    assert not leads_off(written)


@given(to=URLISH | st.text())
def test_a_browser_goes_only_where_it_was_allowed_to(to: str) -> None:
    """With other origins, one of them or this host."""
    location = redirect(SHOP + to, otherwise="/", origins=[SHOP]).to
    assert location == "/" or re.match(r"https://checkout\.example\.com(?![^/?#])", location)


def test_a_place_has_an_end() -> None:
    """What is longer than servers take is none."""
    assert is_place("/" + "a" * 2000)
    assert not is_place("/" + "a" * 2001)
    assert not is_place(None)


# As an answer


def _plain_fastapi(handler: Any, gate: Gate) -> ASGIApp:
    app = FastAPI()
    app.get("/")(handler)
    return app


GUARDED = (starlette, starlette_route, fastapi, fastapi_route)
HOSTS = [*(pytest.param(partial(host, method="GET"), id=host.__name__) for host in GUARDED), _plain_fastapi]
ON_EVERY_HOST = pytest.mark.parametrize("host", HOSTS)


class Post(BaseModel):
    """What is shown."""

    id: int


@validate
async def go(there: FromQuery[bool] = True) -> Result[Post] | Redirect:
    """Send the client somewhere, or answer."""
    if there:
        return redirect("/posts/1", headers={"X-Made": "1"}, cookies=[Cookie("seen", "1"), Cookie("new", "2")])
    return ok(Post(id=1))


@validate
async def undeclared(there: FromQuery[bool] = True) -> Any:
    """The same, without saying so."""
    return redirect("/posts/1", cookies=[Cookie("seen", "1")]) if there else ok(Post(id=1))


@guarded_by(Step())
async def away() -> Redirect:
    """Send the client somewhere, always."""
    return redirect("/posts/1")


@ON_EVERY_HOST
async def test_a_redirect_is_a_303_without_a_body(host: Any) -> None:
    """With its headers and its cookies."""
    reply = await call(host(go, Gate(log=EventList())))
    assert (reply.status, reply.headers["location"], reply.body) == (303, "/posts/1", b"")
    assert (reply.headers["x-made"], reply.cookies) == ("1", {"seen": "1", "new": "2"})
    assert (reply.headers["content-length"], "content-type" in reply.headers) == ("0", False)


@ON_EVERY_HOST
@pytest.mark.parametrize("handler", [undeclared, away])
async def test_however_it_is_declared(host: Any, handler: Any) -> None:
    """As one of two, alone, or not at all."""
    reply = await call(host(handler, Gate(log=EventList())))
    assert (reply.status, reply.headers["location"]) == (303, "/posts/1")


@ON_EVERY_HOST
async def test_beside_data(host: Any) -> None:
    """The other answer is as it is everywhere."""
    reply = await call(host(go, Gate(log=EventList())), query={"there": "false"})
    assert (reply.status, reply.json) == (200, {"success": True, "data": {"id": 1}})


@pytest.mark.parametrize("host", HOSTS[2:])
async def test_the_document_shows_what_has_a_body(host: Any) -> None:
    """A `Result[T] | Redirect` is documented as the envelope of a `T`."""
    shown = [(await call(host(handler, Gate(log=EventList())), path="/openapi.json")).json for handler in (go, away)]
    document, alone = shown
    assert "Redirect" not in str(document["components"]["schemas"])
    assert "Post" in document["components"]["schemas"]
    assert "Redirect" not in str(alone.get("components", ""))
    assert alone["paths"]["/"]["get"]["responses"]


async def test_a_header_that_would_split_is_refused() -> None:
    """What the author put into it is not sent."""

    @guarded_by(Step())
    async def split() -> Redirect:
        return redirect("/", headers={"X-A": "b\r\nSet-Cookie: c=d"})

    reply = await call(split, gate=Gate(log=EventList()))
    assert (reply.status, "set-cookie" in reply.headers) == (500, False)


def test_what_the_app_says_itself_may_be_long_once_it_is_encoded() -> None:
    """A title of 400 letters is 2,400 characters of an address; what others may have a say in is kept shorter."""
    place = redirect("/" + "é" * 400).to
    assert len(place) == 2_401 and not is_place(place)
    with pytest.raises(ConfigurationError, match="leads off"):
        redirect("/" + "é" * 4_000)
