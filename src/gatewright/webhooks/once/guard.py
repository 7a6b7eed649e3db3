"""The surround that lets each delivery through once."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, ClassVar

from gatewright._core.guard import Guard, Proceed, Surround
from gatewright._core.outcome import Outcome
from gatewright._core.phase import Phase
from gatewright._core.undisturbed import undisturbed
from gatewright.errors import ConfigurationError, Conflict, ServiceUnavailable
from gatewright.webhooks.answers import response
from gatewright.webhooks.once.contract import Busy, Claim, DeliveryStore, Done, Once
from gatewright.webhooks.once.key import Owner, digest, event_of, place
from gatewright.webhooks.once.records import GateDeliveries
from gatewright.webhooks.scheme import Scheme, Verified

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.gate import Gate
    from gatewright._core.handler import Handler

__all__ = ["HandleOnce"]

_RETRY_AFTER = "30"
_FOUR_DAYS = 345_600.0


@dataclass(frozen=True, repr=False)
class HandleOnce(Surround):
    """Let each delivery through once; `verify_webhook(..., once=...)` adds it.

    A delivery is claimed, handled, and remembered before the first byte of its answer leaves, where that says that
    all is well (200 to 299). After any other answer, an exception, a cancellation or a client that left, it is free
    again. One that was handled is answered as the sender wants it, one that is being handled with 409; while the store
    cannot claim, with 503.

    Args:
        rules: what `once=` says.
        scheme: the sender.
        handler: the name of the function behind; None in front of a whole app.

    Raises:
        ConfigurationError: where a capture would stay fresh for longer than it is remembered.
    """

    name = "handle_once"
    phase = Phase.REPLAY
    provides: ClassVar[tuple[Hashable, ...]] = (Claim,)
    single = True
    remembers = True

    rules: Once
    scheme: Scheme
    handler: str | None = None

    def __post_init__(self) -> None:
        if self.keep < self._fresh:
            raise ConfigurationError(
                f"Once(keep={self.keep:g}): {self.scheme!r} takes a delivery for up to {self._fresh:g} seconds; "
                f"remember it for as long, keep={self._fresh:g} or more"
            )

    @property
    def keep(self) -> float:
        """Return the seconds for which a delivery is remembered."""
        return max(_FOUR_DAYS, self._fresh) if self.rules.keep is None else self.rules.keep

    @property
    def _fresh(self) -> float:
        tolerance: float = getattr(self.scheme, "tolerance", None) or 0.0
        # It may have been signed by a clock that is ahead.
        return 2 * tolerance

    def __repr__(self) -> str:
        return f"handle_once({self.scheme.name})"

    def seal(self, handler: Handler) -> HandleOnce:
        """Take the handler's name."""
        return replace(self, handler=handler.name)

    def bind(self, gate: Gate) -> Guard:
        """Take the gate's records, where no store was named."""
        store = self.rules.store
        if store is None:
            store = GateDeliveries(gate.records("verify_webhook(once=True)"))
        return _Once(self, store, self.keep, getattr(self.scheme, "parted", True))


@dataclass(frozen=True)
class _Once(Surround):
    """Claim, proceed, commit or release."""

    name = HandleOnce.name
    phase = HandleOnce.phase

    said: HandleOnce
    store: DeliveryStore
    keep: float
    parted: bool

    async def around(self, call: Call, proceed: Proceed) -> Outcome:
        """Proceed for a delivery that nobody has handled, and nobody handles."""
        found = await self._claim(call)
        if isinstance(found, Busy):
            raise self._in_flight(found)
        if isinstance(found, Done):
            call.note(webhook_duplicate=True)
            return Outcome.of(response(self.said.scheme.received))
        call.provide(Claim, found)
        try:
            outcome = await proceed()
        except BaseException:
            await self._release(call, found)
            raise
        await (self._commit if 200 <= outcome.status < 300 else self._release)(call, found)
        return outcome

    async def _claim(self, call: Call) -> Claim | Busy | Done:
        key = self._key(call)
        try:
            return await undisturbed(self.store.claim(key, self.said.rules.lease, self.keep))
        except (ConfigurationError, ServiceUnavailable):
            raise
        except Exception as problem:
            call.log.error("webhook_not_claimed", exc_info=problem)
            reason = f"{type(problem).__name__} of the store"
            raise ServiceUnavailable(headers={"Retry-After": _RETRY_AFTER}, reason=reason) from problem

    async def _commit(self, call: Call, claim: Claim) -> None:
        """Remember the delivery. Where that fails the answer stays: what was done must not be asked for again."""
        try:
            if not await undisturbed(self.store.commit(claim)):
                _log(call, "warning", "webhook_not_remembered", "the lease ran out, and another worker has the claim")
        except Exception as problem:
            _log(call, "error", "webhook_not_remembered", f"{type(problem).__name__} of the store")

    async def _release(self, call: Call, claim: Claim) -> None:
        """Let the sender try again; where that fails, it can once the lease is over."""
        try:
            await undisturbed(self.store.release(claim))
        except Exception as problem:
            _log(call, "warning", "webhook_not_released", f"{type(problem).__name__} of the store")

    def _key(self, call: Call) -> str:
        # In front of an app, and again in it: two claims, or the inner one would wait for the outer.
        level = sum(isinstance(guard, HandleOnce) for guard in call.acted)
        where = place(call, self.said.handler, self.said.rules.scope)
        event = event_of(call.get(Verified), parted=self.parted)
        return digest("webhook", where, level, call.get(Owner), *event)

    def _in_flight(self, busy: Busy) -> Conflict:
        """Say when to ask again: after as long as the work has taken so far, so that few questions are asked."""
        wait = min(busy.seconds, self.said.rules.lease - busy.seconds)
        return Conflict(
            "This delivery is being handled",
            code="webhook_in_flight",
            headers={"Retry-After": str(max(1, ceil(wait)))},
        )


def _log(call: Call, level: str, event: str, reason: str) -> None:
    call.gate.log.event(level, event, request_id=call.request_id, reason=reason)
