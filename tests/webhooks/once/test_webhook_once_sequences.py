"""What may become of a delivery, in whatever order, wherever it is remembered: its work is done once."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from gatewright.testing import Reply, signed
from gatewright.webhooks import Delivery, Tenant, github
from tests.webhooks.once.conftest import EVERYWHERE, ON_A_SERVER
from tests.webhooks.once.kit import LEASE, SECRET, Place, Slow, Worker, nothing

pytestmark = pytest.mark.anyio

Hire = Callable[..., Worker]

HANDLED = 200, {"success": True, "data": None}
RECEIVED = 200, {"received": True}
IN_FLIGHT = 409, "webhook_in_flight"
DAY = 86_400.0

SHARED = pytest.mark.parametrize("place", [each for each in EVERYWHERE if each != "memory"], indirect=True)
SERVED = pytest.mark.parametrize("place", ON_A_SERVER, indirect=True)


def said(reply: Reply) -> tuple[int, Any]:
    """Return the status and the body of an answer; of a refusal, the code."""
    return reply.status, reply.json.get("code", reply.json)


async def fail() -> None:
    """Work that goes wrong."""
    raise OSError("the bank does not answer")


# One after another


async def test_a_retry_of_what_was_handled_is_answered(place: Place, worker: Worker, colleague: Worker) -> None:
    """The handler runs once; the sender reads what it wants to read, and the log says why nothing was done."""
    sent = place.delivery()
    assert (await worker.take(sent)).status == 200
    assert said(await worker.take(sent)) == RECEIVED
    assert said(await colleague.take(sent)) == RECEIVED
    assert (place.runs, await worker.effects()) == (["evt_1"], ["evt_1"])
    duplicate = next(entry for entry in worker.logged("request") if entry.get("webhook_duplicate"))
    assert duplicate["guards"]["handle_once"] == "answered"


async def test_a_retry_of_what_failed_is_handled(place: Place, worker: Worker) -> None:
    """Byte for byte the same, as many senders' are; at once, and not when the lease is over."""
    sent = place.delivery()
    worker.work = fail
    assert (await worker.take(sent)).status == 500
    worker.work = nothing
    assert await worker.effects() == []
    assert (await worker.take(sent)).status == 200
    assert await worker.effects() == ["evt_1"]


async def test_another_event_is_handled(place: Place, worker: Worker) -> None:
    """What is remembered is one event, and not that there was one."""
    for event_id in ("evt_1", "evt_2"):
        assert (await worker.take(place.delivery(event_id))).status == 200
    assert await worker.effects() == ["evt_1", "evt_2"]


async def test_an_event_that_is_signed_anew_is_the_same(place: Place, worker: Worker) -> None:
    """Stripe signs each retry, with the time of the retry, and tries for three days."""
    assert (await worker.take(place.delivery())).status == 200
    place.let_pass(3 * DAY)
    assert said(await worker.take(place.delivery())) == RECEIVED
    assert await worker.effects() == ["evt_1"]


async def test_an_id_that_is_not_signed_makes_no_other_event(place: Place, hire: Hire) -> None:
    """Whoever captured a delivery may write what he likes into `X-GitHub-Delivery`: the signed bytes count."""
    worker = hire(scheme=github())
    sent = signed(github(), SECRET, json={"id": "evt_1", "type": "invoice.paid"})
    for guid, answer in (("72d3162e", 200), ("another", 200)):
        headers = {**sent["headers"], "x-github-delivery": guid}
        assert (await worker.take({**sent, "headers": headers})).status == answer
    assert await worker.effects() == ["evt_1"]


async def test_a_capture_is_worth_nothing_when_its_event_is_forgotten(place: Place, worker: Worker) -> None:
    """By then it is too old; a sender that signs a new time says that it is a new event."""
    capture = place.delivery()
    assert (await worker.take(capture)).status == 200
    place.let_pass(4 * DAY + 1)
    assert (await worker.take(capture)).status == 401
    assert await worker.effects() == ["evt_1"]
    assert (await worker.take(place.delivery())).status == 200
    assert await worker.effects() == ["evt_1", "evt_1"]


