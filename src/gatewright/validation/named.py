"""Fill parameters from named texts: a query, a path, headers, cookies, a form."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from pydantic import ValidationError

from gatewright.validation.compiled import Compiled
from gatewright.validation.problems import ROOT, Problems

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["Entries", "MalformedError", "NamedReader", "Part", "grouped", "texts"]

Entries = Mapping[str, Sequence[Any]]
"""What a source holds: by name, every value in order."""

_MOST = 1_000
_UNSET = inspect.Parameter.empty


class MalformedError(Exception):
    """Say that a source cannot be read at all."""


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
    """

    names: Mapping[str, str]
    several: frozenset[str]
    required: frozenset[str]
    extras: str
    adapter: Compiled
    parameter: str | None = None
    absent: Any = _UNSET
    reserved: frozenset[str] = frozenset()

    def fill(self, entries: Entries, arguments: dict[str, Any], problems: Problems) -> None:
        """Put what *entries* hold into *arguments*, or say what is wrong with it."""
        given: dict[str, Any] = {}
        for key, name in self.names.items():
            values = entries.get(name)
            if values:
                given[key] = list(values) if key in self.several else _only(name, values, problems)
        if not given and self.parameter is not None and self.absent is not _UNSET:
            arguments[self.parameter] = self.absent
            return
        if self.extras != "ignore":
            # Taking the first or the last of several is how two parsers come to disagree about one request.
            strangers = [name for name in entries if name not in self.names and name not in self.reserved]
            given |= {name: _only(name, entries[name], problems) for name in strangers}
        try:
            value = self.adapter.validate(given)
        except ValidationError as error:
            problems.explain(error, given, self.names)
            return
        if self.parameter is None:
            arguments.update(value.__dict__)
        else:
            arguments[self.parameter] = value


def _only(name: str, values: Sequence[Any], problems: Problems) -> Any:
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
            problems.add(ROOT, str(malformed))
            return
        for part in self.parts:
            part.fill(entries, call.arguments, problems)


def texts(raw: bytes, what: str) -> Entries:
    """Parse `a=1&b=2`, in which every octet is spelled in UTF-8.

    Raises:
        MalformedError: for other bytes, and for more entries than any form has.
    """
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST)
    except UnicodeDecodeError:
        raise MalformedError(f"The {what} is not UTF-8") from None
    except ValueError:
        raise MalformedError(f"The {what} has too many entries") from None
    return grouped(pairs)


def grouped(pairs: Sequence[tuple[str, str]]) -> Entries:
    """Collect the values of each name."""
    entries: dict[str, list[str]] = {}
    for name, value in pairs:
        entries.setdefault(name, []).append(value)
    return entries
