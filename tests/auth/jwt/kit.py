"""Keys that were made for these tests, and tokens that nobody should mint."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from gatewright import Gate, Principal, Result, ok, with_auth
from gatewright._core.tokens import base64url
from gatewright.auth.authenticator import ABSENT, Rejected
from gatewright.auth.jwt import BearerJWT
from gatewright.testing import EventList, FrozenClock, Reply, call
from tests.auth.support import call_with

NOW = 1_800_000_000
ISSUER = "https://id.example.com"
AUDIENCE = "https://api.example.com"

EC = ECKey.generate_key("P-256", {"kid": "ec-1"})
OTHER_EC = ECKey.generate_key("P-256", {"kid": "ec-2"})
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed-1"})
SECRET = b"a secret of these tests, long enough for all three of them, sixty-four bytes"
OTHER_SECRET = b"another secret of these tests, which has sixty-four bytes or more, as well"

Signer = Callable[[bytes], bytes]


def by(key: ECKey | RSAKey | OKPKey, alg: str = "ES256") -> Signer:
    return lambda message: JWSRegistry.algorithms[alg].sign(message, key)


def by_secret(secret: bytes, alg: str = "HS256") -> Signer:
    return lambda message: hmac.digest(secret, message, getattr(hashlib, f"sha{alg[2:]}"))


def claims(**others: Any) -> dict[str, Any]:
    """Return claims that are accepted; a value of `...` leaves one out."""
    usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": NOW + 600, "iat": NOW}
    return {name: value for name, value in {**usual, **others}.items() if value is not ...}


def header(**others: Any) -> dict[str, Any]:
    """Return a header that is accepted; a value of `...` leaves a member out."""
    usual = {"alg": "ES256", "typ": "JWT", "kid": "ec-1"}
    return {name: value for name, value in {**usual, **others}.items() if value is not ...}


def spelled(part: Mapping[str, Any] | bytes) -> bytes:
    return part if isinstance(part, bytes) else json.dumps(part).encode()


def mint(
    payload: Mapping[str, Any] | bytes | None = None,
    head: Mapping[str, Any] | bytes | None = None,
    sign: Signer | None = None,
) -> bytes:
    """Return a token of these parts, each an object or the bytes to put there; signed, whatever they say."""
    parts = [spelled(header() if head is None else head), spelled(claims() if payload is None else payload)]
    message = b".".join(map(base64url, parts))
    return message + b"." + base64url((sign or by(EC))(message))


def make(**others: Any) -> BearerJWT:
    """Return an authenticator that takes what `mint` makes."""
    usual = {"keys": EC.as_pem(private=False), "algorithms": ("ES256",), "issuer": ISSUER, "audience": AUDIENCE}
    return BearerJWT(**{**usual, **others})


def secretive(**others: Any) -> BearerJWT:
    """Return an authenticator of tokens that are signed with a secret."""
    return make(**{"keys": SECRET, "algorithms": ("HS256",), **others})


def hs(payload: Mapping[str, Any] | bytes | None = None, **others: Any) -> bytes:
    """Return a token that is signed with the secret."""
    return mint(payload, header(alg="HS256", kid=..., **others), by_secret(SECRET))


def gate_at(clock: FrozenClock | None = None) -> Gate:
    return Gate(clock=clock or FrozenClock(NOW), log=EventList())


async def verdict(api: BearerJWT, token: bytes, gate: Gate) -> object:
    """Return what the authenticator says of a token."""
    authenticate = api.bind(gate).authenticate
    said = authenticate(call_with((b"authorization", b"Bearer " + token), gate=gate))
    return said if isinstance(said, (Principal, Rejected)) or said is ABSENT else await said


async def sent(api: BearerJWT, token: bytes, gate: Gate | None = None) -> Reply:
    """Return the answer of a handler behind the authenticator."""

    @with_auth(api)
    async def handler(principal: Principal) -> Result[str]:
        return ok(principal.sub)

    headers = {"Authorization": f"Bearer {token.decode('latin-1')}", "X-Request-Id": "one"}
    return await call(handler, headers=headers, gate=gate or gate_at())
