"""Fill parameters with the files of a multipart form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Any, get_args, get_origin

from starlette.datastructures import UploadFile

from gatewright._core.handler import Want
from gatewright.errors import ConfigurationError
from gatewright.validation.named import Entries, Part
from gatewright.validation.parts import Terms, parts_of
from gatewright.validation.problems import Problems
from gatewright.validation.shape import Schema, fields_of, unwrapped

__all__ = ["Files", "files_of"]

_MOST = 100


@dataclass(frozen=True, slots=True, eq=False)
class Files:
    """Fill the parameters that take files.

    Args:
        part: puts them there.
        most: how many files may come under which name; none under any other.
    """

    part: Part
    most: Mapping[str, int]

    def fill(self, files: Entries, texts: Entries, arguments: dict[str, Any], problems: Problems) -> None:
        """Put *files* into *arguments*; a browser sends one without a name where none was picked."""
        for name in self.most.keys() & texts.keys():
            problems.add(name, "Send a file here, in a multipart form")
        if not problems.keys() & self.most.keys():
            picked = {name: [file for file in found if file.filename or file.size] for name, found in files.items()}
            self.part.fill(picked, arguments, problems)


def files_of(wants: Sequence[Want], who: str) -> Files | None:
    """Compile the parameters that take files; None where there are none.

    Raises:
        ConfigurationError: for anything but files, and without the library that reads them.
    """
    if not wants:
        return None
    for want in wants:
        if not _is_file(want.annotation):
            raise ConfigurationError(
                f"{who}: {want.name}: write FromFile[UploadFile], or FromFile[list[UploadFile]], with Starlette's class"
            )
    if find_spec("python_multipart") is None:
        raise ConfigurationError(f"{who}: {wants[0].name}: files need pip install 'gatewright[forms]'")
    (part,) = parts_of(wants, who, Terms(any_type=True))
    core, config = unwrapped(part.adapter.schema, {})
    return Files(part, {name: _most(schema) for name, schema, _ in fields_of(core, config)})


def _is_file(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is list or origin is Annotated:
        return _is_file(get_args(annotation)[0])
    return isinstance(annotation, type) and issubclass(annotation, UploadFile)


def _most(schema: Schema) -> int:
    core, _ = unwrapped(schema, {})
    if core["type"] != "list":
        return 1
    most: int | None = core.get("max_length")
    return _MOST if most is None else most
