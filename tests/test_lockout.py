"""`lockout`: who guesses is stopped, who is guessed at is not, whatever happens at the same time."""

from __future__ import annotations

import math
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import pytest
from fastapi import APIRouter, FastAPI, HTTPException
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route
from starlette.types import ASGIApp

from gatewright import (
    BadRequest,
    Call,
    ConfigurationError,
    ErrorMapper,
    FromBody,
    FromQuery,
    Gate,
    NotFound,
    Result,
    TooManyRequests,
    Unauthorized,
    ok,
    validate,
)
from gatewright._core.storage.opening import Storage
from gatewright.errors import Forbidden, ServiceUnavailable
from gatewright.fastapi import GuardedRoute as FastAPIRoute
from gatewright.lockout import Attempt, Attempts, Failures, Lockout, lockout
from gatewright.testing import EventList, FrozenClock, Reply, call, chunked, enter, make_call

pytestmark = pytest.mark.anyio
T = TypeVar("T")
HOME, OFFICE, ELSEWHERE = "192.0.2.1", "192.0.2.2", "192.0.2.3"


class Credentials(BaseModel):
    """What is sent to log in."""

    email: str
    password: str


class Users:
    """The one who has an account, and how often a password was compared."""

    def __init__(self) -> None:
        self.compared = 0

    async def check(self, email: str, password: str) -> bool:
        """Compare, as slowly for a name that nobody has."""
        self.compared += 1
        await anyio.lowlevel.checkpoint()
        return email.strip().casefold() == "ada" and password == "right"


class Door:
    """A login, with a clock that a test moves."""

    def __init__(self, lock: Lockout | None = None, storage: str | Storage = "memory://") -> None:
        self.lock = lock or lockout("5/15 minutes", scope="login")
        self.users = Users()
        self.clock = FrozenClock()
        self.events = EventList()
        self.gate = Gate(storage=storage, clock=self.clock, log=self.events)
        users = self.users

        @self.lock
        @validate
        async def login(body: FromBody[Credentials], attempts: Attempts) -> Result[None]:
            async with attempts(body.email) as attempt:
                if not await users.check(body.email, body.password):
                    raise Unauthorized("Wrong email or password")
                await attempt.succeed()
            return ok()

        self.handler = login

    async def knock(self, email: str, password: str, network: str = HOME, **request: Any) -> Reply:
        """Try to log in."""
        body = {"email": email, "password": password}
        return await call(self.handler, json=body, client=network, gate=self.gate, **request)

    async def wrong(self, times: int, email: str = "ada", network: str = HOME) -> list[int]:
        """Guess, and return the statuses."""
        return [(await self.knock(email, "wrong", network)).status for _ in range(times)]


# What is refused


async def test_after_too_many_failures_nobody_guesses_on() -> None:
    """The password is not even compared, right or wrong, until the time is over."""
    door = Door()
    assert await door.wrong(6) == [401] * 5 + [429]
    assert (await door.knock("ada", "right")).status == 429
    assert door.users.compared == 5
    door.clock.advance(15 * 60)
    assert (await door.knock("ada", "right")).status == 200


async def test_a_refusal_says_when_and_nothing_else() -> None:
    """429 with `Retry-After`, which is not to be stored, and a type of problem."""
    door = Door()
    await door.wrong(5)
    door.clock.advance(0.5)
    reply = await door.knock("ada", "wrong", headers={"accept": "application/problem+json"})
    assert (reply.status, reply.headers["retry-after"], reply.headers["cache-control"]) == (429, "900", "no-store")
    problem = reply.json
    del problem["request_id"]
    assert problem == {
        "type": "https://iana.org/assignments/http-problem-types#abnormal-usage-detected",
        "title": "Too many failed attempts; try again later",
        "status": 429,
        "code": "locked_out",
    }


async def test_a_lock_is_not_extended_by_those_who_knock() -> None:
    """What is refused costs nothing: the lock ends when it would have ended."""
    door = Door()
    await door.wrong(5)
    for _ in range(14):
        door.clock.advance(60)
        assert await door.wrong(20) == [429] * 20
    door.clock.advance(60)
    assert (await door.knock("ada", "right")).status == 200


