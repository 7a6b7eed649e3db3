"""The check of one token: read, verified, expected, in its time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gatewright._core.principal import Principal
from gatewright._core.tokens import TokenError
from gatewright.auth.credentials.lookup import mistaken, proved_by
from gatewright.auth.jwt.claims import Claims, Expected, principal_from
from gatewright.auth.jwt.compact import SignedToken, json_object, read_compact

if TYPE_CHECKING:
    from gatewright._core.clock import Clock
    from gatewright.auth.jwt.keys import KeySet

__all__ = ["Genuine", "Terms", "ToPrincipal", "Verifier"]

ToPrincipal = Callable[[Mapping[str, Any]], Principal[Any] | None]
"""Return whom the claims of a genuine token name, or None, which refuses it."""

# Genuine tokens only, so that nobody can fill it with others; in bytes, because they may be long.
_REMEMBERED = 1 << 20


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of a token.

    Args:
        algorithms: what it may be signed with.
        typ: what it may say that it is, in lower case; None where it need not say.
        expected: what it has to claim.
        leeway: seconds that the clock of the issuer may be ahead of this one's.
        principal: takes its claims, returns whom they name.
    """

    algorithms: Collection[str]
    typ: Collection[str | None]
    expected: Expected
    leeway: float
    principal: ToPrincipal = principal_from


@dataclass(frozen=True, slots=True)
class Genuine:
    """A token that was verified.

    Attributes:
        principal: whom it names.
        claims: what else it says.
    """

    principal: Principal[Any]
    claims: Claims


class Verifier:
    """Check tokens by the clock of one gate.

    Those that are genuine are remembered with the keys that verified them, and forgotten with them.

    Args:
        terms: what is asked of them.
        clock: tells the time.
    """

    __slots__ = ("_bytes", "_clock", "_keys", "_known", "_terms")

    def __init__(self, terms: Terms, clock: Clock) -> None:
        self._terms = terms
        self._clock = clock
        self._keys: KeySet | None = None
        self._known: dict[bytes, Genuine] = {}
        self._bytes = 0

    def check(self, token: bytes, keys: KeySet) -> Genuine:
        """Return what *token* says.

        Raises:
            UnknownKey: where *keys* do not know who signed it.
            TokenError: where it is not as it has to be, for whatever other reason.
        """
        genuine = self._known.get(token) if keys is self._keys else None
        if genuine is None:
            genuine = self._verified(self.read(token), keys)
            self._remember(token, genuine, keys)
        now = self._clock.time()
        if now >= genuine.claims.expires:
            raise TokenError("expired")
        if genuine.claims.begins > now + self._terms.leeway:
            raise TokenError("of the future")
        return genuine

    def read(self, token: bytes) -> SignedToken:
        """Return the parts of a token that could be one of ours, whoever signed it.

        Raises:
            TokenError: for any other.
        """
        signed = read_compact(token)
        if signed.algorithm not in self._terms.algorithms:
            raise TokenError("its alg is not one of ours")
        if signed.typ not in self._terms.typ:
            raise TokenError("its typ is not one of ours")
        return signed

    def _verified(self, signed: SignedToken, keys: KeySet) -> Genuine:
        keys.verify(signed)
        claims = self._terms.expected.of(json_object(signed.payload))
        principal = self._terms.principal(claims.all)
        if principal is None:
            raise TokenError("principal= knows nobody by its claims")
        if not isinstance(principal, Principal):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
            raise mistaken(principal, self._terms.principal, "Principal(sub=...)")
        return Genuine(proved_by("bearer", principal), claims)

    def _remember(self, token: bytes, genuine: Genuine, keys: KeySet) -> None:
        """Keep what a token says, so that its next request costs no signature; its times count each time."""
        self._bytes += len(token)
        if keys is not self._keys or self._bytes > _REMEMBERED:
            # All at once: which are in use will be known again after one request each.
            self._keys, self._known, self._bytes = keys, {}, len(token)
        self._known[token] = genuine
