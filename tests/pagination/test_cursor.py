"""@paginate.cursor: what the client may ask, what the handler is told, and what the answer says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gatewright import (
    CursorPage,
    CursorParams,
    FromQuery,
    Gate,
    PageParams,
    Redirect,
    Result,
    err,
    ok,
    paginate,
    redirect,
    validate,
)
from gatewright._core.handler import Handler
from gatewright._core.phase import Phase
from gatewright.errors import ConfigurationError
from gatewright.fastapi import GuardedRoute
from gatewright.pagination import CursorPagination, Key
from gatewright.testing import EventList, FrozenClock, Reply, call
from gatewright.validation import Validate

ORDER = ("-score", "id")


class ItemOut(BaseModel):
    """What leaves."""

    id: int


class Filters(BaseModel, extra="forbid"):
    """What a list may be filtered by."""

    tag: str = ""


@dataclass
class Item:
    """What is listed; nobody may see its secret."""

    id: int
    score: int | None
    secret: str = "hunter2"


ITEMS = [Item(number, [3, None, 1][number % 3]) for number in range(1, 8)]
SORTED = [3, 6, 2, 5, 1, 4, 7]


@paginate.cursor(order=ORDER, unique="id", default_limit=3, max_limit=5)
async def items(cursor: CursorParams) -> Result[CursorPage[ItemOut]]:
    return ok(cursor.cut(ITEMS))  # type: ignore[arg-type]  # filtered as it leaves


KEY, OTHER = bytes(range(32)), bytes(range(32, 64))


def _gate(**options: Any) -> Gate:
    return Gate(**{"keys": [KEY], "log": EventList(), "clock": FrozenClock(), **options})


GATE = _gate()


async def _get(query: str = "", handler: Any = items, gate: Gate = GATE, path: str = "/items") -> Reply:
    return await call(handler, query=query, gate=gate, path=path)


def _ids(reply: Reply) -> list[int]:
    return [item["id"] for item in reply.json["data"]]


def _links(reply: Reply) -> dict[str, str]:
    found = re.findall(r'<\?([^>]*)>; rel="(\w+)"', reply.headers.get("link", ""))
    return {relation: query for query, relation in found}


@pytest.mark.anyio
async def test_the_links_lead_there_and_back() -> None:
    """The first page has no prev and the last no next, however they were reached."""
    replies = [await _get("limit=3")]
    while (query := _links(replies[-1]).get("next")) is not None:
        replies.append(await _get(query))
    assert [_ids(reply) for reply in replies] == [SORTED[:3], SORTED[3:6], SORTED[6:]]
    back = [replies[-1]]
    while (query := _links(back[-1]).get("prev")) is not None:
        back.append(await _get(query))
    assert [_ids(reply) for reply in back] == [SORTED[6:], SORTED[3:6], SORTED[:3]]
    assert back[-1].json["pagination"]["prev"] is None
    assert replies[-1].json["pagination"]["next"] is None


@pytest.mark.anyio
async def test_the_envelope_says_what_was_applied() -> None:
    """Items without what was not declared, and cursors that may be sent by themselves, with another limit."""
    reply = await _get("limit=99&tag=a&tag=b")
    pagination = reply.json["pagination"]
    assert reply.json["data"] == [{"id": number} for number in SORTED[:5]]
    assert set(pagination) == {"limit", "next", "prev", "total"}
    assert (pagination["limit"], pagination["prev"], pagination["total"]) == (5, None, 7)
    assert _links(reply) == {"next": f"tag=a&tag=b&limit=5&after={pagination['next']}"}
    further = await _get(f"tag=b&after={pagination['next']}&limit=1&tag=a")
    assert _ids(further) == SORTED[5:6]


@pytest.mark.anyio
async def test_a_total_that_nobody_counted_is_not_there() -> None:
    """And no Link without anywhere to go."""

    @paginate.cursor(order=ORDER, unique="id")
    async def handler(cursor: CursorParams) -> Result[CursorPage[ItemOut]]:
        return ok(CursorPage(()))

    reply = await _get(handler=handler)
    assert reply.json == {"success": True, "data": [], "pagination": {"limit": 10, "next": None, "prev": None}}
    assert "link" not in reply.headers


@pytest.mark.anyio
async def test_a_link_of_the_handlers_own_stays() -> None:
    """RFC 8288 lets a header have several; fastapi-pagination overwrites it."""

    @paginate.cursor(order=ORDER, unique="id")
    async def handler(cursor: CursorParams) -> Result[CursorPage[ItemOut]]:
        return ok(cursor.page(ITEMS[:1] * 11), headers={"Link": '</help>; rel="help"'})  # type: ignore[arg-type]

    reply = await _get(handler=handler)
    links = reply.headers["link"]
    assert 'rel="help"' in links and 'rel="next"' in links


async def _cursors() -> tuple[str, str]:
    reply = await _get(_links(await _get("limit=3"))["next"])
    return reply.json["pagination"]["next"], reply.json["pagination"]["prev"]


@pytest.mark.anyio
async def test_a_cursor_for_something_else_is_a_400() -> None:
    """Of the other direction, another filter, path, order, key; altered, empty, cut short, or never one."""
    onward, back = await _cursors()

    @paginate.cursor(order=("score", "id"), unique="id")
    async def reordered(cursor: CursorParams) -> Result[CursorPage[ItemOut]]:
        return ok(cursor.cut(ITEMS))  # type: ignore[arg-type]

    assert (await _get(f"after={onward}")).status == (await _get(f"before={back}")).status == 200
    refused = {
        "direction": await _get(f"after={back}"),
        "direction too": await _get(f"before={onward}"),
        "filter": await _get(f"after={onward}&tag=a"),
        "path": await _get(f"after={onward}", path="/other"),
        "order": await _get(f"after={onward}", handler=reordered),
        "key": await _get(f"after={onward}", gate=_gate(keys=[OTHER])),
        "altered": await _get(f"after={onward[:-1]}{'A' if onward[-1] != 'A' else 'B'}"),
        "cut short": await _get(f"after={onward[:-5]}"),
        "empty": await _get("after="),
        "never one": await _get("after=%00%ff%ed%a0%80"),
        "long": await _get(f"after={onward * 50}"),
    }
    for what, reply in refused.items():
        (parameter,) = reply.json["details"]
        assert (reply.status, reply.json["code"]) == (400, "invalid_cursor"), what
        assert parameter == ("before" if what == "direction too" else "after"), what
        assert reply.json["details"][parameter] == ["This cursor does not belong to this list; start again without it"]
        assert onward.encode() not in reply.body and back.encode() not in reply.body


@pytest.mark.anyio
async def test_a_key_may_be_rolled_while_clients_walk() -> None:
    """The older one still verifies."""
    onward, _ = await _cursors()
    assert (await _get(f"after={onward}", gate=_gate(keys=[OTHER, KEY]))).status == 200


@pytest.mark.anyio
async def test_the_log_says_why_and_the_client_does_not_learn_it() -> None:
    """Whether it was forged or is merely of another list."""
    log = EventList()
    gate = _gate(log=log)
    await _get("after=forged", gate=gate)
    assert "not signed with one of the keys" in str(list(log))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("query", "details"),
    [
        ("limit=0", {"limit": ["Input should be a whole number of 1 or more"]}),
        ("limit=NaN", {"limit": ["Input should be a whole number of 1 or more"]}),
        ("limit=-1&limit=-1", {"limit": ["Give this once only"]}),
        ("after=a&after=a", {"after": ["Give this once only"]}),
        ("before=a&befor%65=b", {"before": ["Give this once only"]}),
        (
            "after=a&before=b",
            {"after": ["Give after or before, not both"], "before": ["Give after or before, not both"]},
        ),
    ],
)
async def test_what_cannot_be_meant_is_a_400(query: str, details: dict[str, Any]) -> None:
    """Named parameter by parameter; a gate may choose 422 for these, as for all validation."""
    reply = await _get(query)
    assert (reply.status, reply.json["code"], reply.json["details"]) == (400, "validation_failed", details)
    assert (await _get(query, gate=_gate(invalid_status=422))).status == 422


@pytest.mark.anyio
async def test_a_handler_may_answer_with_anything_else() -> None:
    """django-ninja #1216, #1028, #1147, #1011: an error, a response and a redirect are no pages."""
    answers: list[Any] = [err("closed", status=409), PlainTextResponse("plain"), redirect("/elsewhere")]

    @paginate.cursor(order=ORDER, unique="id")
    async def handler(cursor: CursorParams) -> Result[CursorPage[ItemOut]] | Response | Redirect:
        return answers.pop(0)

    replies = [await _get(handler=handler) for _ in range(3)]
    assert [reply.status for reply in replies] == [409, 200, 303]
    assert (replies[1].body, replies[2].headers["location"]) == (b"plain", "/elsewhere")


