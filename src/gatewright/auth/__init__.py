"""Who is calling, and what they may do: authenticators, sessions, requirements, passwords, cross-origin requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gatewright._core.late import late as _late
from gatewright._core.principal import Principal
from gatewright.auth.authenticator import (
    ABSENT,
    Absent,
    Authenticator,
    BoundAuthenticator,
    Identified,
    Rejected,
    Verdict,
)
from gatewright.auth.authority.require import Require, require
from gatewright.auth.authority.requirement import Predicate, Requirement, role, scopes
from gatewright.auth.credentials.bearer import BearerToken
from gatewright.auth.credentials.lookup import Lookup
from gatewright.auth.cross_origin.guard import CrossOrigin, check_origin, cross_origin
from gatewright.auth.session.cookie import SessionCookie
from gatewright.auth.with_auth import WithAuth, with_auth

if TYPE_CHECKING:
    from gatewright.auth.authority.kinds import fresh, is_self, same_tenant
    from gatewright.auth.authority.owned import Owned, owned
    from gatewright.auth.authority.protect import protect
    from gatewright.auth.authority.public import Public, public
    from gatewright.auth.credentials.api_key import ApiKey, ApiKeyLookup, ApiKeyRecord
    from gatewright.auth.credentials.basic import Basic, BasicLookup
    from gatewright.auth.credentials.header_token import HeaderToken
    from gatewright.auth.credentials.key_format import NewApiKey, new_api_key
    from gatewright.auth.cross_origin.token import csrf_token
    from gatewright.auth.jwt import BearerJWT, JwksUrl
    from gatewright.auth.login import LoggedIn, Login, LoginFailed
    from gatewright.auth.next_url import safe_next
    from gatewright.auth.passwords.argon2 import argon2id
    from gatewright.auth.passwords.bcrypt import bcrypt
    from gatewright.auth.passwords.hasher import Hasher
    from gatewright.auth.passwords.passwords import Passwords, PasswordVerdict
    from gatewright.auth.passwords.policy import ClassicPolicy, NistPolicy, Policy
    from gatewright.auth.session.revoker import Revoker
    from gatewright.auth.session.revokes import BoundRevoker, Revokes

__all__ = [
    "ABSENT",
    "Absent",
    "ApiKey",
    "ApiKeyLookup",
    "ApiKeyRecord",
    "Authenticator",
    "Basic",
    "BasicLookup",
    "BearerJWT",
    "BearerToken",
    "BoundAuthenticator",
    "BoundRevoker",
    "ClassicPolicy",
    "CrossOrigin",
    "Hasher",
    "HeaderToken",
    "Identified",
    "JwksUrl",
    "LoggedIn",
    "Login",
    "LoginFailed",
    "Lookup",
    "NewApiKey",
    "NistPolicy",
    "Owned",
    "PasswordVerdict",
    "Passwords",
    "Policy",
    "Predicate",
    "Principal",
    "Public",
    "Rejected",
    "Require",
    "Requirement",
    "Revoker",
    "Revokes",
    "SessionCookie",
    "Verdict",
    "WithAuth",
    "argon2id",
    "bcrypt",
    "check_origin",
    "cross_origin",
    "csrf_token",
    "fresh",
    "is_self",
    "new_api_key",
    "owned",
    "protect",
    "public",
    "require",
    "role",
    "safe_next",
    "same_tenant",
    "scopes",
    "with_auth",
]

_LATE = {
    "ApiKey": "credentials.api_key",
    "ApiKeyLookup": "credentials.api_key",
    "ApiKeyRecord": "credentials.api_key",
    "Basic": "credentials.basic",
    "BasicLookup": "credentials.basic",
    "BearerJWT": "jwt",
    "BoundRevoker": "session.revokes",
    "ClassicPolicy": "passwords.policy",
    "Hasher": "passwords.hasher",
    "HeaderToken": "credentials.header_token",
    "JwksUrl": "jwt",
    "LoggedIn": "login",
    "Login": "login",
    "LoginFailed": "login",
    "NewApiKey": "credentials.key_format",
    "NistPolicy": "passwords.policy",
    "Owned": "authority.owned",
    "PasswordVerdict": "passwords.passwords",
    "Passwords": "passwords.passwords",
    "Policy": "passwords.policy",
    "Public": "authority.public",
    "Revoker": "session.revoker",
    "Revokes": "session.revokes",
    "argon2id": "passwords.argon2",
    "bcrypt": "passwords.bcrypt",
    "csrf_token": "cross_origin.token",
    "fresh": "authority.kinds",
    "is_self": "authority.kinds",
    "new_api_key": "credentials.key_format",
    "owned": "authority.owned",
    "protect": "authority.protect",
    "public": "authority.public",
    "safe_next": "next_url",
    "same_tenant": "authority.kinds",
}

__getattr__: Callable[[str], object] = _late(__name__, _LATE, globals())
