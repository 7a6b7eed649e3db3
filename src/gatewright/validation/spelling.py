"""Which texts a strict source takes: those that spell a value as JSON does, and no second way."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gatewright.validation.outline import Outline
from gatewright.validation.values import Rows, is_array, is_object

__all__ = ["misspelled"]

_INTEGER = r"-?(?:0|[1-9][0-9]*)"
_NUMBER = re.compile(_INTEGER + r"(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SPELLED = {
    "bool": re.compile("true|false"),
    "date": re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    # A number would be taken for seconds since 1970.
    "datetime": re.compile(r"[0-9]{4}-.*"),
    "decimal": _NUMBER,
    "float": _NUMBER,
    "int": re.compile(_INTEGER),
    "uuid": re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
}


def misspelled(given: object, outline: Outline, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield where in *given* a text stands that is not spelled as JSON spells what may stand there."""
    if is_object(given):
        for name, value in given.items():
            yield from misspelled(value, outline.inside(name), *path, name)
    elif is_array(given):
        names = given.names if isinstance(given, Rows) else map(str, range(len(given)))
        for position, (name, value) in enumerate(zip(names, given, strict=True)):
            yield from misspelled(value, outline.item(position), *path, name)
    elif isinstance(given, str) and outline.scalars and not _well_spelled(given, outline.scalars):
        yield path


def _well_spelled(text: str, scalars: frozenset[str]) -> bool:
    # A type that is not listed has one spelling, or its own opinion: a text, an enumeration, a URL.
    return any(kind not in _SPELLED or _SPELLED[kind].fullmatch(text) for kind in scalars)
