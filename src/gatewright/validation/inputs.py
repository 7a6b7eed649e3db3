"""Read a parameter from a form or from JSON, whichever the client sends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gatewright.validation.bodies import JsonReader
from gatewright.validation.forms import FormReader
from gatewright.validation.media import is_json, media_type
from gatewright.validation.problems import Problems

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["InputReader"]


@dataclass(frozen=True, slots=True, eq=False)
class InputReader:
    """Let the content type decide who reads the body; what is neither is refused as what a program sends."""

    json: JsonReader
    form: FormReader

    async def read(self, call: Call, problems: Problems) -> None:
        """Read the parameter."""
        kind = call.header(b"content-type")
        if not is_json(kind) and media_type(kind) in self.form.kinds:
            await self.form.read(call, problems)
        else:
            await self.json.read(call, problems)
            self.form.fill_files({}, {}, call, problems)
