"""Passwords, kept as argon2id hashes."""

from __future__ import annotations

import secrets

from anyio import CapacityLimiter, to_thread
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

_hasher = PasswordHasher()
# Verified in place of the hash that an unknown account does not have, so that time does not tell who has an account.
_nobodys = _hasher.hash(secrets.token_urlsafe())
# A hash takes 64 MiB and some 50 ms: in a thread, so that the server goes on, and only a few at a time.
_few = CapacityLimiter(4)


async def hashed(password: str) -> str:
    """Return the hash to keep."""
    return await to_thread.run_sync(_hasher.hash, password, limiter=_few)


async def matches(password_hash: str | None, password: str) -> bool:
    """Say whether *password* belongs to a hash; None, for no account, takes as long and is False."""
    return await to_thread.run_sync(_matches, password_hash, password, limiter=_few)


def _matches(password_hash: str | None, password: str) -> bool:
    try:
        _hasher.verify(password_hash or _nobodys, password)
    except VerifyMismatchError:
        return False
    return password_hash is not None
