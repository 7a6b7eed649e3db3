"""Hashing and comparing: in threads, at the same price for everybody, and never an error."""

from __future__ import annotations

import os
import threading
from typing import Any

import anyio
import pytest
from anyio import CapacityLimiter, create_task_group, to_thread
from hypothesis import given
from hypothesis import strategies as st

from gatewright import ConfigurationError, InvalidInput
from gatewright.auth.passwords.argon2 import argon2id
from gatewright.auth.passwords.bcrypt import bcrypt
from gatewright.auth.passwords.hasher import Hasher
from gatewright.auth.passwords.passwords import Passwords, PasswordVerdict
from gatewright.auth.passwords.policy import ClassicPolicy, NistPolicy
from gatewright.testing.passwords import cheap_passwords
from tests.auth.passwords.toys import Toy

pytestmark = pytest.mark.anyio

CHEAP = argon2id(1, 16, 1, weak_for_tests=True)
CHEAP_BCRYPT = bcrypt(5, weak_for_tests=True)
PASSWORD = "correct horse battery staple"
TOO_MANY_BYTES = "Should have at most 72 bytes; letters beyond ASCII take two or more"


def both() -> Passwords:
    return Passwords([CHEAP, CHEAP_BCRYPT])


async def details_of(awaitable: Any) -> Any:
    """Return the details of the refusal that awaiting this ends with."""
    with pytest.raises(InvalidInput) as refused:
        await awaitable
    return refused.value.details


# Hashing and comparing


async def test_a_hash_matches_its_password_and_no_other() -> None:
    """What `hash` returns, `verify_and_update` knows; a verdict is as true as it says."""
    passwords = both()
    stored = await passwords.hash(PASSWORD)
    assert await passwords.verify_and_update(stored, PASSWORD) == PasswordVerdict(True, None)
    assert await passwords.verify_and_update(stored, PASSWORD.title()) == PasswordVerdict(False, None)
    assert PasswordVerdict(True) and not PasswordVerdict(False)


def test_the_defaults_are_argon2id_then_bcrypt() -> None:
    """And NIST's policy."""
    passwords = Passwords()
    assert (passwords.hashers, passwords.policy) == ((argon2id(), bcrypt()), NistPolicy())
    assert all(isinstance(hasher, Hasher) for hasher in passwords.hashers)


async def test_a_password_is_compared_whole() -> None:
    """The last of 1024 characters counts, and so do case and the spaces around it (ASVS 5.0, 6.2.8 and 6.2.9)."""
    passwords = cheap_passwords()
    long = "a" * 1023 + "b"
    stored = await passwords.hash(long)
    assert await passwords.verify_and_update(stored, long)
    for other in (long[:-1], long[:-1] + "c", long.upper(), f" {long[:-1]}", f"{long[:-1]} "):
        assert not await passwords.verify_and_update(stored, other)


async def test_64_characters_of_any_kind_are_taken() -> None:
    """192 bytes of UTF-8, and 256 (ASVS 5.0, 6.2.9)."""
    for password in ("猫" * 64, "🦦" * 64):
        stored = await both().hash(password)
        assert await both().verify_and_update(stored, password)


async def test_the_same_keys_make_the_same_password() -> None:
    """A keyboard that sends é in two pieces sends the same é (NIST SP 800-63B-4, 3.1.1.2)."""
    stored = await both().hash("cafe\u0301 et the\u0301")
    assert await both().verify_and_update(stored, "caf\xe9 et th\xe9") == PasswordVerdict(True)


async def test_a_hash_of_what_was_typed_as_it_was_matches_and_is_replaced() -> None:
    """Who moves here from a library that does not normalise loses no user, whatever they type."""
    typed = "cafe\u0301 et the\u0301"
    stored = CHEAP.hash(typed.encode())
    matches, rehash = await both().verify_and_update(stored, typed)
    assert matches and rehash is not None
    assert await both().verify_and_update(rehash, "caf\xe9 et th\xe9") == PasswordVerdict(True)
    assert not await both().verify_and_update(stored, "caf\xe9 et th\xe9")


# Better hashes


