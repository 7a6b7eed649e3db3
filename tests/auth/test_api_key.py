"""API keys: looked up by id, proved by hash, ended by their record, and refused alike whatever is wrong."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright import ApiKey, ConfigurationError, Gate, Ok, Principal, ok, with_auth
from gatewright.auth import ABSENT, ApiKeyRecord, Rejected, new_api_key
from gatewright.testing import EventList, Reply
from gatewright.testing import call as request
from tests.auth.support import Pair, call_with, known, make_gate

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000.0
KEY = new_api_key("ck_live")
TEXT = KEY.text.encode()
RECORD = ApiKeyRecord(KEY.secret_sha256, known("robot", scopes=frozenset({"posts:read"})))

MALFORMED = Rejected("invalid_token", "not a key of this prefix, or mistyped")
UNKNOWN = Rejected("invalid_token", "the lookup does not know it")
WRONG = Rejected("invalid_token", "the id is known, and has another secret")
REVOKED = Rejected("invalid_token", "revoked")
EXPIRED = Rejected("invalid_token", "expired")
REPEATED = Rejected("invalid_request", "more than one header of that name")


def by_id(key_id: str) -> ApiKeyRecord | None:
    return RECORD if key_id == KEY.id else None


async def by_id_slowly(key_id: str) -> ApiKeyRecord | None:
    return by_id(key_id)


def never(key_id: str) -> None:
    raise AssertionError("looked up")


def verdict(*keys: bytes, lookup: Any = by_id, header: bytes = b"x-api-key", **settings: Any) -> Any:
    """Return what an authenticator with *lookup* says of these headers."""
    gate = make_gate(now=NOW)
    call = call_with(*((header, key) for key in keys), gate=gate)
    return ApiKey(lookup, prefix="ck_live", **settings).bind(gate).authenticate(call)


def verdict_on(record: object) -> object:
    """Return what is said of our key where *record* is what is kept of it."""
    return verdict(TEXT, lookup=lambda key_id: record)


# Who passes


def test_a_key_lets_its_owner_in() -> None:
    """The principal is the record's, and says how it was proved."""
    assert verdict(TEXT) == known("robot", method="api_key", scopes=frozenset({"posts:read"}))


def test_the_lookup_gets_the_id_and_nothing_else() -> None:
    """A lookup that logs what it is asked logs nothing secret."""
    asked: list[str] = []
    verdict(TEXT, lookup=asked.append)
    assert asked == [KEY.id]


def test_the_record_may_name_the_method() -> None:
    """Its word is kept; only "session", the default of the field, is not one that a key proves."""
    assert verdict_on(replace(RECORD, principal=Principal("robot", "partner"))) == Principal("robot", "partner")


async def test_a_lookup_may_be_async() -> None:
    """It is awaited, on asyncio and on trio."""
    assert (await verdict(TEXT, lookup=by_id_slowly)).sub == "robot"
    assert await verdict(b"junk", lookup=by_id_slowly) == MALFORMED
    assert await verdict(lookup=by_id_slowly) is ABSENT


def test_the_header_can_be_another() -> None:
    """The name is written as one likes, and found in lower case, as ASGI has it."""
    found = ApiKey(by_id, prefix="ck_live", header="Acme-Key").bind(make_gate())
    assert isinstance(found.authenticate(call_with((b"acme-key", TEXT))), Principal)
    assert found.authenticate(call_with((b"x-api-key", TEXT))) is ABSENT


# Who does not


def test_no_key_and_an_empty_one_are_absent() -> None:
    """Nothing is not a credential."""
    assert verdict(lookup=never) is ABSENT and verdict(b"", lookup=never) is ABSENT


@pytest.mark.parametrize("keys", [(TEXT, TEXT), (TEXT, b""), (b"", TEXT), (b"x", TEXT)])
def test_two_keys_are_refused(keys: tuple[bytes, bytes]) -> None:
    """Which of the two counts is nobody's to guess; FastAPI takes the first, a proxy before it perhaps the last."""
    assert verdict(*keys, lookup=never) == REPEATED