async def test_retry_after_is_never_too_early() -> None:
    """Who waits as long as he was told is let in."""
    door = Door(lockout("2/10 seconds; 3/minute", scope="login"))
    for network in (HOME, OFFICE):
        while (reply := await door.knock("ada", "wrong", network)).status != 429:
            door.clock.advance(1.7)
        door.clock.advance(int(reply.headers["retry-after"]))
        assert (await door.knock("ada", "wrong", network)).status == 401


async def test_a_success_forgets_the_failures_at_this_account_from_this_network() -> None:
    """Typing errors do not add up over a day."""
    door = Door()
    for _ in range(10):
        await door.wrong(4)
        assert (await door.knock("ada", "right")).status == 200
    assert await door.wrong(6) == [401] * 5 + [429]


async def test_a_name_that_nobody_has_is_refused_like_any_other() -> None:
    """Same number, same body: what is locked says nothing of who has an account."""
    door = Door()
    answers: list[list[Any]] = []
    for email, network in (("ada", HOME), ("nobody", OFFICE)):
        replies = [await door.knock(email, "wrong", network, headers={"x-request-id": "same"}) for _ in range(7)]
        answers.append([(reply.status, reply.body, reply.headers) for reply in replies])
    assert answers[0] == answers[1]
    assert [status for status, _, _ in answers[0]] == [401] * 5 + [429] * 2


@pytest.mark.parametrize("spelling", ["ada", "ADA", "  ada\t", "ａｄａ", "Ada\u3000"])
async def test_one_account_is_counted_in_all_its_spellings(spelling: str) -> None:
    """Otherwise each spelling that the database takes for the account had guesses of its own."""
    door = Door()
    await door.wrong(5)
    assert (await door.knock(spelling, "wrong")).status == 429


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("straße", "STRASSE"),
        ("café", "cafe\u0301"),
        ("ǰ@x", "J\u030c@X"),
        ("Ω", "\u2126"),
        ("ﬁ", "FI"),
        ("ΐ", "\u0399\u0308\u0301"),
    ],
)
async def test_spellings_are_compared_without_case_and_composition(one: str, other: str) -> None:
    """Unicode's caseless matching, in compatibility form."""
    lock = lockout("1/minute", scope="login")
    made = make_call()
    async with lock.attempt(made, one):
        """Fail."""
    with pytest.raises(TooManyRequests):
        await lock.attempt(made, other).__aenter__()


async def test_a_normalisation_of_ones_own() -> None:
    """Where the database is more lenient, or accounts are told apart by case."""
    lock = lockout("1/minute", scope="login", normalise=lambda name: name.replace(".", ""))
    made = make_call()
    async with lock.attempt(made, "a.da"):
        """Fail."""
    async with lock.attempt(made, "Ada"):
        """Fail at another account."""
    with pytest.raises(TooManyRequests):
        await lock.attempt(made, "ad.a").__aenter__()


@pytest.mark.parametrize(
    "name", ["", " ", "\0", "\ud800", "x" * 1_000_000, "a" + "\u0301\u0316" * 250_000, "\ufdfa" * 99_999]
)
async def test_any_name_is_a_name(name: str) -> None:
    """A megabyte of accents would keep Unicode's normalisation at work for minutes; it never gets to see it."""
    lock = lockout("1/minute", scope="login")
    made = make_call()
    async with lock.attempt(made, name):
        """Fail."""
    with pytest.raises(TooManyRequests):
        await lock.attempt(made, name).__aenter__()


async def test_spaces_before_a_long_name_do_not_push_it_out() -> None:
    """They are cut off first, however many."""
    lock = lockout("1/minute", scope="login")
    made = make_call()
    async with lock.attempt(made, "ada"):
        """Fail."""
    with pytest.raises(TooManyRequests):
        await lock.attempt(made, " " * 100_000 + "ada" + "\u2003" * 100_000).__aenter__()


# Whom it protects


async def test_story_goiabada_89_oxicloud_323_ezauth_196_yuxi_883_a_victim_cannot_be_locked_out() -> None:
    """There an attacker who failed often enough locked the account itself, and so its owner, for as he liked."""
    door = Door()
    for network in range(300):
        await door.wrong(1, network=f"198.51.{network // 256}.{network % 256}")
    assert (await door.knock("ada", "right", HOME)).status == 200


