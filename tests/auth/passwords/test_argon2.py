"""argon2id: what it makes is what others make, and what is stored is never trusted."""

from __future__ import annotations

import sys
from typing import Any

import argon2
import pytest
from argon2 import low_level
from hypothesis import given
from hypothesis import strategies as st

from gatewright import ConfigurationError
from gatewright.auth.passwords.argon2 import Argon2id, argon2id

CHEAP = argon2id(2, 16, 1, weak_for_tests=True)
PASSWORD = b"correct horse battery staple"
SALT = "c2FsdHNhbHRzYWx0c2FsdA"
TAG = "dGFndGFndGFndGFndGFndGFndGFndGFndGFndGFndGE"


def made(kind: low_level.Type = low_level.Type.ID, version: int = 19, **costs: int) -> str:
    """Return a hash of PASSWORD that another program made."""
    given = {"time_cost": 2, "memory_cost": 16, "parallelism": 1, "hash_len": 32, **costs}
    return low_level.hash_secret(PASSWORD, b"s" * 16, **given, type=kind, version=version).decode()


def test_the_default_is_what_the_rfc_recommends() -> None:
    """RFC 9106, section 4, second option: 3 passes over 64 MiB in 4 lanes; a salt of 128 bits, a tag of 256."""
    stored = argon2id().hash(PASSWORD)
    said = argon2.extract_parameters(stored)
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert (said.salt_len, said.hash_len) == (16, 32)


def test_others_verify_what_it_makes() -> None:
    """The encoding is that of the reference implementation; each hash has its own salt."""
    stored = CHEAP.hash(PASSWORD)
    assert argon2.PasswordHasher().verify(stored, PASSWORD)
    assert CHEAP.hash(PASSWORD) != stored


@pytest.mark.parametrize("kind", low_level.Type)
@pytest.mark.parametrize("version", [16, 19])
def test_it_verifies_what_others_make(kind: low_level.Type, version: int) -> None:
    """Every variant, and the version from before the RFC."""
    stored = made(kind, version, parallelism=2, hash_len=24)
    assert CHEAP.work_of(stored) == 32
    assert CHEAP.matches(stored, PASSWORD)
    assert not CHEAP.matches(stored, PASSWORD[:-1])


def test_a_hash_from_before_versions_is_verified() -> None:
    """argon2 1.2 and older wrote no version."""
    stored = made(version=16).replace("$v=16", "")
    assert CHEAP.matches(stored, PASSWORD)


def test_nul_bytes_are_part_of_a_password() -> None:
    """Nothing ends at one."""
    stored = CHEAP.hash(b"before\0after")
    assert CHEAP.refusal(b"before\0after") is None
    assert CHEAP.matches(stored, b"before\0after") and not CHEAP.matches(stored, b"before\0later")


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "!",
        "$argon2id$",
        f"$argon2id$v=19$m=16,t=2,p=1${SALT}",
        f"$argon2id$v=19$m=16,t=2,p=1${SALT}$",
        f"$argon2id$v=19$m=16,t=2,p=1${SALT}${TAG}$",
        f"$argon2id$v=19$m=16,t=2,p=1${SALT}${TAG}\n",
        f"$argon2id$v=19$m=16,t=2,p=1${SALT}${TAG[:41]}",
        f"$argon2id$v=19$m=16,t=2,p=1$c2FsdHNhbHRz${TAG}é",
        f"$argon2id$v=18$m=16,t=2,p=1${SALT}${TAG}",
        f"$argon2x$v=19$m=16,t=2,p=1${SALT}${TAG}",
        f"$argon2id$v=19$m=0,t=2,p=1${SALT}${TAG}",
        f"$argon2id$v=19$m=16,t=0,p=1${SALT}${TAG}",
        f"$argon2id$v=19$m=16,t=2,p=0${SALT}${TAG}",
        f"$argon2id$v=19$m=16,t=2,p=3${SALT}${TAG}",
        f"$argon2id$v=19$m=1024,t=2,p=65${SALT}${TAG}",
        f"$argon2id$v=19$m=-16,t=2,p=1${SALT}${TAG}",
        f"$argon2id$v=19$m=١٦,t=2,p=1${SALT}${TAG}",
    ],
)
def test_what_is_no_hash_is_not_run(stored: str) -> None:
    """Truncated, extended, of an unknown kind, with costs that argon2 refuses: nothing to compare with."""
    assert CHEAP.work_of(stored) == 0
    assert not CHEAP.matches(stored, PASSWORD) and CHEAP.is_weaker(stored)


