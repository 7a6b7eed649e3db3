"""BearerJWT: whom a token names, when it is over, and who else is asked."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping
from typing import Any

import pytest

from gatewright import ConfigurationError, Gate, Principal
from gatewright._core.functions import is_async
from gatewright.auth import Revoker
from gatewright.auth.authenticator import ABSENT, Authenticator, Rejected
from gatewright.auth.jwt import BearerJWT
from gatewright.auth.jwt.verify import Verifier
from gatewright.testing import FrozenClock
from tests.auth.jwt.kit import NOW, claims, gate_at, hs, make, mint, secretive, sent, verdict
from tests.auth.support import call_with

pytestmark = pytest.mark.anyio

EXPIRED = Rejected("invalid_token", "expired")
FUTURE = Rejected("invalid_token", "of the future")


async def principal_of(**others: Any) -> Principal:
    found = await verdict(make(), mint(claims(**others)), gate_at())
    assert isinstance(found, Principal)
    return found


async def test_a_token_names_a_principal() -> None:
    """By the registered names (RFC 9068, OpenID Connect): subject, scopes, roles, session, tenant, authentication."""
    found = await principal_of(
        scope="read  write", scp=["admin"], roles=["a", "b"], sid="s1", tenant="t1", auth_time=NOW - 60, extra={"x": 1}
    )
    assert found == Principal(
        "ada",
        "bearer",
        frozenset("ab"),
        frozenset({"read", "write", "admin"}),
        NOW - 60,
        "s1",
        "t1",
        claims=found.claims,
    )
    assert found.claims["extra"] == {"x": 1} and found.claims["iat"] == NOW


@pytest.mark.parametrize("others", [{}, {"scope": None, "roles": None, "sid": None, "tenant": None}, {"scope": ""}])
async def test_what_a_token_does_not_say_is_nothing(others: dict[str, Any]) -> None:
    """When somebody authenticated is not known by `iat`: a token that was refreshed has a new one."""
    found = await principal_of(**others)
    assert found == Principal("ada", "bearer", claims=found.claims)
    assert found.auth_at == 0


async def test_one_role_may_be_a_text() -> None:
    """It is one name, with its spaces; scopes are separated by them (RFC 6749, section 3.3)."""
    found = await principal_of(roles="shop owner", scp="read write")
    assert (found.roles, found.scopes) == (frozenset({"shop owner"}), frozenset({"read", "write"}))


async def test_claims_cannot_be_changed() -> None:
    """They are remembered for the next request of the same token."""
    found = await principal_of()
    with pytest.raises(TypeError):
        found.claims["sub"] = "eve"  # type: ignore[index]


async def test_principal_maps_claims() -> None:
    """What `principal=` returns is taken as it is, but for the method, where it names none."""

    def by_name(said: Mapping[str, Any]) -> Principal | None:
        return Principal(said["name"]) if "name" in said else None

    api = make(principal=by_name)
    assert await verdict(api, mint(claims(name="Ada")), gate_at()) == Principal("Ada", "bearer")
    nobody = Rejected("invalid_token", "principal= knows nobody by its claims")
    assert await verdict(api, mint(), gate_at()) == nobody
    kept = make(principal=lambda said: Principal("Ada", "machine"))
    assert await verdict(kept, mint(), gate_at()) == Principal("Ada", "machine")


async def test_principal_that_returns_something_else_lets_nobody_in() -> None:
    """A truthy answer is no principal; the mistake is told to the developer."""
    with pytest.raises(ConfigurationError, match=r"return Principal\(sub=\.\.\.\) or None"):
        await verdict(make(principal=lambda said: True), mint(), gate_at())  # type: ignore[arg-type,return-value]


async def test_time_is_asked_each_time() -> None:
    """A token that is remembered ends all the same, at its `exp`, without leeway."""
    clock, api, token = FrozenClock(NOW), make(), mint()
    gate = gate_at(clock)
    assert isinstance(await verdict(api, token, gate), Principal)
    clock.advance(599.9)
    assert isinstance(await verdict(api, token, gate), Principal)
    clock.advance(0.1)
    assert await verdict(api, token, gate) == EXPIRED
    assert await verdict(api, token, gate) == EXPIRED


async def test_leeway_is_for_the_clock_of_the_issuer() -> None:
    """Story: pallets/itsdangerous#400, a second between two clocks logged users out."""
    clock = FrozenClock(NOW)
    gate, token = gate_at(clock), mint(claims(iat=NOW + 60, nbf=NOW + 60))
    assert isinstance(await verdict(make(leeway=60), token, gate), Principal)
    strict = make(leeway=0)
    assert await verdict(strict, token, gate) == FUTURE
    clock.advance(60)
    assert isinstance(await verdict(strict, token, gate), Principal)


