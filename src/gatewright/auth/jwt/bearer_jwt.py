"""Bearer tokens that prove themselves: signed by an issuer that is trusted, for an audience that is meant."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from gatewright._core.functions import is_async
from gatewright._core.principal import Principal
from gatewright._core.tokens import TokenError
from gatewright.auth.authenticator import BoundAuthenticator, Rejected, Verdict, challenge_of
from gatewright.auth.credentials.authorization import bearer_of
from gatewright.auth.credentials.lookup import check_cap
from gatewright.auth.jwt.algorithms import Algorithms
from gatewright.auth.jwt.claims import Expected, principal_from
from gatewright.auth.jwt.compact import UnknownKey
from gatewright.auth.jwt.fetched import FetchedKeys, JwksUrl
from gatewright.auth.jwt.verify import Genuine, Terms, ToPrincipal, Verifier
from gatewright.auth.session.revokes import check_revoker
from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.gate import Gate
    from gatewright.auth.jwt.keys import KeySet
    from gatewright.auth.session.revokes import BoundRevoker, Revokes

__all__ = ["BearerJWT", "KeySource"]

LoadUser = Callable[[Principal[Any]], Awaitable[object | None]]
_OneKey = str | bytes | Mapping[str, Any]
KeySource = _OneKey | Sequence[_OneKey] | JwksUrl
"""Where keys come from: one or several at hand, each a secret, a PEM or a JWK; a JWKS; the address of one."""

_ALWAYS = ("exp", "sub")
_NO_USER = Rejected("invalid_token", "load_user knows no such user")
_REVOKED = Rejected("invalid_token", "revoked")


@dataclass(frozen=True, eq=False)
class BearerJWT:
    """Authenticate by a JSON Web Token in `Authorization: Bearer` (RFC 7519, RFC 6750).

    Signature, issuer, audience, kind and time are checked always, as RFC 8725 has it; there is no way to leave one out.

    Args:
        keys: what verifies signatures. Secrets of 32 bytes or more for HS..., else public keys as PEM, DER or JWK; a
            list while they are rotated; a JWKS; or `JwksUrl(...)`.
        algorithms: what `alg` may say: algorithms that want the same kind of key, such as `("ES256",)`.
        issuer: what `iss` has to be, exactly.
        audience: what `aud` has to be, or to contain: the name of this API at its issuer.
        typ: what the header may call the token, whatever the case; None in it takes one that says nothing.
        require: claims that have to be there; `exp` and `sub` have to in any case.
        max_bytes: longer tokens are rejected before they are looked at.
        leeway: seconds that the clock of the issuer may be ahead of this one's.
        max_age: seconds after `iat` in which a token is taken, whatever its `exp` says.
        load_user: an `async def` that takes the principal and returns its user, which becomes `principal.user`,
            or None, which refuses.
        principal: takes the claims and returns the `Principal` that they mean, or None, which refuses; by default
            `sub`, `scope` or `scp`, `roles`, `auth_time`, `sid` and `tenant`. It is asked once while a token is known.
        revoker: knows which tokens are over before their time, by their `jti`, or all of a subject.
        realm: the name of what is protected, for the challenge.

    Raises:
        ConfigurationError: for a key that can be guessed, is public though it should be secret, or is none; for
            algorithms of several kinds, or "none"; for no issuer or audience; for numbers and functions that are none.
    """

    _: KW_ONLY
    keys: KeySource = field(repr=False)
    algorithms: Collection[str]
    issuer: str
    audience: str
    typ: Collection[str | None] = ("JWT", "at+jwt")
    require: Collection[str] = _ALWAYS
    max_bytes: int = 8192
    leeway: float = 5
    max_age: float | None = None
    load_user: LoadUser | None = None
    principal: ToPrincipal | None = None
    revoker: Revokes | None = None
    realm: str = "api"
    _challenge: str = field(init=False, repr=False)
    _terms: Terms = field(init=False, repr=False)
    _source: KeySet | Callable[[Gate], FetchedKeys] = field(init=False, repr=False)
    _bound: WeakKeyDictionary[Gate, BoundAuthenticator] = field(init=False, repr=False)

    name = "bearer"
    header = "Authorization"
    ambient = False

    def __post_init__(self) -> None:
        algorithms = Algorithms.of(self.algorithms)
        self._check_words()
        self._check_numbers()
        if self.load_user is not None and not is_async(self.load_user):
            raise ConfigurationError(f"BearerJWT(load_user={self.load_user!r}): write it as an `async def`")
        if self.principal is not None and (not callable(self.principal) or is_async(self.principal)):
            raise ConfigurationError(f"BearerJWT(principal={self.principal!r}): write a plain function of the claims")
        check_revoker("BearerJWT", self.revoker)
        object.__setattr__(self, "_challenge", challenge_of("Bearer", self.realm))
        object.__setattr__(self, "_terms", self._terms_of(algorithms))
        object.__setattr__(self, "_source", _source_of(self.keys, algorithms))
        object.__setattr__(self, "_bound", WeakKeyDictionary())

    def challenge(self) -> str:
        """Return the challenge of a 401 (RFC 6750, section 3)."""
        return self._challenge

    @property
    def security_scheme(self) -> Mapping[str, object]:
        """Return how OpenAPI describes the credential."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}

    def bind(self, gate: Gate) -> BoundAuthenticator:
        """Take the clock of *gate*, and its storage where there is a revoker."""
        bound = self._bound.get(gate)
        if bound is None:
            bound = self._bound[gate] = self._bind(gate)
        return bound

    def _bind(self, gate: Gate) -> BoundAuthenticator:
        verifier = Verifier(self._terms, gate.clock)
        keys = self._source(gate) if callable(self._source) else self._source
        if self.load_user is None and self.revoker is None and not isinstance(keys, FetchedKeys):
            return _Direct(self.max_bytes, verifier, keys)
        revoker = None if self.revoker is None else self.revoker.bind(gate)
        return _Awaited(self.max_bytes, verifier, keys, revoker, self.load_user)

    def _terms_of(self, algorithms: Algorithms) -> Terms:
        ages = [age for age in (self.max_age, getattr(self.revoker, "max_age", None)) if age is not None]
        # Older than the revoker remembers, a token that was ended would be valid again.
        further = tuple(name for name in self.require if name not in _ALWAYS)
        expected = Expected(self.issuer, self.audience, further, min(ages, default=None))
        typ = frozenset(None if name is None else name.lower().removeprefix("application/") for name in self.typ)
        principal = principal_from if self.principal is None else self.principal
        return Terms(frozenset(algorithms.names), typ, expected, self.leeway, principal)

    def _check_words(self) -> None:
        for what, word in (("issuer", self.issuer), ("audience", self.audience)):
            if not isinstance(word, str) or not word:  # pyright: ignore[reportUnnecessaryIsInstance]  # os.environ.get() may be None
                raise ConfigurationError(f"BearerJWT({what}={word!r}): write the one that its tokens have, as a str")
        for what, words, example in (("typ", self.typ, '("at+jwt",)'), ("require", self.require, '("exp", "sub")')):
            if isinstance(words, str) or (what == "typ" and not words):
                raise ConfigurationError(f"BearerJWT({what}={words!r}): write {what}={example}")

    def _check_numbers(self) -> None:
        check_cap(self, self.max_bytes)
        if not 0 <= self.leeway < math.inf:
            raise ConfigurationError(f"BearerJWT(leeway={self.leeway}): write a few seconds, such as 5")
        if self.max_age is not None and not 0 < self.max_age < math.inf:
            raise ConfigurationError(f"BearerJWT(max_age={self.max_age}): write seconds, such as 3600, or leave it out")


