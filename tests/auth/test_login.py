"""Login: everything that has to happen, in its order, and nothing that a prober learns from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
import trio.testing
from anyio import create_task_group
from pydantic import BaseModel, SecretStr

from gatewright import (
    Call,
    ConfigurationError,
    Forbidden,
    FromBody,
    Gate,
    Principal,
    Result,
    SessionCookie,
    TooManyRequests,
    lockout,
    ok,
    validate,
    with_auth,
)
from gatewright.auth import Revoker
from gatewright.auth.login import LoggedIn, Login, LoginFailed
from gatewright.auth.passwords.argon2 import argon2id
from gatewright.auth.passwords.bcrypt import bcrypt
from gatewright.auth.passwords.passwords import Passwords
from gatewright.lockout import Lockout
from gatewright.testing import EventList, FrozenClock, Reply, call, make_call
from gatewright.testing.passwords import cheap_passwords
from tests.auth.passwords.toys import Toy

pytestmark = pytest.mark.anyio

KEY = b"the key of these tests, long enough to be one"
RIGHT, WRONG = "correct horse battery staple", "incorrect horse battery staple"
PASSWORDS = cheap_passwords()
STORED = PASSWORDS.hashers[0].hash(RIGHT.encode())


@dataclass
class User:
    """Somebody with a password."""

    id: int = 1
    email: str = "ada@example.com"
    password_hash: str | None = STORED
    active: bool = True
    roles: tuple[str, ...] = ("admin",)


@dataclass
class Users:
    """A table of users.

    Attributes:
        known: the rows.
        asked: the names that were looked up.
        full: whether nothing can be written.
    """

    known: list[User] = field(default_factory=lambda: [User()])
    asked: list[str] = field(default_factory=list)
    full: bool = False

    async def by_email(self, name: str) -> User | None:
        name.encode()  # as a driver does
        self.asked.append(name)
        return next((user for user in self.known if user.email == name.strip().casefold()), None)

    async def set_hash(self, user: User, old: str, better: str) -> None:
        if self.full:
            raise OSError("no space left on device")
        if user.password_hash == old:
            user.password_hash = better


def make_login(users: Users | None = None, passwords: Passwords = PASSWORDS, **arguments: Any) -> Login[User]:
    users = users or Users()
    given: dict[str, Any] = {"save_hash": users.set_hash, "floor": 0, **arguments}
    limit: Lockout = given.pop("limit", lockout("5/15 minutes", scope="login"))
    return Login(users.by_email, passwords, limit, **given)


def make_gate(**arguments: Any) -> Gate:
    return Gate(keys=[KEY], **{"clock": FrozenClock(), "log": EventList(), **arguments})


def knock(gate: Gate, **arguments: Any) -> Call:
    """Return a call that brings a name and a password."""
    return make_call(method="POST", gate=gate, **arguments)


async def failure(login: Login[User], call: Call, name: str = "ada@example.com", password: str = WRONG) -> LoginFailed:
    with pytest.raises(LoginFailed) as failed:
        await login.attempt(call, name, password)
    return failed.value


# Who gets in


async def test_who_knows_the_password_gets_in() -> None:
    """With the user, and without cookies where there is no session to begin."""
    call = knock(make_gate())
    assert await make_login().attempt(call, "Ada@example.com", RIGHT) == LoggedIn(User(), ())
    assert call.notes is None and call.security == ("login_succeeded",)


async def test_a_login_begins_a_session() -> None:
    """With the subject, roles, scopes and tenant of the user, authenticated just now."""
    gate, session = make_gate(), SessionCookie()
    login = make_login(
        session=session, roles=lambda user: user.roles, scopes=lambda user: ["read"], tenant=lambda user: "acme"
    )
    signed_in = await login.attempt(knock(gate), "ada@example.com", RIGHT)
    value = signed_in.cookies[0].header(gate).split(b";")[0].partition(b"=")[2]
    principal = await session.verify_session(value, gate)
    assert principal is not None
    assert (principal.sub, principal.roles, principal.scopes, principal.tenant, principal.auth_at) == (
        "1",
        {"admin"},
        {"read"},
        "acme",
        gate.clock.time(),
    )


async def test_what_is_not_said_of_a_user_is_not_in_the_session() -> None:
    """No roles by accident."""
    gate, session = make_gate(), SessionCookie()
    signed_in = await make_login(session=session).attempt(knock(gate), "ada@example.com", RIGHT)
    value = signed_in.cookies[0].header(gate).split(b";")[0].partition(b"=")[2]
    principal = await session.verify_session(value, gate)
    assert principal is not None and (principal.roles, principal.tenant) == (frozenset(), None)


async def test_the_session_of_before_is_not_the_session_of_after() -> None:
    """Another id, and nothing of what the old one said (ASVS 5.0, 7.2.4; session fixation)."""
    gate, session = make_gate(), SessionCookie()
    login = make_login(session=session)
    values: list[str] = []
    for cookies in ({}, {"__Host-session": "planted"}):
        given = cookies if not values else {"__Host-session": values[0]}
        signed_in = await login.attempt(knock(gate, cookies=given), "ada@example.com", RIGHT)
        values.append(signed_in.cookies[0].header(gate).split(b";")[0].partition(b"=")[2].decode())
    first, second = [await session.verify_session(value, gate) for value in values]
    assert first is not None and second is not None and first.sid != second.sid


# Who does not


@pytest.mark.parametrize(
    ("name", "password", "user"),
    [
        ("ada@example.com", WRONG, User()),
        ("nobody@example.com", RIGHT, User()),
        ("ada@example.com", RIGHT, User(active=False)),
        ("ada@example.com", RIGHT, User(password_hash=None)),
        ("ada@example.com", RIGHT, User(password_hash="")),
        ("ada@example.com", RIGHT, User(password_hash="!")),
        ("ada@example.com", "x" * 100_000, User()),
        ("ada@example.com", "\ud800", User()),
        ("", RIGHT, User(email="")),
        ("  ", RIGHT, User(email="")),
        ("a" * 257, RIGHT, User(email="a" * 257)),
        ("ada\0", RIGHT, User(email="ada\0")),
        ("ada\ud800", RIGHT, User(email="ada\ud800")),
    ],
)
async def test_every_failure_is_the_same(name: str, password: str, user: User) -> None:
    """One status, one message, one challenge, whatever is wrong (ASVS 5.0, 6.3.8); only the log says what.

    Story: in fastapi-users 15 the hash "!" and a password of 80 characters are a 500, which is an answer too.
    """
    call = knock(make_gate())
    login = make_login(Users([user]), active=lambda user: user.active)
    failed = await failure(login, call, name, password)
    assert (failed.status_code, failed.code, failed.message) == (
        401,
        "login_failed",
        "The name or the password is wrong",
    )
    assert failed.headers == {"WWW-Authenticate": 'Session realm="api"'} and not failed.details
    assert failed.reason in ("another password", "nobody has this name", "the user is not active")
    assert call.notes is None and call.security == ("login_failed",)


async def test_the_challenge_is_the_sessions() -> None:
    """A 401 carries one (RFC 9110, section 15.5.2), and it is that of the guard that will ask for the session."""
    failed = await failure(make_login(session=SessionCookie(realm="blog")), knock(make_gate()))
    assert failed.headers == {"WWW-Authenticate": 'Session realm="blog"'}


@pytest.mark.parametrize("name", ["", "   ", "x" * 1000, "a\0b", "\ud800"])
async def test_a_name_that_nobody_has_is_not_looked_up(name: str) -> None:
    """A driver that cannot send it would make a 500 of it."""
    users = Users()
    await failure(make_login(users), knock(make_gate()), name)
    assert users.asked == []


async def test_an_empty_name_locks_nobody_out() -> None:
    """Story: django-axes#261: failures without a name were counted, and then everybody was locked."""
    gate, login = make_gate(), make_login()
    for name in ["", "  ", "x" * 1000, "\0", "\ud800"]:
        await failure(login, knock(gate), name)
    with pytest.raises(TooManyRequests):
        await login.attempt(knock(gate), "", WRONG)
    assert await login.attempt(knock(gate), "ada@example.com", RIGHT)