async def test_a_victim_who_mistypes_waits_no_longer_than_one_lock() -> None:
    """Under attack a network has one attempt where it had five, and gets it back as soon."""
    door = Door()
    for network in range(100):
        await door.wrong(1, network=f"198.51.100.{network}")
    assert await door.wrong(2) == [401, 429]
    assert door.events[-1]["lockout"] == "account"
    assert int((await door.knock("ada", "right")).headers["retry-after"]) == 15 * 60
    door.clock.advance(15 * 60)
    assert (await door.knock("ada", "right")).status == 200


async def test_story_symfony_61932_many_networks_guess_no_further_than_one_attempt_each() -> None:
    """There each address had all its attempts, so that whoever has enough addresses guessed for ever."""
    door = Door()
    networks = [f"198.51.100.{network}" for network in range(100)]
    for network in networks:
        await door.wrong(5, network=network)
    compared = door.users.compared
    assert compared == 100 + 80  # 20 networks had all five before the account's hundred were over
    door.clock.advance(15 * 60)
    for network in networks:
        await door.wrong(5, network=network)
    assert door.users.compared == compared + 100


async def test_story_oxicloud_326_one_network_at_many_accounts_is_stopped() -> None:
    """There only accounts were counted: one password could be tried at all of them."""
    door = Door()
    statuses = [(await door.wrong(1, email=f"user{number}"))[0] for number in range(60)]
    assert statuses == [401] * 50 + [429] * 10
    assert door.events[-1]["lockout"] == "network"
    assert (await door.knock("ada", "right", OFFICE)).status == 200


async def test_story_trinity_591_a_success_does_not_make_a_network_new() -> None:
    """There an attacker logged in to an account of his own whenever he was close to the limit of his address."""
    door = Door()
    statuses: list[int] = []
    for number in range(60):
        statuses += await door.wrong(1, email=f"user{number}")
        if statuses[-1] == 401:
            assert (await door.knock("ada", "right")).status in (200, 429)
    assert statuses.count(401) == 50


async def test_a_network_that_is_locked_is_refused_before_anything_is_read() -> None:
    """A flood of guesses costs a look, and not a body."""
    door = Door(lockout("5/15 minutes", network="3/hour", scope="login"))
    await door.wrong(3)
    body = b'{"email": "ada", "password": "right"}'
    reply = await call(door.handler, method="POST", data=chunked(body, 5), client=HOME, gate=door.gate)
    assert (reply.status, reply.consumed, reply.headers["retry-after"]) == (429, 0, "3600")
    assert door.events[-1]["lockout"] == "network"


async def test_a_network_is_the_64_of_an_ipv6_address() -> None:
    """A customer has all of it to himself."""
    door = Door()
    for host in range(5):
        await door.wrong(1, network=f"2001:db8::{host:x}")
    assert await door.wrong(1, network="2001:db8::ffff") == [429]
    assert await door.wrong(1, network="2001:db8:0:1::1") == [401]


async def test_without_limits_for_networks_and_accounts_only_pairs_are_counted() -> None:
    """Where hundreds sit behind one address, say."""
    door = Door(lockout("5/15 minutes", network=None, account=None, scope="login"))
    for number in range(60):
        await door.wrong(1, email=f"user{number}")
        await door.wrong(1, network=f"198.51.100.{number}")
    assert await door.wrong(6) == [401] * 5 + [429]


# What is a failure


class WrongPassword(Exception):
    """An error of the application's own."""


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (Unauthorized(), True),
        (Forbidden(), True),
        (BadRequest("Wrong email or password"), True),
        (NotFound("No such user"), True),
        (HTTPException(401), True),
        (WrongPassword(), True),
        (TooManyRequests(), False),
        (ServiceUnavailable(), False),
        (HTTPException(503), False),
        (ValueError("a bug"), False),
        (ClientDisconnect(), False),
        (TimeoutError(), False),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_an_error_that_blames_the_client_is_a_failure(error: Exception, counts: bool) -> None:
    """A fault of ours, or a further limit, is none: nobody learned whether the guess was right."""
    gate = Gate(errors=ErrorMapper().register(WrongPassword, lambda exc: Unauthorized()), log=EventList())
    lock = lockout("5/minute", scope="login")
    made = make_call(gate=gate)
    with pytest.raises(type(error)):
        async with lock.attempt(made, "ada"):
            raise error
    assert {each.failed for each in await lock.peek(gate, "ada", made.client)} == {int(counts)}


