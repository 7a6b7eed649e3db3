"""A way to hash that is none, and keeps account of its work."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

# So that two at the same time meet, and one alone does not wait for ever.
_PATIENCE = 5.0


@dataclass
class Toy:
    """Write passwords into hashes: `name$work$password`.

    Attributes:
        name: of the scheme.
        work: of one hash.
        longest: the most bytes that it takes.
        together: how many have to be at it at the same time before any of them goes on.
        spent: what was done, in order.
        threads: by whom.
        most: how many were at it at the same time.
    """

    name: str = "toy"
    work: int = 10
    longest: int = 10_000
    together: int = 1
    spent: list[int] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    most: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._barrier = threading.Barrier(self.together)
        self._now = 0

    def work_of(self, stored: str) -> int:
        name, _, rest = stored.partition("$")
        return int(rest.partition("$")[0]) if name == self.name else 0

    def refusal(self, password: bytes) -> str | None:
        return "Should be shorter" if len(password) > self.longest else None

    def hash(self, password: bytes) -> str:
        self._do(self.work)
        return f"{self.name}${self.work}${password.decode()}"

    def matches(self, stored: str, password: bytes) -> bool:
        self._do(self.work_of(stored))
        return stored.split("$", 2)[2].encode() == password

    def is_weaker(self, stored: str) -> bool:
        return self.work_of(stored) < self.work

    def spend(self, work: int) -> None:
        if work > 0:
            self._do(work)

    def _do(self, work: int) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            self.spent.append(work)
            self.threads.add(threading.get_ident())
        self._barrier.wait(_PATIENCE)
        with self._lock:
            self._now -= 1