@pytest.mark.parametrize(
    "key",
    [
        b"Bearer " + TEXT,
        TEXT + b" def",
        TEXT + b", Basic x",
        b"\t" + TEXT,
        b" " + TEXT,
        TEXT + b"\n",
        TEXT + b"," + TEXT,
        TEXT[:-1],
        TEXT.lower(),
        TEXT.replace(b"live", b"test"),
        new_api_key("ck_test").text.encode(),
        b"\xff" * len(TEXT),
        b"k" * 100_000,
    ],
)
def test_what_cannot_be_a_key_is_refused_before_it_is_looked_up(key: bytes) -> None:
    """Story: FastAPI takes `Bearer abc def` and `Bearer abc, Basic x` for one token; a database hears of none here."""
    assert verdict(key, lookup=never) == MALFORMED


@given(st.integers(0, len(TEXT) - 1), st.integers(0, 255))
def test_one_wrong_character_is_refused_before_it_is_looked_up(at: int, byte: int) -> None:
    """A typo costs nobody a query, wherever it is."""
    key = TEXT[:at] + bytes([byte]) + TEXT[at + 1 :]
    assert key == TEXT or verdict(key, lookup=never) == MALFORMED


@given(st.binary(max_size=200))
def test_any_bytes_are_absent_or_rejected(key: bytes) -> None:
    """Whatever stands in the header, there is an answer, and never another exception."""
    assert verdict(key, lookup=never) in (ABSENT, MALFORMED)


@pytest.mark.parametrize(
    ("record", "rejected"),
    [
        (None, UNKNOWN),
        (replace(RECORD, secret_sha256=new_api_key("ck_live").secret_sha256), WRONG),
        (replace(RECORD, secret_sha256="0" * 64), WRONG),
        (replace(RECORD, secret_sha256=sha256(TEXT).hexdigest()), WRONG),
        (replace(RECORD, revoked=True), REVOKED),
        (replace(RECORD, expires_at=NOW), EXPIRED),
        (replace(RECORD, expires_at=NOW - 1), EXPIRED),
        (replace(RECORD, expires_at=0), EXPIRED),
        (replace(RECORD, expires_at=float("nan")), EXPIRED),
        (replace(RECORD, expires_at=NOW - 1, revoked=True, secret_sha256="1" * 64), WRONG),
    ],
)
def test_a_key_that_is_not_valid_is_rejected(record: ApiKeyRecord | None, rejected: Rejected) -> None:
    """Unknown, with another secret, revoked or expired; only who has the secret has it said which, and in our log."""
    assert verdict_on(record) == rejected


@pytest.mark.parametrize("expires_at", [None, NOW + 1, float("inf")])
def test_a_key_is_valid_until_it_expires(expires_at: float | None) -> None:
    """By the gate's clock; None is never."""
    assert isinstance(verdict_on(replace(RECORD, expires_at=expires_at)), Principal)


