"""Secrets as senders hand them out: one or several, of one tenant or of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from gatewright.errors import ConfigurationError

__all__ = ["Secret", "Secrets", "Tenant", "secret_bytes", "several"]

Secret = str | bytes
"""A shared secret, a public key or a certificate, as the sender shows it."""

Secrets = Secret | Sequence[Secret]
"""One secret, or several, newest first."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """Name whose secrets they are, so that tenants who share an endpoint cannot pass for one another.

    Args:
        name: stays the same when the secrets change.
        secrets: one or several, newest first.

    Raises:
        ConfigurationError: for a tenant without a name, and for what is no secret.
    """

    name: str
    secrets: Secrets = field(repr=False)

    def __post_init__(self) -> None:
        name, secrets = cast("tuple[object, object]", (self.name, self.secrets))
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"Tenant({name!r}): write a name; without one, all tenants would be one")
        if not isinstance(secrets, (str, bytes, list, tuple)):
            raise ConfigurationError(f"Tenant({name!r}): {type(secrets).__name__} is no secret, and no list of them")


def several(secrets: Secrets) -> Sequence[Secret]:
    """Return secrets as a sequence; one string is one secret, not its characters."""
    return (secrets,) if isinstance(secrets, (str, bytes)) else secrets


def secret_bytes(secret: object) -> bytes:
    """Return *secret* as the sender uses it; where an environment variable was missing, it may be anything.

    Raises:
        ConfigurationError: for one that is blank, which anybody can sign with; for text with whitespace around it.
    """
    if not isinstance(secret, (str, bytes)):
        raise ConfigurationError(f"a webhook secret is str or bytes, not {type(secret).__name__}; is its variable set?")
    if not secret.strip():
        raise ConfigurationError("a webhook secret is empty: anybody could sign with it; is its variable set?")
    if isinstance(secret, bytes):
        return secret
    if secret != secret.strip():
        raise ConfigurationError(
            "a webhook secret has whitespace around it; strip it, or give bytes if it belongs there"
        )
    try:
        return secret.encode()
    except UnicodeEncodeError:
        raise ConfigurationError("a webhook secret is not text; give bytes (os.environb)") from None
