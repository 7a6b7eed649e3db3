"""Pages of a SELECT: every shape of it, on every database."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Select, func, select, text, union
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased, joinedload, selectinload

from gatewright.errors import ConfigurationError
from gatewright.pagination.sql import Total, cursor_page_of, page_of
from gatewright.pagination.walk import CursorPage
from gatewright.result import Page, PageParams
from tests.pagination.kit import Author, Database, Post, Tag, params_of, walked

_MOST = 2**63 - 1


@pytest.fixture(autouse=True)
def _posts(database: Database) -> None:
    """Seven posts of two authors and of nobody, with 0 to 3 tags."""
    posts = [
        Post(id=number, rank=number // 3, score=number % 3 or None, author_id=[None, 1, 2][number % 3])
        for number in range(1, 8)
    ]
    tags = [Tag(id=10 * number + tag, post_id=number) for number in range(1, 8) for tag in range(number % 4)]
    database.fill(Author(id=1, name="ada"), Author(id=2, name="bob"))
    database.run(lambda session: _add(session, posts, tags))


async def _add(session: AsyncSession, *rows: Sequence[Any]) -> None:
    for some in rows:
        session.add_all(some)
        await session.flush()
    await session.commit()


def _numbered(number: int, limit: int) -> PageParams:
    return PageParams(number, limit, (number - 1) * limit)


def _page(database: Database, statement: Any, number: int = 1, limit: int = 3) -> Page[Any]:
    async def work(session: AsyncSession) -> Page[Any]:
        return await page_of(session, statement, _numbered(number, limit))

    return database.run(work)


def _all(database: Database, statement: Select[Any], *, unique: bool = False) -> list[Any]:
    async def work(session: AsyncSession) -> list[Any]:
        result = await session.execute(statement)
        rows = (result.unique() if unique else result).all()
        return [row[0] if len(row) == 1 else row for row in rows]

    return database.run(work)


def _plain(items: Sequence[Any]) -> list[Any]:
    return [_name(item) if isinstance(item, (Post, int)) else tuple(map(_name, item)) for item in items]


def _name(value: Any) -> Any:
    return (type(value).__name__, value.id) if isinstance(value, (Post, Author)) else value


_TAGGED = select(Post).join(Post.tags).order_by(Post.id, Tag.id)
_STATEMENTS: dict[str, tuple[Select[Any], bool]] = {
    "an entity": (select(Post).order_by(Post.id), False),
    "a column": (select(Post.id).order_by(Post.id.desc()), False),
    "columns": (select(Post.id, Post.rank.label("place")).order_by(Post.id), False),
    "a condition": (select(Post).where(Post.rank > 0).order_by(Post.id), False),
    "nothing": (select(Post).where(Post.rank > 99).order_by(Post.id), False),
    "a join that multiplies": (_TAGGED, False),
    "a join that multiplies, made distinct": (select(Post).join(Post.tags).distinct().order_by(Post.id), False),
    "a column with ties": (select(Post.rank).order_by(Post.rank), False),
    "a column with ties, joined": (select(Post.rank).join(Post.tags).order_by(Post.rank), False),
    "distinct values": (select(Post.rank).distinct().order_by(Post.rank), False),
    "a join to one": (select(Post, Author).join(Post.author).order_by(Post.id), False),
    "an outer join": (select(Post.id, Author.name).outerjoin(Post.author).order_by(Post.id), False),
    "groups": (select(Post.rank, func.count().label("n")).group_by(Post.rank).order_by(Post.rank), False),
    "groups that are many": (
        select(Post.author_id, func.max(Post.id))
        .group_by(Post.author_id)
        .having(func.count() > 1)
        .order_by(func.max(Post.id)),
        False,
    ),
    "joined eager loading": (select(Post).options(joinedload(Post.tags)).order_by(Post.id), True),
    "joined eager loading, distinct": (select(Post).distinct().options(joinedload(Post.tags)).order_by(Post.id), True),
    "eager loading by another query": (select(Post).options(selectinload(Post.tags)).order_by(Post.id), False),
    "the same column twice": (select(Post.id, Author.id).join(Post.author).order_by(Post.id), False),
}


@pytest.mark.parametrize("name", _STATEMENTS)
def test_pages_together_are_what_the_statement_finds(database: Database, name: str) -> None:
    """fastapi-pagination #674, #1187 and #246: totals that counted what a join multiplied, or what DISTINCT removed."""
    statement, unique = _STATEMENTS[name]
    expected = _plain(_all(database, statement, unique=unique))
    found: list[Any] = []
    for number in range(1, len(expected) // 3 + 3):
        page = _page(database, statement, number)
        assert page.total == len(expected)
        assert len(page.items) == max(0, min(3, len(expected) - 3 * (number - 1)))
        found += _plain(page.items)
    assert found == expected


def test_eager_loading_brings_whole_collections(database: Database) -> None:
    """A page of three posts is three posts, with all of their tags."""
    page = _page(database, select(Post).options(joinedload(Post.tags)).order_by(Post.id))
    assert [len(post.tags) for post in page.items] == [1, 2, 3]


def test_rows_keep_their_names(database: Database) -> None:
    """What was added to count is not in them."""
    first, *_ = _page(database, _STATEMENTS["columns"][0]).items
    assert (first.id, first.place, first._fields) == (1, 0, ("id", "place"))
    post, author = _page(database, _STATEMENTS["a join to one"][0]).items[0]
    assert (post.id, author.name) == (1, "ada")


def test_one_query_counts_and_finds(database: Database) -> None:
    """Only past the end it takes another."""
    for statement, number, queries in (
        (select(Post).order_by(Post.id), 1, 1),
        (select(Post).order_by(Post.id), 3, 1),
        (select(Post).order_by(Post.id), 4, 2),
        (select(Post).where(Post.id < 0).order_by(Post.id), 1, 1),
        (select(Post.rank).distinct().order_by(Post.rank), 1, 1),
    ):
        database.statements.clear()
        _page(database, statement, number)
        assert len(database.statements) == queries


@pytest.mark.parametrize("limit", [1, 100])
def test_the_last_page_that_can_be_asked_for_reaches_the_database(database: Database, limit: int) -> None:
    """An offset that `@paginate` lets pass is one that the database counts, and the page is empty."""
    number = _MOST // limit + 1
    assert _page(database, select(Post).order_by(Post.id), number, limit) == Page([], 7)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (select(Post), "add .order_by"),
        (select(Post).order_by(Post.id).limit(5), "take .limit"),
        (select(Post).order_by(Post.id).offset(5), "take .limit"),
        (select(Post).order_by(Post.id).fetch(5), "take .limit"),
        (union(select(Post.id), select(Author.id)).order_by("id"), "is no select"),
        (text("select 1"), "is no select"),
    ],
)
def test_a_statement_that_has_no_pages_is_refused(sqlite: Database, statement: Any, message: str) -> None:
    """fastapi-jsonapi#103: a count over a query that was limited already says one page."""
    with pytest.raises(ConfigurationError, match=message):
        _page(sqlite, statement)


