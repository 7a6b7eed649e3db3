"""The guards that hold the limits of one phase: one decision for all of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, NamedTuple, Self, cast

from gatewright._core.call import Call
from gatewright._core.callers import By, caller_of, named_caller, plain
from gatewright._core.functions import is_async
from gatewright._core.gate import Gate
from gatewright._core.guard import Entering, Guard
from gatewright._core.handler import Handler
from gatewright._core.phase import Phase
from gatewright._core.storage.contract import Bucket, Charge, Standing, Store
from gatewright._core.storage.limit import Limit
from gatewright.errors import ConfigurationError
from gatewright.rate_limit.ledger import Decision, Ledger
from gatewright.rate_limit.meter import Meter
from gatewright.rate_limit.rule import Cost, Rule, Tier, tier_limits
from gatewright.rate_limit.sheet import Line, Sheet

__all__ = ["MeteredRateLimit", "RateLimit", "sheet_for"]

_MANY = 1024


@dataclass(frozen=True, eq=False)
class RateLimit(Guard):
    """Hold all the limits of one phase."""

    name = "with_rate_limit"
    phase = Phase.ADMIT
    provides: ClassVar[tuple[Hashable, ...]] = (Meter,)

    rules: tuple[Rule, ...]
    needs: tuple[Hashable, ...] = ()
    handler: str = "app"
    adjusted: bool = False

    def __repr__(self) -> str:
        return " & ".join(map(repr, self.rules))

    def merge(self, others: Sequence[Self]) -> Sequence[Self]:  # pyright: ignore[reportIncompatibleMethodOverride]  # Self is this class
        """Decide once, so that no limit is charged for what another one refuses."""
        rules: list[Rule] = []
        for guard in (self, *others):
            rules += [rule for rule in guard.rules if rule not in rules]
        rules.sort(key=_rank)
        places = [place for rule in rules for place in rule.places]
        if len(set(places)) < len(places):
            raise ConfigurationError(
                f"{' and '.join(map(repr, rules))} would share a bucket; give one a scope=... of its own"
            )
        return (replace(self, rules=tuple(rules)),)

    def seal(self, handler: Handler) -> Guard:
        """Take the handler's name, module and all, for the names of its buckets."""
        return replace(self, handler=handler.name, adjusted=bool(handler.wanting(Meter)))

    def bind(self, gate: Gate) -> Guard:
        """Take the gate's store; wait only where the store, or a function that is asked, is async."""
        for rule in self.rules:
            for bucket in rule.buckets(rule.limits, None, self.handler, self.adjusted):
                gate.store.check(bucket)
        waits = is_async(gate.store.hit) or any(rule.waits for rule in self.rules)
        counting = _Waiting if waits else _Counting
        counted = any(rule.count != "all" for rule in self.rules)
        return counting(self.phase, self.rules, self.handler, self.adjusted, gate.store, counted)


class MeteredRateLimit(RateLimit):
    """Hold all the limits that want to know the principal."""

    phase = Phase.METER


def _rank(rule: Rule) -> tuple[Any, ...]:
    return rule.limits, repr(rule), [repr(place) for place in rule.places]


class _Payer(NamedTuple):
    """What one rule takes on one route; no buckets where a tier has to be asked first."""

    rule: Rule
    by: By
    cost: int | Cost
    buckets: tuple[Bucket, ...]


class _Page(NamedTuple):
    """All payers of one route; the sheet and the rule of each charge hold unless they vary from call to call."""

    payers: tuple[_Payer, ...]
    sheet: Sheet
    rules: tuple[Rule, ...]
    varies: bool