async def test_a_hash_of_another_scheme_is_replaced() -> None:
    """By one of the first hasher, of which nothing is left to do."""
    passwords = both()
    matches, rehash = await passwords.verify_and_update(CHEAP_BCRYPT.hash(PASSWORD.encode()), PASSWORD)
    assert matches and rehash is not None and rehash.startswith("$argon2id$")
    assert await passwords.verify_and_update(rehash, PASSWORD) == PasswordVerdict(True)


async def test_a_weaker_hash_is_replaced_and_a_stronger_one_stays() -> None:
    """Story: pwdlib 0.3.0 and 0.3.1 make a hash of cost 10 out of one of cost 12, at the next login."""
    passwords = Passwords([CHEAP_BCRYPT])
    weak, strong = (bcrypt(cost, weak_for_tests=True).hash(PASSWORD.encode()) for cost in (4, 6))
    _, rehash = await passwords.verify_and_update(weak, PASSWORD)
    assert rehash is not None and rehash.startswith("$2b$05$")
    assert await passwords.verify_and_update(strong, PASSWORD) == PasswordVerdict(True)


async def test_a_stronger_hash_stays_however_its_password_is_spelt() -> None:
    """Another spelling is no reason to make it weaker."""
    strong = argon2id(2, 16, 1, weak_for_tests=True).hash("cafe\u0301".encode())
    assert await both().verify_and_update(strong, "cafe\u0301") == PasswordVerdict(True, None)


async def test_nothing_is_replaced_by_what_the_first_hasher_cannot_take() -> None:
    """Who goes back to bcrypt keeps the argon2 hashes of passwords that are too long for it."""
    stored = CHEAP.hash(b"x" * 80)
    verdict = await Passwords([CHEAP_BCRYPT, CHEAP]).verify_and_update(stored, "x" * 80)
    assert verdict == PasswordVerdict(True, None)


async def test_a_password_that_does_not_match_replaces_nothing() -> None:
    """However weak the hash."""
    weak = bcrypt(4, weak_for_tests=True).hash(PASSWORD.encode())
    assert await both().verify_and_update(weak, "another") == PasswordVerdict(False, None)


# Never an error


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "!",
        "*",
        None,
        "x",
        "pbkdf2_sha256$600000$salt$hash",
        "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA",
        "\ud800",
        "é" * 9999,
    ],
)
async def test_a_hash_that_cannot_be_used_is_an_ordinary_failure(stored: str | None) -> None:
    """Story: in fastapi-users 15 a user whose hash is "!" gets 500, UnknownHashError."""
    assert await both().verify_and_update(stored, PASSWORD) == PasswordVerdict(False)


async def test_a_long_password_at_a_bcrypt_hash_is_an_ordinary_failure() -> None:
    """Story: in fastapi-users 15 with bcrypt 5, a password of 80 characters is a ValueError, and a 500."""
    stored = CHEAP_BCRYPT.hash(b"x" * 72)
    assert await both().verify_and_update(stored, "x" * 80) == PasswordVerdict(False)


@pytest.mark.parametrize("password", ["\ud800", "x" * 1025, "x" * 1_000_000, "a\0b", ""])
async def test_a_password_that_nobody_has_is_an_ordinary_failure(password: str) -> None:
    """Half of a surrogate pair, a megabyte, nothing at all; nor has anybody one that could not be chosen."""
    assert not await both().verify_and_update(CHEAP.hash(b"x" * len(password)), "x" * max(1025, len(password)))
    for hasher in (CHEAP, CHEAP_BCRYPT):
        assert not await both().verify_and_update(hasher.hash(b"x"), password)


@given(st.text(), st.text() | st.none())
def test_whatever_is_compared_there_is_an_answer(password: str, stored: str | None) -> None:
    """For any password and any hash."""
    compared = anyio.run(both().verify_and_update, stored, password)
    assert not compared


async def test_a_hash_in_bytes_is_said_to_be_one() -> None:
    """Else nobody could log in, and nobody would know why; the message does not show it."""
    stored: Any = b"$2b$12$secret"
    with pytest.raises(ConfigurationError, match="and not a bytes; decode it"):
        await both().verify_and_update(stored, PASSWORD)