# By cursor


def _walk(
    database: Database, statement: Any, order: Sequence[str], limit: int = 2, *, backward: bool = False
) -> list[CursorPage[Any]]:
    def ask(cursor: Any) -> CursorPage[Any]:
        return database.run(lambda session: cursor_page_of(session, statement, cursor))

    return walked(ask, order, limit, backward=backward)


_ranked = aliased(Post)
_WALKED: dict[str, tuple[Select[Any], tuple[str, ...], list[Any]]] = {
    "an entity": (select(Post), ("-rank", "id"), [6, 7, 3, 4, 5, 1, 2]),
    "one direction": (select(Post), ("-rank", "-id"), [7, 6, 5, 4, 3, 2, 1]),
    "an alias": (select(_ranked), ("rank", "id"), [1, 2, 3, 4, 5, 6, 7]),
    "a hybrid attribute": (select(Post), ("-height", "id"), [6, 7, 3, 4, 5, 1, 2]),
    "a column": (select(Post.id), ("-id",), [7, 6, 5, 4, 3, 2, 1]),
    "columns": (select(Post.id, Post.rank.label("place")), ("place", "-id"), [2, 1, 5, 4, 3, 7, 6]),
    "an expression": (select(Post, (-Post.rank).label("depth")), ("depth", "id"), [6, 7, 3, 4, 5, 1, 2]),
    "a table": (select(Post.__table__), ("-id",), [7, 6, 5, 4, 3, 2, 1]),
    "a join to one": (select(Post).join(Post.author), ("-rank", "id"), [7, 4, 5, 1, 2]),
    "a key of the joined": (select(Post, Author.name.label("by")).join(Post.author), ("-by", "id"), [2, 5, 1, 4, 7]),
    "a key of the outer joined": (
        select(Post, Author.name.label("by")).outerjoin(Post.author),
        ("-by", "id"),
        [2, 5, 1, 4, 7, 3, 6],
    ),
    "a key of the outer joined, first": (
        select(Post, Author.name.label("by")).outerjoin(Post.author),
        ("by nulls first", "id"),
        [3, 6, 1, 4, 7, 2, 5],
    ),
    "a join that multiplies": (select(Post).join(Post.tags), ("-rank", "id"), [6, 7, 3, 5, 1, 2]),
    "joined eager loading": (select(Post).options(joinedload(Post.tags)), ("-rank", "id"), [6, 7, 3, 4, 5, 1, 2]),
    "distinct": (select(Post).distinct(), ("-rank", "id"), [6, 7, 3, 4, 5, 1, 2]),
    "groups": (select(Post.rank, func.count().label("n")).group_by(Post.rank), ("-n", "rank"), [1, 0, 2]),
    "groups of NULL": (select(Post.author_id, func.count()).group_by(Post.author_id), ("author_id",), [1, 2, None]),
}


