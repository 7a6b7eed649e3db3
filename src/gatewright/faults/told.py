"""The codes by which databases tell what happened, read off an exception without its driver."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from gatewright.faults.codes import MONGO, MYSQL, SQLITE, SQLSTATE, SQLSTATE_CLASS
from gatewright.faults.fault import FaultKind
from gatewright.faults.names import MYSQL_DRIVERS, is_of

__all__ = ["by_code"]

_MONGO_DRIVERS = frozenset({"pymongo", "mongoengine"})


def by_code(exc: BaseException) -> FaultKind | None:
    """Return what the code of *exc* stands for; None where it carries none."""
    carried: list[FaultKind | None] = []
    for read in (_by_errno, _by_sqlstate, _by_sqlite, _by_mongo):
        carried += read(exc)
    known: list[FaultKind] = [kind for kind in carried if kind is not None]
    if known:
        return known[0]
    # It says what happened, and that is nothing which a client could do anything about.
    return "internal" if carried else None


def _sqlstates(exc: BaseException) -> Iterator[str]:
    """Yield the SQLSTATE of *exc*; the names of the attributes are nobody else's."""
    for holder, name in ((exc, "sqlstate"), (exc, "pgcode"), (getattr(exc, "diag", None), "sqlstate")):
        state = getattr(holder, name, None)
        if isinstance(state, str) and len(state) == 5:
            yield state


def _by_sqlstate(exc: BaseException) -> Iterator[FaultKind | None]:
    for state in _sqlstates(exc):
        yield SQLSTATE.get(state)
        yield SQLSTATE_CLASS.get(state[:2])


def _by_errno(exc: BaseException) -> Iterator[FaultKind | None]:
    """Yield what the numbers of *exc* stand for; before its SQLSTATE, which MySQL has as well and which says less."""
    # Anybody's first argument may be a number: `KeyError(1062)`.
    if is_of(MYSQL_DRIVERS, type(exc)):
        for number in (getattr(exc, "errno", None), *exc.args[:1]):
            if isinstance(number, int) and number > 0:
                yield MYSQL.get(number)


def _by_sqlite(exc: BaseException) -> Iterator[FaultKind | None]:
    code = getattr(exc, "sqlite_errorcode", None)
    if isinstance(code, int):
        yield SQLITE.get(code)
        yield SQLITE.get(code & 0xFF)


def _by_mongo(exc: BaseException) -> Iterator[FaultKind | None]:
    if is_of(_MONGO_DRIVERS, type(exc)):
        for code in _mongo_codes(exc):
            yield MONGO.get(code)


def _mongo_codes(exc: BaseException) -> Iterator[int]:
    details: Any = getattr(exc, "details", None)
    # Of many rows that were written at once, each may have failed by itself.
    many: list[Any] = cast("dict[str, Any]", details).get("writeErrors", []) if isinstance(details, dict) else []
    rows = [cast("dict[str, Any]", one).get("code") for one in many if isinstance(one, dict)]
    for code in (getattr(exc, "code", None), *rows):
        if isinstance(code, int):
            yield code