async def test_who_says_nothing_has_failed() -> None:
    """`return err(...)` in the middle of it, or a page that says "wrong", is no success: silence never unlocks."""
    lock = lockout("5/minute", scope="login")
    made = make_call()
    async with lock.attempt(made, "ada"):
        """Return."""
    assert {each.failed for each in await lock.peek(made.gate, "ada", made.client)} == {1}


@pytest.mark.parametrize(
    ("words", "failed"), [(["succeed"], 0), (["fail"], 1), (["succeed", "fail"], 0), (["fail", "succeed"], 1)]
)
async def test_the_first_word_counts(words: list[str], failed: int) -> None:
    """Also where something goes wrong after it."""
    lock = lockout("5/minute", scope="login")
    made = make_call()
    with pytest.raises(ValueError, match="after"):
        async with lock.attempt(made, "ada") as attempt:
            for word in words:
                await getattr(attempt, word)()
            raise ValueError("after")
    assert {each.failed for each in await lock.peek(made.gate, "ada", made.client)} == {failed}


async def test_an_attempt_that_is_cancelled_counts_for_nothing() -> None:
    """Its client left, or the server stops."""
    lock = lockout("5/minute", scope="login")
    made = make_call()

    async def attempt() -> None:
        async with lock.attempt(made, "ada"):
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(attempt)
        await anyio.wait_all_tasks_blocked()
        assert {each.failed for each in await lock.peek(made.gate, "ada", made.client)} == {1}
        tasks.cancel_scope.cancel()
    assert {each.failed for each in await lock.peek(made.gate, "ada", made.client)} == {0}


# At the same time


async def test_of_a_hundred_guesses_at_once_no_more_are_tried_than_may_fail() -> None:
    """Each is charged when it begins, and not when it is known to be wrong."""
    door = Door()
    statuses: list[int] = []

    async def guess() -> None:
        statuses.append((await door.knock("ada", "wrong")).status)

    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(guess)
    assert (statuses.count(401), statuses.count(429), door.users.compared) == (5, 95, 5)


async def test_attempts_that_turn_out_right_leave_nothing_behind() -> None:
    """As many as may fail are under way at once; then the count is as it was."""
    door = Door()

    async def log_in() -> None:
        assert (await door.knock("ada", "right")).status == 200

    for _ in range(20):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(log_in)
    assert {each.failed for each in await door.lock.peek(door.gate, "ada", HOME)} == {0}


# A machine against a plain reference


@dataclass
class Reference:
    """Windows in a dictionary, in whole milliseconds: what is counted, when it began, and how much."""

    windows: dict[tuple[str, ...], tuple[int, int]] = field(default_factory=dict[tuple[str, ...], tuple[int, int]])

    LIMITS = {1: (6, 40_000), 2: (3, 10_000), 3: (5, 100_000)}  # noqa: RUF012  # by the length of what is counted

    def used(self, key: tuple[str, ...], now: int) -> int:
        """Return how many failures are counted."""
        start, used = self.windows.get(key, (now, 0))
        return used if now - start < self.LIMITS[len(key)][1] else 0

    def ends(self, key: tuple[str, ...]) -> int:
        """Return when a window ends."""
        return self.windows[key][0] + self.LIMITS[len(key)][1]

    def full(self, key: tuple[str, ...], now: int) -> bool:
        """Say whether no more failures are let in."""
        return self.used(key, now) >= self.LIMITS[len(key)][0]

    def lets_in(self, account: str, network: str, at: int) -> bool:
        """Say whether an attempt is let in."""
        pair = account, network
        mistrusted = self.full((account, "", ""), at) and self.used(pair, at) > 0
        return not (self.full(pair, at) or self.full((network,), at) or mistrusted)

    def opens(self, account: str, network: str, now: int) -> int:
        """Return when an attempt is let in, if nobody else makes one: now, or when one of the windows ends."""
        keys = [key for key in ((account, network), (network,), (account, "", "")) if self.used(key, now)]
        return min(at for at in (now, *map(self.ends, keys)) if self.lets_in(account, network, at))

    def begin(self, account: str, network: str, now: int) -> list[tuple[tuple[str, ...], int]]:
        """Charge an attempt; return what was charged, and to which window."""
        paid: list[tuple[tuple[str, ...], int]] = []
        for key in ((account, network), (network,), (account, "", "")):
            if not self.full(key, now):
                used = self.used(key, now)
                start = self.windows[key][0] if used else now
                self.windows[key] = start, used + 1
                paid.append((key, start))
        return paid

    def give_back(self, paid: list[tuple[tuple[str, ...], int]], now: int) -> None:
        """Take a charge back out of its window."""
        for key, start in paid:
            used = self.used(key, now)
            if used and self.windows[key][0] == start:
                self.windows[key] = start, used - 1


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Return what comes of work that waits for nothing, as everything does in memory."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("it waits")