@pytest.mark.anyio
@pytest.mark.parametrize("position", [(1,), (1, 2, 3)])
async def test_a_page_of_another_order_is_the_developers_mistake(position: tuple[object, ...]) -> None:
    """A 500 with the fixed text, and words in the log."""
    log = EventList()

    @paginate.cursor(order=ORDER, unique="id")
    async def handler(cursor: CursorParams) -> Result[CursorPage[ItemOut]]:
        return ok(CursorPage((), next=position))

    reply = await _get(handler=handler, gate=_gate(log=log))
    assert (reply.status, reply.json["error"]) == (500, "Internal server error")
    assert "are no position in order" in str(list(log))


# On frameworks


def _app(how: str) -> Any:
    if how == "starlette":
        app: Any = Starlette(routes=[Route("/items", items)])
    elif how == "fastapi, installed":
        app = FastAPI()
        app.get("/items")(items)
    else:
        return _fastapi_with_route_class()
    GATE.install(app)
    return app


def _fastapi_with_route_class() -> FastAPI:
    router = APIRouter(route_class=GuardedRoute)
    router.get("/items")(items)
    app = FastAPI()
    app.include_router(router)
    return app


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["starlette", "fastapi, installed"])
async def test_every_framework_answers_alike(how: str) -> None:
    """Items, facts and links, to the byte."""
    app = _app(how)
    reply = await call(app, path="/items", query="limit=2&tag=a")
    alone = await _get("limit=2&tag=a")
    assert reply.json == alone.json
    assert reply.headers["link"] == alone.headers["link"]
    assert _ids(await call(app, path="/items", query=_links(reply)["next"])) == SORTED[2:4]


