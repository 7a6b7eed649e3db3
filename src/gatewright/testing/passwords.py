"""Passwords that are hashed in no time."""

from __future__ import annotations

from dataclasses import replace

from gatewright.auth.passwords.argon2 import argon2id
from gatewright.auth.passwords.passwords import Passwords

__all__ = ["cheap_passwords"]


def cheap_passwords(passwords: Passwords | None = None) -> Passwords:
    """Return passwords whose hashes are fast to make, and to guess.

    Args:
        passwords: whose policy and other settings are kept; by default those of `Passwords()`.

    Raises:
        ConfigurationError: where argon2-cffi is not installed.
    """
    cheap = (argon2id(1, 8, 1, weak_for_tests=True),)
    return Passwords(cheap) if passwords is None else replace(passwords, hashers=cheap)