ACCOUNTS = st.sampled_from(["ada", "bob"])
NETWORKS = st.sampled_from([HOME, OFFICE, ELSEWHERE])
OUTCOMES = st.sampled_from(["right", "wrong", "silent", "broken", "denied"])


class Machine(RuleBasedStateMachine):
    """Attempts at accounts from networks, one after another and at once, as time passes."""

    underway = Bundle("underway")

    def __init__(self) -> None:
        super().__init__()
        self.clock = FrozenClock()
        self.gate = Gate(clock=self.clock, log=EventList())
        self.lock = lockout("3/10 seconds", network="6/40 seconds", account="5/100 seconds", scope="login")
        self.reference = Reference()

    @rule(seconds=st.sampled_from([0.001, 0.5, 1, 3, 9.999, 10, 40, 100]))
    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.clock.advance(seconds)

    @rule(target=underway, account=ACCOUNTS, network=NETWORKS)
    def begin(self, account: str, network: str) -> Any:
        """Begin an attempt: it is let in, or told when to come back, as the reference says."""
        now = round(self.clock.monotonic() * 1000)
        attempt = self.lock.attempt(make_call(gate=self.gate, client=network), account)
        opens = self.reference.opens(account, network, now)
        try:
            at_once(attempt.__aenter__())
        except TooManyRequests as refused:
            assert opens > now
            assert int((refused.headers or {})["Retry-After"]) == math.ceil((opens - now) / 1000)
            return multiple()
        assert opens == now
        return attempt, account, network, self.reference.begin(account, network, now)

    @rule(begun=consumes(underway), outcome=OUTCOMES)
    def end(self, begun: Any, outcome: str) -> None:
        """End one of those that are under way."""
        attempt, account, network, paid = begun
        now = round(self.clock.monotonic() * 1000)
        self.leave(attempt, outcome)
        if outcome in ("right", "broken"):
            self.reference.give_back(paid, now)
        if outcome == "right":
            self.reference.windows.pop((account, network), None)

    def leave(self, attempt: Attempt, outcome: str) -> None:
        """Leave the block in one of the ways that there are."""
        if outcome == "right":
            at_once(attempt.succeed())
        elif outcome == "wrong":
            at_once(attempt.fail())
        error: Exception | None = {"broken": ValueError(), "denied": Unauthorized()}.get(outcome)
        at_once(attempt.__aexit__(type(error) if error else None, error, None))

    @invariant()
    def counts_agree(self) -> None:
        """What support staff sees is what the reference counted."""
        now = round(self.clock.monotonic() * 1000)
        for account in ("ada", "bob"):
            for network in (HOME, OFFICE, ELSEWHERE):
                found = {each.of: each.failed for each in at_once(self.lock.peek(self.gate, account, network))}
                assert found == {
                    "account+network": self.reference.used((account, network), now),
                    "network": self.reference.used((network,), now),
                    "account": self.reference.used((account, "", ""), now),
                }


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestMachine = Machine.TestCase


# Whoever knows the account


async def test_it_is_told_by_whoever_knows_the_account() -> None:
    """No decorator is needed where a login object, a reset form or a backend makes the attempt."""
    lock = lockout("2/minute", scope="reset")
    door = Door(lock)

    @validate
    async def reset(email: FromQuery[str], made: Call) -> Result[None]:
        async with lock.attempt(made, email):
            raise NotFound

    for expected in (404, 404, 429):
        assert (await call(reset, query="email=ada", client=HOME, gate=door.gate)).status == expected
    assert (await door.knock("ada", "right")).status == 429


async def test_scopes_are_counted_apart() -> None:
    """A code of a second factor that was wrong locks no login."""
    one, other = lockout("1/minute", scope="login"), lockout("1/minute", scope="code")
    made = make_call()
    async with one.attempt(made, "ada"):
        """Fail."""
    async with other.attempt(made, "ada"):
        """Fail at something else."""
    with pytest.raises(TooManyRequests):
        await one.attempt(made, "ada").__aenter__()


