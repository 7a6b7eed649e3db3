"""Surrounds and guards that the tests of pipelines, plans and drivers put together."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from gatewright._core.call import Call
from gatewright._core.guard import Answer, Guard, Proceed, Surround
from gatewright._core.outcome import Outcome
from gatewright._core.phase import Phase

Around = Callable[[Call, Proceed], Awaitable[Outcome]]
Enter = Callable[[Call], Any]


@dataclass(frozen=True, eq=False)
class Step(Guard):
    """A guard that does what it is told."""

    name = "step"
    phase: Phase = Phase.ADMIT  # type: ignore[misc]  # a field, so that a test places it
    does: Enter = field(default=lambda call: None, repr=False)

    def enter(self, call: Call) -> Answer | None:
        """Do it."""
        answer: Answer | None = self.does(call)
        return answer


@dataclass(frozen=True, eq=False)
class AsyncStep(Guard):
    """A guard that does what it is told, and takes its time."""

    name = "async_step"
    phase: Phase = Phase.METER  # type: ignore[misc]
    does: Enter = field(default=lambda call: None, repr=False)

    async def enter(self, call: Call) -> Answer | None:
        """Do it."""
        answer: Answer | None = self.does(call)
        return answer


@dataclass(frozen=True, eq=False)
class Enclose(Surround):
    """A surround that sees the head."""

    name = "enclose"
    phase = Phase.ENCLOSE

    does: Around = field(repr=False)

    async def around(self, call: Call, proceed: Proceed) -> Outcome:
        """Do what it is told."""
        return await self.does(call, proceed)


@dataclass(frozen=True, eq=False)
class Collect(Enclose):
    """A surround that sees the whole body."""

    name = "collect"
    wants_body = True


@dataclass(frozen=True, eq=False)
class Repeat(Enclose):
    """A surround that may proceed again."""

    name = "repeat"
    repeats = True


async def through(call: Call, proceed: Proceed) -> Outcome:
    """Proceed, and change nothing."""
    return await proceed()


def printed(capsysbinary: pytest.CaptureFixture[bytes]) -> list[dict[str, Any]]:
    """Return the events that a gate without a logger of its own wrote to stderr."""
    return [json.loads(line) for line in capsysbinary.readouterr().err.splitlines() if line.startswith(b"{")]


def requests(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the access log's events."""
    return [event for event in events if event["event"] == "request"]
