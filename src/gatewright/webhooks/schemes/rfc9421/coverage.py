"""What a signature covers of a request, and what it is asked to."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gatewright.errors import ConfigurationError
from gatewright.webhooks.scheme import Covered, WebhookRejected
from gatewright.webhooks.schemes.rfc9421.components import DERIVED
from gatewright.webhooks.schemes.rfc9421.digest import covers_body
from gatewright.webhooks.schemes.rfc9421.fields import Item, item

__all__ = ["BODY", "component", "covered", "needs_origin", "satisfies"]

BODY = Item("content-digest")
"""The component that stands for the body."""

_FIELD = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_NEED_ORIGIN = {"@target-uri", "@authority", "@scheme"}
_WHOLE_URL = (
    {"@target-uri"},
    {"@scheme", "@authority", "@request-target"},
    {"@scheme", "@authority", "@path", "@query"},
)


def component(text: str) -> Item:
    """Return a component as configurations write it: its name, or name and parameters as they are on the wire.

    Raises:
        ConfigurationError: for one that no request has.
    """
    try:
        found = item(text.encode()) if text.startswith('"') else Item(text.lower())
    except (WebhookRejected, UnicodeEncodeError):
        found = Item("")
    if not _exists(found):
        raise ConfigurationError(
            f"http_message_signatures(components=...): {text!r} is no component of a request; write one such as "
            '"@method" or "@target-uri", a header such as "content-type", or \'"@query-param";name="id"\''
        )
    return found


def satisfies(signed: Item, wanted: Item) -> bool:
    """Say whether *signed* covers what *wanted* asks for; a name alone asks for all of a field, in any spelling."""
    if signed.value != wanted.value:
        return False
    if wanted == BODY:
        return covers_body(signed)
    return signed.parameters == wanted.parameters or not (wanted.parameters or "key" in signed.parameters)


def covered(components: Iterable[Item], *, timed: bool) -> frozenset[Covered]:
    """Return what *components* stand for of a request, and whether it is *timed*; a part of the URL is not the URL."""
    components = list(components)
    names = {one.value for one in components}
    parts: dict[Covered, bool] = {
        "timestamp": timed,
        "body": any(map(covers_body, components)),
        "method": "@method" in names,
        "url": any(whole <= names for whole in _WHOLE_URL),
    }
    return frozenset(part for part, there in parts.items() if there)


def needs_origin(components: Iterable[Item]) -> bool:
    """Say whether one of *components* is of the public URL, of which the request itself has only the path."""
    return any(one.value in _NEED_ORIGIN for one in components)


def _exists(found: Item) -> bool:
    name, parameters = found.value, found.parameters
    if name == "@query-param":
        return list(parameters) == ["name"] and isinstance(parameters["name"], str)
    if not isinstance(name, str) or name.startswith("@"):
        return name in DERIVED and not parameters
    return _FIELD.fullmatch(name) is not None and parameters.keys() <= {"sf", "key", "bs"}