@pytest.mark.parametrize("costs", ["m=4294967295,t=1", "m=524288,t=1", "m=65536,t=65", "m=16,t=4294967295"])
def test_absurd_costs_are_not_run(costs: str) -> None:
    """A planted hash of 4 TiB, or of a week, costs nobody anything."""
    assert argon2id().work_of(f"$argon2id$v=19${costs},p=1${SALT}${TAG}") == 0


def test_what_is_configured_is_never_absurd() -> None:
    """Whoever hashes with 2 GiB (the first option of RFC 9106) verifies such hashes."""
    large = argon2id(3, 1 << 21, 4)
    assert large.work_of(f"$argon2id$v=19$m=2097152,t=3,p=4${SALT}${TAG}") == 3 << 21


@given(
    st.text()
    | st.from_regex(r"\$argon2(id|i)\$v=19\$m=[0-9]{1,2},t=[0-9],p=[0-9]\$[A-Za-z0-9+/]{,24}\$[A-Za-z0-9+/]{,48}")
)
def test_no_hash_is_an_error(stored: str) -> None:
    """Whatever a database holds, there is an answer."""
    assert CHEAP.work_of(stored) >= 0
    assert not CHEAP.matches(stored, PASSWORD)
    CHEAP.is_weaker(stored)


@pytest.mark.parametrize(
    ("stored", "weaker"),
    [
        (made(), False),
        (made(time_cost=1), True),
        (made(memory_cost=8), True),
        (made(time_cost=3), False),
        (made(memory_cost=32), False),
        (made(time_cost=4, memory_cost=8), False),
        (made(low_level.Type.I), True),
        (made(version=16), True),
        (made(hash_len=16), True),
        (made(low_level.Type.I, time_cost=20), False),
    ],
)
def test_weaker_is_what_took_less_work(stored: str, weaker: bool) -> None:
    """More of one cost makes up for less of the other; what took more work stays, whatever else it is."""
    assert CHEAP.is_weaker(stored) is weaker


def test_a_short_salt_is_weaker() -> None:
    """A salt of 64 bits is one that others may have."""
    stored = low_level.hash_secret(PASSWORD, b"s" * 8, 2, 16, 1, 32, low_level.Type.ID).decode()
    assert CHEAP.matches(stored, PASSWORD) and CHEAP.is_weaker(stored)


@pytest.mark.parametrize("work", [8, 32, 100, 190_000])
def test_spending_does_the_work_of_a_comparison(work: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many KiB are filled as asked for, to the pass, and never more memory at once than a hash of its own takes."""
    fills: list[tuple[int, int]] = []
    real = low_level.hash_secret_raw

    def counting(password: bytes, salt: bytes, passes: int, memory: int, *others: Any) -> bytes:
        fills.append((passes, memory))
        return real(password, salt, passes, memory, *others)

    monkeypatch.setattr(low_level, "hash_secret_raw", counting)
    hasher = argon2id(3, 1024, 1, weak_for_tests=True)
    hasher.spend(work)
    ((passes, memory),) = fills
    assert work - passes < passes * memory <= work and memory <= 1024


@pytest.mark.parametrize("work", [0, -5])
def test_nothing_is_spent_on_nothing(work: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has done more than the others has nothing to make up for."""
    monkeypatch.delattr(low_level, "hash_secret_raw")
    CHEAP.spend(work)


@pytest.mark.parametrize(
    "costs", [(5, 7168, 1), (4, 9216, 1), (3, 12288, 1), (2, 19456, 1), (1, 47104, 1), (3, 65536, 4)]
)
def test_what_owasp_takes_is_taken(costs: tuple[int, int, int]) -> None:
    """All the pairs of the cheat sheet."""
    assert argon2id(*costs) == Argon2id(*costs)


@pytest.mark.parametrize("costs", [(1, 19456, 1), (2, 16384, 1), (50, 4096, 1), (1, 8, 1)])
def test_weak_costs_are_refused(costs: tuple[int, int, int]) -> None:
    """Less work, or so little memory that a graphics card has it thousands of times."""
    with pytest.raises(ConfigurationError, match="time_cost=2, memory_kib=19456, parallelism=1"):
        argon2id(*costs)


@pytest.mark.parametrize("costs", [(0, 65536, 1), (3, 65536, 0), (3, 65536, 65), (3, 15, 2)])
def test_costs_that_cannot_be_are_refused(costs: tuple[int, int, int]) -> None:
    """In tests, too."""
    with pytest.raises(ConfigurationError, match="8 KiB or more for each of 1 to 64 lanes"):
        argon2id(*costs, weak_for_tests=True)


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is written, and not at the first login."""
    monkeypatch.setitem(sys.modules, "argon2", None)
    with pytest.raises(ConfigurationError, match=r'pip install "gatewright\[passwords\]"'):
        argon2id()
