"""Another answer in the place of one that is there already, whose work goes on to its end."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatewright._core.outcome import Outcome, RawHeaders

__all__ = ["instead", "surviving"]

_OF_THE_BODY = frozenset(
    {b"content-type", b"content-length", b"content-encoding", b"content-disposition", b"etag", b"last-modified"}
)


def surviving(headers: RawHeaders) -> RawHeaders:
    """Return the headers of an answer that are not about its body: they survive when that is replaced."""
    return [pair for pair in headers if pair[0] not in _OF_THE_BODY and pair[0] != b"location"]


def instead(outcome: Outcome, status: int, headers: RawHeaders, body: bytes) -> Outcome:
    """Return an answer in the place of *outcome*: what is behind that still runs, and is not heard.

    A background task, and a dependency that commits after its `yield`, belong to the work and not to the answer.

    Args:
        outcome: what is replaced; of its headers those stay that are not about its body.
        status: the new status.
        headers: what the new answer has of its own.
        body: the new body, whole.
    """
    own = {name for name, _ in headers}
    kept = [pair for pair in surviving(outcome.headers) if pair[0] not in own]
    replaced = Outcome(status, [*headers, *kept], body)
    if outcome.app is not None:
        replaced.app = _unheard(outcome.app, replaced)
    return replaced


def _unheard(app: ASGIApp, answer: Outcome) -> ASGIApp:
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        async def say_instead(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
                await send({"type": "http.response.body", "body": answer.body or b""})

        await app(scope, receive, say_instead)

    return run