_ORDER = ("-rank", "id")


def _first(item: Any) -> Any:
    found = item if isinstance(item, (Post, int)) else item[0]
    return found.id if isinstance(found, Post) else found


@pytest.mark.parametrize("name", _WALKED)
def test_any_statement_can_be_walked(database: Database, name: str) -> None:
    """There and back, with pages smaller than what a join makes of one row."""
    statement, order, expected = _WALKED[name]
    assert [_first(item) for page in _walk(database, statement, order) for item in page.items] == expected
    back = _walk(database, statement, order, backward=True)
    assert [_first(item) for page in reversed(back) for item in page.items] == expected


def test_a_page_of_rows_has_what_was_selected(database: Database) -> None:
    """The values of the keys that were added are gone, and collections are whole."""
    statement = select(Post, Author.name.label("by")).join(Post.author).options(joinedload(Post.tags))
    rows = [row for page in _walk(database, statement, ("-id",)) for row in page.items]
    assert [(row.by, len(row.Post.tags)) for row in rows] == [
        ("ada", 3),
        ("bob", 1),
        ("ada", 0),
        ("bob", 2),
        ("ada", 1),
    ]
    assert {row._fields for row in rows} == {("Post", "by")}


def test_positions_are_the_databases_and_not_the_sessions(database: Database) -> None:
    """An object that the session has already, and that somebody changed, says where it would be."""

    async def work(session: AsyncSession) -> tuple[object, ...] | None:
        with session.no_autoflush:
            changed = await session.get_one(Post, 3)
            changed.rank = 99
            return (await cursor_page_of(session, select(Post), params_of(("rank", "id"), 3))).next

    assert database.run(work) == (1, 3)


def test_a_connection_will_do(database: Database) -> None:
    """For the core of SQLAlchemy, whose rows have columns."""

    async def work(session: AsyncSession) -> tuple[list[Any], int]:
        async with database.engine.connect() as connection:
            found = await cursor_page_of(connection, select(Post.id, Post.rank), params_of(("-id",), 2))
            page = await page_of(connection, select(Post.__table__).order_by(Post.id), _numbered(2, 3))
            return [(row.id, row.rank) for row in found.items], page.items[0].id

    assert database.run(work) == ([(7, 2), (6, 2)], 4)


@pytest.mark.parametrize(
    ("statement", "total"),
    [
        (select(Post), 7),
        (select(Post).join(Post.tags), 6),
        (select(Post.rank).distinct(), 3),
        (select(Post).where(Post.id < 0), 0),
    ],
)
def test_an_exact_total_counts_what_the_pages_hold(database: Database, statement: Any, total: int) -> None:
    """On any page, of any size."""
    order = ("-rank",) if total == 3 else ("-rank", "id")
    for limit, position in ((2, ()), (2, (1, 4)[: len(order)])):
        page = database.run(
            lambda session, limit=limit, position=position: cursor_page_of(
                session, statement, params_of(order, limit, position), total="exact"
            )
        )
        assert page.total == total


