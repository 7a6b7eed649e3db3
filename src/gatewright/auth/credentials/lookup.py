"""Credentials that are looked up: found in a request, and known or not to a function of yours."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, cast

from typing_extensions import TypeVar

from gatewright._core.functions import is_async
from gatewright._core.principal import Principal
from gatewright.auth.authenticator import Absent, BoundAuthenticator, Rejected, Verdict
from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.gate import Gate

__all__ = ["UNKNOWN", "LookedUp", "Lookup", "check_cap", "mistaken", "principal_of", "proved_by"]

Lookup = Callable[[str], Awaitable[Principal[Any] | None] | Principal[Any] | None]
"""Return whose credential this is, or None. It is called on the event loop: write `async def` where it does I/O."""

UNKNOWN = Rejected("invalid_token", "the lookup does not know it")

F = TypeVar("F")


class LookedUp(ABC, Generic[F]):
    """Authenticate by a credential that is found in a call and then looked up, awaiting where that is needed.

    Attributes:
        name: what tells it from other authenticators; also the `method` of principals who chose no word of their own.
        ambient: whether browsers attach the credential by themselves.
    """

    name: str
    ambient = False
    _challenge: str
    _bound: BoundAuthenticator

    def _set_up(self, challenge: str, lookup: Callable[..., object]) -> None:
        """Make what every gate shares; the last step of `__post_init__`, in a class that is frozen."""
        if not callable(lookup):
            raise ConfigurationError(f"{lookup!r} is no lookup; write a function that takes the credential, a str")
        bound = _Awaited if is_async(lookup) else _Direct
        object.__setattr__(self, "_challenge", challenge)
        object.__setattr__(self, "_bound", bound(self._find, self._ask, self._judge))

    def challenge(self) -> str:
        """Return the challenge of a 401 (RFC 9110, section 11.6.1)."""
        return self._challenge

    def bind(self, gate: Gate) -> BoundAuthenticator:
        """Return what authenticates calls; every gate has the same."""
        return self._bound

    @abstractmethod
    def _find(self, call: Call) -> F | Absent | Rejected:
        """Return the credential of *call*."""

    @abstractmethod
    def _ask(self, found: F) -> object:
        """Return what the lookup says of a credential."""

    @abstractmethod
    def _judge(self, call: Call, found: F, known: object) -> Verdict:
        """Say who is calling, by what the lookup said."""


@dataclass(frozen=True, slots=True, eq=False)
class _Bound(Generic[F]):
    find: Callable[[Call], F | Absent | Rejected]
    ask: Callable[[F], object]
    judge: Callable[[Call, F, object], Verdict]


class _Direct(_Bound[F]):
    __slots__ = ()

    def authenticate(self, call: Call) -> Verdict:
        found = self.find(call)
        if isinstance(found, (Absent, Rejected)):
            return found
        return self.judge(call, found, self.ask(found))


class _Awaited(_Bound[F]):
    __slots__ = ()

    async def authenticate(self, call: Call) -> Verdict:
        found = self.find(call)
        if isinstance(found, (Absent, Rejected)):
            return found
        return self.judge(call, found, await cast("Awaitable[object]", self.ask(found)))


def principal_of(known: object, method: str, lookup: Callable[..., object]) -> Principal[Any] | Rejected:
    """Return the principal that *lookup* returned, or that it knows none.

    Raises:
        ConfigurationError: where it returned anything else.
    """
    if known is None:
        return UNKNOWN
    if not isinstance(known, Principal):
        raise mistaken(known, lookup, "Principal(sub=...)")
    return proved_by(method, cast("Principal[Any]", known))  # type: ignore[redundant-cast]  # pyright: Principal[Unknown]


def proved_by(method: str, principal: Principal[Any]) -> Principal[Any]:
    """Return *principal*, proved by *method* unless it names a method of its own."""
    # "session" is only the default of the field; a lookup never proves a session.
    return replace(principal, method=method) if principal.method == "session" else principal


def mistaken(known: object, lookup: Callable[..., object], wanted: str) -> ConfigurationError:
    """Return the complaint about a lookup that returned True, a row, a coroutine nobody awaited: nobody's name."""
    return ConfigurationError(f"{lookup!r} returned a {type(known).__name__}; return {wanted} or None")


def check_cap(who: object, max_bytes: int) -> None:
    """Look at a cap.

    Raises:
        ConfigurationError: for one under 1.
    """
    if max_bytes < 1:
        raise ConfigurationError(f"{type(who).__name__}(max_bytes={max_bytes}): write a number of bytes, 1 or more")
