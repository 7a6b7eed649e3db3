"""Certificates that were made for these tests, and what says where they are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

__all__ = ["CERTIFICATE", "KEY", "NOW", "OTHER_CERTIFICATE", "OTHER_KEY", "certificate_of", "pem_of"]

NOW = 1_760_000_000.0


def pem_of(key: Any) -> bytes:
    """Return a private key in PEM."""
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem


def certificate_of(key: Any, since: float = NOW - 86_400, until: float = NOW + 86_400) -> bytes:
    """Return a certificate of a key, signed by itself, valid from *since* until *until*."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "signing.example.com")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1)
    made = made.not_valid_before(datetime.fromtimestamp(since, UTC)).not_valid_after(datetime.fromtimestamp(until, UTC))
    signer = key if isinstance(key, rsa.RSAPrivateKey) and key.key_size > 1024 else _RSA
    return made.sign(signer, SHA256()).public_bytes(Encoding.PEM)


_RSA, _OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
KEY, OTHER_KEY = pem_of(_RSA), pem_of(_OTHER)
CERTIFICATE, OTHER_CERTIFICATE = certificate_of(_RSA), certificate_of(_OTHER)
