"""What a token claims (RFC 7519, section 4), and whom it names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import inf
from types import MappingProxyType
from typing import Any, cast

from gatewright._core.principal import Principal
from gatewright._core.tokens import TokenError
from gatewright.auth.jwt.compact import MAX_NAME

__all__ = ["Claims", "Expected", "principal_from"]

_DATES = ("exp", "nbf", "iat", "auth_time")
# Beyond this, in either direction, a NumericDate is a mistake; within it, every one is exact as a float.
_FAR = 1e12


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims that are as expected; what is left to ask each time is the time.

    Attributes:
        all: every claim.
        begins: before then the token is of the future, Unix seconds.
        expires: from then on it is over, Unix seconds.
        issued_at: when it was issued, Unix seconds; 0 where it does not say.
        jti: its id, where it has one.
    """

    all: Mapping[str, Any]
    begins: float
    expires: float
    issued_at: float
    jti: str | None


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token has to claim.

    Args:
        issuer: what `iss` has to be.
        audience: what `aud` has to be, or to contain.
        require: further claims that have to be there.
        max_age: seconds after `iat` in which it is taken; None for as many as it says itself.
    """

    issuer: str
    audience: str
    require: Collection[str]
    max_age: float | None

    def of(self, claims: dict[str, Any]) -> Claims:
        """Return *claims*, which a genuine token makes.

        Raises:
            TokenError: for one that is missing, malformed, or for somebody else.
        """
        self._who(claims)
        dates = {name: _date(name, claims[name]) for name in _DATES if name in claims}
        if "exp" not in dates:
            raise TokenError("it has no exp")
        expires = dates["exp"]
        if self.max_age is not None:
            if "iat" not in dates:
                raise TokenError("it has no iat, so its age is unknown")
            expires = min(expires, dates["iat"] + self.max_age)
        begins = max((date for name, date in dates.items() if name != "exp"), default=-inf)
        jti = _text(claims, "jti")
        return Claims(MappingProxyType(claims), begins, expires, dates.get("iat", 0.0), jti)

    def _who(self, claims: dict[str, Any]) -> None:
        if claims.get("iss") != self.issuer:
            raise TokenError("it is from another issuer, or does not say")
        aud = claims.get("aud")
        audiences = [aud] if isinstance(aud, str) else _strings(aud, "aud")
        if self.audience not in audiences:
            raise TokenError("it is for another audience")
        if not _text(claims, "sub"):
            raise TokenError("it has no sub")
        for name in self.require:
            if claims.get(name) is None:
                raise TokenError(f"it has no {name}")


def principal_from(claims: Mapping[str, Any]) -> Principal:
    """Return whom *claims* name, by the registered names (RFC 9068, section 2.2; OpenID Connect Core 1.0, section 2).

    Scopes are in `scope` (RFC 8693, section 4.2) or `scp`. When somebody authenticated is known by `auth_time` only: a
    token that was refreshed has a new `iat`, and nobody authenticated.

    Raises:
        TokenError: for one that is malformed; ignored, it might have said that somebody may not.
    """
    roles = claims.get("roles")
    return Principal(
        claims["sub"],
        "bearer",
        frozenset([roles] if isinstance(roles, str) else _strings(roles, "roles")),
        _names(claims, "scope") | _names(claims, "scp"),
        float(claims.get("auth_time", 0.0)),
        _text(claims, "sid"),
        _text(claims, "tenant"),
        claims=claims,
    )


def _names(claims: Mapping[str, Any], claim: str) -> frozenset[str]:
    value = claims.get(claim)
    return frozenset(filter(None, value.split(" ")) if isinstance(value, str) else _strings(value, claim))


def _strings(value: object, claim: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in cast("list[object]", value)):
        raise TokenError(f"its {claim} is no list of names")
    return cast("list[str]", value)


def _text(claims: Mapping[str, Any], claim: str) -> str | None:
    value = claims.get(claim)
    if value is not None and (not isinstance(value, str) or len(value) > MAX_NAME):
        raise TokenError(f"its {claim} is no name")
    return value


def _date(claim: str, value: object) -> float:
    # A bool is an int, and "1800000000" is less than tomorrow to some: by type, and exactly.
    if type(value) not in (int, float) or not -_FAR < cast("float", value) < _FAR:
        raise TokenError(f"its {claim} is no date")
    return float(cast("float", value))