@pytest.mark.parametrize(
    ("name", "user"),
    [
        ("nobody@example.com", User()),
        ("", User()),
        ("ada@example.com", User(active=False, password_hash="toy$10$right")),
        ("ada@example.com", User(password_hash="toy$10$right")),
        ("ada@example.com", User(password_hash="!")),
    ],
)
async def test_every_failure_does_the_same_work(name: str, user: User) -> None:
    """A name that nobody has, a user who may not come in, even with the right password: no less, and no more."""
    toy = Toy()
    login = make_login(Users([user]), Passwords([toy]), active=lambda user: user.active)
    await failure(login, knock(make_gate()), name, "right" if not user.active else "wrong")
    assert sum(toy.spent) == 10


# The floor


class TrioClock:
    """Tell the time of trio, which jumps to where something happens."""

    def time(self) -> float:
        return 1_800_000_000 + trio.current_time()

    def monotonic(self) -> float:
        return trio.current_time()


@pytest.mark.parametrize(("lookup", "took"), [(0.0, 0.4), (0.3, 0.4), (0.7, 0.7)])
@pytest.mark.parametrize("name", ["ada@example.com", "nobody@example.com"])
def test_a_failure_takes_a_least_time(name: str, lookup: float, took: float) -> None:
    """From its beginning, and not on top of what it took; a lookup that hurries for nobody is not seen."""

    async def main() -> None:
        class Slow(Users):
            async def by_email(self, name: str) -> User | None:
                await trio.sleep(lookup)
                return await super().by_email(name)

        users = Slow()
        login = make_login(users, Passwords([Toy()]), floor=0.4)
        began = trio.current_time()
        await failure(login, knock(make_gate(clock=TrioClock())), name)
        assert trio.current_time() - began == pytest.approx(took)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_success_does_not_wait_nor_does_a_lock() -> None:
    """A success is no secret, and a lock says the same of everybody."""

    async def main() -> None:
        gate, login = make_gate(clock=TrioClock()), make_login(floor=0.4, limit=lockout("1/15 minutes", scope="login"))
        await login.attempt(knock(gate), "ada@example.com", RIGHT)
        assert trio.current_time() == began
        await failure(login, knock(gate))
        assert trio.current_time() == pytest.approx(began + 0.4)
        with pytest.raises(TooManyRequests):
            await login.attempt(knock(gate), "ada@example.com", RIGHT)
        assert trio.current_time() == pytest.approx(began + 0.4)

    began = 0.0
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_failure_is_counted_before_it_waits() -> None:
    """While one waits to be told, the next is refused already."""

    async def main() -> None:
        gate, login = make_gate(clock=TrioClock()), make_login(floor=0.4, limit=lockout("1/15 minutes", scope="login"))
        async with trio.open_nursery() as tasks:
            tasks.start_soon(failure, login, knock(gate))
            await trio.sleep(0.2)
            with pytest.raises(TooManyRequests):
                await login.attempt(knock(gate), "ada@example.com", RIGHT)
            # The attempt is over: it gives nothing back any more, whatever becomes of the one who waits.
            tasks.cancel_scope.cancel()
        with pytest.raises(TooManyRequests):
            await login.attempt(knock(gate), "ada@example.com", RIGHT)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


