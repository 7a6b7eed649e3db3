"""Parse a multipart form (RFC 7578) with Starlette's parser, and refuse what it lets pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from math import inf

from starlette.datastructures import FormData, Headers
from starlette.formparsers import MultiPartException, MultiPartParser

from gatewright.validation.named import MOST, MalformedError
from gatewright.validation.problems import ROOT

__all__ = ["parse"]


async def parse(kind: bytes, body: bytes, most_files: Mapping[str, int]) -> FormData:
    """Parse a form; its files have to be closed.

    Args:
        kind: the content type, with the boundary.
        body: all of it.
        most_files: how many files may come under which name. No other is written to disk.

    Raises:
        MalformedError: for a form that breaks off, that is not UTF-8, or holds other files.
    """
    async with aclosing(_once(body)) as stream:
        head = Headers(raw=[(b"content-type", kind)])
        parser = _Parser(head, stream, most_files, len(body))
        try:
            form = await parser.parse()
        except _RefusedError as refused:
            raise MalformedError(refused.message, refused.path) from None
        except (MultiPartException, ValueError):
            raise MalformedError("The form is malformed, or too long") from None
    if not parser.complete:
        await form.close()
        raise MalformedError("The form breaks off")
    return form


class _RefusedError(MultiPartException):
    """Starlette's parser closes its files for this one."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


class _Parser(MultiPartParser):
    """Starlette's parser, which takes a form that breaks off for a shorter one, and latin-1 for what is not UTF-8."""

    def __init__(
        self, headers: Headers, stream: AsyncGenerator[bytes, None], most_files: Mapping[str, int], longest: int
    ) -> None:
        # Files are counted by name below, which says more than that there are too many.
        super().__init__(headers, stream, max_files=inf, max_fields=MOST, max_part_size=longest)
        self.complete = False
        self._most_files = most_files
        self._met: Counter[str] = Counter()

    def on_headers_finished(self) -> None:
        """Refuse a file that nobody asked for before a byte of it is kept."""
        part = self._current_part
        _check_utf8(part.content_disposition or b"")
        super().on_headers_finished()
        if part.file is not None:
            name = part.field_name
            most = self._most_files.get(name, 0)
            self._met[name] += 1
            if self._met[name] > most:
                few = "one file" if most == 1 else f"{most} files"
                raise _RefusedError(name, f"Give at most {few} here" if most else "No file is expected here")

    def on_part_end(self) -> None:
        """Refuse a text that is none."""
        if self._current_part.file is None:
            _check_utf8(self._current_part.data)
        super().on_part_end()

    def on_end(self) -> None:
        """Note that the last boundary was reached."""
        self.complete = True


def _check_utf8(data: bytes | bytearray) -> None:
    try:
        data.decode()
    except UnicodeDecodeError:
        raise _RefusedError(ROOT, "The form is not UTF-8") from None


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
