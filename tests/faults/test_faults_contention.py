"""Two at one row: who is told to try again, and that trying again is right."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from gatewright import ErrorMapper
from gatewright.faults import FaultKind, classify
from tests.faults.kit import Talk, Way, raised_by, ways_to

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

Open = Callable[[], Awaitable[Talk]]

TAKE = "update counters set n = n + 1 where id = {}"
READ = "select sum(n) from counters"


def _may_be_repeated(exc: Exception, kind: FaultKind) -> None:
    """Hold that it is told as *kind*, that the transaction may be run again, and that the client may come back."""
    fault = classify(exc)
    assert fault is not None
    assert (fault.kind, fault.retryable) == (kind, True)
    answer = ErrorMapper().map(exc)
    assert answer is not None
    assert (answer.status_code, answer.headers, answer.details) == (503, {"Retry-After": "1"}, {})


@pytest.mark.parametrize("way", ways_to("postgres", "mariadb"), ids=str)
async def test_a_deadlock(way: Way, opened: Open) -> None:
    """Each holds what the other one wants; one of them is given up, and comes through when it begins anew."""
    talks = [await opened(), await opened()]
    failed: list[tuple[Talk, Exception]] = []
    for at, talk in enumerate(talks):
        if way.dialect == "postgres":
            await talk.run("set deadlock_timeout = '20ms'")
        await talk.run("begin")
        await talk.run(TAKE.format(at + 1))

    async def take(talk: Talk, number: int) -> None:
        try:
            await talk.run(TAKE.format(number))
        except Exception as exc:
            failed.append((talk, exc))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take, talks[0], 2)
        tasks.start_soon(take, talks[1], 1)
    ((loser, exc),) = failed
    _may_be_repeated(exc, "deadlock")
    for talk in talks:
        await talk.run("rollback")
    for number in (1, 2):
        await loser.run(TAKE.format(number))


@pytest.mark.parametrize("way", ways_to("postgres"), ids=str)
async def test_two_that_cannot_both_have_been_alone(opened: Open) -> None:
    """Each reads what the other one writes (SERIALIZABLE): the second is told so when it writes or commits."""
    first, second = await opened(), await opened()
    for talk, number in ((first, 1), (second, 2)):
        await talk.run("begin isolation level serializable")
        await talk.run(READ)
        await talk.run(TAKE.format(number))
    await first.run("commit")
    _may_be_repeated(await raised_by(second, "commit"), "serialization")
    await second.run("rollback")
    await second.run(TAKE.format(2))


@pytest.mark.parametrize("way", ways_to("mariadb", "sqlite"), ids=str)
async def test_a_row_that_was_changed_since_the_snapshot(way: Way, opened: Open) -> None:
    """What was read is not there any more (MariaDB's snapshot isolation, SQLite's WAL)."""
    first, second = await opened(), await opened()
    if way.dialect == "mariadb":
        await second.run("set innodb_snapshot_isolation = on")
    await second.run("begin")
    await second.run(READ)
    await first.run(TAKE.format(1))
    _may_be_repeated(await raised_by(second, TAKE.format(1)), "serialization")
    await second.run("rollback")
    await second.run(TAKE.format(1))


@pytest.mark.parametrize("way", ways_to("postgres", "mariadb", "sqlite"), ids=str)
async def test_a_row_that_somebody_holds(way: Way, opened: Open) -> None:
    """Whoever does not wait, or not any longer, may come back when the other one is done."""
    holder, other = await opened(), await opened()
    await holder.run("begin immediate" if way.dialect == "sqlite" else "begin")
    await holder.run(TAKE.format(1))
    wanting = TAKE.format(1)
    if way.dialect == "postgres":
        await other.run("set lock_timeout = '20ms'")
    elif way.dialect == "mariadb":
        wanting = "select n from counters where id = 1 for update nowait"
    _may_be_repeated(await raised_by(other, wanting), "locked")
    await holder.run("rollback")
    await other.run(wanting)