@dataclass(frozen=True, eq=False)
class _Counting(Guard):
    """Count in a store that answers at once.

    Args:
        phase: as the rate limit has it.
        rules: what was said, in canonical order.
        handler: the handler's name.
        adjusted: whether the handler may correct what was charged.
        store: where to count.
        counted: whether some answers are not charged in the end.
        pages: who pays what, by route.
        sheets: what is said of limits that tiers named, or of those of several phases.
    """

    name = RateLimit.name

    phase: Phase
    rules: tuple[Rule, ...]
    handler: str
    adjusted: bool
    store: Store
    counted: bool
    pages: dict[str | None, _Page] = field(default_factory=dict["str | None", _Page])
    sheets: dict[tuple[object, ...], Sheet] = field(default_factory=dict[tuple[object, ...], Sheet])

    def enter(self, call: Call) -> Entering:
        """Charge the caller, or refuse."""
        if call.is_preflight:
            return None
        payers, sheet, rules, _ = self.pages.get(call.route) or self.page(call.route)
        charges: list[Charge] = []
        for _, by, cost, buckets in payers:
            who = by(call)
            if not who or type(who) is not str:
                who = named_caller(who, by)
            for bucket in buckets:
                charges.append((bucket, who, cast(int, cost)))
        standings = cast("Sequence[Standing]", self.store.hit(charges))
        self.settle(call, Decision(self.store, sheet, rules, charges, standings))
        return None

    def page(self, route: str | None) -> _Page:
        """Return who pays what on a route, worked out when it is first met."""
        payers = [
            _Payer(rule, plain(rule.by), rule.cost, self.buckets(rule, rule.limits, route)) for rule in self.rules
        ]
        rules = tuple(payer.rule for payer in payers for _ in payer.buckets)
        sheet = sheet_for([(payer.rule, bucket) for payer in payers for bucket in payer.buckets])
        varies = any(rule.varies for rule in self.rules)
        return self.pages.setdefault(route, _Page(tuple(payers), sheet, rules, varies))

    def buckets(self, rule: Rule, limits: tuple[Limit, ...], route: str | None) -> tuple[Bucket, ...]:
        """Return what a rule is counted in on a route."""
        return tuple(rule.buckets(limits, route, self.handler, self.adjusted))

    def settle(self, call: Call, decision: Decision) -> None:
        """Tell the caller how the buckets stand; refuse where one has too little."""
        ledger = Ledger.of(call)
        sheet, standings = decision.sheet, decision.standings
        if ledger.decisions:
            # Limits of an earlier phase, or of the app around, are told of together with these.
            together = [*ledger.decisions, decision]
            sheet = self.joined(tuple(one.sheet for one in together))
            standings = [standing for one in together for standing in one.standings]
        sheet.tell(call, standings)
        for standing in decision.standings:
            if not standing[0]:
                self.refuse(call, decision, ledger)
                break
        ledger.enter(call, decision, sheet, self.counted)

    def refuse(self, call: Call, decision: Decision, ledger: Ledger) -> None:
        """Refuse, and give back what was paid in earlier phases; a shadow only says what it would have done."""
        shadowed = decision.sheet.shadowed(decision.standings)
        if shadowed:
            call.note(shadow_limited=shadowed)
        if any(not (charge[0].shadow or standing[0]) for _, charge, standing in decision.entries()):
            ledger.give_back(call)
            raise decision.sheet.refusal(decision.charges, decision.standings)

    def joined(self, sheets: tuple[Sheet, ...]) -> Sheet:
        """Return one sheet for several decisions about one call."""
        return self.remembered(sheets, lambda: Sheet(tuple(line for sheet in sheets for line in sheet.lines)))

    def remembered(self, key: tuple[object, ...], make: Callable[[], Sheet]) -> Sheet:
        """Return the sheet for *key*; there may be many, where tiers make limits up, so only so many are kept."""
        found = self.sheets.get(key)
        if found is None:
            if len(self.sheets) >= _MANY:
                self.sheets.clear()
            found = self.sheets[key] = make()
        return found


class _Waiting(_Counting):
    """Count in a store, by a function, or at a tier, that has to be asked."""

    async def enter(self, call: Call) -> None:
        """Charge the caller, or refuse."""
        if call.is_preflight:
            return
        payers, sheet, rules, varies = self.pages.get(call.route) or self.page(call.route)
        charges: list[Charge] = []
        dynamic: list[tuple[Rule, Bucket]] = []
        for rule, by, cost, static in payers:
            buckets = static if rule.tier is None else await self._tier(rule, rule.tier, call)
            who = await caller_of(call, by)
            amount = await _cost(cost, call) if callable(cost) else cost
            for bucket in buckets if amount else ():
                charges.append((bucket, who, min(amount, bucket.limit.capacity)))
                dynamic.append((rule, bucket))
        if not charges:
            return
        if varies:
            rules = tuple(rule for rule, _ in dynamic)
            sheet = self.remembered(tuple(dynamic), partial(sheet_for, dynamic))
        standings = await _awaited(self.store.hit(charges))
        self.settle(call, Decision(self.store, sheet, rules, charges, standings))

    async def _tier(self, rule: Rule, tier: Tier, call: Call) -> tuple[Bucket, ...]:
        buckets = self.buckets(rule, tier_limits(await _awaited(tier(call)), tier), call.route)
        for bucket in buckets:
            self.store.check(bucket)
        return buckets


async def _awaited(said: Any) -> Any:
    return await said if inspect.isawaitable(said) else said


async def _cost(cost: Cost, call: Call) -> int:
    amount = await _awaited(cost(call))
    if type(amount) is not int or amount < 0:
        raise ConfigurationError(f"cost={cost!r} returned {amount!r}; return a number, 0 for a call that is free")
    return amount


def sheet_for(pairs: Sequence[tuple[Rule, Bucket]]) -> Sheet:
    """Return what is said of these limits."""
    return Sheet(tuple(Line(bucket, rule.unit, rule.legacy_headers) for rule, bucket in pairs))
