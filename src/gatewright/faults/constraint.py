"""The name of a violated constraint, from where each database keeps it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gatewright.faults.fault import FaultKind
from gatewright.faults.names import MYSQL_DRIVERS, is_of

__all__ = ["constraint_of"]

# SQLite does not translate its texts, and quotes no value in them.
_SQLITE = re.compile(r"(?:UNIQUE|CHECK) constraint failed: (?:index '(?P<index>.+)'|(?P<told>.+))\Z", re.DOTALL)
# MySQL translates. The keyword is one in every language; of a duplicate the value is quoted, and the name stands last.
_MYSQL_KEYWORD = re.compile(r"CONSTRAINT `([^`]+)`")
_MYSQL_LAST = re.compile(r"'([^']+)'[^']*\Z")


def constraint_of(chain: Iterable[BaseException], kind: FaultKind) -> tuple[str, ...]:
    """Return the names of the constraint that was violated, the nearest first; none where nobody tells."""
    for exc in chain:
        names = _told(exc) or _sqlite(exc) or _mysql(exc, kind)
        if names:
            return names
    return ()


def _told(exc: BaseException) -> tuple[str, ...]:
    """Return what PostgreSQL's protocol says apart from its text, as asyncpg and psycopg keep it."""
    for holder in (exc, getattr(exc, "diag", None)):
        name = getattr(holder, "constraint_name", None)
        if isinstance(name, str) and name:
            return (name,)
    return ()


def _sqlite(exc: BaseException) -> tuple[str, ...]:
    found = _SQLITE.match(str(exc)) if is_of(frozenset({"sqlite3"}), type(exc)) else None
    if found is None:
        return ()
    if found["index"]:
        return (found["index"],)
    columns = found["told"].split(", ")
    return (found["told"], *columns) if len(columns) > 1 else (found["told"],)


def _mysql(exc: BaseException, kind: FaultKind) -> tuple[str, ...]:
    if not is_of(MYSQL_DRIVERS, type(exc)):
        return ()
    text = str(exc.args[-1]) if exc.args else ""
    # Whoever submits "CONSTRAINT `uq_admin`" twice does not choose what is said of it.
    by_keyword = None if kind == "unique" else _MYSQL_KEYWORD.search(text)
    found = by_keyword or _MYSQL_LAST.search(text)
    if found is None:
        return ()
    _, dot, key = found[1].partition(".")
    return (key, found[1]) if dot else (found[1],)