async def test_max_age_ends_a_token_early() -> None:
    """Whatever its `exp` says; a remembered one, too."""
    clock, api, token = FrozenClock(NOW), make(max_age=60), mint()
    gate = gate_at(clock)
    assert isinstance(await verdict(api, token, gate), Principal)
    clock.advance(60)
    assert await verdict(api, token, gate) == EXPIRED


class Counting:
    """Count how often claims were mapped; nothing to begin with, and nothing is no reason not to be asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __len__(self) -> int:
        return 0

    def __call__(self, said: Mapping[str, Any]) -> Principal:
        self.asked += 1
        return Principal(said["sub"])


async def test_a_genuine_token_is_verified_once() -> None:
    """Its next request costs no signature; another gate has verified nothing."""
    counting = Counting()
    api, gate, token = make(principal=counting), gate_at(), mint()
    for _ in range(3):
        assert isinstance(await verdict(api, token, gate), Principal)
    assert counting.asked == 1
    await verdict(api, token, gate_at())
    assert counting.asked == 2


async def test_forged_tokens_are_not_remembered() -> None:
    """Otherwise anybody could fill the memory, and push out those of others."""
    api, gate = make(), gate_at()
    await verdict(api, mint(sign=lambda _: bytes(64)), gate)
    assert not api.bind(gate).verifier._known  # type: ignore[attr-defined]


async def test_what_is_remembered_is_bounded() -> None:
    """In bytes, because tokens may be long; when it is full, all are forgotten, and known again when they return."""
    api, gate = secretive(), gate_at()
    verifier: Verifier = api.bind(gate).verifier  # type: ignore[attr-defined]
    long = "x" * 5000
    most = 0
    for number in range(400):
        assert isinstance(await verdict(api, hs(claims(sub=str(number), filler=long)), gate), Principal)
        most = max(most, sum(map(len, verifier._known)))
    assert (1 << 20) - 8192 < most <= 1 << 20
    assert len(verifier._known) < 400


async def test_load_user_gives_the_principal_its_user() -> None:
    """It is asked each time: whether a user may still come in is not for the token to say (ASVS 5.0, 7.4.2)."""
    users = {"ada": "Ada"}

    async def load(principal: Principal[Any]) -> str | None:
        return users.get(principal.sub)

    api, gate, token = make(load_user=load), gate_at(), mint()
    found = await verdict(api, token, gate)
    assert isinstance(found, Principal) and found.user == "Ada"
    users.clear()
    assert await verdict(api, token, gate) == Rejected("invalid_token", "load_user knows no such user")


class Ended:
    """A revoker that a test tells what is over."""

    max_age = 1000.0

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, str, float]] = []
        self.over: set[str | None] = set()

    def bind(self, gate: Gate) -> Ended:
        return self

    async def is_revoked(self, sid: str | None, sub: str, issued_at: float) -> bool:
        self.asked.append((sid, sub, issued_at))
        return sid in self.over

    async def end(self, sid: str, sub: str, seconds: float) -> None: ...

    async def end_all(self, sub: str, *, keep: str | None = None) -> None: ...


async def test_a_revoker_is_asked_by_jti() -> None:
    """Story: fastapi/fastapi#2101, litestar#2118, apache/airflow#61339: a token ends at logout, by its jti."""
    ended, gate, token = Ended(), gate_at(), mint(claims(jti="j1"))
    api = make(revoker=ended)
    assert isinstance(await verdict(api, token, gate), Principal)
    ended.over.add("j1")
    assert await verdict(api, token, gate) == Rejected("invalid_token", "revoked")
    assert ended.asked == [("j1", "ada", NOW)] * 2
    assert isinstance(await verdict(api, mint(), gate), Principal)
    assert ended.asked[-1] == (None, "ada", NOW)


async def test_a_token_is_not_older_than_the_revoker_remembers() -> None:
    """Once an ended token is forgotten it must be over by itself; one whose age is not known is not taken."""
    api = make(revoker=Ended())
    old, ageless = mint(claims(iat=NOW - 1000)), mint(claims(iat=...))
    assert await verdict(api, old, gate_at()) == EXPIRED
    assert await verdict(api, ageless, gate_at()) == Rejected("invalid_token", "it has no iat, so its age is unknown")
    stricter = make(revoker=Ended(), max_age=10)
    assert await verdict(stricter, mint(claims(iat=NOW - 10)), gate_at()) == EXPIRED


