"""Who is calling. In the core, because limits, logs and requirements all ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Generic

from typing_extensions import TypeVar

__all__ = ["Principal"]

U_co = TypeVar("U_co", default=object, covariant=True)
_NO_CLAIMS: Mapping[str, Any] = MappingProxyType({})


# Without slots: `Principal[User]("u1")` makes typing set an attribute, which a frozen class with slots answers with
# a TypeError on Python 3.11 (CPython issue 90562).
@dataclass(frozen=True)
class Principal(Generic[U_co]):
    """Name an authenticated caller.

    Args:
        sub: the subject; stable, unique, what limits and logs use.
        method: how it was proved: "session", "bearer", "api_key", "header_token", "basic", or your own word.
        roles: what the caller is.
        scopes: what the credential may do.
        auth_at: when the caller authenticated, Unix seconds.
        sid: the session's id, where there is a session.
        tenant: whose data the caller works on, where there are tenants.
        user: what your `load_user` or lookup returned.
        claims: whatever else the credential says.
    """

    __injected_by__: ClassVar[str] = "@with_auth(...)"

    sub: str
    method: str = "session"
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    auth_at: float = 0.0
    sid: str | None = None
    tenant: str | None = None
    user: U_co | None = field(default=None, repr=False)
    claims: Mapping[str, Any] = field(default_factory=lambda: _NO_CLAIMS, repr=False)