@pytest.mark.parametrize("how", ["fastapi, installed", "fastapi, route class"])
def test_the_document_shows_what_is_read_and_what_comes_back(how: str) -> None:
    """Three optional parameters; cursors that may be null, and a total that may be missing."""
    document = _app(how).openapi()
    operation = document["paths"]["/items"]["get"]
    shown = {one["name"]: (one["in"], one["required"], one["schema"]) for one in operation["parameters"]}
    assert shown == {
        "limit": ("query", False, {"type": "integer", "minimum": 1}),
        "after": ("query", False, {"type": "string"}),
        "before": ("query", False, {"type": "string"}),
    }
    answer = repr(operation["responses"]["200"]) + repr(document["components"])
    assert "'pagination'" in answer and "'required': ['limit', 'next', 'prev']" in answer


@pytest.mark.anyio
async def test_a_strict_model_beside_it_does_not_see_its_parameters() -> None:
    """They belong to paginate.cursor."""

    @paginate.cursor(order=ORDER, unique="id")
    @validate
    async def handler(cursor: CursorParams, filters: FromQuery[Filters]) -> Result[list[Any]]:
        return ok([cursor.limit, filters.tag])

    assert (await _get("limit=2&tag=a", handler=handler)).json["data"] == [2, "a"]
    assert (await _get("limit=2&other=a", handler=handler)).status == 400


# Mistakes, before the first request


@pytest.mark.parametrize(
    ("order", "unique", "message"),
    [
        (("-score",), "id", r"end with what no two items share: order=\('-score', 'id'\)"),
        (("-score", "id"), "uuid", r"order=\('-score', 'id', 'uuid'\)"),
        (("-score", "id"), ("tenant", "id"), r"order=\('-score', 'id', 'tenant'\)"),
        (("-score", "id"), (), "a page could skip them"),
        ("-score", "id", "write a tuple of keys"),
        ((), "id", "write a tuple of keys"),
        (("score desc", "id"), "id", "'score desc' is no key"),
        (("--score", "id"), "id", "'--score' is no key"),
        (("score; drop table posts", "id"), "id", "is no key: write a name"),
        (("score nulls nowhere", "id"), "id", "is no key"),
        (("", "id"), "id", "'' is no key"),
        (("score", "-score", "id"), "id", "has a key twice"),
    ],
)
def test_fastapi_pagination_306_an_order_without_a_tie_breaker_is_refused(
    order: Any, unique: Any, message: str
) -> None:
    """When it is written, with what to write instead."""
    with pytest.raises(ConfigurationError, match=message):
        paginate.cursor(order=order, unique=unique)


