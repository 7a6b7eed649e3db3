"""What the senders share that sign with a certificate, and say where it is."""

from __future__ import annotations

from abc import abstractmethod
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Literal

from gatewright.errors import ConfigurationError
from gatewright.webhooks.scheme import Delivery, WebhookRejected
from gatewright.webhooks.schemes.signed import SignedScheme

if TYPE_CHECKING:
    from gatewright.webhooks.schemes.certificate import Rsa

__all__ = ["CertifiedScheme", "RsaHash", "from_base64", "rsa"]

RsaHash = Literal["sha256", "sha1"]


class CertifiedScheme(SignedScheme):
    """A sender whose key is a certificate at an address that each delivery names.

    Whoever can put a file at that address can sign, so the address is looked at before it is fetched, and TLS says
    that the host is the sender's. Nothing in the certificate itself says more: its chain is not looked at, its dates
    are.
    """

    @abstractmethod
    def certificate_url(self, delivery: Delivery) -> str:
        """Return the address of the certificate, on a host of the sender's.

        Raises:
            WebhookRejected: for any other address, and for what the certificate would not help.
        """

    def validity(self, certificate: bytes) -> tuple[float, float]:
        """Return the Unix seconds from and until which *certificate* is valid.

        Raises:
            ConfigurationError: for what is no certificate.
        """
        from gatewright.webhooks.schemes.certificate import validity

        return validity(certificate)


def rsa(sender: str, digest: RsaHash = "sha256") -> Rsa:
    """Return the algorithm of *sender*.

    Raises:
        ConfigurationError: where cryptography is not installed.
    """
    try:
        from gatewright.webhooks.schemes.certificate import Rsa
    except ImportError as missing:
        raise ConfigurationError(
            f'{sender} signs with a certificate: write pip install "gatewright[webhooks]"'
        ) from missing
    return Rsa(digest)


def from_base64(text: bytes) -> bytes:
    """Return what *text* encodes.

    Raises:
        WebhookRejected: for anything but canonical base64 (RFC 4648, section 3.5).
    """
    try:
        decoded = b64decode(text)
    except ValueError:
        raise WebhookRejected("malformed") from None
    if b64encode(decoded) != text:
        raise WebhookRejected("malformed")
    return decoded