@pytest.mark.parametrize(
    ("hasher", "password", "message"),
    [
        (CHEAP, "x" * 1025, "Should have at most 1024 characters"),
        (CHEAP, "half of \ud83e a pair", "Should be text that can be written in UTF-8"),
        (CHEAP_BCRYPT, "семьдесят семь выдр плывут по широкой реке", TOO_MANY_BYTES),
        (CHEAP_BCRYPT, "seven otters\0 in a row", "Should have no NUL characters"),
    ],
)
async def test_what_cannot_be_hashed_is_the_clients_to_mend(hasher: Hasher, password: str, message: str) -> None:
    """A refusal of the field, from `hash` and from `check`, and never an error of the server."""
    assert await details_of(Passwords([hasher]).hash(password)) == {"password": [message]}
    assert await details_of(Passwords([hasher]).check(password)) == {"password": [message]}


# The same price for everybody

SLOW, QUICK = 40, 10
COMPARED = [
    None,
    "",
    "!",
    "unknown$40$x",
    f"slow${SLOW}$right",
    "slow$7$right",
    f"quick${QUICK}$right",
    "quick$1$right",
]


@pytest.mark.parametrize("stored", COMPARED)
@pytest.mark.parametrize("password", ["wrong", "x" * 2000, "\ud800"])
async def test_a_failure_costs_the_same_whatever_it_is_compared_with(stored: str | None, password: str) -> None:
    """Story: fastapi-users, wrong password: unknown user 118 ms, argon2 123, bcrypt-12 216, bcrypt-10 54.

    So its dummy hash names every account whose hash is not yet replaced. Here each failure is the work of one hash of
    each hasher, done by whoever's hash it is and made up for by the others (ASVS 5.0, 6.3.8).
    """
    slow, quick = Toy("slow", SLOW), Toy("quick", QUICK)
    assert not await Passwords([slow, quick]).verify_and_update(stored, password)
    assert (sum(slow.spent), sum(quick.spent)) == (SLOW, QUICK)


@pytest.mark.parametrize("stored", COMPARED)
async def test_a_password_with_two_spellings_costs_twice_for_everybody(stored: str | None) -> None:
    """Who types it learns nothing by that."""
    slow, quick = Toy("slow", SLOW), Toy("quick", QUICK)
    assert not await Passwords([slow, quick]).verify_and_update(stored, "cafe\u0301")
    assert (sum(slow.spent), sum(quick.spent)) == (2 * SLOW, 2 * QUICK)


async def test_a_success_costs_one_comparison() -> None:
    """It is no secret that it is one."""
    slow, quick = Toy("slow", SLOW), Toy("quick", QUICK)
    assert await Passwords([slow, quick]).verify_and_update(f"slow${SLOW}$right", "right") == PasswordVerdict(True)
    assert (slow.spent, quick.spent) == ([SLOW], [])


# Threads


async def test_hashing_runs_in_threads_and_only_so_many_at_a_time() -> None:
    """Story: LangBot#2284, maas#659, mcp-context-forge#1836: a hash on the event loop stops every other request."""
    toy = Toy(together=2)
    passwords = Passwords([toy], limiter=2)
    async with create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(passwords.hash, PASSWORD)
            tasks.start_soon(passwords.verify_and_update, None, PASSWORD)
    # Two have met in a thread each, and never a third.
    assert (len(toy.spent), toy.most) == (6, 2)
    assert threading.get_ident() not in toy.threads


async def test_other_threads_are_not_used_up() -> None:
    """Plain handlers have their own, however many log in."""
    others = to_thread.current_default_thread_limiter()
    seen: list[float] = []

    class Looking(Toy):
        def _do(self, work: int) -> None:
            seen.append(others.borrowed_tokens)

    await Passwords([Looking()], limiter=1).hash(PASSWORD)
    assert seen == [0]


async def test_a_limiter_can_be_shared() -> None:
    """With other work that needs the cores."""
    toy, limiter = Toy(together=1), CapacityLimiter(1)
    async with create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(Passwords([toy], limiter=limiter).hash, PASSWORD)
    assert (len(toy.spent), toy.most) == (4, 1)
    assert limiter.statistics().borrowed_tokens == 0


