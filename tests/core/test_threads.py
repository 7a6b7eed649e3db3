"""Plain functions in threads: counted while they are at work and nobody waits for them."""

from __future__ import annotations

import threading

import pytest

from gatewright._core.threads import Errand, LeftBehind, in_thread
from gatewright.testing import make_call

NEVER_REACHED = 60


def _errand(left: LeftBehind, let_go: threading.Event) -> tuple[Errand, threading.Event]:
    started = threading.Event()

    def work() -> str:
        started.set()
        assert let_go.wait(NEVER_REACHED)
        return "done"

    return Errand(work, left), started


def test_an_errand_that_is_left_is_kept_until_it_ends() -> None:
    """So its thread is counted, and no longer than it lives."""
    left, let_go = LeftBehind(), threading.Event()
    errand, started = _errand(left, let_go)
    thread = threading.Thread(target=errand.run)
    thread.start()
    assert started.wait(NEVER_REACHED)
    assert left == set()
    assert errand.leave()
    assert left == {errand}
    let_go.set()
    thread.join()
    assert left == set()


def test_an_errand_that_ended_cannot_be_left() -> None:
    """The cancellation came a moment later."""
    left, let_go = LeftBehind(), threading.Event()
    let_go.set()
    errand, _ = _errand(left, let_go)
    assert errand.run() == "done"
    assert not errand.leave()
    assert left == set()


def test_an_errand_that_was_left_before_it_began_does_nothing() -> None:
    """Its thread comes too late."""
    left, let_go = LeftBehind(), threading.Event()
    let_go.set()
    errand, started = _errand(left, let_go)
    assert not errand.leave()
    assert errand.run() is None
    assert not started.is_set()
    assert left == set()


def test_an_errand_that_fails_is_over_too() -> None:
    """An abandoned handler that raises at last is not at work any more."""
    left = LeftBehind()
    errand = Errand(lambda: errand.leave() and 1 / 0, left)
    with pytest.raises(ZeroDivisionError):
        errand.run()
    assert left == set()


@pytest.mark.anyio
async def test_without_a_timeout_a_function_is_waited_for() -> None:
    """It runs in another thread, and what it returns comes back."""

    def function(a: int, *, b: int) -> tuple[int, int, bool]:
        return a, b, threading.current_thread() is threading.main_thread()

    assert await in_thread(make_call(), function, 1, b=2) == (1, 2, False)


def test_what_is_to_be_done_then_is_done_in_the_thread_once_it_ends() -> None:
    """Such as dropping the session that it works with; an errand that has ended takes nothing on any more."""
    left, let_go, done = LeftBehind(), threading.Event(), list[int]()
    errand, started = _errand(left, let_go)
    thread = threading.Thread(target=errand.run)
    assert not errand.is_running and not errand.then(lambda: done.append(0))
    thread.start()
    assert started.wait(NEVER_REACHED)
    assert errand.is_running and errand.then(lambda: done.append(threading.get_ident()))
    assert done == []
    let_go.set()
    thread.join()
    assert done == [thread.ident]
    assert not errand.is_running and not errand.then(lambda: done.append(0))
