"""Every attack, on every host: the one right status, a word in the log, and nothing that tells which part was wrong."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gatewright import ApiKey, Call, Gate, Principal, SessionCookie, compose, require, with_auth
from gatewright import fastapi as on_fastapi
from gatewright import starlette as on_starlette
from gatewright.auth import ApiKeyRecord, Basic, BearerJWT, Revoker, new_api_key
from gatewright.testing import EventList, FrozenClock, Reply
from tests.auth.jwt import kit
from tests.auth.jwt.test_attacks import ATTACKS, ES
from tests.auth.support import KEY, OLDER_KEY
from tests.web import Browser

NAME = "__Host-session"
session: SessionCookie = SessionCookie(idle=3600, revoker=Revoker())
staff: SessionCookie = SessionCookie(name="__Host-staff")
jwt: BearerJWT = ES
ISSUED = new_api_key("ck_live")
api_key = ApiKey({ISSUED.id: ApiKeyRecord(ISSUED.secret_sha256, Principal("robot", "api_key"))}.get, prefix="ck_live")
basic = Basic(lambda user, password: Principal(user, "basic") if password == "right" else None)


def _asked_for_nothing(principal: Principal, call: Call) -> bool:
    return call.scope["path"] != "/forbidden"


guards = compose(with_auth(session, jwt, api_key, basic), require(_asked_for_nothing))


async def whoami(principal: Principal) -> dict[str, str]:
    return {"sub": principal.sub}


async def _app_inside(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"sub": scope["gatewright.call"].principal.sub})(scope, receive, send)


PATHS = ("/me", "/forbidden")


def _starlette(gate: Gate) -> Any:
    app = Starlette(routes=[Route(path, guards(whoami), methods=["GET", "POST"]) for path in PATHS])
    gate.install(app)
    return app


def _guarded_route(gate: Gate) -> Any:
    routes = [on_starlette.GuardedRoute(path, guards(whoami), methods=["GET", "POST"]) for path in PATHS]
    return gate.wrap(Starlette(routes=routes))


def _fastapi(gate: Gate) -> Any:
    app = FastAPI()
    for path in PATHS:
        app.add_api_route(path, guards(whoami), methods=["GET", "POST"])
    gate.install(app)
    return app


def _fastapi_guarded_route(gate: Gate) -> Any:
    app, router = FastAPI(), APIRouter(route_class=on_fastapi.GuardedRoute)
    for path in PATHS:
        router.add_api_route(path, guards(whoami), methods=["GET", "POST"])
    app.include_router(router)
    return gate.wrap(app)


def _wrapped(gate: Gate) -> Any:
    return gate.wrap(guards(_app_inside))


HOSTS: Mapping[str, Callable[[Gate], Any]] = {
    "starlette": _starlette,
    "starlette, GuardedRoute": _guarded_route,
    "fastapi": _fastapi,
    "fastapi, GuardedRoute": _fastapi_guarded_route,
    "asgi": _wrapped,
}


@dataclass
class Host:
    """An app behind a gate of its own, and what the gate said."""

    gate: Gate
    log: EventList
    browser: Browser

    def send(self, attack: Attack) -> tuple[Reply, dict[str, Any]]:
        """Send one request; return the reply and its event."""
        self.log.clear()
        reply = self.browser.request(attack.method, attack.path, headers=attack.headers)  # type: ignore[arg-type]
        (event,) = [event for event in self.log if event["event"] == "request"]
        return reply, event


@cache
def host_of(name: str) -> Host:
    """Return a host; making one is dear, and requests leave nothing behind."""
    log = EventList()
    gate = Gate(keys=[KEY], clock=FrozenClock(kit.NOW), log=log)
    return Host(gate, log, Browser(HOSTS[name](gate)))


@dataclass
class Attack:
    """What is sent."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    method: str = "GET"
    path: str = "/me"


def _cookie(value: str | bytes) -> Attack:
    text = value if isinstance(value, str) else value.decode("latin-1")
    return Attack([("cookie", text)])


def _authorization(*lines: str) -> Attack:
    return Attack([("authorization", line) for line in lines])


@cache
def _values() -> dict[str, str]:
    """Return cookies' values: a good one, and those that once were good, or are elsewhere."""

    def made(of: SessionCookie, now: float = kit.NOW, key: bytes = KEY) -> str:
        gate = Gate(keys=[key], clock=FrozenClock(now))
        return of.create_session("ada").header(gate).decode().split(";")[0].split("=", 1)[1]

    return {
        "good": made(session),
        "expired": made(session, kit.NOW - 86_400),
        "idle": made(session, kit.NOW - 3600),
        "future": made(session, kit.NOW + 6),
        "other key": made(session, key=OLDER_KEY),
        "staff": made(staff),
    }


