"""Who guesses credentials is nobody's principal: the address pays for what was absent or rejected."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

from gatewright._core.call import Call
from gatewright._core.callers import by_address
from gatewright._core.gate import Gate
from gatewright._core.guard import Guard
from gatewright._core.handler import Handler
from gatewright._core.phase import Phase
from gatewright._core.storage.contract import Bucket, Charge, Standing, Store
from gatewright._core.storage.denials import Denials
from gatewright.rate_limit.guard import sheet_for
from gatewright.rate_limit.rule import Rule
from gatewright.rate_limit.sheet import Sheet

__all__ = ["CredentialLimit"]


@dataclass(frozen=True, eq=False)
class CredentialLimit(Guard):
    """Refuse, before any signature is checked, an address that spent a limit by principal on refused credentials.

    Nothing is taken from calls that turn out to be a principal's, who pays as such. Anonymous callers who are welcome
    are counted elsewhere, so that they cannot lock others out.
    """

    name = "credential_limit"
    phase = Phase.ADMIT
    rank = 1

    rule: Rule
    handler: str = "app"

    def __repr__(self) -> str:
        return f"{self.rule!r} for every 401"

    def seal(self, handler: Handler) -> Guard:
        """Take the handler's name, as the limit itself does."""
        return replace(self, handler=handler.name)

    def bind(self, gate: Gate) -> Guard:
        """Take the gate's store."""
        longest = max(limit.seconds for limit in self.rule.limits)
        return _Watching(self.rule, self.handler, gate.store, Denials(gate.clock, longest))


@dataclass(frozen=True, eq=False)
class _Watching(Guard):
    name = CredentialLimit.name
    phase = CredentialLimit.phase

    rule: Rule
    handler: str
    store: Store
    blocked: Denials
    pages: dict[str | None, tuple[list[Bucket], Sheet]] = field(
        default_factory=dict["str | None", tuple[list[Bucket], Sheet]]
    )

    def enter(self, call: Call) -> None:
        """Refuse an address that has nothing left; as long as there is none, there is nothing to do."""
        if not self.blocked or call.client is None:
            return
        charges, sheet = self._charges(call)
        standings = [self.blocked.recall(charge) for charge in charges]
        if any(standings):
            known: list[Standing] = [standing or (True, -1, 0.0, 0.0) for standing in standings]
            sheet.tell(call, known)
            raise sheet.refusal(charges, known)

    def refused(self, call: Call, by: Guard) -> None:
        """Charge the address for a credential that was absent or wrong, once the answer is sent."""
        if by.phase is not Phase.IDENTIFY:
            return
        if call.client is None:
            call.gate.advice.about_no_address(repr(self.rule))
        else:
            charges, _ = self._charges(call)
            call.afterwards(partial(self._charge, charges))

    def _charges(self, call: Call) -> tuple[list[Charge], Sheet]:
        buckets, sheet = self.pages.get(call.route) or self._page(call.route)
        who = f"401 {by_address(call)}"
        return [(bucket, who, 1) for bucket in buckets], sheet

    def _page(self, route: str | None) -> tuple[list[Bucket], Sheet]:
        own = self.rule.buckets(self.rule.limits, route, self.handler, False)
        # Counted on refusals alone, and never corrected: whatever the rule says of the calls of principals.
        buckets = [bucket._replace(penal=False, adjusted=False) for bucket in own]
        return self.pages.setdefault(route, (buckets, sheet_for([(self.rule, bucket) for bucket in buckets])))

    def _charge(self, charges: list[Charge]) -> Awaitable[None] | None:
        standings = self.store.hit(charges)
        if inspect.isawaitable(standings):
            return self._charged(charges, standings)
        if _is_spent(standings):
            self._block(charges, cast("Sequence[Standing]", self.store.look(charges)))
        return None

    async def _charged(self, charges: list[Charge], hit: Awaitable[Sequence[Standing]]) -> None:
        if _is_spent(await hit):
            self._block(charges, await cast("Awaitable[Sequence[Standing]]", self.store.look(charges)))

    def _block(self, charges: list[Charge], standings: Sequence[Standing]) -> None:
        """Remember whom the store would refuse, until it would not: that is all that `enter` looks at."""
        for charge, standing in zip(charges, standings, strict=True):
            if not standing[0]:
                self.blocked.remember(charge, standing)


def _is_spent(standings: Sequence[Standing]) -> bool:
    return any(remaining == 0 for _, remaining, _, _ in standings)