# The lockout


@pytest.mark.parametrize("name", ["ada@example.com", "nobody@example.com"])
async def test_too_many_failures_lock_known_and_unknown_names_alike(name: str) -> None:
    """The same 429, with when to come back, and nothing is looked up then; LightRAG#3424 had no limit at all."""
    gate, users = make_gate(), Users()
    login = make_login(users)
    for _ in range(5):
        await failure(login, knock(gate), name)
    call = knock(gate)
    with pytest.raises(TooManyRequests) as locked:
        await login.attempt(call, name, RIGHT)
    assert (locked.value.code, locked.value.headers) == ("locked_out", {"Retry-After": "900"})
    assert len(users.asked) == 5
    assert call.security == ("login_locked",)


async def test_many_at_the_same_time_are_no_more_than_may_fail() -> None:
    """Story: django-axes#592 and #784: parallel requests had 15 to 20 guesses, because they were counted afterwards."""
    toy = Toy()
    gate, login = make_gate(), make_login(passwords=Passwords([toy]))
    answers: list[int] = []

    async def guess() -> None:
        try:
            await login.attempt(knock(gate), "ada@example.com", WRONG)
        except (LoginFailed, TooManyRequests) as refusal:
            answers.append(refusal.status_code)

    async with create_task_group() as tasks:
        for _ in range(30):
            tasks.start_soon(guess)
    assert (sorted(answers), len(toy.spent)) == ([401] * 5 + [429] * 25, 5)


