"""Secrets that are long enough."""

from __future__ import annotations

from gatewright.errors import ConfigurationError

__all__ = ["MINIMUM_KEY_BYTES", "Key", "key_bytes"]

Key = str | bytes
MINIMUM_KEY_BYTES = 32


def key_bytes(key: Key) -> bytes:
    """Return *key* as bytes.

    Raises:
        ConfigurationError: for a key that is none, is under 32 bytes, or holds fewer than 8 different ones.
    """
    if not isinstance(key, (str, bytes)):  # pyright: ignore[reportUnnecessaryIsInstance]  # os.environ.get() may be None
        raise ConfigurationError("a key is a str or bytes; is the variable of the environment set that it comes from?")
    raw = key.encode() if isinstance(key, str) else key
    if len(raw) < MINIMUM_KEY_BYTES or len(set(raw)) < 8:
        raise ConfigurationError(
            f"a key of {len(raw)} bytes ({len(set(raw))} different) can be guessed; make one with "
            "python -c 'import secrets; print(secrets.token_urlsafe(32))' and keep it in the environment"
        )
    return raw
