"""Webhook deliveries as their sender would sign them."""

from __future__ import annotations

import json as json_module
from typing import Any

from gatewright._core.clock import SYSTEM_CLOCK, Clock
from gatewright.webhooks import Scheme

__all__ = ["signed"]


def signed(
    scheme: Scheme,
    secret: str | bytes,
    *,
    json: Any = ...,
    data: bytes = b"",
    clock: Clock = SYSTEM_CLOCK,
    url: str = "",
) -> dict[str, Any]:
    """Return the arguments of `call` for a delivery that *scheme*'s sender signed.

    ::

        reply = await call(hook, **signed(stripe(), "whsec_...", json={"type": "invoice.paid"}))

    Args:
        scheme: whose delivery it is.
        secret: what the sender signs with.
        json: a value to send as JSON.
        data: raw bytes, where it is not JSON.
        clock: when it was signed; the clock of the gate that will verify it.
        url: where it is sent to, for schemes that sign that.
    """
    body = data if json is ... else json_module.dumps(json).encode()
    headers = {"Content-Type": "application/json", **scheme.sign(body, secret, now=clock.time(), url=url)}
    return {"method": "POST", "data": body, "headers": headers}
