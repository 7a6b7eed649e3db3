"""The facts of a page, and its Link header."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.pagination.links import link_header
from gatewright.pagination.pages import standing
from gatewright.pagination.query import decoded
from gatewright.result import Page, PageParams


def _link(query: bytes, page: int, total: int, limit: int = 10) -> bytes | None:
    return standing(PageParams(page, limit, (page - 1) * limit), query, Page([], total)).link


def _links(query: bytes, page: int, total: int, limit: int = 10) -> dict[str, str]:
    value = _link(query, page, total, limit)
    found = re.findall(r'<([^>]*)>; rel="(\w+)"', (value or b"").decode("ascii"))
    return {relation: reference for reference, relation in found}


@pytest.mark.parametrize(("total", "pages"), [(0, 0), (1, 1), (10, 1), (11, 2), (25, 3)])
def test_facts(total: int, pages: int) -> None:
    """No rows, no pages; a last page may be short."""
    facts = standing(PageParams(2, 10, 10), b"", Page([], total)).facts
    assert facts == {"page": 2, "limit": 10, "total": total, "totalPages": pages}


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (1, {"first": 1, "next": 2, "last": 3}),
        (2, {"first": 1, "prev": 1, "next": 3, "last": 3}),
        (3, {"first": 1, "prev": 2, "last": 3}),
        (4, {"first": 1, "prev": 3, "last": 3}),
        (900, {"first": 1, "prev": 3, "last": 3}),
    ],
)
def test_prev_and_next_only_where_they_exist(page: int, expected: dict[str, int]) -> None:
    """Past the end, prev leads back to the last page in one step."""
    assert _links(b"", page, 25) == {relation: f"?page={n}&limit=10" for relation, n in expected.items()}


def test_no_pages_no_links() -> None:
    """There is nowhere to go."""
    assert _link(b"", 1, 0) is None
    assert _link(b"", 7, 0) is None


def test_the_reference_is_the_query_alone() -> None:
    """Behind proxies and prefixes only the client knows the rest of its address (RFC 3986, section 5.2.2)."""
    value = link_header(b"a=b", {b"page"}, {"next": "page=2"})
    assert value == b'<?a=b&page=2>; rel="next"'


def test_fastapi_pagination_drops_repeated_parameters_here_all_are_kept() -> None:
    """In their order, as they were sent; page and limit are ours in every spelling, and are sent last."""
    query = b"tag=a&page=2&tag=b%20c&&%6cimit=5&q=x+y&flag&e="
    assert _links(query, 2, 30)["next"] == "?tag=a&tag=b%20c&q=x+y&flag&e=&page=3&limit=10"


@pytest.mark.parametrize(
    "query", [b'a=>; rel="evil", <x', b"a=1\r\nSet-Cookie: x=1", b"a=\xff\x00", b"a=%0d%0a", b"a=%"]
)
def test_header_injection_is_impossible(query: bytes) -> None:
    """What could end the reference or the header is encoded; the decoded value stays the same."""
    links = _links(query, 1, 11)
    assert set(links) == {"first", "next", "last"}
    kept = links["next"].removeprefix("?").removesuffix("&page=2&limit=10")
    assert unquote_to_bytes(kept) == unquote_to_bytes(query)
    assert re.fullmatch(r"[!-~]+", kept)


def test_a_query_too_long_for_proxies_gets_no_links() -> None:
    """Four times the query in one header makes nginx answer 502; the envelope has the facts."""
    assert _link(b"a=" + b"x" * 4_000, 1, 11) is None


def test_decoded() -> None:
    """A plus is a space in a form's encoding."""
    assert decoded(b"a+b%2B") == b"a b+"


@given(
    query=st.binary(max_size=80),
    page=st.integers(1, 2**62),
    limit=st.integers(1, 1_000),
    total=st.integers(0, 2**62),
)
def test_any_query_gives_a_header_of_plain_ascii(query: bytes, page: int, limit: int, total: int) -> None:
    """Well formed, and its parameters are those that were sent."""
    value = _link(query, page, total, limit)
    if value is None:
        assert total == 0
        return
    assert re.fullmatch(rb'(<\?[^<>"\s]*>; rel="(first|prev|next|last)"(, |$))+', value)
    reference = _links(query, page, total, limit)["first"][1:]
    sent = [pair for pair in _pairs(query) if pair[0] not in (b"page", b"limit")]
    assert _pairs(reference.encode()) == [*sent, (b"page", b"1"), (b"limit", b"%d" % limit)]


def _pairs(query: bytes) -> list[tuple[bytes, bytes]]:
    pairs = [pair.partition(b"=") for pair in query.split(b"&") if pair]
    return [(decoded(name), decoded(value)) for name, _, value in pairs]