async def test_equal_lockouts_of_one_scope_count_together_and_others_do_not() -> None:
    """Two objects that say the same are one lockout; one that allows less is not filled by one that allows more."""
    one, same, less = (lockout(limit, scope="login") for limit in ("3/minute", "3/minute", "2/minute"))
    made = make_call()
    for _ in range(3):
        async with one.attempt(made, "ada"):
            """Fail."""
    with pytest.raises(TooManyRequests):
        await same.attempt(made, "ada").__aenter__()
    async with less.attempt(made, "ada"):
        """Fail for the first time."""


async def test_support_staff_see_and_unlock() -> None:
    """An account from an address: with both names everything is forgotten that kept its owner out."""
    lock = lockout("2/minute", network="2/hour", account="2/day", scope="login")
    door = Door(lock)
    await door.wrong(2)
    assert await lock.peek(door.gate, " ADA ", HOME) == [
        Failures("account+network", "2/minute", 2, 60.0),
        Failures("network", "2/hour", 2, 3600.0),
        Failures("account", "2/day", 2, 86400.0),
    ]
    assert [each.of for each in await lock.peek(door.gate, "ada")] == ["account"]
    assert [each.of for each in await lock.peek(door.gate, address=HOME)] == ["network"]
    await lock.reset(door.gate, "ada")
    assert (await door.knock("ada", "right")).status == 429
    await lock.reset(door.gate, "Ada", HOME)
    assert {each.failed for each in await lock.peek(door.gate, "ada", HOME)} == {0}
    assert (await door.knock("ada", "right")).status == 200


async def test_support_staff_name_any_address_of_the_network() -> None:
    """A customer knows the address that he has today."""
    lock = lockout("2/minute", scope="login")
    door = Door(lock)
    await door.wrong(1, network="2001:db8::1")
    assert {each.failed for each in await lock.peek(door.gate, "ada", "2001:db8::2")} == {1}


async def test_to_unlock_takes_a_name() -> None:
    """Nothing is forgotten of everybody by mistake."""
    lock, gate = lockout("2/minute", scope="login", network=None), Gate(log=EventList())
    for ask in (lock.peek, lock.reset):
        with pytest.raises(ConfigurationError, match="name an account, an address, or both"):
            await ask(gate)
    assert await lock.peek(gate, address=HOME) == []


# What is told to whom


async def test_the_log_says_what_was_locked_and_never_who() -> None:
    """The client learns neither, the log not the name: people type passwords there."""
    door = Door()
    for _ in range(6):
        await door.knock("Hunter2", "wrong")
    event = door.events[-1]
    assert (event["lockout"], event["guards"]["lockout"], event["error"]) == ("account+network", "passed", "locked_out")
    assert "hunter2" not in repr(list(door.events)).casefold()
    assert "hunter2" not in repr(door.lock.attempt(make_call(), "Hunter2")).casefold()
    assert "account" not in (await door.knock("Hunter2", "wrong")).body.decode()


async def test_all_that_is_locked_is_noted() -> None:
    """And the longest of it is waited for."""
    lock = lockout("2/minute", network="2/hour", account="2/day", scope="login")
    made = make_call()
    for _ in range(2):
        async with lock.attempt(made, "ada"):
            """Fail."""
    with pytest.raises(TooManyRequests) as refused:
        await lock.attempt(made, "ada").__aenter__()
    assert (refused.value.headers or {})["Retry-After"] == "3600"
    assert made.notes == {"lockout": "account+network, network, account"}


async def test_what_locks_by_way_of_the_account_is_waited_for_too() -> None:
    """A network that is over its limit, and failed once where everybody failed too often, waits for both."""
    lock = lockout("5/hour", network="2/minute", account="2/day", scope="login")
    door = Door(lock)
    await door.wrong(1, network=OFFICE)
    await door.wrong(1)
    await door.wrong(1, email="bob")
    made = make_call(gate=door.gate, client=HOME)
    with pytest.raises(TooManyRequests) as refused:
        await lock.attempt(made, "ada").__aenter__()
    assert made.notes == {"lockout": "network, account"}
    assert (refused.value.headers or {})["Retry-After"] == "3600"


