"""A gate at a standstill, in memory and with a store that has to be waited for."""

from __future__ import annotations

import pytest

from gatewright import Gate
from gatewright.testing import EventList, FrozenClock
from tests.rate_limit.kit import far_gate


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def log() -> EventList:
    return EventList()


@pytest.fixture(params=["memory", "far"])
def gate(request: pytest.FixtureRequest, clock: FrozenClock, log: EventList) -> Gate:
    if request.param == "memory":
        return Gate(clock=clock, log=log)
    return far_gate(clock, log)[0]
