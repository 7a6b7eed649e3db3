"""Who visits the blog, and what their clients say of themselves."""

from __future__ import annotations

from collections.abc import Mapping

ADMIN = {"email": "admin@example.com", "password": "an admin's long password"}
ADA = {"name": "ada", "email": "ada@example.com", "password": "a long password of ada"}
BOB = {"name": "bob", "email": "bob@example.com", "password": "a long password of bob"}
EVE = {"name": "eve", "email": "eve@example.com", "password": "a long password of eve"}

COOKIE = "Path=/; Max-Age=86400; Secure; HttpOnly; SameSite=Lax"
CLEARED = "Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax"

# What browsers say of a request that a page of another site makes them send; and what htmx says of its own.
FROM_ELSEWHERE = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
FOR_HTMX = {"HX-Request": "true"}


def credentials(of: Mapping[str, str]) -> dict[str, str]:
    """Return what somebody logs in with."""
    return {"email": of["email"], "password": of["password"]}