def test_one_object_serves_several_event_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """One limiter cannot serve two loops, and two cannot serve one: each loop has its own, and keeps it."""
    made: list[float] = []

    class Counted(CapacityLimiter):
        def __new__(cls, total_tokens: float) -> CapacityLimiter:
            made.append(total_tokens)
            return CapacityLimiter(total_tokens)

    monkeypatch.setattr("gatewright.auth.passwords.passwords.CapacityLimiter", Counted)
    passwords = Passwords([Toy()], limiter=3)

    async def several() -> None:
        for _ in range(4):
            await passwords.hash(PASSWORD)

    for backend in ("asyncio", "trio", "asyncio"):
        anyio.run(several, backend=backend)
    assert made == [3, 3, 3]


@pytest.mark.parametrize(("cores", "count"), [({0, 1, 2}, 3), (None, 5)])
def test_by_default_there_are_as_many_as_cores(
    cores: set[int] | None, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that this process may use, where the system says so."""
    if cores is None:
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    else:
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: cores, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    toy = Toy(together=count)
    passwords = Passwords([toy])

    async def twice_as_many() -> None:
        async with create_task_group() as tasks:
            for _ in range(2 * count):
                tasks.start_soon(passwords.hash, PASSWORD)

    anyio.run(twice_as_many)
    assert toy.most == count


# Choosing one


async def test_a_password_that_will_do_is_no_problem() -> None:
    """`check` says nothing, `problems` nothing."""
    assert await cheap_passwords().problems(PASSWORD, context=["ada"]) == []
    await cheap_passwords().check(PASSWORD, context=["ada"])


async def test_what_is_wrong_belongs_to_the_field() -> None:
    """All of it at once, under the path that the handler says."""
    expected = ["Should have at least 15 characters", "Is among the first that anybody would try"]
    assert await cheap_passwords().problems("password") == expected
    assert await details_of(cheap_passwords().check("password")) == {"password": expected}
    assert await details_of(cheap_passwords().check("password", field="new_password")) == {"new_password": expected}


async def test_the_context_is_the_users() -> None:
    """Beside that of the policy."""
    problems = await cheap_passwords().problems("ada.lovelace.1815", context=["ada.lovelace@example.com"])
    assert problems == ["Should not be made of your name, your address or the name of this service"]


async def test_a_breached_password_is_refused() -> None:
    """By whatever the application asks (ASVS 5.0, 6.2.12), which is asked only of what would be taken."""
    asked: list[str] = []

    async def known(password: str) -> bool:
        asked.append(password)
        return password == PASSWORD

    passwords = cheap_passwords(Passwords(breached=known))
    assert await passwords.problems("short") and asked == []
    expected = ["Is known from a breach; who uses it elsewhere should change it there too"]
    assert await passwords.problems(PASSWORD) == expected
    assert await passwords.problems(PASSWORD + "s") == []
    assert asked == [PASSWORD, PASSWORD + "s"]


# What is written wrong


@pytest.mark.parametrize(
    ("arguments", "instead"),
    [
        ({"hashers": ()}, r"hashers=\[argon2id\(\)\]"),
        ({"hashers": [argon2id]}, r"hashers=\[argon2id\(\)\]"),
        ({"hashers": CHEAP}, r"hashers=\[argon2id\(\)\]"),
        ({"hashers": [CHEAP, argon2id()]}, "write one for each scheme"),
        ({"hashers": NistPolicy()}, r"hashers=\[argon2id\(\)\]"),
        ({"policy": "nist"}, r"write NistPolicy\(\)"),
        ({"policy": NistPolicy}, r"write NistPolicy\(\)"),
        ({"breached": len}, "write it as an `async def`"),
        ({"limiter": 0}, "write 1 or more"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_written(arguments: dict[str, Any], instead: str) -> None:
    """With what to write instead."""
    with pytest.raises(ConfigurationError, match=instead):
        Passwords(**arguments)


def test_cheap_passwords_keep_the_policy() -> None:
    """So that a test refuses what the app would."""
    cheap = cheap_passwords(Passwords(policy=ClassicPolicy(), limiter=3))
    assert (cheap.policy, cheap.limiter, len(cheap.hashers)) == (ClassicPolicy(), 3, 1)