# Hosts


def _fastapi(lock: Lockout, how: str, gate: Gate) -> ASGIApp:
    router = APIRouter(route_class=FastAPIRoute) if how == "route class" else APIRouter()

    @router.post("/")
    @lock
    async def login(body: Credentials, attempts: Attempts) -> Result[None]:
        async with attempts(body.email):
            raise Unauthorized

    app = FastAPI()
    app.include_router(router)
    if how == "installed":
        gate.install(app)
        return app
    return gate.wrap(app)


@pytest.mark.parametrize("how", ["plain", "route class", "installed"])
async def test_it_guards_on_fastapi(how: str) -> None:
    """With FastAPI's own body, and the attempts injected beside it."""
    app = _fastapi(lockout("2/minute", scope="login"), how, Gate(log=EventList()))
    body = {"email": "ada", "password": "wrong"}
    assert [(await call(app, json=body)).status for _ in range(3)] == [401, 401, 429]


async def test_it_guards_a_whole_app() -> None:
    """Networks are refused in front of it; the same object on a handler inside acts once."""
    door = Door(lockout("5/minute", network="1/hour", scope="login"))
    app = door.lock(Starlette(routes=[Route("/", door.handler, methods=["POST"])]))
    body = {"email": "ada", "password": "wrong"}
    assert [(await call(app, json=body, gate=door.gate)).status for _ in range(2)] == [401, 429]


async def test_without_an_address_nobody_can_be_told_apart() -> None:
    """Not one count for everybody: that would lock them all."""
    with pytest.raises(ConfigurationError, match="the server gives no client address"):
        await enter(lockout("5/minute", scope="login"), make_call(client=None))


def test_attempts_are_filled_by_the_decorator() -> None:
    """Without it the handler is refused when sealed."""

    @validate
    async def login(body: FromBody[Credentials], attempts: Attempts) -> Result[None]:
        return ok()

    with pytest.raises(ConfigurationError, match=r"attempts is filled by @lockout\(\.\.\.\)"):
        Gate(log=EventList()).install(Starlette(routes=[Route("/", login)]))


def test_two_on_one_handler_are_refused() -> None:
    """It would be open whose attempts the handler gets."""
    with pytest.raises(ConfigurationError, match="two lockout"):
        lockout("1/minute", scope="a")(lockout("1/minute", scope="b")(_nothing))


# What is written


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"limit": "5/minuet"}, "'5/minuet' is no rate limit"),
        ({"limit": None}, "write how many failures an account takes"),
        ({"network": "50"}, "'50' is no rate limit"),
        ({"account": ""}, "'' is no rate limit"),
        ({"scope": ""}, "write a name for what is attempted"),
        ({"scope": None}, "write a name for what is attempted"),
        ({"normalise": "casefold"}, "write a function that takes a name"),
        ({"on_error": "ignore"}, 'write "local", "open" or "closed"'),
    ],
)
def test_mistakes_are_refused_when_decorating(said: dict[str, Any], message: str) -> None:
    """The message says what to write."""
    with pytest.raises(ConfigurationError, match=message):
        lockout(**{"limit": "5/minute", "scope": "login", **said})


def test_it_prints_as_it_is_written() -> None:
    """In the pipeline, and by itself."""
    plain = lockout("5/15 minutes", scope="login")
    written = "lockout('5/15 minutes', scope='login', network='50/hour', account='100/day')"
    assert (repr(plain), repr(plain(_nothing).pipeline)) == (written, f"ADMIT {written}")
    special = lockout("2/minute; 9/day", scope="x", network=None, account=None, normalise=str.lower, on_error="closed")
    assert repr(special) == (
        "lockout('2/minute; 9/day', scope='x', network=None, account=None, normalise=lower, on_error='closed')"
    )


