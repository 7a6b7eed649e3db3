"""Fill parameters from a form: `items[0][name]`, `items[0].name` and `items.0.name` name the same place in a model."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gatewright.validation.named import Entries, Part, only
from gatewright.validation.outline import Outline
from gatewright.validation.problems import Problems
from gatewright.validation.values import Rows

__all__ = ["FormPart", "steps_of"]

_PLAIN, _BRACKETED = r"[^.\[\]]++", r"\[[^\[\]]++\]"
_NAME = re.compile(rf"{_PLAIN}(?:\.{_PLAIN}|{_BRACKETED})*+(?:\[\])?+")
_STEP = re.compile(rf"{_PLAIN}|{_BRACKETED}")
_FIRST = re.compile(_PLAIN)
_UNREADABLE = ""
_DEEPEST = 16
# Of nine digits and no leading zero: an index has one spelling, and never becomes a huge number.
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True, eq=False)
class FormPart(Part):
    """Fill one model, or all the single values of a form, at any depth.

    Args:
        outline: what may stand where.
    """

    outline: Outline = field(kw_only=True)

    def gather(self, entries: Entries, problems: Problems) -> dict[str, Any]:
        """Return what *entries* have for the fields, each in the shape that its schema takes."""
        if all(name in self.names or _FIRST.fullmatch(name) for name in entries):
            return super(FormPart, self).gather(entries, problems)
        places: defaultdict[str, Place] = defaultdict(Place)
        for name, texts in entries.items():
            first, *rest = self._steps(name)
            present = [text for text in texts if text] if self.drops_empty else texts
            if first in self.names and present:
                places[first].put(rest, present)
        given: dict[str, Any] = {}
        for name, place in places.items():
            place.read(name, name, self.outline.inside(name), given, problems)
        return given

    def strangers(self, entries: Entries) -> list[str]:
        """Return the names of entries that are for nobody."""
        return [name for name in super(FormPart, self).strangers(entries) if self._is_strange(name)]

    def _is_strange(self, name: str) -> bool:
        return self._steps(name)[0] not in self.names and steps_of(name)[0] not in self.reserved

    def _steps(self, name: str) -> tuple[str, ...]:
        """Return where an entry belongs; an alias may be written with a dot, and `x.y` may be just a name."""
        if name in self.names:
            return (name,)
        steps = steps_of(name)
        return steps if self.outline.inside(steps[0]).is_deep else (name,)


def steps_of(name: str) -> tuple[str, ...]:
    """Split a name into its steps, of which `tags[]` has one; where that cannot be done, the second is empty."""
    if _NAME.fullmatch(name) is not None:
        return tuple(step.strip("[]") for step in _STEP.findall(name))
    first = _FIRST.match(name)
    return (name,) if first is None else (first[0], _UNREADABLE)


@dataclass(slots=True, eq=False)
class Place:
    """Hold what a form has for one place: texts, or further places by name.

    Attributes:
        texts: every value given for just this place.
        inner: what is given for its parts.
        fault: what is wrong with a name that begins with this place's.
    """

    texts: list[str] = field(default_factory=list[str])
    inner: dict[str, Place] = field(default_factory=dict[str, "Place"])
    fault: str | None = None

    def put(self, steps: Sequence[str], texts: Sequence[str]) -> None:
        """Note *texts* for the place that is *steps* further down."""
        if _UNREADABLE in steps:
            self.fault = "A name in here is misspelled; write items[0][name]"
            return
        if len(steps) > _DEEPEST:
            self.fault = "A name in here goes too deep"
            return
        place = self
        for step in steps:
            place = place.inner.setdefault(step, Place())
        place.texts.extend(texts)

    def read(self, path: str, name: str, outline: Outline, given: dict[str, Any], problems: Problems) -> None:
        """Put the value of this place under *name* into *given*, in the shape that *outline* takes."""
        if self.fault is not None:
            problems.add(path, self.fault)
        if self.inner and self.texts:
            problems.add(path, "Give this as one value or in parts, not as both")
        if self.inner:
            given[name] = self._parts(path, outline, problems)
        elif outline.is_list and self.texts:
            given[name] = self.texts
        elif self.texts:
            given[name] = only(path, self.texts, problems)

    def _parts(self, path: str, outline: Outline, problems: Problems) -> Any:
        is_list = outline.is_list and all(_INDEX.fullmatch(name) for name in self.inner)
        names = sorted(self.inner, key=int) if is_list else list(self.inner)
        parts: dict[str, Any] = {}
        for position, name in enumerate(names):
            inside = outline.item(position) if is_list else outline.inside(name)
            self.inner[name].read(f"{path}.{name}", name, inside, parts, problems)
        return Rows(parts) if is_list else parts
