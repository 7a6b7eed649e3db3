"""Key pairs, loaded where a sender has them: cryptography is an extra."""

from __future__ import annotations

from gatewright.errors import ConfigurationError
from gatewright.webhooks.schemes.mac import Encoding
from gatewright.webhooks.schemes.signed import Algorithm

__all__ = ["ecdsa_p256", "ed25519"]


def ed25519(encoding: Encoding) -> Algorithm:
    """Return Ed25519 signatures (RFC 8032) in *encoding*.

    Raises:
        ConfigurationError: where cryptography is not installed.
    """
    try:
        from gatewright.webhooks.schemes.public_key import Ed25519
    except ImportError as missing:
        raise _without("Ed25519") from missing
    return Ed25519(encoding)


def ecdsa_p256(encoding: Encoding) -> Algorithm:
    """Return ECDSA signatures on P-256 with SHA-256, as DER in *encoding*.

    Raises:
        ConfigurationError: where cryptography is not installed.
    """
    try:
        from gatewright.webhooks.schemes.public_key import EcdsaP256
    except ImportError as missing:
        raise _without("ECDSA") from missing
    return EcdsaP256(encoding)


def _without(what: str) -> ConfigurationError:
    return ConfigurationError(f'{what} signatures need cryptography: pip install "gatewright[webhooks]"')