async def test_failures_while_locked_do_not_extend_the_lock() -> None:
    """Story: VilnaCRM user-service#476, django-axes#837: each further failure began the time anew, for ever."""
    clock = FrozenClock()
    gate, login = make_gate(clock=clock), make_login()
    for _ in range(5):
        await failure(login, knock(gate))
    for _ in range(20):
        clock.advance(44)
        with pytest.raises(TooManyRequests):
            await login.attempt(knock(gate), "ada@example.com", RIGHT)
    clock.advance(20)
    assert await login.attempt(knock(gate), "ada@example.com", RIGHT)


async def test_strangers_lock_nobody_out() -> None:
    """However many fail at an account, its owner gets in from elsewhere (ASVS 5.0, 6.1.1)."""
    gate, login = make_gate(), make_login(limit=lockout("5/15 minutes", scope="login", account="20/day"))
    for network in range(6):
        for _ in range(5):
            with pytest.raises((LoginFailed, TooManyRequests)):
                await login.attempt(knock(gate, client=f"192.0.2.{network}"), "ada@example.com", WRONG)
    assert await login.attempt(knock(gate, client="198.51.100.7"), "ada@example.com", RIGHT)


async def test_a_success_forgets_the_failures() -> None:
    """Who mistypes four times and then does not has five tries the next time."""
    gate, login = make_gate(), make_login()
    for _ in range(3):
        for _ in range(4):
            await failure(login, knock(gate))
        await login.attempt(knock(gate), "ada@example.com", RIGHT)


async def test_a_fault_of_the_server_is_no_failure() -> None:
    """A database that is down locks nobody out."""

    class Down(Users):
        async def by_email(self, name: str) -> User | None:
            raise ConnectionRefusedError

    gate, limit = make_gate(), lockout("1/15 minutes", scope="login")
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            await make_login(Down(), limit=limit).attempt(knock(gate), "ada@example.com", RIGHT)
    assert await make_login(limit=limit).attempt(knock(gate), "ada@example.com", RIGHT)


# Better hashes


async def failure_or_lock(login: Login[User], call: Call, name: str) -> None:
    with pytest.raises((LoginFailed, TooManyRequests)):
        await login.attempt(call, name, "wrong")


async def test_a_weak_hash_is_replaced_at_login() -> None:
    """And the next login is by the new one."""
    users = Users([User(password_hash=bcrypt(4, weak_for_tests=True).hash(RIGHT.encode()))])
    passwords = Passwords([*PASSWORDS.hashers, bcrypt(4, weak_for_tests=True)])
    gate, login = make_gate(), make_login(users, passwords)
    for _ in range(2):
        await login.attempt(knock(gate), "ada@example.com", RIGHT)
        assert (users.known[0].password_hash or "").startswith("$argon2id$")


async def test_a_password_that_is_changed_meanwhile_is_not_changed_back() -> None:
    """`save_hash` is told what was compared with, so that it keeps the better hash only where that still stands."""
    users = Users([User(password_hash=bcrypt(4, weak_for_tests=True).hash(RIGHT.encode()))])
    changed = await PASSWORDS.hash("another password by now")

    async def save(user: User, old: str, better: str) -> None:
        user.password_hash = changed
        await users.set_hash(user, old, better)

    login = make_login(users, Passwords([*PASSWORDS.hashers, bcrypt(4, weak_for_tests=True)]), save_hash=save)
    assert await login.attempt(knock(make_gate()), "ada@example.com", RIGHT)
    assert users.known[0].password_hash == changed


