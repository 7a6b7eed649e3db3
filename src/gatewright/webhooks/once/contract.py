"""What a store of deliveries is asked for, and how long it remembers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from gatewright._core.seconds import are_seconds
from gatewright.errors import ConfigurationError, Conflict

__all__ = ["Busy", "Claim", "ClaimLost", "DeliveryStore", "Done", "Once"]


@dataclass(frozen=True, slots=True)
class Claim:
    """Hold a delivery while it is handled; a handler may ask for it.

    Args:
        key: names the delivery: a digest of endpoint, sender, tenant and event.
        fence: proves that the claim is still ours; the next one to claim the key gets another.
        keep: seconds for which the delivery is remembered, once it was handled.
    """

    __injected_by__: ClassVar[str] = "@verify_webhook(..., once=...)"

    key: str
    fence: str
    keep: float


@dataclass(frozen=True, slots=True)
class Busy:
    """Say that somebody else handles the delivery, for *seconds* more at the longest."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Done:
    """Say that the delivery was handled."""


class ClaimLost(Conflict, code="webhook_claim_lost", message="Another worker handles this delivery"):
    """Roll a handler's transaction back: its lease ran out, and another has the claim. The sender tries again."""


class DeliveryStore(Protocol):
    """Remember which deliveries were handled. While it cannot claim, whatever it raises, nothing is handled."""

    async def claim(self, key: str, lease: float, keep: float, /) -> Claim | Busy | Done:
        """Claim a delivery for *lease* seconds, unless somebody holds it, or it was handled."""
        ...

    async def commit(self, claim: Claim, /) -> bool:
        """Remember for `claim.keep` seconds that it was handled; False where the claim is no longer ours."""
        ...

    async def release(self, claim: Claim, /) -> None:
        """Give the claim up, so that the sender may try again; not one that is no longer ours, nor one that is done."""
        ...


@dataclass(frozen=True, slots=True)
class Once:
    """Say how deliveries are remembered.

    Args:
        store: where; None is the gate's storage.
        keep: seconds for which a handled delivery is remembered: as long as the sender tries again, and where a time
            is signed, as long as a capture is fresh. None is four days, or that where it is longer.
        lease: seconds for which a delivery is claimed; more than the slowest handler takes. Then a retry begins anew.
        scope: a name under which endpoints remember together. By itself each remembers alone: a function by its name
            and its path, in which parameters are named and not spelled, a whole app by the path that was called.

    Raises:
        ConfigurationError: for seconds and names that cannot be meant.
    """

    store: DeliveryStore | None = None
    keep: float | None = None
    lease: float = 60.0
    scope: str | None = None

    def __post_init__(self) -> None:
        if self.store is not None and (isinstance(self.store, type) or not hasattr(self.store, "claim")):
            raise ConfigurationError(f"once={self.store!r}: write True, Once(...), or a store of deliveries")
        for name, seconds in (("keep", self.keep), ("lease", self.lease)):
            if not are_seconds(seconds, 0.001) and (name == "lease" or seconds is not None):
                raise ConfigurationError(f"Once({name}={seconds!r}): write seconds, more than 0")
        if self.scope == "":
            raise ConfigurationError('Once(scope=""): write a name, or nothing')

    @classmethod
    def of(cls, said: bool | Once | DeliveryStore) -> Once | None:
        """Return what `once=` says; None where nothing is remembered.

        Raises:
            ConfigurationError: for what is no store.
        """
        if isinstance(said, bool):
            return cls() if said else None
        if isinstance(said, Once):
            return said
        if said is None:  # pyright: ignore[reportUnnecessaryComparison]  # a promise
            raise ConfigurationError("once=None: write True, Once(...), or a store of deliveries")
        return cls(said)