async def test_forged_tokens_ask_nobody() -> None:
    """Neither a revoker nor a database sees what is not genuine."""

    async def never(principal: Principal[Any]) -> None:
        raise AssertionError("asked")

    ended = Ended()
    api = make(revoker=ended, load_user=never)
    assert isinstance(await verdict(api, mint(sign=lambda _: bytes(64)), gate_at()), Rejected)
    assert not ended.asked


async def test_without_a_bearer_token_it_is_absent() -> None:
    """Another scheme is another authenticator's business; both kinds look at the header the same way."""

    async def load(principal: Principal[Any]) -> str:
        return "Ada"

    gate = gate_at()
    assert make().bind(gate).authenticate(call_with(gate=gate)) is ABSENT
    awaited = make(load_user=load).bind(gate).authenticate(call_with((b"authorization", b"Basic x"), gate=gate))
    assert await awaited is ABSENT  # type: ignore[misc]


def test_keys_at_hand_need_no_await() -> None:
    """What to await is known when it is bound."""

    async def load(principal: Principal[Any]) -> str:
        return "Ada"

    assert not is_async(make().bind(gate_at()).authenticate)
    assert is_async(make(load_user=load).bind(gate_at()).authenticate)
    assert is_async(make(revoker=Ended()).bind(gate_at()).authenticate)


def test_it_is_an_authenticator() -> None:
    """With the challenge of RFC 6750, and a description for OpenAPI."""
    api = make(realm="posts")
    assert isinstance(api, Authenticator)
    assert (api.name, api.header, api.ambient) == ("bearer", "Authorization", False)
    assert api.challenge() == 'Bearer realm="posts"'
    assert api.security_scheme == {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


def test_it_is_bound_once_to_each_gate_and_keeps_none_alive() -> None:
    """A gate that nobody has any more is gone, with what was kept for it."""
    api, gate = make(), gate_at()
    assert api.bind(gate) is api.bind(gate) and api.bind(gate) is not api.bind(gate_at())
    gone = weakref.ref(gate)
    del gate
    gc.collect()
    assert gone() is None


async def test_a_handler_behind_it_gets_the_principal() -> None:
    """Through `with_auth`, like any other authenticator."""
    assert (await sent(make(), mint())).json == {"success": True, "data": "ada"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"issuer": ""}, "issuer=''"),
        ({"issuer": None}, "issuer=None"),
        ({"issuer": ["a"]}, "issuer="),
        ({"audience": ""}, "audience=''"),
        ({"audience": None}, "audience=None"),
        ({"typ": "JWT"}, "write typ="),
        ({"typ": ()}, "write typ="),
        ({"require": "exp"}, "write require="),
        ({"max_bytes": 0}, "1 or more"),
        ({"leeway": -1}, "a few seconds"),
        ({"leeway": float("inf")}, "a few seconds"),
        ({"leeway": float("nan")}, "a few seconds"),
        ({"max_age": 0}, "write seconds"),
        ({"max_age": float("nan")}, "write seconds"),
        ({"load_user": lambda principal: None}, "async def"),
        ({"principal": "sub"}, "a plain function"),
        ({"realm": 'a"b'}, "without quotes"),
        ({"revoker": Revoker}, r"write revoker=Revoker\(\)"),
    ],
)
def test_bad_configuration_is_refused_when_it_is_written(settings: dict[str, Any], message: str) -> None:
    """It raises at import, with what to write instead."""
    with pytest.raises(ConfigurationError, match=message):
        make(**settings)


def test_principal_is_no_coroutine() -> None:
    """Where somebody has to be asked, `load_user` is the place."""

    async def mapping(said: Mapping[str, Any]) -> Principal:
        return Principal("ada")

    with pytest.raises(ConfigurationError, match="a plain function"):
        make(principal=mapping)


@pytest.mark.parametrize("missing", ["keys", "algorithms", "issuer", "audience"])
def test_nothing_that_matters_has_a_default(missing: str) -> None:
    """Issuer and audience cannot be left out, nor the algorithms."""
    usual = {"keys": b"", "algorithms": ("ES256",), "issuer": "i", "audience": "a"}
    del usual[missing]
    with pytest.raises(TypeError, match=missing):
        BearerJWT(**usual)  # type: ignore[arg-type]
