"""Read parameters from a form: URL-encoded by the standard library, multipart by Starlette's parser."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException, MultiPartParser

from gatewright.validation.media import FORM, MULTIPART, media_type, refuse_unless_empty
from gatewright.validation.named import Entries, MalformedError, Part, grouped, texts
from gatewright.validation.problems import ROOT, Problems

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["FormReader"]

_MOST = 1_000


@dataclass(frozen=True, slots=True, eq=False)
class FormReader:
    """Read parameters from a form without files.

    Args:
        parts: what to fill.
        kinds: the types of form that can be read; multipart needs `python-multipart`.
    """

    parts: tuple[Part, ...]
    kinds: tuple[bytes, ...]

    @classmethod
    def of(cls, parts: tuple[Part, ...]) -> FormReader:
        """Return a reader of every type of form that the installed libraries can parse."""
        return cls(parts, (FORM, MULTIPART) if find_spec("python_multipart") is not None else (FORM,))

    async def read(self, call: Call, problems: Problems) -> None:
        """Read the parameters.

        Raises:
            UnsupportedMedia: for a body that is no form.
        """
        header = call.header(b"content-type")
        kind = media_type(header)
        if kind not in self.kinds:
            reason = "multipart wants pip install 'gatewright[forms]'" if kind == MULTIPART else None
            await refuse_unless_empty(call, b", ".join(self.kinds).decode(), reason)
        body = await call.body()
        try:
            entries = await _multipart(header or b"", body) if kind == MULTIPART and body else texts(body, "form")
        except MalformedError as malformed:
            problems.add(ROOT, str(malformed))
            return
        for part in self.parts:
            part.fill(entries, call.arguments, problems)


async def _multipart(kind: bytes, body: bytes) -> Entries:
    """Parse a multipart form without files, so that nothing is written to disk.

    Raises:
        MalformedError: for a form that breaks off, that holds files, or is not text in UTF-8.
    """
    try:
        body.decode()
    except UnicodeDecodeError:
        raise MalformedError("The form is not UTF-8") from None
    async with aclosing(_once(body)) as stream:
        head = Headers(raw=[(b"content-type", kind)])
        parser = _Multipart(head, stream, max_files=0, max_fields=_MOST, max_part_size=len(body))
        try:
            form = await parser.parse()
        except (MultiPartException, ValueError):
            raise MalformedError("The form is malformed, too long, or holds files") from None
    if not parser.complete:
        raise MalformedError("The form breaks off")
    return grouped([(name, value) for name, value in form.multi_items() if isinstance(value, str)])


class _Multipart(MultiPartParser):
    """Starlette's parser, which takes a form that breaks off for a shorter one."""

    complete = False

    def on_end(self) -> None:
        """Note that the last boundary was reached."""
        self.complete = True


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
