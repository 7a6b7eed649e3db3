"""What only shows in production is said once, in words that say what to write."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from gatewright import Gate, by_principal, with_rate_limit
from gatewright._core.advice import workers
from gatewright.rate_limit import by_address
from gatewright.testing import EventList, call, enter, make_call
from tests.rate_limit.kit import hello, identified

pytestmark = pytest.mark.anyio


def advice(log: EventList) -> list[Any]:
    return [event["advice"] for event in log if event["event"] == "advice"]


@pytest.mark.parametrize(
    ("command", "environment", "number"),
    [
        ("uvicorn app:app", {}, 1),
        ("uvicorn app:app --workers 4", {}, 4),
        ("/usr/bin/gunicorn -w 3 app:app", {}, 3),
        ("/lib/uvicorn/__main__.py app:app --workers=2", {}, 2),
        ("hypercorn app:app --workers", {}, 1),
        ("granian --workers many app:app", {}, 1),
        ("uvicorn app:app", {"WEB_CONCURRENCY": "5"}, 5),
        ("uvicorn app:app --workers 2", {"WEB_CONCURRENCY": "5"}, 2),
        ("serve.py", {"WEB_CONCURRENCY": "5"}, 5),
        ("pytest -w 4", {}, 1),
        ("", {}, 1),
    ],
)
def test_how_many_workers_a_server_was_told_to_start(command: str, environment: dict[str, str], number: int) -> None:
    """The command lines of the usual servers, and the variable that they share."""
    assert workers(command.split(), environment) == number


async def test_story_limits_in_memory_times_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """slowapi #226: with four workers a limit in memory is four limits; here that is said, once, and what to write."""
    monkeypatch.setattr(sys, "argv", ["uvicorn", "app:app", "--workers", "4"])
    log = EventList()
    gate = Gate(log=log)
    for _ in range(2):
        await enter(with_rate_limit("9/minute"), make_call(gate=gate))
    (said,) = advice(log)
    assert said.startswith("4 workers count each for themselves in memory://") and 'storage="redis://' in said
    assert log[0]["level"] == "warning"


async def test_one_worker_is_told_nothing() -> None:
    """A warning that everybody gets is one that nobody reads."""
    log = EventList()
    await enter(with_rate_limit("9/minute"), make_call(gate=Gate(log=log)))
    assert advice(log) == []


async def test_story_everybody_is_the_proxy() -> None:
    """spire-codex #298, devlink #1169: behind a proxy that nobody named, all clients share its counter."""
    log = EventList()
    gate = Gate(log=log)
    for _ in range(2):
        by_address(make_call(gate=gate, client="10.0.0.9", headers={"x-forwarded-for": "203.0.113.1"}))
    (said,) = advice(log)
    assert 'write Gate(trusted_proxies=["10.0.0.9"])' in said


async def test_story_the_server_believed_the_header() -> None:
    """fastapi-guard #107: uvicorn takes `X-Forwarded-For` from loopback by default, and leaves port 0."""
    log = EventList()
    made = make_call(gate=Gate(log=log), headers={"x-forwarded-for": "203.0.113.1"})
    made.scope["client"] = ("203.0.113.1", 0)
    by_address(made)
    assert "--no-proxy-headers" in advice(log)[0]


async def test_who_trusts_a_proxy_is_told_nothing() -> None:
    """The header is expected there, and one from a stranger is ignored."""
    log = EventList()
    gate = Gate(log=log, trusted_proxies=["10.0.0.0/8"])
    by_address(make_call(gate=gate, client="10.0.0.9", headers={"x-forwarded-for": "203.0.113.1"}))
    assert advice(log) == []


async def test_a_401_that_nobody_pays_for_is_said() -> None:
    """Without addresses a limit by principal serves principals, and guessers are not slowed down."""
    log = EventList()
    limited = with_rate_limit("9/minute", by=by_principal)(identified(hello))
    gate = Gate(log=log)
    for _ in range(2):
        assert (await call(limited, gate=gate, client=None)).status == 401
    (said,) = advice(log)
    assert 'trusted_proxies=["unix"]' in said
