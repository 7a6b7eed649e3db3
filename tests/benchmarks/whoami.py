"""The work of the credentials: a GET that says who is asking, and tokens that every candidate reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from secrets import token_hex
from time import time
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from pydantic import BaseModel
from starlette.types import ASGIApp

from tests.benchmarks.wire import Exchange, Headers, altered
from tests.benchmarks.work import SECRET

__all__ = ["AUDIENCE", "ISSUER", "UNREAD", "WHOAMI", "Asked", "Subject", "bearer", "misjudged"]
__all__ += ["request_with", "tokens", "verifying_key"]

WHOAMI = "/whoami"
ISSUER, AUDIENCE = "https://issuer.example", "benchmarks"

_COMMON = [(b"host", b"api.example"), (b"user-agent", b"benchmark"), (b"accept", b"*/*")]


class Subject(BaseModel):
    """Who is asking."""

    sub: str


@dataclass(frozen=True)
class Asked:
    """A candidate, ready to say who is asking.

    Attributes:
        app: the app.
        credential: returns the headers that prove a user; another credential each time.
        worthless: headers that prove nobody, by what is wrong with them.
    """

    app: ASGIApp
    credential: Callable[[str], Headers]
    worthless: Mapping[str, Headers] = field(default_factory=dict[str, Headers])


def request_with(credential: Headers) -> Headers:
    """Return the headers of a request."""
    return [*_COMMON, *credential]


def bearer(token: str) -> Headers:
    """Return the header of a token."""
    return [(b"authorization", f"Bearer {token}".encode())]


UNREAD: Headers = bearer("x" * 250)
"""The credential of an app that does not look at it."""


@cache
def _keys() -> Mapping[str, Any]:
    return {"HS256": OctKey.import_key(SECRET), "ES256": ECKey.generate_key("P-256")}


def verifying_key(algorithm: str) -> bytes:
    """Return what verifies tokens: the secret, or a public key as PEM."""
    return SECRET.encode() if algorithm == "HS256" else _keys()[algorithm].as_pem(private=False)


def tokens(app: ASGIApp, algorithm: str) -> Asked:
    """Return an app with the JSON Web Tokens of its users, and with those that it has to refuse."""

    def issue(sub: str, **other: object) -> Headers:
        now = int(time())
        usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": sub, "iat": now, "exp": now + 3600, "jti": token_hex(16)}
        claims = {name: value for name, value in (usual | other).items() if value is not None}
        return bearer(jwt.encode({"alg": algorithm, "typ": "JWT"}, claims, _keys()[algorithm], algorithms=[algorithm]))

    wrong: dict[str, dict[str, object]] = {
        "expired": {"exp": int(time()) - 60},
        "never expires": {"exp": None},
        "another issuer": {"iss": "https://issuer.example.evil"},
        "another audience": {"aud": "another"},
        "no audience": {"aud": None},
    }
    return Asked(app, issue, {what: issue("user-0", **claims) for what, claims in wrong.items()})


async def misjudged(stack: Callable[[], Asked], *, guarded: bool) -> list[str]:
    """Return where a candidate does not say who asks, in the same bytes as all, or takes what proves nobody.

    Args:
        stack: makes the candidate.
        guarded: whether it asks for a credential.
    """
    asked = stack()
    found: list[str] = []

    async def ask(what: str, credential: Headers, status: int, body: bytes | None = None) -> None:
        answer = await Exchange(b"", "GET", WHOAMI).run(asked.app, 0, request_with(credential))
        if answer.status != status:
            found.append(f"{what}: {answer.status} where {status} was due")
        elif body is not None and answer.body != body:
            found.append(f"{what}: {answer.body!r}")

    for user in ("user-0", "user-1") if guarded else ("user-0",):
        first, second = asked.credential(user), asked.credential(user)
        if guarded and first == second:
            found.append("two credentials that do not differ")
        for credential in (first, first, second):
            await ask(user, credential, 200, b'{"success":true,"data":{"sub":"%s"}}' % user.encode())
    if guarded:
        ((header, value),) = asked.credential("user-0")
        for what, credential in {**asked.worthless, "none": [], "altered": [(header, altered(value))]}.items():
            await ask(what, credential, 401)
    return found
