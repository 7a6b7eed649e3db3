"""Signed bearer tokens: JSON Web Tokens (RFC 7519), with keys at hand or fetched from who issues them."""

from __future__ import annotations

from gatewright.auth.jwt.bearer_jwt import BearerJWT
from gatewright.auth.jwt.fetched import JwksUrl

__all__ = ["BearerJWT", "JwksUrl"]
