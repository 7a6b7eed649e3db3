"""Exceptions of Python's own that a driver or an HTTP client let out: told by whose code raised them."""

from __future__ import annotations

from gatewright.faults.fault import FaultKind
from gatewright.faults.names import DATABASES

__all__ = ["by_raiser"]

# What passes an exception on from where it waits.
_MACHINERY = frozenset({"asyncio", "concurrent", "uvloop"})
# Drivers that are parts of another package, and go by a name of their own.
_DRIVERS = DATABASES | {"aiosqlite", "psycopg_binary", "psycopg_c"}


def by_raiser(exc: BaseException) -> FaultKind | None:
    """Return what an exception of Python's own stands for; None where it is the application's.

    A `TimeoutError` of a handler's own `asyncio.timeout` says nothing of a service behind it.
    """
    if isinstance(exc, (OverflowError, UnicodeEncodeError)):
        return "bad_data" if _is_unsendable(exc) else None
    if not isinstance(exc, OSError):
        return None
    raiser = _raiser(exc)
    package = raiser.partition(".")[0]
    if package == "aiohttp":
        return "upstream_timeout" if isinstance(exc, TimeoutError) else "upstream"
    if raiser.startswith("asyncpg.protocol.") and isinstance(exc, TimeoutError):
        return "timeout"
    # Nobody listens there; or, of a pool, no connection came free.
    return "unavailable" if package == "asyncpg" else None


def _is_unsendable(exc: Exception) -> bool:
    """Say whether a value has no place in a column: an integer of 20 digits, half of a surrogate pair."""
    # The module is written in C and leaves no frame, but says who it is.
    return str(exc).endswith("SQLite INTEGER") or _raiser(exc).partition(".")[0] in _DRIVERS


def _raiser(exc: BaseException) -> str:
    """Return the module whose code raised *exc*."""
    raiser, frame = "", exc.__traceback__
    while frame is not None:
        module = str(frame.tb_frame.f_globals.get("__name__", ""))
        raiser = raiser if module.partition(".")[0] in _MACHINERY else module
        frame = frame.tb_next
    return raiser
