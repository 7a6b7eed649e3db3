"""Which signatures are taken: the algorithms of one family, so that no key can be used as one of another kind."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gatewright.errors import ConfigurationError

__all__ = ["FAMILIES", "Algorithms", "Family"]


@dataclass(frozen=True, slots=True)
class Family:
    """Algorithms that use the same kind of key.

    Args:
        kty: the kind of key (RFC 7517, section 4.1).
        names: the algorithms (RFC 7518, section 3.1; RFC 9864, section 2.2).
    """

    kty: str
    names: tuple[str, ...]

    @property
    def symmetric(self) -> bool:
        """Say whether who can verify can sign."""
        return self.kty == "oct"


FAMILIES = (
    Family("oct", ("HS256", "HS384", "HS512")),
    Family("RSA", ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
    Family("EC", ("ES256", "ES384", "ES512")),
    Family("OKP", ("EdDSA", "Ed25519", "Ed448")),
)
_FAMILY_OF = {name: family for family in FAMILIES for name in family.names}


@dataclass(frozen=True, slots=True)
class Algorithms:
    """The algorithms that are taken (ASVS 5.0, 9.1.2).

    Args:
        names: what `alg` may say; all of one family.
        family: theirs.
    """

    names: tuple[str, ...]
    family: Family

    @classmethod
    def of(cls, names: Collection[str]) -> Algorithms:
        """Return *names* as algorithms.

        Raises:
            ConfigurationError: for none, for unknown ones, "none" among them, and for those of several families.
        """
        if isinstance(names, str) or not names:
            raise ConfigurationError(f'BearerJWT(algorithms={names!r}): write what its issuer uses, such as ("ES256",)')
        for name in names:
            if name not in _FAMILY_OF:
                raise ConfigurationError(f"BearerJWT(algorithms=...): {name!r} is none of {', '.join(_FAMILY_OF)}")
        families = {_FAMILY_OF[name].kty: _FAMILY_OF[name] for name in names}
        if len(families) > 1:
            raise ConfigurationError(
                f"BearerJWT(algorithms={tuple(names)}): these want keys of several kinds, and a public key of one kind "
                "could pass for a secret of another; write those that the issuer uses, all of one kind"
            )
        return cls(tuple(dict.fromkeys(names)), families.popitem()[1])
