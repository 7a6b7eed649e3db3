"""One entry of a form, for a guard that looks for its own; files are passed over, and nothing is written to disk."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException, MultiPartParser

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["UnreadableFormError", "form_field", "form_texts"]

_FORM, _MULTIPART = b"application/x-www-form-urlencoded", b"multipart/form-data"
_MOST: Final = 1_000
# Starlette's parser decodes with any codec that a client names, and punycode is quadratic; Python keeps the names of
# those that it does not have. So the word is found before any parser looks, however that would read the parameters.
_CHARSET, _UTF8 = b"charset", re.compile(rb"""(?i);[ \t]*charset=("?)utf-8\1[ \t]*(?=;|$)""")
_READS_MULTIPART: Final = find_spec("python_multipart") is not None


class UnreadableFormError(ValueError):
    """Say that nobody can tell what a form holds."""


async def form_field(call: Call, name: str) -> list[str]:
    """Return every text that the form of *call* has under *name*; none where the body is no form.

    A form in parts is read where `python-multipart` is installed; without it, no handler can read one either.

    Raises:
        UnreadableFormError: for a form that breaks off, is malformed, not in UTF-8 by its own account, or has more
            entries than any page shows.
        PayloadTooLarge: for a form over the handler's cap.
    """
    if call.is_websocket:
        return []
    kind = call.header(b"content-type") or b""
    return [value for key, value in await form_texts(kind, call.body) if key == name]


async def form_texts(header: bytes, read: Callable[[], Awaitable[bytes]]) -> list[tuple[str, str]]:
    """Return every text of a form, by name, in order; none where the body is no form.

    Args:
        header: its content type.
        read: reads the body; not asked where that is no form.

    Raises:
        UnreadableFormError: as `form_field` does.
    """
    kind = header.partition(b";")[0].strip(b" \t").lower()
    if kind == _FORM:
        return _urlencoded(await read())
    return await _multipart(header, await read()) if kind == _MULTIPART and _READS_MULTIPART else []


def _urlencoded(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST)
    except ValueError:
        raise UnreadableFormError from None


async def _multipart(kind: bytes, body: bytes) -> list[tuple[str, str]]:
    if _CHARSET in _UTF8.sub(b"", kind).lower():
        raise UnreadableFormError
    async with aclosing(_once(body)) as stream:
        head = Headers(raw=[(b"content-type", kind)])
        parser = _TextParts(head, stream, max_files=_MOST, max_fields=_MOST, max_part_size=len(body))
        try:
            form = await parser.parse()
        except (MultiPartException, ValueError):
            raise UnreadableFormError from None
    if not parser.complete:
        raise UnreadableFormError
    return [(name, value) for name, value in form.multi_items() if isinstance(value, str)]


class _TextParts(MultiPartParser):
    """Starlette's parser, which takes a form that breaks off for a shorter one, and would write files to disk."""

    complete = False

    def on_headers_finished(self) -> None:
        """Close a file before anything is in it."""
        super().on_headers_finished()
        if self._current_part.file is not None:
            self._current_part.file.file.close()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Pass over what is in a file."""
        if self._current_part.file is None:
            super().on_part_data(data, start, end)

    def on_part_end(self) -> None:
        """Leave out a file."""
        if self._current_part.file is None:
            super().on_part_end()

    def on_end(self) -> None:
        """Note that the last boundary was reached."""
        self.complete = True


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