def sessions() -> Iterator[tuple[str, Attack]]:
    """Yield session cookies that are not valid."""
    good, *others = _values().items()
    for name, value in others:
        yield name, _cookie(f"{NAME}={value}")
    value = good[1]
    payload, _, signature = value.partition(".")
    for name, text in {
        "forged": f"{payload[:-4]}AAAA.{signature}",
        "unsigned": f"{payload}.",
        "no dot": payload,
        "truncated": value[:-1],
        "longer": value + "A",
        "padded": value + "=",
        "quoted": f'"{value}"',
        "oversized": "A" * 5000 + "." + signature,
        "non-ASCII": "\xe9" * 40,
        "a null": "\x00",
        "a jwt": kit.mint().decode(),
    }.items():
        yield name, _cookie(f"{NAME}={text}")


def no_sessions() -> Iterator[tuple[str, Attack]]:
    """Yield what looks like our cookie to a lenient parser, and counts as no cookie at all."""
    good = _values()["good"]
    for name, line in {
        "a name behind U+00A0": f"\xa0{NAME}={good}",
        "a name behind U+0085": f"\x85{NAME}={good}",
        "another case": f"__host-session={good}",
        "a name in front": f"x{NAME}={good}",
        "twice": f"{NAME}={good}; {NAME}={good}",
        "tossed": f"{NAME}={good}; {NAME}=planted",
        "an empty value": f"{NAME}=",
        "another cookie": f"session={good}",
        "no name": good,
    }.items():
        yield name, _cookie(line)


def tokens() -> Iterator[tuple[str, Attack]]:
    """Yield bearer tokens that are not valid."""
    for group in ATTACKS.values():
        for name, (api, token) in group.items():
            if api is ES:
                yield name, _authorization(f"Bearer {token.decode('latin-1')}")


def keys() -> Iterator[tuple[str, Attack]]:
    """Yield API keys that are not valid."""
    text = ISSUED.text
    other = new_api_key("ck_live").text
    for name, key in {
        "unknown": other,
        "another prefix": new_api_key("ck_test").text,
        "the id with another secret": text[: text.rindex("_")] + other[other.rindex("_") :],
        "mistyped": text[:-1] + ("A" if text[-1] != "A" else "B"),
        "truncated": text[:-1],
        "longer": text + "A",
        "oversized": text + "A" * 10_000,
        "non-ASCII": text + "\xe9",
        "a space": text.replace("_", " "),
        "another case": text.swapcase(),
    }.items():
        yield name, Attack([("x-api-key", key)])


def pairs() -> Iterator[tuple[str, Attack]]:
    """Yield names with a wrong password."""
    for name, text in {"a wrong password": "ada:wrong", "no password": "ada:", "another's": "eve:Right"}.items():
        yield name, _authorization("Basic " + b64encode(text.encode()).decode())


def malformed() -> Iterator[tuple[str, Attack]]:
    """Yield what is no credential, or more than one."""
    good = f"{NAME}={_values()['good']}"
    jwt = kit.mint().decode()
    right = "Basic " + b64encode(b"ada:right").decode()
    yield "Bearer with two words", _authorization("Bearer a b")
    yield "Bearer and Basic in one line", _authorization(f"Bearer {jwt}, {right}")
    yield "Bearer and a tab", _authorization(f"Bearer\t{jwt}")
    yield "Bearer alone", _authorization("Bearer")
    yield "two Authorization headers", _authorization(f"Bearer {jwt}", right)
    yield "the same twice", _authorization(f"Bearer {jwt}", f"Bearer {jwt}")
    yield "Basic that is no base64", _authorization("Basic !!!")
    yield "Basic without a colon", _authorization("Basic " + b64encode(b"ada").decode())
    yield "Basic that is not canonical", _authorization("Basic YWRhOnJpZ2h0cg=")
    yield "Basic of other bytes", _authorization("Basic " + b64encode(b"ada:\xff").decode())
    yield "two API keys", Attack([("x-api-key", ISSUED.text), ("x-api-key", ISSUED.text)])
    yield "a session and a token", Attack([("cookie", good), ("authorization", f"Bearer {jwt}")])
    yield "a session and a bad token", Attack([("cookie", good), ("authorization", "Bearer x.y.z")])
    yield "a bad session and a key", Attack([("cookie", f"{NAME}=x"), ("x-api-key", ISSUED.text)])
    yield "a session, and Basic", Attack([("cookie", good), ("authorization", right)])