def _source_of(keys: KeySource, algorithms: Algorithms) -> KeySet | Callable[[Gate], FetchedKeys]:
    try:
        from gatewright.auth.jwt.keys import given, published
    except ImportError as missing:
        raise ConfigurationError(
            'BearerJWT verifies signatures with joserfc: write pip install "gatewright[jwt]"'
        ) from missing
    if not isinstance(keys, JwksUrl):
        return given(keys, algorithms)
    if algorithms.family.symmetric:
        raise ConfigurationError(
            f"BearerJWT(algorithms={algorithms.names}): what anybody can fetch is no secret; "
            "write what the issuer signs with, such as RS256"
        )
    return partial(FetchedKeys, keys, partial(published, algorithms=algorithms))


@dataclass(frozen=True, slots=True, eq=False)
class _Direct:
    """Tokens that say all, and keys that are at hand."""

    max_bytes: int
    verifier: Verifier
    keys: KeySet

    def authenticate(self, call: Call) -> Verdict:
        """Say who is calling."""
        token = bearer_of(call, self.max_bytes)
        if not isinstance(token, bytes):
            return token
        try:
            return self.verifier.check(token, self.keys).principal
        except TokenError as bad:
            return Rejected("invalid_token", str(bad))


@dataclass(frozen=True, slots=True, eq=False)
class _Awaited:
    """Tokens about which somebody has to be asked: for the keys, whether they were ended, for the user."""

    max_bytes: int
    verifier: Verifier
    keys: KeySet | FetchedKeys
    revoker: BoundRevoker | None
    load_user: LoadUser | None

    async def authenticate(self, call: Call) -> Verdict:
        """Say who is calling."""
        token = bearer_of(call, self.max_bytes)
        if not isinstance(token, bytes):
            return token
        try:
            genuine = await self._verified(token)
        except TokenError as bad:
            return Rejected("invalid_token", str(bad))
        return await self._known(genuine)

    async def _verified(self, token: bytes) -> Genuine:
        if not isinstance(self.keys, FetchedKeys):
            return self.verifier.check(token, self.keys)
        keys = self.keys.at_hand
        if keys is None:
            # What could not be one of ours is not worth a fetch.
            self.verifier.read(token)
            keys = await self.keys.obtain()
        try:
            return self.verifier.check(token, keys)
        except UnknownKey:
            newer = await self.keys.newer_than(keys)
            if newer is keys:
                raise
            return self.verifier.check(token, newer)

    async def _known(self, genuine: Genuine) -> Verdict:
        principal, claims = genuine.principal, genuine.claims
        if self.revoker is not None and await self.revoker.is_revoked(claims.jti, principal.sub, claims.issued_at):
            return _REVOKED
        if self.load_user is None:
            return principal
        user = await self.load_user(principal)
        return _NO_USER if user is None else replace(principal, user=user)
