"""What one `with_rate_limit` says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from gatewright._core.call import Call
from gatewright._core.callers import By, by_header, function_name, has_to_be_awaited
from gatewright._core.outcome import Head
from gatewright._core.storage.contract import Bucket, OnError, check_on_error
from gatewright._core.storage.limit import Limit, parse_limits
from gatewright.errors import ConfigurationError

__all__ = ["Cost", "Count", "Rule", "Tier", "tier_limits"]

Tier = Callable[[Call], "str | Awaitable[str | None] | None"]
"""Says which limit holds for a call; None: none does."""

Cost = Callable[[Call], "int | Awaitable[int]"]
"""Says what a call takes."""

Count = Literal["all", "failures"] | Callable[[Head], bool]
"""Which answers are charged."""


@dataclass(frozen=True)
class Rule:
    """Hold the arguments of one `with_rate_limit`, checked; a tier stands in place of limits.

    Raises:
        ConfigurationError: for what cannot be meant, with what to write instead.
    """

    limits: tuple[Limit, ...]
    by: By
    tier: Tier | None = None
    cost: int | Cost = 1
    scope: str | None = None
    count: Count = "all"
    unit: str = "requests"
    shadow: bool = False
    charge_refused: bool = False
    on_error: OnError = "local"
    legacy_headers: bool = False

    def __post_init__(self) -> None:
        by: object = self.by
        if not callable(by) or by is by_header:
            raise ConfigurationError(
                f'by={self.by!r}: write by_address, by_principal, by_header("x-tenant") or a function of the call'
            )
        if not callable(self.cost) and not self._is_cost(self.cost):
            raise ConfigurationError(f"cost={self.cost!r}: write a number from 1 up to the smallest of the limits")
        if self.scope is not None and (not isinstance(self.scope, str) or not self.scope):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
            raise ConfigurationError(f"scope={self.scope!r}: write a name, or nothing")
        if not callable(self.count) and self.count not in ("all", "failures"):
            raise ConfigurationError(
                f'count={self.count!r}: write "all", "failures" or a function of an answer\'s Head'
            )
        check_on_error(self.on_error)
        if not self.unit or not self.unit.isascii() or not self.unit.isprintable():
            raise ConfigurationError(f'unit={self.unit!r}: write a word in printable ASCII, such as "tokens"')

    def _is_cost(self, cost: object) -> bool:
        return type(cost) is int and cost > 0 and all(cost <= limit.capacity for limit in self.limits)

    def __repr__(self) -> str:
        said = [repr(str(limit)) for limit in self.limits] if self.tier is None else [_short(self.tier)]
        said += [f"by={_short(self.by)}"]
        said += [] if self.cost == 1 else [f"cost={_shown(self.cost)}"]
        said += [] if self.scope is None else [f"scope={self.scope!r}"]
        said += [] if self.count == "all" else [f"count={_shown(self.count)}"]
        said += [] if self.unit == "requests" else [f"unit={self.unit!r}"]
        said += [f"{flag}=True" for flag in ("shadow", "charge_refused", "legacy_headers") if getattr(self, flag)]
        said += [] if self.on_error == "local" else [f"on_error={self.on_error!r}"]
        return f"with_rate_limit({', '.join(said)})"

    @property
    def places(self) -> list[tuple[object, ...]]:
        """Return what two rules of one decision may not have in common: they would share a bucket."""
        what = list(self.limits) if self.tier is None else [function_name(self.tier)]
        return [(each, function_name(self.by), self.scope) for each in what]

    @property
    def varies(self) -> bool:
        """Say whether calls are charged by different limits, or some by none."""
        return self.tier is not None or callable(self.cost)

    @property
    def waits(self) -> bool:
        """Say whether a call has to be asked something before it is known what it pays."""
        return self.varies or has_to_be_awaited(self.by)

    def counts(self, head: Head) -> bool:
        """Say whether a call that is answered so is charged."""
        if callable(self.count):
            return self.count(head)
        return self.count == "all" or head.status >= 400

    def buckets(self, limits: tuple[Limit, ...], route: str | None, handler: str, adjusted: bool) -> list[Bucket]:
        """Return what a call of *handler*, reached by *route*, is counted in."""
        where = (route, handler) if self.scope is None else (self.scope,)
        by = function_name(self.by)
        return [
            Bucket(
                limit,
                # A repr, so that no two tuples make one name.
                repr((*where, str(limit), by)),
                self.shadow,
                self.charge_refused,
                adjusted or self.count != "all",
                self.on_error,
            )
            for limit in limits
        ]


def tier_limits(said: object, tier: Tier) -> tuple[Limit, ...]:
    """Return the limits that a tier names; none for None.

    Raises:
        ConfigurationError: for anything else.
    """
    if said is None:
        return ()
    try:
        return parse_limits(said)
    except ConfigurationError as exc:
        raise ConfigurationError(f"{function_name(tier)}: {exc}; or return None for no limit") from None


def _short(function: Callable[..., object]) -> str:
    return function_name(function).rpartition(".")[2]


def _shown(said: object) -> str:
    return _short(said) if callable(said) else repr(said)
