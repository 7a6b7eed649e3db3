"""Fill parameters from named texts: a query, a path, headers, cookies, a form."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import ValidationError

from gatewright.validation.compiled import Compiled
from gatewright.validation.outline import Outline
from gatewright.validation.problems import ROOT, Problems
from gatewright.validation.spelling import misspelled

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["MOST", "Entries", "MalformedError", "NamedReader", "Part", "grouped", "only", "texts"]

T = TypeVar("T")

Entries = Mapping[str, Sequence[Any]]
"""What a source holds: by name, every value in order."""

MOST = 1_000
"""Entries of one source; no form has more."""

_UNSET = inspect.Parameter.empty


class MalformedError(Exception):
    """Say that a source cannot be read at all, because of what stands at *path*."""

    def __init__(self, message: str, path: str = ROOT) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Fill one model, or all the single values of a source.

    Args:
        names: what the source calls the fields, by what the schema calls them.
        several: the schema's names of those that may occur more than once.
        required: the schema's names of those that have to be there.
        extras: what becomes of other entries: "ignore", "allow" or "forbid".
        adapter: the compiled schema.
        parameter: the parameter that takes the whole value; None where each field is a parameter.
        absent: what the parameter gets when none of its fields is there, unless unset.
        reserved: entries that are no extras, because another part or guard reads them.
        drops_empty: whether an empty text counts as absent.
        strictly: what may stand where, in a source whose texts have one spelling each.
    """

    names: Mapping[str, str]
    several: frozenset[str]
    required: frozenset[str]
    extras: str
    adapter: Compiled
    parameter: str | None = None
    absent: Any = _UNSET
    reserved: frozenset[str] = frozenset()
    drops_empty: bool = False
    strictly: Outline | None = None

    def fill(self, entries: Entries, arguments: dict[str, Any], problems: Problems) -> None:
        """Put what *entries* hold into *arguments*, or say what is wrong with it."""
        given = self.gather(entries, problems)
        if not given and self.parameter is not None and self.absent is not _UNSET:
            arguments[self.parameter] = self.absent
            return
        if self.extras != "ignore":
            # Taking the first or the last of several is how two parsers come to disagree about one request.
            given |= {name: only(name, entries[name], problems) for name in self.strangers(entries)}
        try:
            value = self.adapter.validate(given)
        except ValidationError as error:
            problems.explain(error, given, self.names)
        else:
            arguments.update(value.__dict__ if self.parameter is None else {self.parameter: value})
        if self.strictly is not None:
            self._check_spelling(given, self.strictly, problems)

    def gather(self, entries: Entries, problems: Problems) -> dict[str, Any]:
        """Return what *entries* have for the fields, by the schema's names."""
        given: dict[str, Any] = {}
        for key, name in self.names.items():
            values = entries.get(name)
            if values and self.drops_empty:
                values = [value for value in values if value != ""]
            if values:
                given[key] = list(values) if key in self.several else only(name, values, problems)
        return given

    def strangers(self, entries: Entries) -> Iterable[str]:
        """Return the names of entries that are for nobody."""
        return [name for name in entries if name not in self.names and name not in self.reserved]

    def _check_spelling(self, given: Mapping[str, Any], outline: Outline, problems: Problems) -> None:
        for first, *rest in misspelled(given, outline):
            path = ".".join([self.names.get(first, first), *rest])
            if path not in problems:
                problems.add(path, "Write this as JSON does")


def only(name: str, values: Sequence[Any], problems: Problems) -> Any:
    """Return the one value that there may be."""
    if len(values) > 1:
        problems.add(name, "Give this once only")
    return values[0]


@dataclass(frozen=True, slots=True, eq=False)
class NamedReader:
    """Read one source whose entries cost no I/O."""

    entries: Callable[[Call], Entries]
    parts: tuple[Part, ...]

    def read(self, call: Call, problems: Problems) -> None:
        """Fill the parameters of this source."""
        try:
            entries = self.entries(call)
        except MalformedError as malformed:
            problems.add(malformed.path, str(malformed))
            return
        for part in self.parts:
            part.fill(entries, call.arguments, problems)


def texts(raw: bytes, what: str) -> Entries:
    """Parse `a=1&b=2`, in which every octet is spelled in UTF-8.

    Raises:
        MalformedError: for other bytes, and for more entries than any form has.
    """
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST)
    except UnicodeDecodeError:
        raise MalformedError(f"The {what} is not UTF-8") from None
    except ValueError:
        raise MalformedError(f"The {what} has too many entries") from None
    return grouped(pairs)


def grouped(pairs: Sequence[tuple[str, T]]) -> Mapping[str, Sequence[T]]:
    """Collect the values of each name."""
    entries: dict[str, list[T]] = {}
    for name, value in pairs:
        entries.setdefault(name, []).append(value)
    return entries
