"""The decorator, which refuses networks that are locked and hands out attempts; and the counts, for support staff."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, ParamSpec, TypeVar, overload

from gatewright._core.app import GuardedApp
from gatewright._core.call import Call
from gatewright._core.callers import by_address
from gatewright._core.decorate import App, guarded_by
from gatewright._core.function import Guarded
from gatewright._core.gate import Gate
from gatewright._core.guard import Guard
from gatewright._core.phase import Phase
from gatewright._core.storage.contract import Bucket, OnError, check_on_error
from gatewright._core.storage.limit import parse_limits
from gatewright.errors import ConfigurationError
from gatewright.lockout.attempt import Attempt, Attempts
from gatewright.lockout.tally import Count, Entry, Of, Tally, answer, locked, look, refusal, same_name

__all__ = ["Failures", "Lockout", "lockout"]

P = ParamSpec("P")
R = TypeVar("R")


def lockout(
    limit: str,
    *,
    scope: str,
    network: str | None = "50/hour",
    account: str | None = "100/day",
    normalise: Callable[[str], str] = same_name,
    on_error: OnError = "local",
) -> Lockout:
    """Refuse, with 429 and `Retry-After`, attempts at an account after too many that failed.

    The handler asks for `Attempts`, since nobody else knows which account is meant. A refused attempt costs nothing, so
    a lock is never extended. Nothing is looked up: a name that nobody has is counted and refused like any other.

    Args:
        limit: how many failures an account takes from one network, such as `"5/15 minutes"`.
        scope: a name for what is attempted, such as `"login"`; lockouts that say the same count together.
        network: how many failures one network may have, whatever the account; None for any number.
        account: how many failures an account takes from everywhere; while it is over, each network has one attempt in
            the time of *limit*, so that nobody can lock out somebody else. None for any number.
        normalise: makes one of all spellings of an account, and at least of those that your database takes for one;
            by default Unicode's NFKC, without case and outer spaces.
        on_error: while the storage does not answer: `"local"` counts in this process, `"open"` lets pass, `"closed"`
            refuses with 503.

    Raises:
        ConfigurationError: for a limit that cannot be read, an empty scope, an unknown *on_error*.
    """
    if not isinstance(scope, str) or not scope:  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        raise ConfigurationError(f'lockout(scope={scope!r}): write a name for what is attempted, such as "login"')
    if not callable(normalise):
        raise ConfigurationError(f"normalise={normalise!r}: write a function that takes a name and returns a name")
    check_on_error(on_error)
    written: dict[Of, str | None] = {"account+network": limit, "network": network, "account": account}
    if limit is None:  # pyright: ignore[reportUnnecessaryComparison]  # untyped callers
        raise ConfigurationError('lockout(None): write how many failures an account takes, such as "5/15 minutes"')
    counts = tuple(
        # A repr, so that no two tuples make one name. A shadow, as the account's count never refuses by itself.
        Count(of, Bucket(one, repr(("lockout", scope, of)), shadow=of == "account", adjusted=True, on_error=on_error))
        for of, text in written.items()
        for one in (() if text is None else parse_limits(text))
    )
    return Lockout(Tally(counts, scope, normalise))


@dataclass(frozen=True, repr=False)
class LockedNetworks(Guard):
    """Refuse a network that failed too often before anything is read, and provide attempts to the others."""

    name = "lockout"
    phase = Phase.ADMIT
    single = True
    provides: ClassVar[tuple[Hashable, ...]] = (Attempts,)

    tally: Tally

    def __repr__(self) -> str:
        return repr(self.tally)

    def bind(self, gate: Gate) -> Guard:
        """Refuse a storage that cannot give back."""
        self.tally.check(gate.store)
        return self

    async def enter(self, call: Call) -> None:
        """Look how the client's network stands; that costs nothing."""
        call.provide(Attempts, Attempts(self.tally, call))
        entries = self.tally.entries(None, by_address(call))
        over = locked(entries, await look(call.gate.store, entries), 0)
        if over:
            raise refusal(call, over)


class Failures(NamedTuple):
    """How one count stands.

    Attributes:
        of: what is counted: "account+network", "network" or "account".
        limit: the limit as it is written.
        failed: how many failures are counted, among them the attempts that are under way.
        seconds: until they are forgotten.
    """

    of: Of
    limit: str
    failed: int
    seconds: float


class Lockout:
    """A decorator for the handler that takes attempts, and what to tell of attempts that are made elsewhere.

    Args:
        tally: what is counted.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._decorate: Any = guarded_by(LockedNetworks(tally))

    def __repr__(self) -> str:
        return repr(self._tally)

    @overload
    def __call__(self, handler: Guarded[P, R], /) -> Guarded[P, R]: ...
    @overload
    def __call__(self, handler: App, /) -> GuardedApp: ...  # type: ignore[overload-overlap]  # apps are callables too
    @overload
    def __call__(self, handler: Callable[P, R], /) -> Guarded[P, R]: ...
    def __call__(self, handler: Any, /) -> Any:
        """Put the lockout in front of *handler*."""
        return self._decorate(handler)

    def attempt(self, call: Call, account: str) -> Attempt:
        """Return an attempt of *call*'s client at *account*, for whoever knows the account; as `Attempts` does."""
        return Attempts(self._tally, call)(account)

    async def peek(self, gate: Gate, account: str | None = None, address: str | None = None) -> list[Failures]:
        """Return what is counted of an account, of an address's network, and of both together.

        Args:
            gate: whose storage.
            account: in any spelling.
            address: a client's address.

        Raises:
            ConfigurationError: where neither is named.
        """
        entries = self._entries(account, address)
        standings = await look(gate.store, entries)
        return [
            Failures(of, str(bucket.limit), bucket.limit.capacity - remaining, seconds)
            for (of, (bucket, _, _)), (_, remaining, seconds, _) in zip(entries, standings, strict=True)
        ]

    async def reset(self, gate: Gate, account: str | None = None, address: str | None = None) -> None:
        """Forget what is counted of an account, of an address's network, and of both together; arguments as in `peek`.

        To let somebody in who is locked out takes both: what locked him is mostly counted of the account from his
        network.
        """
        await answer(gate.store.forget([charge for _, charge in self._entries(account, address)]))

    def _entries(self, account: str | None, address: str | None) -> list[Entry]:
        if account is None and address is None:
            raise ConfigurationError("name an account, an address, or both")
        return self._tally.entries(account, address)
