"""Handlers that count their work, and clients that retry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatewright import Gate
from gatewright.testing import EventList, FrozenClock, Reply, call

__all__ = ["KEY", "Shop", "reasons", "replayed", "short"]

KEY = {"Idempotency-Key": "k"}


class Shop:
    """A gate whose time and log are in view, and a list of the work that was done."""

    def __init__(self, **gate: Any) -> None:
        self.clock = FrozenClock()
        self.events = EventList()
        self.gate = Gate(clock=self.clock, log=self.events, **gate)
        self.done: list[object] = []

    async def post(self, target: Any, *, headers: Mapping[str, str] = KEY, **more: Any) -> Reply:
        """Send one POST to a handler."""
        return await call(target, **{"method": "POST", "gate": self.gate, "headers": headers, **more})


def replayed(reply: Reply) -> bool:
    """Say whether a reply says that it is one of before."""
    return reply.headers.get("idempotent-replayed") == "true"


def short(reply: Reply) -> tuple[int, str]:
    """Return the status and code of a refusal."""
    return reply.status, reply.json["code"]


def reasons(events: list[dict[str, Any]]) -> list[str]:
    """Return why answers were not kept."""
    return [event["reason"] for event in events if event["event"] == "idempotent_answer_not_kept"]
