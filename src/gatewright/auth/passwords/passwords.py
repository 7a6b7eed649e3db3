"""Passwords: hashed and compared in threads of their own, and checked when they are chosen."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar
from unicodedata import normalize

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

from gatewright._core.functions import is_async
from gatewright.auth.passwords.argon2 import argon2id
from gatewright.auth.passwords.bcrypt import bcrypt
from gatewright.auth.passwords.hasher import Hasher
from gatewright.auth.passwords.policy import LONGEST, TOO_LONG, NistPolicy, Policy
from gatewright.errors import ConfigurationError, InvalidInput

__all__ = ["Breached", "PasswordVerdict", "Passwords"]

Breached = Callable[[str], Awaitable[bool]]
"""Say whether a password is known from a breach."""

T = TypeVar("T")

_BREACHED = "Is known from a breach; who uses it elsewhere should change it there too"
_NO_TEXT = "Should be text that can be written in UTF-8"


class PasswordVerdict(NamedTuple):
    """What came of comparing a password with a hash; true where it matches.

    Attributes:
        matches: whether the hash was made of it.
        rehash: a better hash to keep from now on; None where the present one will do.
    """

    matches: bool
    rehash: str | None = None

    def __bool__(self) -> bool:
        return self.matches


_NO_MATCH: Final = PasswordVerdict(False)


@dataclass(frozen=True, eq=False)
class Passwords:
    """Hash passwords, compare them, and say which may be chosen.

    A comparison that fails takes the work of one hash of every hasher, whatever is compared with: a hash of any of
    them, one that is weaker, one that cannot be used, or none. So time does not tell who has an account (ASVS 5.0,
    6.3.8). Name only hashers that you have hashes of.

    A password counts in Unicode's NFKC, so that the same keys make the same password on every device (NIST
    SP 800-63B-4, 3.1.1.2); hashes that were made elsewhere, of what was typed as it was, match too.

    Args:
        hashers: the first makes new hashes; hashes of the others are verified. By default argon2id, then bcrypt.
        policy: which passwords may be chosen.
        breached: an `async def` that says whether a password is known from a breach (ASVS 5.0, 6.2.12); what it
            raises is raised.
        limiter: how many hashes are made at the same time on one event loop, or a limiter that other work shares; by
            default as many as there are cores. More take memory, and are not faster.

    Raises:
        ConfigurationError: for no hashers, for two of one scheme, for what is no hasher, policy, or async function.
    """

    hashers: Sequence[Hasher] = field(default_factory=lambda: (argon2id(), bcrypt()))
    policy: Policy = field(default_factory=NistPolicy)
    breached: Breached | None = None
    limiter: CapacityLimiter | int | None = None
    _limiters: RunVar[CapacityLimiter] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        hashers = tuple(self.hashers) if isinstance(self.hashers, Sequence) else ()  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        known = [isinstance(hasher, Hasher) for hasher in hashers]  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        if not hashers or not all(known):
            raise ConfigurationError(f"Passwords(hashers={self.hashers!r}): write hashers=[argon2id()], the best first")
        if len({hasher.name for hasher in hashers}) < len(hashers):
            raise ConfigurationError(f"Passwords(hashers={self.hashers!r}): write one for each scheme")
        # A class has the methods of its instances, so it passes for one.
        if isinstance(self.policy, type) or not isinstance(self.policy, Policy):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
            raise ConfigurationError(f"Passwords(policy={self.policy!r}): write NistPolicy()")
        if self.breached is not None and not is_async(self.breached):
            raise ConfigurationError(f"Passwords(breached={self.breached!r}): write it as an `async def`")
        if isinstance(self.limiter, int) and self.limiter < 1:
            raise ConfigurationError(f"Passwords(limiter={self.limiter}): write 1 or more, or leave it out")
        object.__setattr__(self, "hashers", hashers)
        object.__setattr__(self, "_limiters", RunVar("gatewright.passwords"))

    async def hash(self, password: str) -> str:
        """Return a hash of *password* to keep; whether it is a good password is not asked, `check` does that.

        Raises:
            InvalidInput: for more than 1024 characters, and for what the first hasher cannot take.
        """
        refusal = self._refusal(password)
        if refusal is not None:
            raise InvalidInput(details={"password": [refusal]})
        return await self._in_thread(lambda: self.hashers[0].hash(_encoded(password)))

    async def verify_and_update(self, stored: str | None, password: str) -> PasswordVerdict:
        """Say whether *stored* was made of *password*, and return a better hash where it is weaker than a new one.

        Whatever is wrong with either is an ordinary failure. A hash never becomes weaker: one that took more work
        than a new one stays.

        Args:
            stored: the hash that is kept of the user; None where there is no such user, or none who may come in.
            password: what was typed.

        Raises:
            ConfigurationError: for a hash that is not a str, such as bytes.
        """
        if stored is not None and not isinstance(stored, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
            raise ConfigurationError(f"a hash is a str, and not a {type(stored).__name__}; decode it")
        return await self._in_thread(lambda: self._compare(stored or "", password))

    async def problems(self, password: str, *, context: Sequence[str] = ()) -> list[str]:
        """Return why *password* should not be chosen, for people; nothing where it may be.

        Args:
            password: the new password.
            context: what an attacker would try of this very user: the name, the e-mail address.
        """
        found = self.policy.problems(password, context)
        refusal = None if found else self._refusal(password)
        if refusal is not None:
            return [refusal]
        if not found and self.breached is not None and await self.breached(password):
            return [_BREACHED]
        return found

    async def check(self, password: str, *, context: Sequence[str] = (), field: str = "password") -> None:
        """Refuse a password that should not be chosen.

        Args:
            password: as for `problems`.
            context: as for `problems`.
            field: the input path that the details name.

        Raises:
            InvalidInput: with what is wrong, in the details of *field*.
        """
        found = await self.problems(password, context=context)
        if found:
            raise InvalidInput(details={field: found})

    def _refusal(self, password: str) -> str | None:
        if len(password) > LONGEST:
            return TOO_LONG
        try:
            return self.hashers[0].refusal(_encoded(password))
        except UnicodeEncodeError:
            return _NO_TEXT

    def _compare(self, stored: str, password: str) -> PasswordVerdict:
        """Compare, in the thread; a failure does the work of one hash of each hasher, whoever's hash this is."""
        spellings = _spellings(password)
        own = next((hasher for hasher in self.hashers if hasher.work_of(stored)), None) if spellings else None
        for spelling in spellings or (b"",):
            if own is not None and own.matches(stored, spelling):
                return PasswordVerdict(True, self._better(stored, own, spelling, spellings[0]))
            for hasher in self.hashers:
                hasher.spend(hasher.work - (hasher.work_of(stored) if hasher is own else 0))
        return _NO_MATCH

    def _better(self, stored: str, own: Hasher, spelling: bytes, normal: bytes) -> str | None:
        """Return a new hash where that is better than the one that matched this spelling."""
        best = self.hashers[0]
        stronger = own is best and own.work_of(stored) > own.work
        as_new = own is best and spelling == normal and not own.is_weaker(stored)
        return None if stronger or as_new or best.refusal(normal) is not None else best.hash(normal)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await to_thread.run_sync(work, limiter=self._limiter())

    def _limiter(self) -> CapacityLimiter:
        """Return the limiter of this event loop; one limiter cannot serve two."""
        if isinstance(self.limiter, CapacityLimiter):
            return self.limiter
        try:
            return self._limiters.get()
        except LookupError:
            limiter = CapacityLimiter(_cores() if self.limiter is None else self.limiter)
            self._limiters.set(limiter)
            return limiter


def _encoded(password: str) -> bytes:
    """Return what is hashed.

    Raises:
        UnicodeEncodeError: for half of a surrogate pair.
    """
    return normalize("NFKC", password).encode()


def _spellings(password: str) -> tuple[bytes, ...]:
    """Return what may have been hashed, first as we do; nothing where nothing can have been."""
    if len(password) > LONGEST:
        return ()
    try:
        return tuple(dict.fromkeys((_encoded(password), password.encode())))
    except UnicodeEncodeError:
        return ()


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
