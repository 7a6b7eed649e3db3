"""What makes a record a token: a signature, or a cipher where its owner may not read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from gatewright.auth.session.record import SessionRecord, session_schema
from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.gate import Gate

__all__ = ["Tokens", "tokens_for"]


class Tokens(Protocol):
    """Make tokens of records, and read them back."""

    def sign(self, record: Mapping[str, object]) -> str:
        """Return *record* as a token."""
        ...

    def read(self, token: bytes) -> SessionRecord:
        """Return the record of a token; raise a `ValueError`, which does not quote it, for any other text."""
        ...


def tokens_for(name: str, keys: Sequence[bytes], gate: Gate, *, encrypted: bool) -> Tokens:
    """Return what makes the tokens of the sessions under a cookie's name.

    Raises:
        ConfigurationError: for encrypted ones, where cryptography is not installed.
    """
    # The name is part of the purpose: a user's session in an administrator's cookie is not one.
    purpose = f"gatewright.session {name}"
    schema = session_schema(with_data=encrypted)
    if not encrypted:
        from gatewright._core.tokens import TokenSigner

        return TokenSigner[SessionRecord](keys, purpose, schema)
    try:
        from gatewright.auth.session.sealing import TokenSealer
    except ImportError as missing:
        raise ConfigurationError(
            'SessionCookie(encrypted=True) needs cryptography: pip install "gatewright[jwt]"'
        ) from missing
    return TokenSealer[SessionRecord](keys, purpose, schema, gate.entropy)