# On a server


ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@pytest.mark.redis
@ON_ASYNCIO
async def test_of_a_hundred_guesses_at_two_processes_no_more_are_tried_than_may_fail(
    redis_url: str, prefix: str
) -> None:
    """Two gates, as in two processes, and one count."""
    storage = Storage(redis_url, deadline=5, prefix=prefix)
    lock = lockout("5/15 minutes", scope="login")
    doors = [Door(lock, storage), Door(lock, storage)]
    statuses: list[int] = []

    async def guess(door: Door) -> None:
        statuses.append((await door.knock("ada", "wrong")).status)

    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(guess, doors[number % 2])
    assert (statuses.count(401), statuses.count(429)) == (5, 95)
    assert doors[0].users.compared + doors[1].users.compared == 5
    assert {each.failed for each in await lock.peek(doors[0].gate, "ada", HOME)} == {5}
    await lock.reset(doors[1].gate, "ada", HOME)
    assert (await doors[0].knock("ada", "right")).status == 200
    assert {each.failed for each in await lock.peek(doors[1].gate, "ada", HOME)} == {0}
    for door in doors:
        await door.gate.close()


@pytest.mark.redis
@ON_ASYNCIO
async def test_a_victim_of_many_networks_gets_in_on_redis(redis_url: str, prefix: str) -> None:
    """The account's count never refuses by itself there either, and no name is to be read on the server."""
    import redis.asyncio

    lock = lockout("5/15 minutes", account="3/day", scope="login")
    door = Door(lock, Storage(redis_url, deadline=5, prefix=prefix))
    for number in range(3):
        await door.wrong(1, network=f"198.51.100.{number}")
    assert await door.wrong(2, network="198.51.100.1") == [429, 429]
    assert await door.wrong(2, network=OFFICE) == [401, 429]
    assert (await door.knock("ada", "right")).status == 200
    found = {(each.of, each.failed) for each in await lock.peek(door.gate, "ada", OFFICE)}
    assert found == {("account+network", 1), ("network", 1), ("account", 3)}
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        keys = [key async for key in client.scan_iter(f"{prefix}:*")]
    assert keys
    assert not any(b"ada" in key or b"198.51" in key for key in keys)
    await door.gate.close()


@pytest.mark.redis
@ON_ASYNCIO
async def test_without_limits_for_networks_there_is_nothing_to_look_at_on_redis(redis_url: str, prefix: str) -> None:
    """Asked for nothing, the server would call it a mistake, and be taken for one that is down."""
    lock = lockout("1/minute", network=None, scope="login")
    door = Door(lock, Storage(redis_url, deadline=5, prefix=prefix))
    assert await door.wrong(2) == [401, 429]
    assert await lock.peek(door.gate, address=HOME) == []
    await lock.reset(door.gate, address=HOME)
    assert {event["event"] for event in door.events} == {"request"}
    await door.gate.close()


@pytest.mark.redis
@ON_ASYNCIO
async def test_an_attempt_that_is_cancelled_counts_for_nothing_on_redis(redis_url: str, prefix: str) -> None:
    """Whenever it is cancelled: while it pays, while it works, while it gives back."""
    lock = lockout("5/15 minutes", scope="login")
    gate = Gate(storage=Storage(redis_url, deadline=5, prefix=prefix), log=EventList())
    made = make_call(gate=gate, client=HOME)

    async def attempt(turns: int) -> None:
        async with lock.attempt(made, "ada") as attempt:
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            await attempt.succeed()

    for turns in range(40):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(attempt, 20)
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert {each.failed for each in await lock.peek(gate, "ada", HOME)} == {0}
    await gate.close()


@ON_ASYNCIO
@pytest.mark.parametrize(
    ("on_error", "expected"), [("local", [401, 429]), ("open", [401, 401]), ("closed", [503, 503])]
)
async def test_while_the_storage_is_down(on_error: Any, expected: list[int]) -> None:
    """Counted here, let pass, or refused, as was said; and never a 500."""
    pytest.importorskip("redis")
    door = Door(lockout("1/minute", scope="login", on_error=on_error), "redis://127.0.0.1:1/0")
    assert await door.wrong(2) == expected
    await door.gate.close()


async def test_a_storage_that_cannot_give_back_is_refused() -> None:
    """There every success would count as a failure."""
    import gatewright._core.storage.for_limits  # noqa: F401  # registers the scheme

    gate = Gate(storage="gatewright+memory://", log=EventList())
    lock = lockout("5/minute", scope="login")
    with pytest.raises(ConfigurationError, match="cannot give back what was charged"):
        gate.install(Starlette(routes=[Route("/", lock(_nothing))]))
    with pytest.raises(ConfigurationError, match="cannot give back what was charged"):
        lock.attempt(make_call(gate=gate), "ada")


async def _nothing(request: Request) -> Result[None]:
    return ok()
