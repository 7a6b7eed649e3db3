"""Content types, read strictly (RFC 9110, section 8.3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gatewright.errors import UnsupportedMedia

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["FORM", "JSON", "MULTIPART", "is_json", "media_type", "refuse_unless_empty"]

FORM, MULTIPART = b"application/x-www-form-urlencoded", b"multipart/form-data"
_JSON, _PLAIN = b"application/json", (b"", b";charset=utf-8", b"; charset=utf-8", b";charset=UTF-8", b"; charset=UTF-8")

JSON = frozenset(_JSON + charset for charset in _PLAIN)
"""What nearly every client writes: known without a parse."""

# Possessive quantifiers, so that a hostile header costs no more than its length.
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_PARAMETER = rb';[ \t]*+(?:(%b)=(%b|"(?:[^"\\]|\\.)*+"))?+[ \t]*+' % (_TOKEN, _TOKEN)
_MEDIA = re.compile(rb"[ \t]*+(%b/%b)[ \t]*+((?:%b)*+)" % (_TOKEN, _TOKEN, _PARAMETER), re.DOTALL)
_PARAMETERS = re.compile(_PARAMETER, re.DOTALL)


def media_type(value: bytes | None) -> bytes | None:
    """Return the lower-case type of a body that is text in UTF-8; None for anything else.

    A charset that is absent is UTF-8: RFC 8259, section 8.1, for JSON; the URL standard for forms.
    """
    found = _MEDIA.fullmatch(value or b"")
    if found is None:
        return None
    charsets = [text.strip(b'"').lower() for name, text in _PARAMETERS.findall(found[2]) if name.lower() == b"charset"]
    return found[1].lower() if charsets in ([], [b"utf-8"]) else None


def is_json(value: bytes | None) -> bool:
    """Say whether a content type is JSON, or a format built on it (RFC 6839, section 3.1)."""
    kind = media_type(value)
    return kind is not None and (kind == _JSON or (kind.startswith(b"application/") and kind.endswith(b"+json")))


async def refuse_unless_empty(call: Call, accepted: str, reason: str | None = None) -> None:
    """Refuse a body because of its type; where there is no body there is nothing to refuse.

    Raises:
        UnsupportedMedia: with the types that are *accepted* (RFC 9110, section 15.5.16).
    """
    may_be_empty = call.header(b"content-type") is None or call.header(b"content-length") == b"0"
    if not may_be_empty or await call.body():
        raise UnsupportedMedia(headers={"Accept": accepted}, reason=reason)
