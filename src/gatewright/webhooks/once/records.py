"""Deliveries in the gate's own storage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gatewright._core.storage.contract import Claimed, Pending
from gatewright.webhooks.once.contract import Busy, Claim, Done

if TYPE_CHECKING:
    from gatewright._core.storage.contract import Records

__all__ = ["GateDeliveries"]

# The key tells deliveries apart, and what came of one is not kept.
_FINGERPRINT, _NOTHING = "", b""
# Seconds from a claim to what is kept at once.
_MOMENT = 10.0


@dataclass(frozen=True, slots=True)
class GateDeliveries:
    """Remember deliveries where the gate keeps its records."""

    records: Records

    async def claim(self, key: str, lease: float, keep: float, /) -> Claim | Busy | Done:
        """Claim a delivery.

        Raises:
            ServiceUnavailable: while the storage is down.
        """
        found = await self.records.claim(key, _FINGERPRINT, lease)
        if isinstance(found, Claimed):
            return Claim(key, found.token, keep)
        return Busy(found.seconds) if isinstance(found, Pending) else Done()

    async def commit(self, claim: Claim, /) -> bool:
        """Remember that it was handled.

        Raises:
            ServiceUnavailable: while the storage is down.
        """
        if await self.records.keep(claim.key, claim.fence, _NOTHING, claim.keep):
            return True
        # The lease may have run out without anybody coming.
        again = await self.records.claim(claim.key, _FINGERPRINT, _MOMENT)
        return isinstance(again, Claimed) and await self.records.keep(claim.key, again.token, _NOTHING, claim.keep)

    async def release(self, claim: Claim, /) -> None:
        """Give the claim up."""
        await self.records.release(claim.key, claim.fence)
