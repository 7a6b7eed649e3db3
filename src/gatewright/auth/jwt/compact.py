"""A signed token as it travels (RFC 7515, section 7.1), read strictly: one spelling of each, and nothing said twice."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from gatewright._core import strict_json
from gatewright._core.tokens import TokenError, from_base64url

__all__ = ["MAX_NAME", "SignedToken", "UnknownKey", "json_object", "read_compact"]

MAX_NAME = 255
"""How long an identifier may be, in characters: `sub` by OpenID Connect Core 1.0, section 2; others by analogy."""

# Base64url without padding, its unused bits zero: RFC 4648, section 3.5, lets a decoder insist on that.
_BASE64URL = rb"(?:[\w-]{4})*(?:[\w-][AQgw]|[\w-]{2}[AEIMQUYcgkosw048])?"
_COMPACT = re.compile(rb"(?P<message>(?P<header>%b)\.(?P<payload>%b))\.(?P<signature>%b)" % ((_BASE64URL,) * 3))

# What would have the token itself choose the key (ASVS 5.0, 9.1.3), and extensions that change what is signed.
_REFUSED = ("crit", "b64", "jku", "jwk", "x5u", "x5c")


class UnknownKey(TokenError):
    """Say that a token was not verified, and that the keys do not know of the one that it names."""


@dataclass(frozen=True, slots=True)
class SignedToken:
    """A token that was read, and not yet verified.

    Attributes:
        algorithm: what its header says that it is signed with.
        kid: which key it is signed with, where it says so.
        typ: what kind of token it is, in lower case; None where it does not say.
        message: what is signed.
        signature: the signature.
        payload: what the token carries; believe it when the signature fits.
    """

    algorithm: str
    kid: str | None
    typ: str | None
    message: bytes
    signature: bytes
    payload: bytes


def read_compact(token: bytes) -> SignedToken:
    """Return a token's parts.

    Raises:
        TokenError: for anything but three canonical parts with a header that says all it has to, once.
    """
    parts = _COMPACT.fullmatch(token)
    if parts is None:
        raise TokenError("encrypted" if token.count(b".") == 4 else "not three parts in canonical base64url")
    header = json_object(from_base64url(parts["header"]))
    for name in _REFUSED:
        if name in header:
            raise TokenError(f"{name} in its header")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        raise TokenError("its header has no alg")
    kid, typ = _name(header, "kid"), _name(header, "typ")
    return SignedToken(
        algorithm,
        kid,
        None if typ is None else typ.lower().removeprefix("application/"),
        parts["message"],
        from_base64url(parts["signature"]),
        from_base64url(parts["payload"]),
    )


def _name(header: dict[str, Any], member: str) -> str | None:
    if member not in header:
        return None
    value = header[member]
    if not isinstance(value, str) or len(value) > MAX_NAME:
        raise TokenError(f"the {member} in its header is no name")
    return value


def json_object(raw: bytes) -> dict[str, Any]:
    """Return a strict JSON object.

    Raises:
        TokenError: for other bytes, whatever they are.
    """
    try:
        return strict_json.json_object(raw)
    except ValueError as why:
        raise TokenError(str(why)) from None
