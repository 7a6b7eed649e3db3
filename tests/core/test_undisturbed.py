"""What a storage was asked comes to its answer, whoever is cancelled meanwhile."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from gatewright._core.undisturbed import undisturbed

pytestmark = pytest.mark.anyio


async def _late(begun: anyio.Event, end: anyio.Event, done: list[str]) -> str:
    begun.set()
    await end.wait()
    done.append("done")
    return "an answer"


async def test_a_cancelled_scope_waits_for_the_answer() -> None:
    """The answer arrives, and the cancellation comes with the next thing that is waited for."""
    begun, end, done, answers = anyio.Event(), anyio.Event(), list[str](), list[str]()

    async def ask() -> None:
        answers.append(await undisturbed(_late(begun, end, done)))
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await begun.wait()
        tasks.cancel_scope.cancel()
        end.set()
    assert (done, answers) == (["done"], ["an answer"])


async def test_an_error_is_raised_to_whoever_asked() -> None:
    """A storage that fails says so, as if it had been asked directly."""

    async def fail() -> str:
        raise LookupError("a storage's own")

    with pytest.raises(LookupError, match="own"):
        await undisturbed(fail())


@pytest.mark.parametrize("fails", [False, True])
def test_asyncio_cancels_through_every_shield_but_this_one(fails: bool) -> None:
    """`asyncio.timeout`, or a server that stops: one cancellation, counted once, after the answer."""

    async def main() -> tuple[list[str], list[str]]:
        begun, end, done, answers = anyio.Event(), anyio.Event(), list[str](), list[str]()

        async def storage() -> str:
            answer = await _late(begun, end, done)
            if fails:
                raise LookupError
            return answer

        async def ask() -> None:
            try:
                answers.append(await undisturbed(storage()))
            except LookupError:
                answers.append("an error")
            answers.append(f"cancelled {asyncio.current_task().cancelling()} times")  # type: ignore[union-attr]
            await asyncio.sleep(0)
            answers.append("never")

        task = asyncio.create_task(ask())
        await begun.wait()
        task.cancel()
        await asyncio.sleep(0)
        end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        return done, answers

    done, answers = asyncio.run(main())
    assert done == ["done"]
    assert answers == ["an error" if fails else "an answer", "cancelled 1 times"]


def test_a_storage_that_cancels_itself_is_heard() -> None:
    """Its cancellation is its answer, and nobody waits for another one."""

    async def storage() -> None:
        raise asyncio.CancelledError

    async def main() -> None:
        with pytest.raises(asyncio.CancelledError):
            await undisturbed(storage())

    asyncio.run(main())
