"""Credentials that are looked up: a secret in a header, and a function of yours that knows whose it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from gatewright._core.principal import Principal
from gatewright.auth.authenticator import Absent, BoundAuthenticator, Rejected, Verdict, is_async
from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["Lookup", "look_up"]

Lookup = Callable[[str], Awaitable[Principal[Any] | None] | Principal[Any] | None]
"""Return whose credential this is, or None. It is called on the event loop: write `async def` where it does I/O."""

Find = Callable[["Call"], str | Absent | Rejected]

_UNKNOWN = Rejected("invalid_token", "the lookup does not know it")


def look_up(find: Find, lookup: Lookup, method: str) -> BoundAuthenticator:
    """Return an authenticator that finds a credential in a call and looks it up, awaiting where that is needed.

    Args:
        find: returns the credential of a call.
        lookup: returns whose it is.
        method: what the principal's `method` becomes, where the lookup chose no word of its own.
    """
    if not callable(lookup):
        raise ConfigurationError(f"{lookup!r} is no lookup; write a function that takes the credential, a str")
    return _Awaited(find, lookup, method) if is_async(lookup) else _Direct(find, lookup, method)


@dataclass(frozen=True, slots=True, eq=False)
class _Direct:
    find: Find
    lookup: Lookup
    method: str

    def authenticate(self, call: Call) -> Verdict:
        found = self.find(call)
        return _judged(self.lookup(found), self.method, self.lookup) if isinstance(found, str) else found


@dataclass(frozen=True, slots=True, eq=False)
class _Awaited:
    find: Find
    lookup: Lookup
    method: str

    async def authenticate(self, call: Call) -> Verdict:
        found = self.find(call)
        if not isinstance(found, str):
            return found
        known = await cast("Awaitable[Principal[Any] | None]", self.lookup(found))
        return _judged(known, self.method, self.lookup)


def _judged(known: object, method: str, lookup: Lookup) -> Verdict:
    if known is None:
        return _UNKNOWN
    if not isinstance(known, Principal):
        # True, a row, a coroutine nobody awaited: none of them says who is calling.
        raise ConfigurationError(f"{lookup!r} returned a {type(known).__name__}; return Principal(sub=...) or None")
    principal = cast("Principal[Any]", known)  # type: ignore[redundant-cast]  # pyright calls it Principal[Unknown]
    # "session" is only the default of the field; a lookup never proves a session.
    return replace(principal, method=method) if principal.method == "session" else principal