@pytest.mark.parametrize("record", [None, RECORD, replace(RECORD, revoked=True)])
def test_an_unknown_id_costs_the_same_comparison(record: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time tells nobody which ids there are: one digest is compared with another, whatever is known."""
    compared: list[tuple[str, str]] = []

    def compare(one: str, other: str) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("gatewright.auth.credentials.api_key.hmac.compare_digest", compare)
    verdict_on(record)
    assert [(one, len(other)) for one, other in compared] == [(KEY.secret_sha256, 64)]


@pytest.mark.parametrize("answer", [True, False, "ada", {"sub": "ada"}, 0, Principal("ada"), KEY])
def test_a_lookup_that_returns_something_else_lets_nobody_in(answer: Any) -> None:
    """A truthy answer is no record, and a principal alone proves nothing; it is a mistake, and told to us."""
    with pytest.raises(ConfigurationError, match=r"return ApiKeyRecord\(\.\.\.\) or None"):
        verdict_on(answer)


# In an app


@with_auth(ApiKey(by_id, prefix="ck_live"))
async def mint(principal: Principal) -> Ok[str]:
    return ok(principal.sub)


async def ask(*headers: Pair, log: EventList | None = None, **body: Any) -> Reply:
    gate = Gate(log=EventList() if log is None else log)
    named = [(name.decode(), value.decode()) for name, value in headers]
    return await request(mint, method="POST", headers=named, gate=gate, **body)


async def test_the_principal_never_comes_from_the_body() -> None:
    """Story: CVE-2025-61928, better-auth. No session and a `userId` in the body made the request the server's own."""
    for body in ({"userId": "admin"}, {"user_id": "admin", "principal": {"sub": "admin"}, "sub": "admin"}):
        reply = await ask(json=body)
        assert (reply.status, reply.json["code"]) == (401, "unauthorized")
        reply = await ask((b"x-api-key", TEXT), json=body)
        assert reply.json["data"] == "robot"


@pytest.mark.parametrize(
    "key", [b"junk", TEXT[:-1] + b"!", new_api_key("ck_live").text.encode(), new_api_key("ck_test").text.encode()]
)
async def test_a_prober_hears_one_answer(key: bytes) -> None:
    """Which part was wrong is nobody's business but the log's."""
    reply = await ask((b"x-api-key", key))
    assert (reply.status, reply.json["code"], reply.json["error"]) == (
        401,
        "invalid_token",
        "The credential is not valid",
    )
    assert reply.headers["www-authenticate"] == 'APIKey realm="api", error="invalid_token"'


async def test_the_log_has_the_id_of_a_refused_key_and_never_the_key() -> None:
    """Somebody has to find out whose key it is that still knocks."""
    other = new_api_key("ck_live")
    log = EventList()
    await ask((b"x-api-key", other.text.encode()), log=log)
    (event,) = log
    assert event["key_id"] == other.id
    assert other.text.rpartition("_")[2] not in repr(log)


# Configuration


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lookup": None}, "is no lookup"),
        ({"header": "X Key"}, "write a header's name"),
        ({"header": "Authorization"}, r"ApiKey\(header='Authorization'\): .* use BearerToken"),
        ({"header": "cookie"}, "use SessionCookie"),
        ({"prefix": "CK"}, 'such as "ck_live"'),
        ({"realm": '"'}, "without quotes"),
    ],
)
def test_bad_configuration_is_refused_when_it_is_written(settings: dict[str, Any], message: str) -> None:
    """It raises at import, with what to write instead."""
    with pytest.raises(ConfigurationError, match=message):
        ApiKey(**{"lookup": by_id, "prefix": "ck_live", **settings})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("secret_sha256", None, "write NewApiKey.secret_sha256"),
        ("secret_sha256", "", "write NewApiKey.secret_sha256"),
        ("secret_sha256", bytes(32), "write NewApiKey.secret_sha256"),
        ("secret_sha256", KEY.secret_sha256.upper(), "write NewApiKey.secret_sha256"),
        ("secret_sha256", KEY.secret_sha256 + "\n", "write NewApiKey.secret_sha256"),
        ("principal", "robot", r"write Principal\(sub=...\)"),
        ("principal", None, r"write Principal\(sub=...\)"),
        ("expires_at", "2027-01-01", "write Unix seconds, or None"),
        ("revoked", None, "write True or False"),
        ("revoked", 0, "write True or False"),
    ],
)
def test_a_record_holds_what_it_says(field: str, value: Any, message: str) -> None:
    """A NULL of the database is no False and no "never": a row that cannot be read lets nobody in."""
    with pytest.raises(ConfigurationError, match=message):
        replace(RECORD, **{field: value})


def test_the_challenge_names_the_realm() -> None:
    """A 401 of an API key has a challenge, too."""
    api_key = ApiKey(by_id, prefix="ck_live", realm="posts")
    assert api_key.challenge() == 'APIKey realm="posts"'
    assert (api_key.name, api_key.header, api_key.ambient) == ("api_key", "X-API-Key", False)
    assert api_key.security_scheme == {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    assert KEY.secret_sha256 not in repr(RECORD)