def riding_along() -> Iterator[tuple[str, Attack]]:
    """Yield what another origin makes a browser send, with credentials that browsers send by themselves."""
    cookie = ("cookie", f"{NAME}={_values()['good']}")
    right = ("authorization", "Basic " + b64encode(b"ada:right").decode())
    for credential in (cookie, right):
        kind = credential[0]
        for name, more in {
            "cross-site": [("sec-fetch-site", "cross-site")],
            "same-site": [("sec-fetch-site", "same-site")],
            "an unknown word": [("sec-fetch-site", "friend")],
            "an empty word": [("sec-fetch-site", "")],
            "two words": [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            "another origin": [("origin", "https://evil.example")],
            "a null origin": [("origin", "null")],
            "another port": [("origin", "https://testserver:8443")],
            "two origins": [("origin", "https://testserver"), ("origin", "https://evil.example")],
            "minted pairs": [
                ("sec-fetch-site", "cross-site"),
                ("origin", "https://evil.example"),
                ("x-csrf-token", "minted"),
                ("referer", "https://testserver/"),
            ],
        }.items():
            yield f"{kind}, {name}", Attack([credential, ("host", "testserver"), *more], "POST")


TABLE: dict[str, tuple[Callable[[], Iterator[tuple[str, Attack]]], int, str, str | None]] = {
    "sessions that are not valid": (sessions, 401, "invalid_token", "credential_rejected"),
    "cookies that are none of ours": (no_sessions, 401, "unauthorized", None),
    "tokens that are not valid": (tokens, 401, "invalid_token", "credential_rejected"),
    "keys that are not valid": (keys, 401, "invalid_token", "credential_rejected"),
    "names and passwords": (pairs, 401, "invalid_token", "credential_rejected"),
    "no credential, or more than one": (malformed, 400, "invalid_request", None),
    "riding along": (riding_along, 403, "cross_origin", "cross_origin_refused"),
}


def _told(reply: Reply) -> tuple[Any, ...]:
    """Return all that a prober sees, but the id of the request."""
    body = {**json.loads(reply.body), "request_id": "..."}
    headers = sorted(pair for pair in reply.raw_headers if pair[0] not in (b"x-request-id", b"content-length"))
    return reply.status, json.dumps(body), tuple(headers)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("row", TABLE)
def test_the_attack_table(host: str, row: str) -> None:
    """Each is refused with the status of its row, all in the same words, and the log has a word for security."""
    attacks, status, code, security = TABLE[row]
    served = host_of(host)
    seen: dict[Any, str] = {}
    for name, attack in attacks():
        reply, event = served.send(attack)
        assert (reply.status, reply.json["code"]) == (status, code), name
        assert security is None or event["security"] == [security], name
        assert row != "no credential, or more than one" or event["security"][0].startswith("credential_"), name
        challenged = ("www-authenticate" in reply.headers) is (status < 403)
        assert challenged and reply.headers["cache-control"] == "no-store", name
        seen[_told(reply)] = name
    # A malformed header says which scheme it is of; what is told beside that is the same.
    assert len(seen) == 1 or row == "no credential, or more than one", seen


@pytest.mark.parametrize("host", HOSTS)
def test_what_is_no_attack_passes(host: str) -> None:
    """The same requests with good credentials, or the table would prove nothing."""
    served = host_of(host)
    good = f"{NAME}={_values()['good']}"
    right = "Basic " + b64encode(b"ada:right").decode()
    same = [("host", "testserver"), ("sec-fetch-site", "same-origin"), ("origin", "https://testserver")]
    for attack in (
        _cookie(good),
        _cookie(f"theme=dark; {good}"),
        _authorization(f"Bearer {kit.mint().decode()}"),
        _authorization(right),
        Attack([("x-api-key", ISSUED.text)]),
        Attack([("cookie", good), *same], "POST"),
        Attack([("authorization", f"Bearer {kit.mint().decode()}"), ("sec-fetch-site", "cross-site")], "POST"),
        Attack([("x-api-key", ISSUED.text), ("origin", "https://evil.example")], "POST"),
    ):
        reply, event = served.send(attack)
        assert reply.status == 200 and "security" not in event, attack


@pytest.mark.parametrize("host", HOSTS)
def test_whoever_is_known_and_not_allowed(host: str) -> None:
    """403, no challenge, and a word in the log."""
    reply, event = host_of(host).send(Attack([("cookie", f"{NAME}={_values()['good']}")], path="/forbidden"))
    assert (reply.status, reply.json["code"], event["security"]) == (403, "forbidden", ["access_denied"])