async def test_a_capture_without_a_time_is_good_for_nothing_as_long_as_it_is_remembered(
    place: Place, hire: Hire
) -> None:
    """GitHub signs no time, so the memory is all there is: `keep` says for how long."""
    worker = hire(scheme=github(), once={"keep": 400 * DAY})
    capture = signed(github(), SECRET, json={"id": "evt_1", "type": "invoice.paid"})
    assert (await worker.take(capture)).status == 200
    place.let_pass(399 * DAY)
    assert said(await worker.take(capture)) == RECEIVED
    place.let_pass(2 * DAY)
    assert (await worker.take(capture)).status == 200
    assert await worker.effects() == ["evt_1", "evt_1"]


def by_tenant(delivery: Delivery) -> Tenant:
    """Return the secrets of whom a header names; all of them got the same from a careless sender."""
    return Tenant((delivery.header(b"x-tenant") or b"").decode(), SECRET)


def by_header(delivery: Delivery) -> str:
    """Return a secret, and do not say whose it is."""
    return f"whsec_{(delivery.header(b'x-tenant') or b'').decode() * 8}"


@pytest.mark.parametrize("secrets", [by_tenant, by_header])
async def test_two_tenants_may_have_events_of_one_id(place: Place, hire: Hire, secrets: Any) -> None:
    """Nobody suppresses another's event by sending one with its id first."""
    worker = hire(secrets=secrets)
    for tenant in ("acme", "emca"):
        secret = SECRET if secrets is by_tenant else f"whsec_{tenant * 8}"
        sent = place.delivery(secret=secret)
        sent["headers"]["x-tenant"] = tenant
        assert said(await worker.take(sent)) == HANDLED
        assert said(await worker.take(sent)) == RECEIVED
    assert await worker.effects() == ["evt_1", "evt_1"]


async def test_two_endpoints_may_take_one_event(place: Place, worker: Worker) -> None:
    """Each does something else with it."""
    sent = place.delivery()
    for path in ("/books", "/mails"):
        assert said(await worker.take(sent, path=path)) == HANDLED
        assert said(await worker.take(sent, path=path)) == RECEIVED
    assert await worker.effects() == ["evt_1", "evt_1"]


# At the same time


async def test_of_two_at_once_one_is_handled(place: Place, worker: Worker, colleague: Worker) -> None:
    """The other is told to come back, and never that all is well: the first may still fail."""
    sent, slow = place.delivery(), Slow()
    worker.work = slow
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.take, sent)
        await slow.begun.wait()
        refused = await colleague.take(sent)
        assert said(refused) == IN_FLIGHT
        assert 1 <= int(refused.headers["retry-after"]) <= LEASE
        slow.end.set()
    assert said(await colleague.take(sent)) == RECEIVED
    assert await worker.effects() == ["evt_1"]


async def test_of_many_at_once_one_is_handled(place: Place, worker: Worker, colleague: Worker) -> None:
    """Twenty events, each eight times, by two workers: whoever does not handle one is refused, or told that it is."""
    seen: Counter[str] = Counter()
    events = [f"evt_{number}" for number in range(20)]

    async def send(by: Worker, one: Mapping[str, Any]) -> None:
        reply = await by.take(one)
        while reply.status >= 500:
            # A file has one writer at a time. What cannot be asked or written is sent again.
            seen[f"{reply.status}"] += 1
            reply = await by.take(one)
        seen[str(said(reply))] += 1

    async with anyio.create_task_group() as tasks:
        for event_id in events:
            for by in (worker, colleague) * 4:
                tasks.start_soon(send, by, place.delivery(event_id))
    # What could not be released is free by then.
    place.let_pass(LEASE)
    for event_id in events:
        await send(worker, place.delivery(event_id))
    assert sorted(await worker.effects()) == sorted(events)
    assert len(place.runs) == len(events) + seen.pop("500", 0)
    assert seen.pop(str(HANDLED)) == len(events)
    assert set(seen) <= {"503", str(RECEIVED), str(IN_FLIGHT)}


