"""Pages of what a SELECT of SQLAlchemy finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, cast, overload

try:
    from sqlalchemy import (
        ClauseElement,
        Column,
        Executable,
        Join,
        Label,
        Select,
        and_,
        case,
        false,
        func,
        inspect,
        literal,
        or_,
        select,
        true,
        tuple_,
    )
    from sqlalchemy.engine import IteratorResult
    from sqlalchemy.engine.result import SimpleResultMetaData
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
    from sqlalchemy.ext.compiler import compiles
except ImportError as _missing:  # pragma: no cover  # the tests install SQLAlchemy
    raise ImportError('gatewright.pagination.sql needs SQLAlchemy: pip install "gatewright[sql]"') from _missing

from gatewright.errors import ConfigurationError
from gatewright.pagination.keyset import Key
from gatewright.pagination.walk import CursorPage, CursorParams, Position
from gatewright.result import Page, PageParams

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, FromClause, Row
    from sqlalchemy.sql.compiler import SQLCompiler

__all__ = ["Database", "Total", "cursor_page_of", "page_of"]

T = TypeVar("T")

Database = AsyncSession | AsyncConnection
Total = Literal["exact", "estimate"]

# Where a comparison of rows is a range of an index, and where ORDER BY can say NULLS LAST.
_COMPARES_ROWS = frozenset({"postgresql", "sqlite"})
_PLACES_NULLS = frozenset({"oracle", "postgresql"})
_LABEL = "gatewright_"


@overload
async def page_of(db: Database, statement: Select[T], page: PageParams) -> Page[T]: ...
@overload
async def page_of(db: Database, statement: Select[*tuple[Any, ...]], page: PageParams) -> Page[Row[Any]]: ...
async def page_of(db: Database, statement: Select[Any], page: PageParams) -> Page[Any]:
    """Return the page with that number of what *statement* finds, and count all of it in the same query.

    The pages together are what the statement finds without them, duplicates of a join included; eager loading does not
    change that. Past the end, where there is no row to hold the count, it is a query of its own.

    Args:
        db: a session, or a connection.
        statement: with an ORDER BY, which should name something unique at its end, and without a LIMIT. Where it
            selects one entity or one column, the page has these, and rows otherwise.
        page: what the client asked for.

    Raises:
        ConfigurationError: for a statement without an order, or with a limit.
    """
    _refuse_limit(statement, "page_of")
    if not _has(statement, "_order_by_clauses"):
        raise ConfigurationError("page_of: rows without an order have no pages; add .order_by(...)")
    counted = _counted(statement)
    # A subquery, and no `count(*) OVER ()`: that one carries every row along, and counts before DISTINCT.
    added: list[Any] = [counted.scalar_subquery().label(f"{_LABEL}total")]
    if _joins(statement) and not _has(statement, "_distinct"):
        # Joined eager loading repeats a row, number included; a join of the author's makes rows of their own.
        added.append(func.row_number().over().label(f"{_LABEL}row"))
    cut = statement.add_columns(*added).limit(page.limit).offset(page.offset)
    rows = await _rows(db, cut, len(added) - 1, unique=_selects_entities(statement))
    if rows:
        return Page(_items(rows, len(added)), cast("int", rows[0][-len(added) :][0]))
    return Page([], await _scalar(db, counted) if page.offset else 0)


@overload
async def cursor_page_of(
    db: Database, statement: Select[T], cursor: CursorParams, *, total: Total | None = None
) -> CursorPage[T]: ...
@overload
async def cursor_page_of(
    db: Database, statement: Select[*tuple[Any, ...]], cursor: CursorParams, *, total: Total | None = None
) -> CursorPage[Row[Any]]: ...
async def cursor_page_of(
    db: Database, statement: Select[Any], cursor: CursorParams, *, total: Total | None = None
) -> CursorPage[Any]:
    """Return the page that follows, or precedes, the client's position in what *statement* finds.

    The statement gets a condition, an order and a limit. With an index on the columns of the keys, in their
    directions, and none of them nullable, that is a short range of the index at any depth.

    A key is an attribute of an entity that the statement selects, or a column that it selects under this name. Where a
    join multiplies rows, each position is there once.

    Args:
        db: a session, or a connection.
        statement: without ORDER BY and LIMIT. Where it selects one entity or one column, the page has these, and rows
            otherwise.
        cursor: what the client asked for.
        total: "exact" counts with a second query; "estimate" asks the planner of PostgreSQL, and is None elsewhere.

    Raises:
        ConfigurationError: for a key that the statement does not select, for an order or a limit of its own, and for a
            value that a cursor cannot hold.
    """
    _refuse_limit(statement, "cursor_page_of")
    if _has(statement, "_order_by_clauses"):
        raise ConfigurationError("cursor_page_of: the order is @paginate.cursor's; take .order_by(...) away")
    dialect = _dialect(db, statement)
    terms = _terms(statement, cursor.keys)
    size, columns = len(terms), [term.column.label(f"{_LABEL}{at}") for at, term in enumerate(terms)]
    ordered = statement.add_columns(*columns).order_by(*_ordering(terms, dialect in _PLACES_NULLS))
    found: list[Row[Any]] = []
    position = cursor.position
    while len(found) <= cursor.limit:
        rest = _where(ordered, _beyond(terms, position, dialect in _COMPARES_ROWS)) if position else ordered
        rows = await _rows(db, rest.limit(cursor.limit + 1 - len(found)), size)
        found += rows
        if not rows or not _joins(statement):
            break
        # A join of the author's may have filled the limit with few positions.
        position = tuple(rows[-1][-size:])
    known = await _total(db, statement, [term.column for term in terms], total, dialect)
    page = cursor.page(found, lambda row: row[-size:], total=known)
    return replace(page, items=_items(page.items, size))


# What is asked


async def _rows(db: Database, statement: Select[Any], size: int, *, unique: bool = True) -> list[Row[Any]]:
    """Return what is found, each of its last *size* columns, or each row, once: joined eager loading repeats them."""
    result = await db.execute(statement)
    if unique:
        result = result.unique((lambda row: tuple(row[-size:])) if size else None)
    return [*result.all()]


def _items(rows: Sequence[Row[Any]], size: int) -> list[Any]:
    """Return rows without their last *size* columns; a single one that remains, by itself."""
    if not rows or len(rows[0]) - size == 1:
        return [row[0] for row in rows]
    keys = SimpleResultMetaData(rows[0]._fields[: len(rows[0]) - size])  # pyright: ignore[reportPrivateUsage]  # as of a named tuple
    return [*IteratorResult(keys, (tuple(row[: len(row) - size]) for row in rows)).all()]


def _counted(statement: Select[Any]) -> Select[int]:
    return select(func.count()).select_from(statement.order_by(None).subquery())


async def _scalar(db: Database, statement: Select[int]) -> int:
    return cast("int", await db.scalar(statement))


async def _total(
    db: Database, statement: Select[Any], keys: Sequence[ColumnElement[Any]], total: Total | None, dialect: str
) -> int | None:
    if total == "exact":
        places = statement.with_only_columns(*keys, maintain_column_froms=True).distinct()
        return await _scalar(db, _counted(places if _joins(statement) else statement))
    if total == "estimate" and dialect == "postgresql":
        plan: Any = await db.scalar(_Explain(statement))
        return int(plan[0]["Plan"]["Plan Rows"])
    return None


class _Explain(Executable, ClauseElement):
    """Ask PostgreSQL what it would do."""

    inherit_cache = False

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement


@compiles(_Explain)
def _explained(element: _Explain, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **options)}"


def _dialect(db: Database, statement: Select[Any]) -> str:
    bound = db if isinstance(db, AsyncConnection) else db.get_bind(clause=statement)
    return bound.dialect.name


# What a statement is like


def _has(statement: Select[Any], *attributes: str) -> bool:
    """Say whether a statement has any of the clauses that SQLAlchemy keeps under these names."""
    found: list[Any] = [getattr(statement, attribute) for attribute in attributes]
    return any(one is not None and one is not False and one != () for one in found)


def _refuse_limit(statement: Select[Any], who: str) -> None:
    if not isinstance(statement, Select):  # pyright: ignore[reportUnnecessaryIsInstance]  # a promise
        raise ConfigurationError(f"{who}: {type(statement).__name__} is no select; write select(it.subquery())")
    if _has(statement, "_limit_clause", "_offset_clause", "_fetch_clause"):
        raise ConfigurationError(f"{who}: the page is the limit; take .limit(...) and .offset(...) away")


def _joins(statement: Select[Any]) -> bool:
    return _has(statement, "_setup_joins", "_from_obj")


def _selects_entities(statement: Select[Any]) -> bool:
    return any(one["expr"] is one.get("entity") for one in statement.column_descriptions)


def _may_be_missing(source: FromClause) -> Iterator[FromClause]:
    """Yield the sides of outer joins that have no row for every row of the other side."""
    if isinstance(source, Join):
        if source.isouter or source.full:
            yield source.right
        if source.full:
            yield source.left
        yield from _may_be_missing(source.left)
        yield from _may_be_missing(source.right)


# Keys


class _Term(NamedTuple):
    key: Key
    column: ColumnElement[Any]
    nullable: bool


def _terms(statement: Select[Any], keys: Sequence[Key]) -> list[_Term]:
    missing: list[FromClause] = []
    if _joins(statement):
        missing = [side for source in statement.get_final_froms() for side in _may_be_missing(source)]
    columns = [_column(statement, key.name) for key in keys]
    return [_Term(key, column, _is_nullable(column, missing)) for key, column in zip(keys, columns, strict=True)]


def _column(statement: Select[Any], name: str) -> ColumnElement[Any]:
    """Return the one column that a key names."""
    found: list[Any] = []
    for described in statement.column_descriptions:
        entity, selected = described.get("entity"), described["expr"]
        if entity is not None and selected is entity:
            mapper = inspect(entity).mapper
            if name in mapper.all_orm_descriptors and name not in mapper.relationships:
                found.append(getattr(entity, name))
        elif described["name"] == name:
            found.append(selected)
    if len(found) != 1:
        what = "selects more than one column" if found else "selects no column or attribute"
        raise ConfigurationError(
            f"cursor_page_of: the statement {what} {name!r}; give one a name of its own, "
            f"such as Post.{name}.label('post_{name}'), and write that in paginate.cursor(order=...)"
        )
    column: Any = found[0].__clause_element__() if hasattr(found[0], "__clause_element__") else found[0]
    return column.element if isinstance(column, Label) else column  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]  # a label says not of what


def _is_nullable(column: ColumnElement[Any], missing: Sequence[FromClause]) -> bool:
    if not isinstance(column, Column) or column.nullable:
        return True
    return any(side.is_derived_from(column.table) for side in missing)


def _ordering(terms: Sequence[_Term], places_nulls: bool) -> Iterator[ColumnElement[Any]]:
    """Yield an ORDER BY that means the same to every database, and that an index can serve where there are no NULLs."""
    for key, column, nullable in terms:
        ordered = column.desc() if key.descending else column.asc()
        if not nullable:
            yield ordered
        elif places_nulls:
            yield ordered.nulls_first() if key.nulls_first else ordered.nulls_last()
        else:
            missing = case((column.is_(None), 1), else_=0)
            yield missing.desc() if key.nulls_first else missing.asc()
            yield ordered


def _where(statement: Select[Any], condition: ColumnElement[bool]) -> Select[Any]:
    """Add a condition; that of grouped rows may be about what was computed for a group."""
    grouped = _has(statement, "_group_by_clauses")
    return statement.having(condition) if grouped else statement.where(condition)


def _beyond(terms: Sequence[_Term], position: Position, compares_rows: bool) -> ColumnElement[bool]:
    """Return the condition that a row comes after *position*, as `keyset.beyond` has it.

    Not `a > x OR (a = x AND b > y)`, which no index serves: `a >= x AND (a > x OR b > y)` is a range of `a`.
    """
    first, *rest = terms
    descending = first.key.descending
    alike = all(term.key.descending is descending and not term.nullable for term in terms)
    if rest and alike and compares_rows:
        row = tuple_(*(term.column for term in terms))
        there = tuple_(*(literal(value, term.column.type) for term, value in zip(terms, position, strict=True)))
        return row < there if descending else row > there
    reached, past = _from(first, position[0])
    return and_(reached, or_(past, _beyond(rest, position[1:], compares_rows))) if rest else past


def _from(term: _Term, value: object) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the conditions that a column is at *value* or after it, and that it is after it."""
    key, column, nullable = term
    if value is None:
        return (true(), column.is_not(None)) if key.nulls_first else (column.is_(None), false())
    there = literal(value, column.type)
    reached, past = (column <= there, column < there) if key.descending else (column >= there, column > there)
    if nullable and not key.nulls_first:
        return or_(reached, column.is_(None)), or_(past, column.is_(None))
    return reached, past
