"""What the log says of security: words from one list, so that a monitor can count them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["SecurityEvent", "tell"]

SecurityEvent = Literal[
    "credential_rejected",
    "credential_ambiguous",
    "access_denied",
    "cross_origin_refused",
    "login_succeeded",
    "login_failed",
    "login_locked",
    "reauthenticated",
    "session_created",
    "session_ended",
    "sessions_ended",
]


def tell(call: Call, event: SecurityEvent) -> None:
    """Add *event* to the request's one log event, under `security` (ASVS 5.0, 16.3.1 to 16.3.3)."""
    call.security = (*call.security, event)
