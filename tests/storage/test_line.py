"""The circuit breaker: when a storage is asked, and when it is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gatewright import ConfigurationError
from gatewright._core.storage.line import Line, StorageDown
from gatewright.testing import FrozenClock
from tests.storage.kit import Events

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """A line is for clients that run on asyncio only."""
    return "asyncio"


class Storage:
    """Answer, fail, or wait for a word; count the questions."""

    def __init__(self) -> None:
        self.fails: Exception | None = None
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def __call__(self) -> str:
        self.asked += 1
        await self.answers.wait()
        if self.fails is not None:
            raise self.fails
        return "answer"


@pytest.fixture
def storage() -> Storage:
    return Storage()


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def hung_up() -> list[None]:
    return []


@pytest.fixture
def line(clock: FrozenClock, events: Events, hung_up: list[None]) -> Line:
    return Line("redis", 5.0, 1.0, clock, events, lambda: hung_up.append(None))


async def _fails(line: Line, question: Callable[[], Awaitable[str]]) -> float:
    """Ask in vain; return for how long the line says that it will not ask again."""
    with pytest.raises(StorageDown) as caught:
        await line.ask(question)
    return caught.value.seconds


async def test_an_answer_is_passed_on(line: Line, storage: Storage, events: Events) -> None:
    """While all is well, a line is not noticed."""
    assert await line.ask(storage) == "answer"
    assert (events, repr(line)) == ([], "<Line redis up>")


async def test_a_failure_is_one_event_and_no_more_questions(
    line: Line, storage: Storage, events: Events, clock: FrozenClock, hung_up: list[None]
) -> None:
    """The first failure is reported, with its cause; until the pause is over, nobody else waits for the next."""
    storage.fails = OSError("refused")
    assert await _fails(line, storage) == 1.0
    for _ in range(5):
        clock.advance(0.125)
        await _fails(line, storage)
    assert (storage.asked, len(hung_up)) == (1, 1)
    assert events == [
        {
            "event": "storage_down",
            "level": "error",
            "storage": "redis",
            "error": "OSError",
            "exc_info": storage.fails,
        }
    ]
    assert repr(line) == "<Line redis down>"


async def test_a_storage_that_hangs_is_given_the_deadline(clock: FrozenClock, events: Events, storage: Storage) -> None:
    """The deadline is ours, whatever the client would wait for."""
    line = Line("redis", 0.01, 1.0, clock, events)
    storage.answers.clear()
    await _fails(line, storage)
    assert [event["error"] for event in events] == ["TimeoutError"]


async def test_a_client_that_loses_a_cancellation_is_cancelled_again(clock: FrozenClock, events: Events) -> None:
    """As `asyncio.wait_for` did before Python 3.12: the deadline holds all the same, and the task is as it was."""
    line = Line("redis", 0.01, 1.0, clock, events)
    lost = 0

    async def question() -> str:
        nonlocal lost
        for _ in range(3):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
        await asyncio.Event().wait()
        raise AssertionError("there is no answer")

    await _fails(line, question)
    assert lost == 3
    assert [event["error"] for event in events] == ["TimeoutError"]
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]  # there is one


async def test_an_answer_after_a_lost_cancellation_counts(clock: FrozenClock, events: Events) -> None:
    """Late is better than never, and nothing is left that would cancel what comes next."""
    line = Line("redis", 0.01, 1.0, clock, events)

    async def question() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "late"
        raise AssertionError("nobody cancels")

    assert await line.ask(question) == "late"
    assert (asyncio.current_task().cancelling(), events) == (0, [])  # type: ignore[union-attr]  # there is one


async def test_a_client_who_leaves_as_the_deadline_passes(clock: FrozenClock, events: Events) -> None:
    """Both want the task to end: it ends as cancelled, since somebody waits for that."""
    line = Line("redis", 0.01, 1.0, clock, events)
    leaving: asyncio.Task[str]

    async def question() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            leaving.cancel()
        raise AssertionError("there is no answer")

    leaving = asyncio.create_task(line.ask(question))
    await asyncio.wait([leaving])
    assert leaving.cancelled()
    assert events == []


async def test_after_the_pause_one_question_goes_through(
    line: Line, storage: Storage, clock: FrozenClock, events: Events
) -> None:
    """Half open: of many who come at once a single one is the probe, and the others do not wait for it."""
    storage.fails = OSError()
    await _fails(line, storage)
    clock.advance(1.0)
    storage.fails = None
    storage.answers.clear()
    probe = asyncio.create_task(line.ask(storage))
    await asyncio.sleep(0)
    for _ in range(5):
        assert await _fails(line, storage) == 0.0
    assert storage.asked == 2
    storage.answers.set()
    assert await probe == "answer"
    assert await line.ask(storage) == "answer"
    assert events.names == ["storage_down", "storage_up"]


async def test_a_probe_that_is_cancelled_makes_room_for_the_next(
    line: Line, storage: Storage, clock: FrozenClock, events: Events
) -> None:
    """A client who disconnects just then must not leave the line down for ever, and says nothing about the storage."""
    storage.fails = OSError()
    await _fails(line, storage)
    clock.advance(1.0)
    storage.fails = None
    storage.answers.clear()
    probe = asyncio.create_task(line.ask(storage))
    await asyncio.sleep(0)
    probe.cancel()
    await asyncio.wait([probe])
    assert probe.cancelled()
    assert events.names == ["storage_down"]
    storage.answers.set()
    assert await line.ask(storage) == "answer"
    assert events.names == ["storage_down", "storage_up"]


async def test_each_probe_that_fails_doubles_the_pause(
    line: Line, storage: Storage, clock: FrozenClock, events: Events, hung_up: list[None]
) -> None:
    """Up to 30 seconds; a recovery begins anew at the first pause. Probes that fail are no events."""
    storage.fails = OSError()
    pauses = [await _fails(line, storage)]
    for _ in range(7):
        clock.advance(pauses[-1])
        pauses.append(await _fails(line, storage))
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert len(hung_up) == 8
    clock.advance(30.0)
    storage.fails = None
    await line.ask(storage)
    storage.fails = OSError()
    assert await _fails(line, storage) == 1.0
    assert events.names == ["storage_down", "storage_up", "storage_down"]


async def test_a_first_pause_of_more_than_the_longest_is_kept(clock: FrozenClock, storage: Storage) -> None:
    """Whoever asks for a minute gets a minute, each time."""
    line = Line("redis", 5.0, 60.0, clock, Events())
    storage.fails = OSError()
    assert await _fails(line, storage) == 60.0
    clock.advance(60.0)
    assert await _fails(line, storage) == 60.0


async def test_many_failures_at_once_are_one_event(
    line: Line, storage: Storage, events: Events, hung_up: list[None]
) -> None:
    """Whoever was waiting when the storage died, finds the line down, and reports nothing more."""
    storage.answers.clear()
    waiting = [asyncio.create_task(_fails(line, storage)) for _ in range(50)]
    await asyncio.sleep(0)
    storage.fails = OSError()
    storage.answers.set()
    assert await asyncio.gather(*waiting) == [1.0] * 50
    assert (events.names, len(hung_up)) == (["storage_down"], 1)


@pytest.mark.parametrize("fails", [None, OSError()])
async def test_what_was_asked_before_an_outage_says_nothing_during_it(
    line: Line, clock: FrozenClock, events: Events, fails: Exception | None
) -> None:
    """A slow question neither ends the outage with its answer, nor reports it once more with its failure."""
    slow, failing = Storage(), Storage()
    slow.answers.clear()
    slow.fails, failing.fails = fails, OSError()
    waiting = asyncio.create_task(_fails(line, slow) if fails else line.ask(slow))
    await asyncio.sleep(0)
    await _fails(line, failing)
    slow.answers.set()
    assert await waiting == (1.0 if fails else "answer")
    assert events.names == ["storage_down"]
    assert await _fails(line, slow) == 1.0


async def test_a_late_failure_from_before_the_recovery(line: Line, clock: FrozenClock, events: Events) -> None:
    """A question that outlives the outage and fails then does not begin a second one."""
    late, failing, fine = Storage(), Storage(), Storage()
    late.answers.clear()
    late.fails = failing.fails = OSError()
    waiting = asyncio.create_task(_fails(line, late))
    await asyncio.sleep(0)
    await _fails(line, failing)
    clock.advance(1.0)
    await line.ask(fine)
    late.answers.set()
    await waiting
    assert events.names == ["storage_down", "storage_up"]
    assert await line.ask(fine) == "answer"


async def test_a_mistake_in_the_configuration_is_no_outage(line: Line, storage: Storage, events: Events) -> None:
    """It is raised as it is, each time, and never papered over by what an outage falls back to."""
    storage.fails = ConfigurationError("write this")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="write this"):
            await line.ask(storage)
    assert events == []


async def test_the_cause_stays_with_the_exception(line: Line, storage: Storage) -> None:
    """Whoever debugs finds what the client raised."""
    storage.fails = OSError("refused")
    with pytest.raises(StorageDown) as caught:
        await line.ask(storage)
    assert caught.value.__cause__ is storage.fails


class TestOnTrio:
    """Where the client cannot run."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        """The other event loop."""
        return "trio"

    async def test_trio_is_a_mistake_in_the_configuration(self, clock: FrozenClock, events: Events) -> None:
        """Not an outage, which would be counted locally without a word: it says what to write."""

        async def question() -> str:
            raise AssertionError("nobody is asked")

        line = Line("memcached", 5.0, 1.0, clock, events)
        with pytest.raises(
            ConfigurationError, match=r'memcached://.*needs asyncio; on trio, write storage="memory://"'
        ):
            await line.ask(question)
        assert events == []
