"""Read parameters from a form: URL-encoded by the standard library, multipart by Starlette's parser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from starlette.datastructures import UploadFile

from gatewright.validation.files import Files
from gatewright.validation.media import FORM, MULTIPART, media_type, refuse_unless_empty
from gatewright.validation.multipart import parse
from gatewright.validation.named import Entries, MalformedError, Part, grouped, texts
from gatewright.validation.problems import Problems

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["FormReader"]

_NO_FILES: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True, eq=False)
class FormReader:
    """Read parameters from a form.

    Args:
        parts: what to fill with texts.
        files: what to fill with files.
        kinds: the types of form that can be read; multipart needs `python-multipart`.
    """

    parts: tuple[Part, ...]
    files: Files | None
    kinds: tuple[bytes, ...]

    @classmethod
    def of(cls, parts: tuple[Part, ...], files: Files | None = None) -> FormReader:
        """Return a reader of every type of form that the installed libraries can parse."""
        return cls(parts, files, (FORM, MULTIPART) if find_spec("python_multipart") is not None else (FORM,))

    @property
    def accepted(self) -> str:
        """Return the types of form, for whoever sent another."""
        return b", ".join(self.kinds).decode()

    async def read(self, call: Call, problems: Problems) -> None:
        """Read the parameters.

        Raises:
            UnsupportedMedia: for a body that is no form.
        """
        header = call.header(b"content-type")
        kind = media_type(header)
        if kind not in self.kinds:
            reason = "multipart wants pip install 'gatewright[forms]'" if kind == MULTIPART else None
            await refuse_unless_empty(call, self.accepted, reason)
        body = await call.body()
        files: Entries = {}
        try:
            if kind == MULTIPART and body:
                entries, files = await self._multipart(header or b"", body, call)
            else:
                entries = texts(body, "form")
        except MalformedError as malformed:
            problems.add(malformed.path, str(malformed))
            return
        for part in self.parts:
            part.fill(entries, call.arguments, problems)
        self.fill_files(files, entries, call, problems)

    def fill_files(self, files: Entries, entries: Entries, call: Call, problems: Problems) -> None:
        """Fill the parameters that take files, where there are any."""
        if self.files is not None:
            self.files.fill(files, entries, call.arguments, problems)

    async def _multipart(self, kind: bytes, body: bytes, call: Call) -> tuple[Entries, Entries]:
        form = await parse(kind, body, _NO_FILES if self.files is None else self.files.most)
        pairs = form.multi_items()
        files = [(name, value) for name, value in pairs if isinstance(value, UploadFile)]
        if files:
            call.afterwards(form.close)
        return grouped([(name, value) for name, value in pairs if isinstance(value, str)]), grouped(files)