@pytest.mark.parametrize(("default", "most"), [(0, 10), (11, 10), (-1, 5), (1, 0)])
def test_bad_limits_are_refused_when_decorating(default: int, most: int) -> None:
    """As `paginate` does."""
    with pytest.raises(ConfigurationError, match="write limits of 1 or more"):
        paginate.cursor(order=ORDER, unique="id", default_limit=default, max_limit=most)


def test_several_keys_may_be_unique_together() -> None:
    """In any place of the order."""
    paginate.cursor(order=("tenant", "-score", "number"), unique=("number", "tenant"))


def test_a_handler_has_one_kind_of_pages() -> None:
    """Both read the limit."""
    with pytest.raises(ConfigurationError, match="write the one that it answers with"):
        paginate(items)
    with pytest.raises(ConfigurationError, match="two paginate"):
        paginate.cursor(order=ORDER, unique="id")(items)


def test_a_handler_that_does_not_take_the_cursor_is_refused() -> None:
    """It could not follow what it promises; and one that returns a page of the other kind, either."""

    async def forgetful() -> None: ...

    with pytest.raises(ConfigurationError, match="cursor: CursorParams"):
        CursorPagination(ORDER).seal(Handler.read(forgetful))

    @paginate
    async def mixed(page: PageParams) -> Result[CursorPage[int]]:
        return ok(CursorPage(()))

    with pytest.raises(ConfigurationError, match=r"returns a CursorPage; add @paginate\.cursor"):
        _gate().install(Starlette(routes=[Route("/", mixed)]))


def test_a_gate_without_keys_is_refused_when_it_is_installed() -> None:
    """Cursors are signed."""
    with pytest.raises(ConfigurationError, match="signs with the gate's keys"):
        Gate(log=EventList()).install(Starlette(routes=[Route("/", items)]))


def test_the_guard_comes_after_validate() -> None:
    """As `paginate` does; and it reads like what was written."""
    guard = CursorPagination(ORDER, 3, 5)
    assert (guard.phase, guard.rank > Validate.rank, guard.single, guard.reads_handler) == (
        Phase.PARSE,
        True,
        True,
        True,
    )
    assert repr(guard) == "paginate.cursor(order=('-score', 'id'), default_limit=3, max_limit=5)"
    assert repr(paginate) == "<decorator paginate>"


# Without HTTP


@pytest.mark.anyio
async def test_a_handler_is_called_with_a_cursor_of_ones_own() -> None:
    """In a unit test, where nothing signs anything."""
    first = await items.handler(CursorParams(2, ORDER))
    assert isinstance(first.data, CursorPage)
    assert ([item.id for item in first.data.items], first.data.next, first.data.prev) == ([3, 6], (3, 6), None)
    second = await items.handler(CursorParams(2, ORDER, (3, 6)))
    assert isinstance(second.data, CursorPage)
    assert second.data.map(lambda item: item.id) == CursorPage([2, 5], (1, 5), (1, 2), 7)


def test_keys_say_how_to_look() -> None:
    """Backward, everything the other way round, missing values too."""
    forward, back = (CursorParams(2, ("-score", "id nulls first"), backward=way).keys for way in (False, True))
    assert forward == (Key("score", descending=True), Key("id", nulls_first=True))
    assert back == (Key("score", nulls_first=True), Key("id", descending=True))


def test_a_page_of_what_a_store_found() -> None:
    """One more than fit says that it goes on; found backward, they are turned round."""
    found = [{"score": 3, "id": 3}, {"score": 3, "id": 6}, {"score": 1, "id": 2}]
    page = CursorParams(2, ORDER).page(found)
    assert page == CursorPage(found[:2], (3, 6), None)
    assert CursorParams(2, ORDER, (1, 2), backward=True).page([found[1], found[0]]) == CursorPage(
        found[:2], (3, 6), None
    )
    assert CursorParams(1, ORDER, (9, 9)).page(["b"], lambda _: (5, 5), total=7) == CursorPage(["b"], None, (5, 5), 7)


def test_an_item_that_has_no_such_value_is_refused() -> None:
    """With words about where to say it."""
    for item, kind in (({"id": 1}, "dict"), (Key("x"), "Key")):
        with pytest.raises(ConfigurationError, match=f"{kind} has no score; say with at="):
            CursorParams(2, ORDER).page([item])
    with pytest.raises(ConfigurationError, match="1 values are no position"):
        CursorParams(2, ORDER).page([1], lambda one: (one,))
    with pytest.raises(ConfigurationError, match="cannot hold a value of list"):
        CursorParams(2, ORDER).page([1], lambda one: ([], one))
