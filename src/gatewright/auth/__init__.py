"""Who is calling, and what they may do: authenticators, `with_auth`, `require`."""

from __future__ import annotations

from gatewright._core.principal import Principal
from gatewright.auth.api_key import ApiKey
from gatewright.auth.authenticator import (
    ABSENT,
    Absent,
    Authenticator,
    BoundAuthenticator,
    Identified,
    Rejected,
    Verdict,
)
from gatewright.auth.bearer import BearerToken
from gatewright.auth.lookup import Lookup
from gatewright.auth.require import Require, require
from gatewright.auth.requirement import Predicate, Requirement, role, scopes
from gatewright.auth.session import SessionCookie
from gatewright.auth.with_auth import WithAuth, with_auth

__all__ = [
    "ABSENT",
    "Absent",
    "ApiKey",
    "Authenticator",
    "BearerToken",
    "BoundAuthenticator",
    "Identified",
    "Lookup",
    "Predicate",
    "Principal",
    "Rejected",
    "Require",
    "Requirement",
    "SessionCookie",
    "Verdict",
    "WithAuth",
    "require",
    "role",
    "scopes",
    "with_auth",
]
