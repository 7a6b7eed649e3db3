"""Whatever a client writes into the query: both pagers answer 200 or 400, and quote nothing."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from fastapi import APIRouter, FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Route

from gatewright import CursorPage, CursorParams, Gate, Page, PageParams, Result, ok, paginate
from gatewright.fastapi import GuardedRoute
from gatewright.testing import EventList, Reply, call

_KEY = bytes(range(32))
_MARK = "h0st1le"


@pytest.fixture
def anyio_backend() -> str:
    """Run on one event loop: nothing here waits."""
    return "asyncio"


@paginate
async def numbered(page: PageParams) -> Result[Page[int]]:
    return ok(Page([*range(30)[page.offset : page.offset + page.limit]], 30))


@paginate.cursor(order=("-id",), unique="id")
async def walked(cursor: CursorParams) -> Result[CursorPage[dict[str, int]]]:
    return ok(cursor.cut([{"id": number} for number in range(30)]))


def _starlette() -> Any:
    app = Starlette(routes=[Route("/numbered", numbered), Route("/walked", walked)])
    Gate(keys=[_KEY], log=EventList()).install(app)
    return app


def _fastapi() -> Any:
    router = APIRouter(route_class=GuardedRoute)
    router.get("/numbered")(numbered)
    router.get("/walked")(walked)
    app = FastAPI()
    app.include_router(router)
    Gate(keys=[_KEY], log=EventList()).install(app)
    return app


APPS = {"starlette": _starlette(), "fastapi": _fastapi()}
_NAMES = {"numbered": ("page", "limit"), "walked": ("after", "before", "limit")}

_VALUES = {
    "nan": "NaN",
    "infinite": "Infinity",
    "binary": "%00%ff%fe%80",
    "surrogates": "%ed%a0%80%ed%b0%80",
    "an overlong slash": "%c0%af",
    "5,000 digits": "9" * 5_000,
    "5,000 zeros": "0" * 5_000,
    "a minus": "-1",
    "an exponent": "1e309",
    "other digits": "%D9%A1%D9%A2",
    "nul": "1%00",
    "a broken escape": "%",
    "half an escape": "%e",
    "sql": "1;drop%20table%20posts--",
    "markup": f"<script>{_MARK}</script>",
    "a line end": f"1%0d%0aX-Injected:%20{_MARK}",
    "deep": "[" * 2_000,
    "dots": "." * 4_000,
    "too long": "A" * 60_000,
    "nothing": "",
    "many of it": "1&limit=1" * 50,
}


def _is_fine(reply: Reply) -> None:
    assert reply.status in (200, 400)
    assert reply.json["success"] is (reply.status == 200)
    body = reply.body if reply.status == 400 else reply.json["data"] and b""
    assert _MARK.encode() not in (body or b"")
    assert b"x-injected" not in dict(reply.raw_headers)


@pytest.mark.anyio
@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("what", _VALUES)
@pytest.mark.parametrize("path", _NAMES)
async def test_any_value_is_a_page_or_a_400(app: str, what: str, path: str) -> None:
    """Under each name, in one spelling and another, beside a filter and alone."""
    for name in _NAMES[path]:
        for query in (f"{name}={_VALUES[what]}", f"tag=x&%{ord(name[0]):x}{name[1:]}={_VALUES[what]}"):
            reply = await call(APPS[app], path=f"/{path}", query=query)
            _is_fine(reply)
            assert reply.status == (200 if what == "5,000 digits" and name == "limit" else 400), name


@pytest.mark.anyio
@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("path", _NAMES)
@pytest.mark.parametrize("field", ["a", "a=1", "", "=", "%ff=%00", "limit"])
async def test_a_hundred_thousand_fields_are_a_page_or_a_400(app: str, path: str, field: str) -> None:
    """They are filters, as far as pages go; and a digest of them takes no time to speak of."""
    reply = await call(APPS[app], path=f"/{path}", query="&".join([field] * 100_000))
    _is_fine(reply)
    assert reply.status == (400 if field == "limit" else 200)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.lists(
        st.sampled_from(
            ["page=", "limit=", "after=", "before=", "&", "=", "1", "0", "%31", "%", "%ff", "+", "A.B", "é"]
        )
        | st.text(max_size=4),
        max_size=12,
    ).map("".join)
)
@pytest.mark.parametrize("path", _NAMES)
def test_any_query_is_a_page_or_a_400(path: str, query: str) -> None:
    """On Starlette; the guards are the same elsewhere."""

    async def ask() -> Reply:
        return await call(
            APPS["starlette"], path=f"/{path}", query=query.encode("utf-8", "surrogatepass").decode("latin-1")
        )

    _is_fine(anyio.run(ask))
