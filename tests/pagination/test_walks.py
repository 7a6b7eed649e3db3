"""Walking through a list by cursor: everything once, in order, there and back, on every database."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from gatewright.pagination import CursorPage, CursorParams
from gatewright.pagination.sql import cursor_page_of
from tests.pagination.kit import Database, Post, params_of, walked

_TIMES = [datetime(2026, 1, 1, 12, 0, 0, micro) for micro in (0, 1, 999_999)]

Row = tuple[int, int, int | None, str | None, datetime | None]
_NAMES = ("id", "rank", "score", "title", "written")

rows_of_ties = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.none() | st.integers(-1, 1),
        st.none() | st.sampled_from(["", "a", "b", "é"]),
        st.none() | st.sampled_from(_TIMES),
    ),
    max_size=14,
).map(lambda found: [(number, *row) for number, row in enumerate(found, 1)])

_key = st.tuples(
    st.sampled_from(["", "-"]), st.sampled_from(_NAMES[1:]), st.sampled_from(["", " nulls first", " nulls last"])
)
orders = st.tuples(st.lists(_key, max_size=4, unique_by=lambda key: key[1]), st.sampled_from(["id", "-id"])).map(
    lambda found: (*("".join(key) for key in found[0]), found[1])
)


def in_order(rows: Sequence[Row], order: Sequence[str]) -> list[int]:
    """Return the ids in the order, by another way than the one that is tested: sorted key by key, last key first."""
    found = list(rows)
    for key in reversed(order):
        at = _NAMES.index(key.removeprefix("-").partition(" ")[0])
        some = [row for row in found if row[at] is not None]
        values = sorted({row[at] for row in some}, reverse=key[0] == "-")
        some.sort(key=lambda row: values.index(row[at]))
        none = [row for row in found if row[at] is None]
        found = none + some if key.endswith("first") else some + none
    return [row[0] for row in found]


def _fill(database: Database, rows: Sequence[Row]) -> None:
    database.fill(*(Post(**dict(zip(_NAMES, row, strict=True))) for row in rows))


def _asking(database: Database) -> Callable[[CursorParams], CursorPage[Post]]:
    return lambda cursor: database.run(lambda session: cursor_page_of(session, select(Post), cursor))


def _check_walks(database: Database, rows: Sequence[Row], order: Sequence[str], limit: int) -> None:
    _fill(database, rows)
    expected = in_order(rows, order)
    cuts = [expected[at : at + limit] for at in range(0, len(expected), limit)] or [[]]
    forward = walked(_asking(database), order, limit)
    assert [[post.id for post in page.items] for page in forward] == cuts
    assert [page.prev is None for page in forward] == [True] + [False] * (len(cuts) - 1)
    back = walked(_asking(database), order, limit, backward=True)
    assert [post.id for page in reversed(back) for post in page.items] == expected
    assert [len(page.items) for page in back[:-1]] == [limit] * (len(back) - 1)
    assert [page.next is None for page in back] == [True] + [False] * (len(back) - 1)
    # From the last page that was reached forward, back to the first one.
    if (position := forward[-1].prev) is not None:
        again = [_asking(database)(params_of(order, limit, position, backward=True))]
        while (position := again[-1].prev) is not None:
            again.append(_asking(database)(params_of(order, limit, position, backward=True)))
        assert [[post.id for post in page.items] for page in reversed(again)] == cuts[:-1]


@settings(max_examples=150, deadline=None)
@given(rows=rows_of_ties, order=orders, limit=st.integers(1, 6))
def test_every_walk_is_the_sorted_list_on_sqlite(sqlite: Database, rows: list[Row], order: Any, limit: int) -> None:
    """Ties, NULLs, mixed directions, any size of page: forward exactly the list, back exactly its reverse."""
    _check_walks(sqlite, rows, order, limit)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(rows=rows_of_ties, order=orders, limit=st.integers(1, 6))
def test_every_walk_is_the_sorted_list_on_postgres(postgres: Database, rows: list[Row], order: Any, limit: int) -> None:
    """Where NULL is the greatest value."""
    _check_walks(postgres, rows, order, limit)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(rows=rows_of_ties, order=orders, limit=st.integers(1, 6))
def test_every_walk_is_the_sorted_list_on_mariadb(mariadb: Database, rows: list[Row], order: Any, limit: int) -> None:
    """Where NULL is the smallest value, and ORDER BY knows no NULLS LAST."""
    _check_walks(mariadb, rows, order, limit)


@given(rows=rows_of_ties, order=orders, limit=st.integers(1, 6))
def test_every_walk_through_a_list_in_memory_is_the_sorted_list(rows: list[Row], order: Any, limit: int) -> None:
    """`CursorParams.cut` means what a database does."""
    items = [dict(zip(_NAMES, row, strict=True)) for row in rows]
    random.Random(0).shuffle(items)
    expected = in_order(rows, order)
    forward = walked(lambda cursor: cursor.cut(items), order, limit)
    assert [item["id"] for page in forward for item in page.items] == expected
    back = walked(lambda cursor: cursor.cut(items), order, limit, backward=True)
    assert [item["id"] for page in reversed(back) for item in page.items] == expected
    assert {page.total for page in (*forward, *back)} == {len(rows)}


# While others write

_RANKED = ("-rank", "id")


def _ranks(database: Database, *ranks: int) -> None:
    database.fill(*(Post(id=number, rank=rank) for number, rank in enumerate(ranks, 1)))


def _change(database: Database, *added: Post, gone: Sequence[int] = ()) -> None:
    async def work(session: AsyncSession) -> None:
        session.add_all(added)
        await session.execute(delete(Post).where(Post.id.in_(gone)))
        await session.commit()

    database.run(work)


def _ids(page: CursorPage[Post]) -> list[int]:
    return [post.id for post in page.items]


def test_nothing_that_was_there_is_skipped_or_repeated_while_others_write(database: Database) -> None:
    """Offsets shift with each insert and delete; positions do not, wherever the change is."""
    _ranks(database, *range(20, 0, -1))
    ask, seen, position = _asking(database), list[int](), ()
    for turn in range(4):
        page = ask(params_of(_RANKED, 5, position))
        seen += _ids(page)
        # One before all, one amid what was seen, one further on; and the row that the position is made of goes.
        new = [Post(id=100 + 10 * turn + rank, rank=rank) for rank in (99, 18)]
        _change(database, *new, gone=[page.items[-1].id, page.items[0].id])
        position = page.next or ()
    assert seen == [*range(1, 21)]


def test_a_row_that_comes_after_the_position_is_seen(database: Database) -> None:
    """Where its place in the order is still to come."""
    _ranks(database, 9, 8, 7, 6)
    first = _asking(database)(params_of(_RANKED, 2))
    _change(database, Post(id=50, rank=7))
    assert _ids(_asking(database)(params_of(_RANKED, 2, first.next or ()))) == [3, 50]


def test_where_all_before_the_position_is_gone_the_way_on_is_the_start(database: Database) -> None:
    """The position itself is on no page before it: to go on from there would skip it."""
    _ranks(database, 9, 8, 7, 6)
    second = _asking(database)(params_of(_RANKED, 2, (8, 2)))
    assert _ids(second) == [3, 4]
    _change(database, gone=[1, 2])
    empty = _asking(database)(params_of(_RANKED, 2, second.prev or (), backward=True))
    assert (_ids(empty), empty.prev, empty.next) == ([], None, ())
    assert _ids(_asking(database)(params_of(_RANKED, 2, empty.next or ()))) == [3, 4]


def test_where_all_after_the_position_is_gone_the_way_back_is_the_end(database: Database) -> None:
    """As before, from the other side."""
    _ranks(database, 9, 8, 7, 6)
    first = _asking(database)(params_of(_RANKED, 2))
    _change(database, gone=[3, 4])
    empty = _asking(database)(params_of(_RANKED, 2, first.next or ()))
    assert (_ids(empty), empty.prev, empty.next) == ([], (), None)
    last = _asking(database)(params_of(_RANKED, 2, empty.prev or (), backward=True))
    assert (_ids(last), last.prev, last.next) == ([1, 2], None, None)


# Stories of others


def test_drf_7887_and_toasty_1141_more_ties_than_a_page_holds(database: Database) -> None:
    """Everything has the same rank; a cursor of the rank alone, with an offset or without, stops or goes in circles."""
    _ranks(database, *[7] * 25)
    pages = walked(_asking(database), _RANKED, 4)
    assert [number for page in pages for number in _ids(page)] == [*range(1, 26)]


def test_saleor_19560_ties_across_the_edge_of_a_page(database: Database) -> None:
    """Two with the same value, one on each page."""
    _ranks(database, 5, 4, 4, 4, 3)
    assert [_ids(page) for page in walked(_asking(database), ("rank", "-id"), 2)] == [[5, 4], [3, 2], [1]]


def test_twenty_24333_null_never_ends_a_walk(database: Database) -> None:
    """`score > NULL` is not true, so a list ended where the first missing value was."""
    scores = [None, 3, None, 1, None]
    database.fill(*(Post(id=number, score=score) for number, score in enumerate(scores, 1)))
    for order, expected in {
        ("score", "id"): [4, 2, 1, 3, 5],
        ("-score", "id"): [2, 4, 1, 3, 5],
        ("score nulls first", "id"): [1, 3, 5, 4, 2],
        ("-score nulls first", "-id"): [5, 3, 1, 2, 4],
    }.items():
        assert [number for page in walked(_asking(database), order, 1) for number in _ids(page)] == expected


def test_osparc_6983_an_empty_list_has_one_empty_page(database: Database) -> None:
    """Not a last page at offset -10."""
    database.fill()
    for backward in (False, True):
        assert walked(_asking(database), _RANKED, 10, backward=backward) == [CursorPage([], None, None)]
