"""How often: limits that the handlers of all the blogs share."""

from __future__ import annotations

from gatewright import Call, lockout

login_failures = lockout("5/15 minutes", scope="login")
"""Five wrong passwords for an account from one network, and that network waits; others, and other accounts, do not."""


def reading(call: Call) -> str | None:
    """Let visitors read, users read more, and administrators all they want."""
    if call.principal is None:
        return "60/minute"
    return None if "admin" in call.principal.roles else "600/minute"