async def test_a_login_that_is_under_way_does_not_outlive_what_ends_all() -> None:
    """A session counts from when the login began: who tried the old password before its change is out after it."""
    clock = FrozenClock()
    revoked: SessionCookie = SessionCookie(revoker=Revoker())
    gate = make_gate(clock=clock)

    class Slow(Users):
        """A table that is so slow that the password is changed meanwhile, and everybody logged out."""

        async def by_email(self, name: str) -> User | None:
            clock.advance(1)
            await revoked.end_all(gate, "1")
            clock.advance(1)
            return await super().by_email(name)

    login = make_login(Slow(), session=revoked)
    (cookie,) = (await login.attempt(knock(gate), "ada@example.com", RIGHT)).cookies
    value = cookie.header(gate).decode().partition(";")[0].partition("=")[2]
    assert await revoked.verify_session(value, gate) is None


async def test_no_name_that_is_typed_counts_for_a_confirmation() -> None:
    """Subjects are no secret; whoever guesses at the login as somebody's subject locks nobody's confirmation."""
    login, gate = make_login(), make_gate()
    for name in ("sub 1", "1", "\x001"):
        for _ in range(6):
            await failure_or_lock(login, knock(gate), name)
    await login.confirm(knock(gate), User(), RIGHT)


async def test_a_hash_that_cannot_be_saved_is_no_reason_to_refuse() -> None:
    """The log says so, with the exception, and neither password nor hash."""
    log = EventList()
    weak = argon2id(1, 8, 1, weak_for_tests=True).hash(RIGHT.encode())
    passwords = Passwords([argon2id(2, 8, 1, weak_for_tests=True)])
    login = make_login(Users([User(password_hash=weak)], full=True), passwords)
    assert await login.attempt(knock(make_gate(log=log)), "ada@example.com", RIGHT)
    (event,) = log
    assert event["event"] == "password_hash_not_saved" and event["level"] == "error"
    assert RIGHT not in str(event) and "argon2id$" not in str(event)


async def test_without_save_hash_hashes_stay() -> None:
    """A read-only table is a table."""
    users = Users([User(password_hash=argon2id(1, 8, 1, weak_for_tests=True).hash(RIGHT.encode()))])
    before = users.known[0].password_hash
    login = make_login(users, Passwords([argon2id(2, 8, 1, weak_for_tests=True)]), save_hash=None)
    assert await login.attempt(knock(make_gate()), "ada@example.com", RIGHT)
    assert users.known[0].password_hash == before


# The same password again


async def test_who_is_logged_in_confirms_the_password() -> None:
    """Before it is changed (ASVS 5.0, 6.2.3); another one is a failure like at a login."""
    gate, login = make_gate(), make_login()
    call = knock(gate)
    await login.confirm(call, User(), RIGHT)
    assert call.notes is None and call.security == ("reauthenticated",)
    with pytest.raises(LoginFailed):
        await login.confirm(knock(gate), User(), WRONG)


async def test_confirmations_are_counted_too() -> None:
    """Whoever holds a stolen session has five guesses, and locks the owner out of nothing else."""
    gate, login = make_gate(), make_login()
    for _ in range(5):
        with pytest.raises(LoginFailed):
            await login.confirm(knock(gate), User(), WRONG)
    with pytest.raises(TooManyRequests):
        await login.confirm(knock(gate), User(), RIGHT)
    await login.confirm(knock(gate), User(id=2), RIGHT)
    await failure(login, knock(gate), "1")
    assert await login.attempt(knock(gate), "ada@example.com", RIGHT)


