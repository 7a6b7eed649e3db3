"""From an exception to a fault, through whatever it is wrapped in."""

from __future__ import annotations

from collections.abc import Iterator

from gatewright.faults.constraint import constraint_of
from gatewright.faults.fault import Fault, FaultKind
from gatewright.faults.names import DATABASES, by_general_name, by_name, is_of
from gatewright.faults.raised import by_raiser
from gatewright.faults.told import by_code

__all__ = ["classify"]

_DEEPEST = 8
_ASYNCPG = frozenset({"asyncpg"})
_OF_CONSTRAINTS: frozenset[FaultKind] = frozenset(
    {"unique", "exclusion", "still_referenced", "missing_reference", "foreign_key", "check", "integrity"}
)


def classify(exc: BaseException, *, wrapped: bool = True) -> Fault | None:
    """Say what an exception of a database's driver, or of an HTTP client, stands for; None where it is neither.

    What it holds is looked through: SQLAlchemy's `orig`, the `__cause__`, the first argument of Tortoise's and
    Peewee's. Not the `__context__`: a `KeyError` in code that is about to deal with a conflict is a mistake by itself.

    Args:
        exc: any exception.
        wrapped: also look for the cause of an exception that is nobody's of these, `raise Failed() from exc`.
    """
    chain = list(_chain(exc, wrapped))
    kind = _kind(chain)
    if kind is None:
        return None
    names = constraint_of(chain, kind) if kind in _OF_CONSTRAINTS else ()
    return Fault(kind, names[0], names[1:]) if names else Fault(kind)


def _kind(chain: list[BaseException]) -> FaultKind | None:
    for tell in (_precisely, _roughly):
        for exc in chain:
            kind = tell(exc)
            if kind is not None:
                return kind
    return None


def _precisely(exc: BaseException) -> FaultKind | None:
    kind = by_code(exc) or by_name(type(exc)) or by_raiser(exc)
    # asyncpg was given a value of another type than the column's: no client can help that.
    return "internal" if kind == "bad_data" and isinstance(exc.__cause__, TypeError) else kind


def _roughly(exc: BaseException) -> FaultKind | None:
    return "unavailable" if _has_lost_its_connection(exc) else by_general_name(type(exc))


def _has_lost_its_connection(exc: BaseException) -> bool:
    # SQLAlchemy finds out for each driver. asyncpg has one class for this and for mistakes.
    if getattr(exc, "connection_invalidated", False) is True:
        return True
    return is_of(_ASYNCPG, type(exc)) and str(exc).endswith(("connection is closed", "pool is closed"))


def _chain(exc: BaseException, wrapped: bool) -> Iterator[BaseException]:
    """Yield *exc* and what it holds, from the outside in; a cycle ends where it closes."""
    seen: set[int] = set()
    waiting = [(exc, wrapped)]
    while waiting and len(seen) < _DEEPEST:
        link, through = waiting.pop(0)
        if id(link) not in seen:
            seen.add(id(link))
            yield link
            inside = through or is_of(DATABASES, type(link))
            waiting += [(held, inside) for held in _held(link, inside)]


def _held(exc: BaseException, inside: bool) -> Iterator[BaseException]:
    arguments = exc.args[:1] if is_of(DATABASES, type(exc)) else ()
    for held in (getattr(exc, "orig", None), exc.__cause__ if inside else None, *arguments):
        if isinstance(held, BaseException):
            yield held
