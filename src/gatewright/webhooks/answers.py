"""What a sender is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from gatewright._core.guard import Answer

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright.webhooks.scheme import Reply, Scheme, Verified

__all__ = ["ignored", "response"]

_LOGGED_CHARACTERS = 100


def response(reply: Reply) -> Response:
    """Return *reply* as it is sent."""
    return Response(reply.body, reply.status, media_type=reply.media_type)


def ignored(call: Call, scheme: Scheme, verified: Verified, event_type: str | None) -> Answer:
    """Return what makes the sender of an event that nobody takes stop, and write it to the log."""
    call.log.info(
        "webhook_ignored",
        scheme=verified.scheme,
        event_id=verified.event_id,
        event_type=None if event_type is None else event_type[:_LOGGED_CHARACTERS],
    )
    return Answer(response(scheme.received))
