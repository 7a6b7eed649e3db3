"""@paginate: which page was asked for, and what the answer says about the others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright._core.gate import Gate
from gatewright._core.handler import Handler
from gatewright._core.log import EventList
from gatewright._core.phase import Phase
from gatewright.errors import ConfigurationError, InvalidInput
from gatewright.pagination import Paginate, paginate
from gatewright.result import Page, PageParams, Result, err, ok
from gatewright.testing import FrozenClock, call, make_call
from gatewright.validation import Validate


@paginate
async def posts(page: PageParams) -> Result[Page[int]]:
    rows = range(25)
    return ok(Page(list(rows[page.offset : page.offset + page.limit]), len(rows)))


def _page(query: str | bytes = "", guard: Paginate | None = None) -> PageParams:
    made = make_call()
    made.scope["query_string"] = query.encode() if isinstance(query, str) else query
    assert (guard or Paginate()).enter(made) is None
    return made.get(PageParams)


def _details(query: str) -> dict[str, Any]:
    with pytest.raises(InvalidInput) as caught:
        _page(query)
    assert caught.value.status_code == 400
    return dict(caught.value.details)


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("", PageParams(1, 10, 0)),
        ("other=1", PageParams(1, 10, 0)),
        ("page=3", PageParams(3, 10, 20)),
        ("page=3&limit=7", PageParams(3, 7, 14)),
        ("limit=100", PageParams(1, 100, 0)),
        ("%70age=%33&limit=007", PageParams(3, 7, 14)),
        ("&&page=2&pagex=9&mypage=9&", PageParams(2, 10, 10)),
        ("page=92233720368547758&limit=100", PageParams(92233720368547758, 100, 9223372036854775700)),
    ],
)
def test_page_and_limit_come_from_the_query(query: str, page: PageParams) -> None:
    """With defaults, in any spelling, beside any other parameter."""
    assert _page(query) == page


@pytest.mark.parametrize("limit", ["101", "1000", "9" * 5_000])
def test_over_max_limit_is_422_elsewhere_here_it_is_clamped(limit: str) -> None:
    """fastapi-pagination refuses it (#411, #770, #1239); AIP-158 says to coerce, and the envelope says to what."""
    assert _page(f"limit={limit}").limit == 100


@pytest.mark.parametrize("name", ["page", "limit"])
@pytest.mark.parametrize(
    "value", ["0", "-1", "+1", "", "x", "1.0", "1e3", "%D9%A1", "%C2%B2", "%ff", "1_0", "+5", "0x1", "00"]
)
def test_what_is_no_number_from_one_is_a_400(name: str, value: str) -> None:
    """ASCII digits only: int() would take Arabic digits, underscores, signs and spaces."""
    assert _details(f"{name}={value}") == {name: ["Input should be a whole number of 1 or more"]}


def test_a_repeated_number_is_a_400() -> None:
    """Parameter pollution; both names are looked at before anything is said."""
    once = ["Give this once only"]
    assert _details("page=1&page=1&limit=0") == {"page": once, "limit": ["Input should be a whole number of 1 or more"]}
    assert _details("limit=1&limi%74=2&limit=3") == {"limit": once}


@pytest.mark.parametrize(
    "query", ["page=9999999999999999999", f"page={'9' * 5_000}", "page=92233720368547760&limit=1000"]
)
def test_page_9999999999999999999_is_a_500_on_sqlite_elsewhere(query: str) -> None:
    """An offset of 2**63 rows overflows the driver; here the page is refused before SQL is written."""
    assert _details(query) == {"page": ["Input is past the last page that can be"]}


def test_the_gate_chooses_422() -> None:
    """As for every validation failure."""
    made = make_call(query="page=x", gate=Gate(invalid_status=422, log=EventList()))
    with pytest.raises(InvalidInput) as caught:
        Paginate().enter(made)
    assert caught.value.status_code == 422


@pytest.mark.anyio
async def test_the_envelope_reports_what_was_applied() -> None:
    """Items, facts and links of one page."""
    reply = await call(posts, query="page=2&limit=10&tag=a", gate=Gate(clock=FrozenClock(), log=EventList()))
    assert reply.json["data"] == list(range(10, 20))
    assert reply.json["pagination"] == {"page": 2, "limit": 10, "total": 25, "totalPages": 3}
    assert reply.headers["link"].startswith('<?tag=a&page=1&limit=10>; rel="first", ')


@pytest.mark.anyio
async def test_rootly_210_a_page_past_the_end_is_empty_never_the_last_again() -> None:
    """A client that walks until a page is empty looped for ever when the page was clamped."""
    gate = Gate(clock=FrozenClock(), log=EventList())
    seen: list[int] = []
    for page in range(1, 10):
        reply = await call(posts, query=f"page={page}", gate=gate)
        if not reply.json["data"]:
            break
        seen += reply.json["data"]
    assert seen == list(range(25))
    assert reply.json["pagination"]["page"] == 4
    assert 'rel="next"' not in reply.headers["link"]


@pytest.mark.anyio
async def test_django_ninja_1216_a_handler_may_return_an_error() -> None:
    """What is no page passes through."""

    @paginate(default_limit=5, max_limit=5)
    async def closed(page: PageParams) -> Result[Page[int]]:
        return err("closed", status=409)

    assert (await call(closed, gate=Gate(clock=FrozenClock(), log=EventList()))).status == 409


@pytest.mark.parametrize(("default", "most"), [(0, 10), (11, 10), (-1, 5), (1, 0)])
def test_bad_limits_are_refused_when_decorating(default: int, most: int) -> None:
    """Not at the first request."""
    with pytest.raises(ConfigurationError, match="write limits of 1 or more"):
        paginate(default_limit=default, max_limit=most)


def test_a_handler_that_asks_for_no_page_is_refused_when_sealed() -> None:
    """It could not follow what it promises."""

    async def forgetful() -> None: ...

    with pytest.raises(ConfigurationError, match="page: PageParams"):
        Paginate().seal(Handler.read(forgetful))
    assert Paginate().seal(posts.pipeline and Handler.read(posts.handler)) == Paginate()


def test_the_guard_comes_after_validate() -> None:
    """In PARSE, one per handler."""
    assert (Paginate().phase, Paginate.single, Paginate.reads_handler) == (Phase.PARSE, True, True)
    assert Paginate.rank > Validate.rank


@given(
    query=st.binary(max_size=60)
    | st.lists(st.sampled_from([b"page=", b"limit=", b"&", b"1", b"%31", b"%", b"+", b"0"])).map(b"".join)
)
def test_any_query_is_a_page_or_a_400(query: bytes) -> None:
    """Nothing but InvalidInput ever leaves the guard, and the offset fits 63 bits."""
    try:
        params = _page(query)
    except InvalidInput as refusal:
        assert refusal.details
    else:
        assert params.page >= 1 and 1 <= params.limit <= 100
        assert 0 <= params.offset == (params.page - 1) * params.limit < 2**63
