"""The browser half as it is served: small, kept by caches, what its integrity says, and good for a strict CSP."""

from __future__ import annotations

import gzip
import hashlib
import re
from base64 import b64decode
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from gatewright import Gate
from gatewright.actions.browser import INTEGRITY, SCRIPT, browser_script
from gatewright.auth import protect
from tests.web import Browser

MOST = 3072
ROUTE = Route("/gatewright.js", browser_script)


def starlette() -> ASGIApp:
    """Return an app with the script on a route."""
    return Starlette(routes=[ROUTE])


def mounted() -> ASGIApp:
    """Return an app with the script below a mount."""
    return Starlette(routes=[Mount("/static", routes=[ROUTE])])


def fastapi() -> ASGIApp:
    """Return a FastAPI app with the script on a Starlette route."""
    return FastAPI(routes=[ROUTE])


def fastapi_endpoint() -> ASGIApp:
    """Return a FastAPI app with the script as one of its own endpoints."""
    app = FastAPI()
    app.add_api_route("/gatewright.js", browser_script, include_in_schema=False)
    return app


def protected() -> ASGIApp:
    """Return an app that is closed where nobody thought of a rule."""
    app = Starlette(routes=[ROUTE])
    protect(app, {})
    Gate(log="off").install(app)
    return app


APPS = [starlette, mounted, fastapi, fastapi_endpoint, protected]


@pytest.fixture
def browser() -> Browser:
    """Return a browser on an app with the script."""
    return Browser(starlette())


@pytest.mark.parametrize("app", APPS)
def test_it_is_served_wherever_it_is_put(app: Callable[[], ASGIApp]) -> None:
    """On a route, below a mount, on FastAPI, and behind `protect`, without a rule: everybody may have it."""
    path = "/static/gatewright.js" if app is mounted else "/gatewright.js"
    reply = Browser(app()).get(path)
    assert (reply.status, reply.body) == (200, SCRIPT)
    assert reply.headers.get("content-type", "") == "text/javascript; charset=utf-8"
    assert reply.headers.get("x-content-type-options", "") == "nosniff"
    assert reply.headers.get("cache-control", "") == "public, max-age=3600"


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip, deflate, br, zstd", True),
        ("deflate, GZIP;q=0.5", True),
        ("gzip;q=0.001", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000 , br", False),
        ("identity", False),
        ("", False),
        ("x-gzip-like", False),
    ],
)
def test_it_is_packed_for_who_takes_that(browser: Browser, accepted: str, packed: bool) -> None:
    """As RFC 9110 reads `Accept-Encoding`; caches between keep the two apart."""
    reply = browser.get("/gatewright.js", headers={"Accept-Encoding": accepted})
    assert (reply.headers.get("content-encoding", "") == "gzip") is packed
    assert (gzip.decompress(reply.body) if packed else reply.body) == SCRIPT
    assert reply.headers.get("vary", "") == "Accept-Encoding"
    assert reply.headers.get("content-length", "") == str(len(reply.body))


def test_it_is_small_as_browsers_get_it(browser: Browser) -> None:
    """Under 3 kB on the wire, without a tool that makes it unreadable."""
    reply = browser.get("/gatewright.js", headers={"Accept-Encoding": "gzip, deflate, br"})
    assert len(reply.body) < MOST


def test_who_has_it_gets_nothing(browser: Browser) -> None:
    """304, with what a cache needs to keep it for longer (RFC 9110, section 15.4.5); packed or not, it is the same."""
    tag = browser.get("/gatewright.js").headers.get("etag", "")
    assert re.fullmatch(r'W/"[0-9a-f]{32}"', tag)
    assert browser.get("/gatewright.js", headers={"Accept-Encoding": "gzip"}).headers.get("etag", "") == tag
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        reply = browser.get("/gatewright.js", headers={"If-None-Match": known})
        assert (reply.status, reply.body) == (304, b"")
        assert (reply.headers.get("etag", ""), reply.headers.get("cache-control", "")) == (tag, "public, max-age=3600")
    for other in ('"other"', tag[:-2] + '"', ""):
        assert browser.get("/gatewright.js", headers={"If-None-Match": other}).status == 200


def test_a_head_says_how_much_it_is(browser: Browser) -> None:
    """And nothing can be posted to it."""
    assert browser.request("HEAD", "/gatewright.js").headers.get("content-length", "") == str(len(SCRIPT))
    assert browser.post("/gatewright.js").status == 405


def test_the_integrity_is_that_of_the_bytes() -> None:
    """What a page says of the script is what a browser computes of it."""
    kind, _, digest = INTEGRITY.partition("-")
    assert kind == "sha384" and b64decode(digest) == hashlib.sha384(SCRIPT).digest()


@pytest.mark.parametrize("word", ["eval", "Function(", "innerHTML", "outerHTML", "insertAdjacent", "document.write",
                                  "style", "import", "javascript:", "setAttribute(\"on", "srcdoc"])  # fmt: skip
def test_it_does_nothing_that_a_strict_policy_forbids(word: str) -> None:
    """No text becomes code, markup or style, and no other script is fetched."""
    code = re.sub(r"^\s*//.*$", "", SCRIPT.decode("ascii"), flags=re.MULTILINE)
    assert word not in code


def test_it_can_be_read() -> None:
    """A comment on top, lines that fit, and names that are words."""
    lines = SCRIPT.decode("ascii").splitlines()
    assert lines[0].startswith("// ") and max(map(len, lines)) <= 120
