"""argon2id, for new hashes (RFC 9106); every variant of argon2 is verified."""

from __future__ import annotations

import os
import re
from base64 import b64decode, b64encode
from dataclasses import KW_ONLY, dataclass
from hmac import compare_digest
from typing import NamedTuple

from gatewright.errors import ConfigurationError

__all__ = ["Argon2id", "argon2id"]

# OWASP, Password Storage: 7 MiB five times, 19 MiB twice, 46 MiB once, and what lies between.
_LEAST_WORK, _LEAST_MEMORY_KIB = 5 * 7168, 7168
# A stored hash says itself what it costs to compare; one that somebody planted must not cost a server its memory.
_MOST_WORK, _MOST_MEMORY_KIB, _MOST_LANES = 1 << 22, 1 << 18, 64
_SALT_BYTES, _TAG_BYTES, _VERSION = 16, 32, 19

_STORED = re.compile(
    r"\$argon2(id|i|d)(?:\$v=(16|19))?\$m=([1-9][0-9]{0,9}),t=([1-9][0-9]{0,9}),p=([1-9][0-9]{0,3})"
    r"\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{16,171})"
)


def argon2id(
    time_cost: int = 3, memory_kib: int = 65_536, parallelism: int = 4, *, weak_for_tests: bool = False
) -> Argon2id:
    """Hash with argon2id; the defaults are the second recommended option of RFC 9106, section 4.

    Each hash that is made or compared takes its memory for as long as that lasts.

    Args:
        time_cost: passes over the memory.
        memory_kib: KiB of memory.
        parallelism: lanes, each with a thread of its own.
        weak_for_tests: take parameters that are fast and protect nobody.

    Raises:
        ConfigurationError: for less than OWASP's minimum, which is 2 passes over 19456 KiB or what is worth as much;
            for what cannot be; and where argon2-cffi is not installed.
    """
    return Argon2id(time_cost, memory_kib, parallelism, weak_for_tests=weak_for_tests)


@dataclass(frozen=True)
class Argon2id:
    """Hash with argon2id; the arguments are those of `argon2id`."""

    time_cost: int
    memory_kib: int
    parallelism: int
    _: KW_ONLY
    weak_for_tests: bool = False

    name = "argon2id"

    def __post_init__(self) -> None:
        said = f"argon2id(time_cost={self.time_cost}, memory_kib={self.memory_kib}, parallelism={self.parallelism})"
        if self.time_cost < 1 or not 1 <= self.parallelism <= _MOST_LANES or self.memory_kib < 8 * self.parallelism:
            raise ConfigurationError(f"{said}: write 1 pass or more, and 8 KiB or more for each of 1 to 64 lanes")
        weak = self.work < _LEAST_WORK or self.memory_kib < _LEAST_MEMORY_KIB
        if weak and not self.weak_for_tests:
            raise ConfigurationError(
                f"{said} can be guessed: write time_cost=2, memory_kib=19456, parallelism=1, or more; "
                "in tests, weak_for_tests=True"
            )
        try:
            import argon2 as argon2
        except ImportError as missing:
            raise ConfigurationError('argon2id() needs argon2-cffi: pip install "gatewright[passwords]"') from missing

    @property
    def work(self) -> int:
        """Return how many KiB are filled, counted each time that they are."""
        return self.time_cost * self.memory_kib

    def work_of(self, stored: str) -> int:
        """Return how many KiB comparing with *stored* fills; 0 where it is no hash, or one that fills too many."""
        said = _read(stored)
        if said is None or said.work > max(_MOST_WORK, self.work):
            return 0
        return 0 if said.memory_kib > max(_MOST_MEMORY_KIB, self.memory_kib) else said.work

    def refusal(self, password: bytes) -> str | None:
        """Return None: argon2 takes every password, NUL bytes and all."""
        return None

    def hash(self, password: bytes) -> str:
        """Return a hash with a new salt, written as the reference implementation does."""
        filling = self._filling(self.time_cost, self.memory_kib, os.urandom(_SALT_BYTES))
        costs = f"m={self.memory_kib},t={self.time_cost},p={self.parallelism}"
        return f"$argon2id$v={_VERSION}${costs}${_written(filling.salt)}${_written(filling.tag_of(password))}"

    def matches(self, stored: str, password: bytes) -> bool:
        """Say whether *stored*, of any variant of argon2, was made of *password*."""
        said = _read(stored)
        return said is not None and compare_digest(said.tag_of(password), said.tag)

    def is_weaker(self, stored: str) -> bool:
        """Say whether *stored* took less work or, where it took no more, is another variant, or older, or shorter."""
        said = _read(stored)
        if said is None or said.work != self.work:
            return said is None or said.work < self.work
        short = len(said.salt) < _SALT_BYTES or len(said.tag) < _TAG_BYTES
        return short or (said.variant, said.version) != ("id", _VERSION)

    def spend(self, work: int) -> None:
        """Fill so many KiB, in passes over no more memory than this hasher's own."""
        if work > 0:
            passes = -(-work // self.memory_kib)
            memory = max(work // passes, 8 * self.parallelism)
            self._filling(passes, memory, bytes(_SALT_BYTES)).tag_of(b"")

    def _filling(self, passes: int, memory_kib: int, salt: bytes) -> _Filling:
        return _Filling("id", _VERSION, memory_kib, passes, self.parallelism, salt, bytes(_TAG_BYTES))


class _Filling(NamedTuple):
    """One run of argon2: what a hash says of how it was made, and what came of it."""

    variant: str
    version: int
    memory_kib: int
    passes: int
    lanes: int
    salt: bytes
    tag: bytes

    @property
    def work(self) -> int:
        return self.passes * self.memory_kib

    def tag_of(self, password: bytes) -> bytes:
        """Return what the tag is, if this is the password."""
        from argon2.low_level import Type, hash_secret_raw

        kind = Type[self.variant.upper()]
        costs = (self.passes, self.memory_kib, self.lanes)
        return hash_secret_raw(password, self.salt, *costs, len(self.tag), kind, self.version)


def _read(stored: str) -> _Filling | None:
    """Return what a hash says; None where it is none, which argon2 would not run either."""
    found = _STORED.fullmatch(stored)
    if found is None:
        return None
    variant, version, memory, passes, lanes, salt, tag = found.groups()
    try:
        binary = b64decode(_padded(salt)), b64decode(_padded(tag))
    except ValueError:
        return None
    # Hashes from before version 1.3 of argon2 say nothing of it.
    said = _Filling(variant, int(version or 16), int(memory), int(passes), int(lanes), *binary)
    return said if said.lanes <= _MOST_LANES and said.memory_kib >= 8 * said.lanes else None


def _padded(text: str) -> str:
    return text + "=" * (-len(text) % 4)


def _written(binary: bytes) -> str:
    return b64encode(binary).decode("ascii").rstrip("=")
