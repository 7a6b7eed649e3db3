"""Who works when, and what is kept of it: turns, in processes of their own, and every sample but the first."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, redirect_stderr
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from statistics import median

__all__ = ["Effort", "Figures", "Setup", "Work", "measure", "unheard"]

Work = Callable[[int], float]
"""Does something so many times and returns the CPU time of one, in seconds."""

Setup = Callable[[], AbstractContextManager[Work]]
"""Prepares work. It can be pickled: a function of a module, or a `partial` of one."""


@dataclass(frozen=True)
class Effort:
    """How much to measure.

    Args:
        rounds: turns that each candidate gets.
        count: how often it does its work in one turn.
        warm: turns before those, which are dropped.
        apart: whether each candidate works in a process of its own.
    """

    rounds: int = 20
    count: int = 500
    warm: int = 1
    apart: bool = True

    def part(self, share: float) -> Effort:
        """Return the effort for a table that gets by with fewer rounds."""
        return replace(self, rounds=max(1, round(self.rounds * share)))


@dataclass(frozen=True)
class Figures:
    """The CPU time of one unit of work, in seconds, by round."""

    samples: tuple[float, ...]

    @property
    def minimum(self) -> float:
        """Return the cost without disturbance."""
        return min(self.samples)

    @property
    def median(self) -> float:
        """Return the cost with the usual disturbance."""
        return median(self.samples)


def measure(setups: Mapping[str, Setup], effort: Effort) -> dict[str, Figures]:
    """Return what each candidate's work costs."""
    with ExitStack() as stack:
        works = {
            name: stack.enter_context(_apart(setup) if effort.apart else setup()) for name, setup in setups.items()
        }
        samples: dict[str, list[float]] = {name: [] for name in works}
        for turn in range(effort.warm + effort.rounds):
            for name in list(works) if turn % 2 else reversed(works):
                samples[name].append(works[name](effort.count))
    return {name: Figures(tuple(taken[effort.warm :])) for name, taken in samples.items()}


@contextmanager
def unheard() -> Generator[None, None, None]:
    """Let log lines go to `/dev/null`, unbuffered as on a real stderr."""
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
        yield


@contextmanager
def _apart(setup: Setup) -> Generator[Work, None, None]:
    """Let another process do the work."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(setup, there), daemon=True)
    process.start()
    # Now the worker has the only other end, and its death is heard here.
    there.close()

    def work(count: int) -> float:
        here.send(count)
        seconds: float = here.recv()
        return seconds

    try:
        yield work
    finally:
        here.close()
        process.join()


def _serve(setup: Setup, pipe: Connection) -> None:
    with unheard(), setup() as work:
        while True:
            try:
                count: int = pipe.recv()
            except EOFError:
                return
            pipe.send(work(count))