async def test_a_request_that_is_cancelled_frees_its_delivery(place: Place, worker: Worker, colleague: Worker) -> None:
    """The release goes out although everything around it is cancelled; the sender's retry is handled at once."""
    sent, slow = place.delivery(), Slow()
    worker.work = slow
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.take, sent)
        await slow.begun.wait()
        tasks.cancel_scope.cancel()
    worker.work = nothing
    assert said(await colleague.take(sent)) == HANDLED
    assert await worker.effects() == ["evt_1"]


async def test_a_task_that_asyncio_cancels_frees_its_delivery(place: Place, worker: Worker) -> None:
    """As a server does that stops."""
    sent, slow = place.delivery(), Slow()
    worker.work = slow
    task = asyncio.create_task(worker.take(sent))
    await slow.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    worker.work = nothing
    assert said(await worker.take(sent)) == HANDLED


async def test_a_request_that_is_cancelled_while_it_claims_strands_nothing(place: Place, worker: Worker) -> None:
    """The claim may have been made; it is heard of, and what it was made for is done or given back."""
    sent = place.delivery()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.take, sent)
        # By now it waits for the store.
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert (await worker.take(sent)).status == 200
    assert await worker.effects() == ["evt_1"]


# Leases


@pytest.mark.parametrize("end", [nothing, fail])
async def test_who_comes_back_late_changes_nothing(
    place: Place, worker: Worker, colleague: Worker, end: Callable[[], Any]
) -> None:
    """His lease ran out and another has the claim: neither his success nor his failure is that of the other's work.

    Where effect and claim are one transaction, his is rolled back; elsewhere the log says that the work is done twice.
    """
    late, second, replies = Slow(), Slow(), dict[str, Reply]()

    async def take(who: Worker, name: str) -> None:
        replies[name] = await who.take(place.delivery())

    async def works_late() -> None:
        await late()
        await end()

    async with anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as first:
            worker.work = works_late
            first.start_soon(take, worker, "late")
            await late.begun.wait()
            place.let_pass(LEASE + 1)
            colleague.work = second
            tasks.start_soon(take, colleague, "second")
            await second.begun.wait()
            late.end.set()
        assert said(await colleague.take(place.delivery())) == IN_FLIGHT
        second.end.set()
    assert replies["second"].status == 200
    assert said(await colleague.take(place.delivery())) == RECEIVED
    if end is fail:
        assert replies["late"].status == 500
        assert await worker.effects() == ["evt_1"]
    elif place.joined:
        assert said(replies["late"]) == (409, "webhook_claim_lost")
        assert await worker.effects() == ["evt_1"]
    else:
        assert replies["late"].status == 200
        (fact,) = worker.logged("webhook_not_remembered")
        assert (fact["level"], fact["reason"]) == ("warning", "the lease ran out, and another worker has the claim")


async def test_a_lease_that_ran_out_harms_nobody_where_nobody_came(place: Place, worker: Worker) -> None:
    """The work was done once, and that is remembered."""
    slow = Slow()
    worker.work = slow
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.take, place.delivery())
        await slow.begun.wait()
        place.let_pass(LEASE + 1)
        slow.end.set()
    assert said(await worker.take(place.delivery())) == RECEIVED
    assert await worker.effects() == ["evt_1"]
    assert worker.logged("webhook_not_remembered") == []


def killed_at(place: Place, when: str) -> None:
    """Let another process take a delivery, and kill it (SIGKILL) when it says that it is at work."""
    program = [sys.executable, "-m", "tests.webhooks.once.crash", place.url, place.name, when]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "at work\n"
        finally:
            process.kill()


@pytest.mark.fault
@SHARED
async def test_a_worker_that_is_killed_holds_its_delivery_for_as_long_as_the_lease(
    place: Place, worker: Worker
) -> None:
    """It may still be at work, for all that is known; then a retry is handled. What it had written is rolled back."""
    killed_at(place, "inside" if place.joined else "work")
    assert said(await worker.take(place.delivery())) == IN_FLIGHT
    assert place.runs == []
    place.let_pass(LEASE - 2)
    assert said(await worker.take(place.delivery())) == IN_FLIGHT
    place.let_pass(2)
    assert said(await worker.take(place.delivery())) == HANDLED
    assert await worker.effects() == ["evt_1"]


