"""Keys that are long enough, and messages that do not show them."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright._core.keys import key_bytes
from gatewright.errors import ConfigurationError

LONG = "0123456789abcdef0123456789abcdef"


def test_a_key_is_bytes_or_text() -> None:
    """A text is taken as UTF-8; length is counted in bytes."""
    assert key_bytes(LONG) == key_bytes(LONG.encode()) == LONG.encode()
    assert len(key_bytes("0123456789äöüß€øñ" + "x" * 7)) == 32
    assert key_bytes("12345678" * 4) == b"12345678" * 4


@pytest.mark.parametrize("key", ["", b"", "secret", LONG[:-1], b"x" * 32, "ab" * 32, "1234567" * 10])
def test_a_key_that_can_be_guessed_is_refused(key: str | bytes) -> None:
    """Under 32 bytes, or a few repeated; the message says how to make one."""
    with pytest.raises(ConfigurationError, match=r"secrets\.token_urlsafe\(32\)"):
        key_bytes(key)


def test_what_the_message_recommends_passes() -> None:
    """Every key that is made as the message says is taken."""
    for _ in range(100):
        key_bytes(secrets.token_urlsafe(32))
        key_bytes(secrets.token_hex(16))


@pytest.mark.parametrize("missing", [None, 0])
def test_a_missing_key_is_a_mistake_with_an_explanation(missing: Any) -> None:
    """`keys=[os.environ.get("SECRET_KEY")]` is the commonest mistake of all; it is told in words."""
    with pytest.raises(ConfigurationError):
        key_bytes(missing)


@given(st.text("abcdefgh", min_size=4, max_size=31).map("Zq9".__add__))
def test_the_message_does_not_show_the_key(key: str) -> None:
    """A key that was refused here may be in use elsewhere."""
    with pytest.raises(ConfigurationError) as caught:
        key_bytes(key[:31])
    assert "Zq9" not in str(caught.value)
