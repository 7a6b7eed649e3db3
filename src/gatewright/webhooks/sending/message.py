"""What is sent: an event as bytes, under an id, signed with one secret or with several."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace

from pydantic_core import PydanticSerializationError, to_json

from gatewright.errors import ConfigurationError
from gatewright.webhooks.scheme import Delivery, Scheme
from gatewright.webhooks.schemes.elements import Elements
from gatewright.webhooks.secret import Secrets, several

__all__ = ["check_event_id", "event_body", "new_event_id", "new_webhook_secret", "sign_with_each"]

_ID_BYTES = 16
_SECRET_BYTES = 32
# No full stop: Standard Webhooks puts one behind the id where it signs, so another id and body could look the same.
_ID = re.compile(r"[!-\-/-~]{1,256}")
# These headers are lists by specification.
_LISTS = {b"webhook-signature": b" ", b"svix-signature": b" "}


def new_event_id(entropy: Callable[[int], bytes]) -> str:
    """Return an id with 128 random bits, in the way of Standard Webhooks."""
    return f"msg_{entropy(_ID_BYTES).hex()}"


def new_webhook_secret(entropy: Callable[[int], bytes] = os.urandom) -> str:
    """Make a secret for a receiver, `whsec_...`, in the way of Standard Webhooks: one for each endpoint.

    Args:
        entropy: returns n random bytes from a generator fit for cryptography.
    """
    return f"whsec_{b64encode(entropy(_SECRET_BYTES)).decode()}"


def check_event_id(event_id: str) -> str:
    """Return *event_id*.

    Raises:
        ConfigurationError: for one that a receiver could misread.
    """
    if not _ID.fullmatch(event_id):
        raise ConfigurationError(f"event_id={event_id!r}: write up to 256 characters of ASCII, without dots and spaces")
    return event_id


def event_body(event: object) -> bytes:
    """Return *event* as it is sent: bytes as they are, anything else as JSON by the names that it has there.

    Raises:
        ConfigurationError: for what cannot be written as JSON, and for text, which may be JSON already.
    """
    if isinstance(event, bytes):
        return event
    if isinstance(event, str):
        raise ConfigurationError("an event is no str: where it is JSON already, give event.encode()")
    try:
        return to_json(event, inf_nan_mode="null")
    except PydanticSerializationError as wrong:
        raise ConfigurationError(
            f"an event of type {type(event).__name__} cannot be written as JSON: {wrong}"
        ) from wrong


def sign_with_each(scheme: Scheme, body: bytes, secrets: Secrets, now: float, *, url: str, event_id: str) -> Delivery:
    """Return *body* with the signatures of all *secrets*, so that a receiver may hold any of them.

    Raises:
        ConfigurationError: for no secret at all, for several where the scheme's header holds one signature, and for
            what the scheme cannot sign with.
    """
    deliveries = [scheme.sign(body, secret, now, url=url, event_id=event_id) for secret in several(secrets) or ()]
    if not deliveries:
        raise ConfigurationError("there is no secret to sign with; write secret=..., or a list, newest first")
    merged, *others = deliveries
    for other in others:
        merged = _merged(scheme, merged, other)
    return merged


def _merged(scheme: Scheme, one: Delivery, other: Delivery) -> Delivery:
    names = [name for name, _ in one.headers]
    if one.body != other.body or names != [name for name, _ in other.headers]:
        raise _only_one(scheme)
    pairs = zip(one.headers, other.headers, strict=True)
    return replace(one, headers=[(name, _list(scheme, name, ours, theirs)) for (name, ours), (_, theirs) in pairs])


def _list(scheme: Scheme, name: bytes, one: bytes, other: bytes) -> bytes:
    """Return a header with the elements of both, where it is a list."""
    if one == other:
        return one
    elements: object = getattr(scheme, "elements", None)
    separator = elements.separator.encode() if isinstance(elements, Elements) else _LISTS.get(name)
    if separator is None:
        raise _only_one(scheme)
    return separator.join(dict.fromkeys([*one.split(separator), *other.split(separator)]))


def _only_one(scheme: Scheme) -> ConfigurationError:
    return ConfigurationError(f"{scheme.name} has room for one signature; write secret=... with the newest one alone")
