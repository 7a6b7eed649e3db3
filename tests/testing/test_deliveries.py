"""Signed deliveries, for tests of webhooks."""

from __future__ import annotations

import pytest

from gatewright import Gate, Result, Verified, ok, verify_webhook
from gatewright.testing import EventList, FrozenClock, call, signed
from gatewright.webhooks import github, stripe

pytestmark = pytest.mark.anyio
SECRET = "whsec_" + "s" * 32


@pytest.mark.parametrize("scheme", [stripe(), github()])
async def test_a_signed_delivery_is_verified(scheme: object) -> None:
    """By the scheme, the secret and the clock that it was signed with, and by no others."""
    clock = FrozenClock()
    gate = Gate(clock=clock, log=EventList())

    @verify_webhook(scheme, secrets=SECRET)  # type: ignore[arg-type]  # one of the schemes above
    async def hook(webhook: Verified) -> Result[str]:
        return ok(webhook.scheme)

    fine = signed(scheme, SECRET, json={"type": "ping"}, clock=clock)  # type: ignore[arg-type]
    assert (await call(hook, gate=gate, **fine)).json["data"] == scheme.name  # type: ignore[attr-defined]
    raw = signed(scheme, SECRET, data=b"\xff raw", clock=clock)  # type: ignore[arg-type]
    assert (await call(hook, gate=gate, **raw)).status == 200
    forged = signed(scheme, "whsec_" + "t" * 32, json={"type": "ping"}, clock=clock)  # type: ignore[arg-type]
    assert (await call(hook, gate=gate, **forged)).status == 401


async def test_a_delivery_ages_with_its_clock() -> None:
    """Signed now and delivered an hour later is too late for Stripe."""
    clock = FrozenClock()

    @verify_webhook(stripe(), secrets=SECRET)
    async def hook(webhook: Verified) -> Result[None]:
        return ok()

    delivery = signed(stripe(), SECRET, json={}, clock=clock)
    clock.advance(3600)
    assert (await call(hook, gate=Gate(clock=clock, log=EventList()), **delivery)).status == 401
