"""What one call paid, in all phases; and what it gets back, or pays on top, once the answer is known."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, cast
from weakref import ref

from gatewright._core.call import Call
from gatewright._core.outcome import Head
from gatewright._core.storage.contract import Change, Charge, Standing, Store
from gatewright.rate_limit.meter import Meter
from gatewright.rate_limit.rule import Rule
from gatewright.rate_limit.sheet import Sheet

__all__ = ["Decision", "Ledger"]


class Decision(NamedTuple):
    """What was decided about a call in one phase.

    Attributes:
        store: where it was counted.
        sheet: the limits.
        rules: the rule of each charge.
        charges: what the call was to pay.
        standings: how the buckets stood then.
    """

    store: Store
    sheet: Sheet
    rules: Sequence[Rule]
    charges: Sequence[Charge]
    standings: Sequence[Standing]

    def entries(self) -> Iterator[tuple[Rule, Charge, Standing]]:
        """Return the charges, each with its rule and what was decided."""
        return zip(self.rules, self.charges, self.standings, strict=True)


class Ledger(Meter):
    """Hold the decisions about one call; to handlers it is their `Meter`."""

    sheet: Sheet | None = None
    _answer: Head | None = None
    _watching: bool = False

    def __init__(self, call: Call) -> None:
        # Weakly: the call holds its ledger, and each request would be left to the garbage collector.
        self._call = ref(call)
        self.decisions: list[Decision] = []

    @classmethod
    def of(cls, call: Call) -> Ledger:
        """Return the call's ledger."""
        provided = call.provided
        ledger: Ledger | None = None if provided is None else provided.get(Meter)
        if ledger is None:
            ledger = cls(call)
            call.provide(Meter, ledger)
        return ledger

    def enter(self, call: Call, decision: Decision, sheet: Sheet, counted: bool) -> None:
        """Take a decision down.

        Args:
            call: the call.
            decision: what was decided.
            sheet: what the caller was told of, with the decisions before.
            counted: whether some answers are not charged in the end.
        """
        self.decisions.append(decision)
        self.sheet = sheet
        if counted and self._answer is None:
            self._answer = Head(0, [])
            call.on_head(self._see)
            self._watch()

    def give_back(self, call: Call) -> None:
        """Give back what *call* paid so far, because it was refused in the end."""
        for decision in self.decisions:
            paid = [entry for entry in _paid(decision) if not entry[0].charge_refused]
            changes = [(bucket, who, -cost, standing[3]) for _, (bucket, who, cost), standing in paid]
            call.afterwards(partial(_adjust, decision.store, changes))
        # What was given back is not given back a second time.
        self.decisions = []

    def _correct(self, by: int | None, unit: str) -> None:
        super()._correct(by, unit)
        self._watch()

    def _watch(self) -> None:
        call = self._call()
        if not self._watching and call is not None:
            self._watching = True
            call.afterwards(partial(self._settle, call))

    def _see(self, head: Head) -> None:
        """Keep the head of the answer, and tell in it what is really left."""
        self._answer = head
        standings = [
            standing if self._counts(rule, head) else _given_back(charge, standing)
            for decision in self.decisions
            for rule, charge, standing in decision.entries()
        ]
        if self.sheet is not None and standings:
            self.sheet.tell(cast("Call", self._call()), standings)

    def _counts(self, rule: Rule, head: Head | None) -> bool:
        return rule.count == "all" or head is None or rule.counts(head)

    async def _settle(self, call: Call) -> None:
        """Make one change of everything that is known by now."""
        status = call.status
        # Where there was no answer, nobody knows what it would have been: it counts.
        head = None if status is None else Head(status, [] if self._answer is None else self._answer.headers)
        corrections = self.corrections
        for decision in self.decisions:
            changes: list[Change] = []
            for rule, (bucket, who, cost), standing in _paid(decision):
                by = corrections.get(rule.unit, 0) if self._counts(rule, head) else None
                changes.append((bucket, who, -cost if by is None else max(by, -cost), standing[3]))
            adjusted = _adjust(decision.store, [change for change in changes if change[2]])
            if adjusted is not None:
                await adjusted


def _paid(decision: Decision) -> Iterator[tuple[Rule, Charge, Standing]]:
    """Yield what was really paid: not what a shadow would have refused, nor what nobody could be asked about."""
    return (entry for entry in decision.entries() if entry[2][0] and entry[2][1] >= 0)


def _given_back(charge: Charge, standing: Standing) -> Standing:
    allowed, remaining, seconds, mark = standing
    return (allowed, remaining + charge[2], seconds, mark) if allowed and remaining >= 0 else standing


def _adjust(store: Store, changes: Sequence[Change]) -> Awaitable[None] | None:
    return store.adjust(changes) if changes else None
