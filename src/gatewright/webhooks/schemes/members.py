"""Members of JSON documents that a sender signed, whatever they turn out to be."""

from __future__ import annotations

from typing import cast

from pydantic_core import from_json

from gatewright.webhooks.scheme import Path, WebhookRejected

__all__ = ["document", "member", "text_at"]


def document(body: bytes) -> dict[str, object]:
    """Return the JSON object in *body*.

    Raises:
        WebhookRejected: where there is none.
    """
    try:
        found: object = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise WebhookRejected("malformed") from None
    if not isinstance(found, dict):
        raise WebhookRejected("malformed")
    return cast("dict[str, object]", found)


def text_at(found: object, path: Path) -> str | None:
    """Return the text at *path*; None for anything else."""
    for name in path:
        found = cast("dict[str, object]", found).get(name) if isinstance(found, dict) else None
    return found if isinstance(found, str) else None


def member(body: bytes, path: Path) -> str | None:
    """Return the text at *path* of the JSON document in *body*; None for anything else."""
    try:
        return text_at(document(body), path)
    except WebhookRejected:
        return None