# A store that is down


@contextmanager
def down(place: Place) -> Generator[None]:
    """Let the store crash, and come back; or, where it is a file, let somebody else write it for long."""
    if place.server is None:
        with closing(sqlite3.connect(place.url.removeprefix("sqlite+aiosqlite:///"))) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield
        return
    place.server.kill()
    try:
        yield
    finally:
        place.server.start()
        # What asks the gate's storage leaves it alone for a while.
        place.clock.advance(2)


@pytest.mark.fault
@SHARED
async def test_while_the_store_is_down_nothing_is_handled(place: Place, hire: Hire) -> None:
    """What cannot be claimed might be done twice: 503 with when to come back, and then it is handled."""
    place.patience = 0.05
    worker = hire()
    with down(place):
        for _ in range(2):
            refused = await worker.take(place.delivery())
            assert (refused.status, refused.json["code"]) == (503, "service_unavailable")
            assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert place.runs == []
    assert said(await worker.take(place.delivery())) == HANDLED
    assert await worker.effects() == ["evt_1"]


@pytest.mark.fault
@SERVED
async def test_a_server_that_crashes_forgets_nothing(place: Place, worker: Worker, colleague: Worker) -> None:
    """What was handled stays handled, and what was in flight is free when its lease is over, and not before."""
    assert (await worker.take(place.delivery("evt_done"))).status == 200
    killed_at(place, "work")
    with down(place):
        for event_id in ("evt_done", "evt_1", "evt_new"):
            assert (await worker.take(place.delivery(event_id))).status == 503
    for who in (worker, colleague):
        assert said(await who.take(place.delivery("evt_done"))) == RECEIVED
        assert said(await who.take(place.delivery("evt_1"))) == IN_FLIGHT
    assert place.runs == ["evt_done"]
    place.let_pass(LEASE)
    assert said(await worker.take(place.delivery("evt_1"))) == HANDLED
    assert said(await colleague.take(place.delivery("evt_1"))) == RECEIVED
    assert sorted(await worker.effects()) == ["evt_1", "evt_done"]


@pytest.mark.fault
@SERVED
async def test_a_server_that_crashes_while_the_work_is_done(place: Place, worker: Worker) -> None:
    """Elsewhere the work is done, so the sender is told so, and the log that nobody remembers it.

    In one database the effect went with the memory: the sender is told to try again, and its retry is handled.
    """
    slow, replies = Slow(), list[Reply]()

    async def take() -> None:
        replies.append(await worker.take(place.delivery()))

    worker.work = slow
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await slow.begun.wait()
        with down(place):
            slow.end.set()
            while not replies:
                await anyio.lowlevel.checkpoint()
    worker.work = nothing
    if place.joined:
        # A server that is gone may be back soon; a file that was taken away is nothing that anybody could foresee.
        assert replies[0].status == (500 if place.server is None else 503)
        assert len(worker.logged("webhook_not_released")) == 1
        place.let_pass(LEASE)
        assert said(await worker.take(place.delivery())) == HANDLED
    else:
        assert replies[0].status == 200
        assert [fact["level"] for fact in worker.logged("webhook_not_remembered")] == ["error"]
    assert await worker.effects() == ["evt_1"]


@pytest.mark.fault
@SERVED
async def test_a_server_that_crashes_between_two_deliveries(place: Place, worker: Worker) -> None:
    """Killed and restarted before each of them, for as many as there are."""
    for number in range(4):
        with down(place):
            """Nobody comes meanwhile."""
        for turn in range(number + 1):
            while (await worker.take(place.delivery(f"evt_{turn}"))).status == 503:
                # A connection of before the crash was asked.
                place.clock.advance(2)
    assert await worker.effects() == [f"evt_{number}" for number in range(4)]