async def test_who_is_known_already_is_signed_in() -> None:
    """As after registering: no password is asked for, and the session is a new one."""
    gate, session = make_gate(), SessionCookie()
    signed_in = await make_login(session=session).sign_in(knock(gate), User(id=7))
    value = signed_in.cookies[0].header(gate).split(b";")[0].partition(b"=")[2]
    principal = await session.verify_session(value, gate)
    assert principal is not None and principal.sub == "7"


@pytest.mark.parametrize("sub", [None, ""])
async def test_a_user_without_a_subject_is_a_fault_of_the_configuration(sub: object) -> None:
    """Else all of them would be the user "None"."""
    login = make_login(session=SessionCookie(), sub=lambda user: sub)
    with pytest.raises(ConfigurationError, match="return what is the user's own, such as its id"):
        await login.attempt(knock(make_gate()), "ada@example.com", RIGHT)


# Another site's form


async def test_another_sites_form_logs_nobody_in() -> None:
    """Login CSRF: the victim would work in the attacker's account. Nothing is counted, nothing looked up."""
    gate, users = make_gate(), Users()
    call = knock(gate, headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"})
    with pytest.raises(Forbidden):
        await make_login(users).attempt(call, "ada@example.com", RIGHT)
    assert users.asked == []


async def test_a_trusted_origin_may_log_in() -> None:
    """What the gate trusts, a login trusts."""
    gate = make_gate(trusted_origins=["https://app.example.com"])
    call = knock(gate, headers={"Origin": "https://app.example.com", "Sec-Fetch-Site": "cross-site"})
    assert await make_login().attempt(call, "ada@example.com", RIGHT)


# What is written wrong


@pytest.mark.parametrize(
    ("arguments", "instead"),
    [
        ({"lockout": None}, 'lockout=lockout\\("5/15 minutes", scope="login"\\)'),
        ({"passwords": argon2id()}, r"passwords=Passwords\(\)"),
        ({"session": "cookie"}, r"session=SessionCookie\(\)"),
        ({"session": SessionCookie}, r"session=SessionCookie\(\)"),
        ({"find_user": len}, "find_user=.* write it as an `async def`"),
        ({"save_hash": print}, "save_hash=.* write it as an `async def`"),
        ({"floor": -0.1}, "floor=-0.1"),
        ({"floor": 400}, "write seconds, such as 0.4"),
        ({"floor": float("nan")}, "floor=nan"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_written(arguments: dict[str, Any], instead: str) -> None:
    """With what to write instead. Story: LightRAG#3424 (CVSS 9.1): a login without a limit; here there is none."""
    users = Users()
    given = {"find_user": users.by_email, "passwords": PASSWORDS, "lockout": lockout("5/hour", scope="x"), **arguments}
    with pytest.raises(ConfigurationError, match=instead):
        Login(**given)


# In a handler


class Credentials(BaseModel):
    email: str
    password: SecretStr


def handlers(login: Login[User], session: SessionCookie[Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    @validate
    async def sign_in(body: FromBody[Credentials], call: Call) -> Result[str]:
        signed_in = await login.attempt(call, body.email, body.password.get_secret_value())
        return ok(signed_in.user.email, cookies=signed_in.cookies)

    @with_auth(session)
    async def whoami(principal: Principal) -> Result[str]:
        return ok(principal.sub)

    return sign_in, whoami


async def test_a_login_in_a_handler() -> None:
    """A cookie that the next request comes in with; a failure in the envelope; nothing secret in the log."""
    log, session = EventList(), SessionCookie()
    gate, login = make_gate(log=log), make_login(session=session)
    sign_in, whoami = handlers(login, session)

    async def post(password: str) -> Reply:
        return await call(sign_in, json={"email": "ada@example.com", "password": password}, gate=gate)

    reply = await post(WRONG)
    assert (reply.status, reply.json["code"]) == (401, "login_failed")
    assert (await call(whoami, gate=gate)).status == 401
    reply = await post(RIGHT)
    name, _, value = reply.headers["set-cookie"].partition(";")[0].partition("=")
    assert (await call(whoami, cookies={name: value}, gate=gate)).json["data"] == "1"
    assert RIGHT not in str(list(log)) and WRONG not in str(list(log)) and "$argon2" not in str(list(log))