def test_an_estimate_is_what_the_planner_believes(database: Database) -> None:
    """PostgreSQL has one, of the rows that the statement finds; others have none. By itself nobody counts."""

    async def ask(session: AsyncSession, total: Total | None, rank: int) -> int | None:
        if database.name == "postgresql":
            await session.execute(text("analyze posts"))
        statement = select(Post).where(Post.rank >= rank)
        return (await cursor_page_of(session, statement, params_of(("id",), 2), total=total)).total

    everything = database.run(lambda session: ask(session, "estimate", 0))
    few = database.run(lambda session: ask(session, "estimate", 2))
    assert (everything, few) == ((7, 2) if database.name == "postgresql" else (None, None))
    assert database.run(lambda session: ask(session, None, 0)) is None


@pytest.mark.parametrize(
    ("statement", "order", "message"),
    [
        (select(Post).order_by(Post.id), ("id",), "take .order_by"),
        (select(Post).limit(5), ("id",), "take .limit"),
        (select(Post), ("author", "id"), "selects no column or attribute 'author'"),
        (select(Post), ("nobody", "id"), "selects no column or attribute 'nobody'"),
        (select(Post.id), ("rank", "id"), "selects no column or attribute 'rank'"),
        (select(Post, Author).join(Post.author), ("id",), "selects more than one column 'id'"),
    ],
)
def test_a_statement_that_does_not_fit_the_order_is_refused(
    sqlite: Database, statement: Any, order: tuple[str, ...], message: str
) -> None:
    """In words that say what to write."""
    with pytest.raises(ConfigurationError, match=message.replace(".", r"\.")):
        _walk(sqlite, statement, order)


# What PostgreSQL does with it


_MANY = (
    "create index by_rank_down on posts (rank desc, id desc)",
    "create index by_rank_mixed on posts (rank desc, id)",
    "insert into posts (id, rank) select n, n / 3 from generate_series(100, 30000) n",
    "analyze posts",
)


@pytest.mark.parametrize(
    ("order", "index"),
    [(("-rank", "-id"), "by_rank_down"), (("rank", "id"), "by_rank_down"), (_ORDER, "by_rank_mixed")],
)
@pytest.mark.parametrize("depth", [0.01, 0.5, 0.99])
def test_a_page_is_a_short_range_of_an_index(
    postgres: Database, order: tuple[str, ...], index: str, depth: float
) -> None:
    """At any depth: no sort, and no row is read to be thrown away but those with the same first value."""
    position = (int(10_000 * depth), int(30_000 * depth))

    async def work(session: AsyncSession) -> str:
        for line in _MANY:
            await session.execute(text(line))
        await cursor_page_of(session, select(Post), params_of(order, 10, position))
        asked, values = postgres.statements[-1]
        connection = await session.connection()
        lines = await connection.exec_driver_sql(f"explain (analyze, timing off) {asked}", values)
        plan = "\n".join(line[0] for line in lines)
        await session.rollback()
        return plan

    plan = postgres.run(work)
    assert f"using {index} on posts" in plan or f"Backward using {index}" in plan
    assert "Index Cond" in plan and "Sort" not in plan
    removed = re.search(r"Rows Removed by Filter: (\d+)", plan)
    assert removed is None or int(removed[1]) <= 3


def test_a_join_that_multiplies_stays_what_it_is_beside_joined_eager_loading(database: Database) -> None:
    """Twelve rows for twelve tags, of which a page holds three; SQLAlchemy's `unique()` would leave one of them."""
    page = _page(database, _TAGGED.options(joinedload(Post.tags)), 2)
    assert ([post.id for post in page.items], page.total) == ([3, 3, 3], 12)
    assert [len(post.tags) for post in page.items] == [3, 3, 3]


@pytest.mark.parametrize("name", ["sqlite", "postgres"])
def test_a_full_join_makes_both_sides_nullable(name: str, request: pytest.FixtureRequest) -> None:
    """The unique key, too; MariaDB has no such join."""
    database: Database = request.getfixturevalue(name)
    database.fill(Author(id=1, name="ada"), Author(id=2, name="bob"))
    database.run(lambda session: _add(session, [Post(id=1, author_id=1), Post(id=2)]))
    statement = select(Post, Author.name.label("by")).outerjoin(Post.author, full=True)
    rows = [
        (row.Post and row.Post.id, row.by) for page in _walk(database, statement, ("-id",), 1) for row in page.items
    ]
    assert rows == [(2, None), (1, "ada"), (None, "bob")]
