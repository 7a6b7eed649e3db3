"""What a schema takes at each place of its input, whichever branch of a union it comes from.

A form holds names and texts. Whether `items.0` is the first of a list or the entry "0" of a mapping, and whether a
name may come twice, only the schema knows. It is looked at as deep as an input goes, so one that holds itself is fine.
"""

from __future__ import annotations

from collections.abc import Iterator, KeysView, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gatewright.validation.shape import INSIDE, SEVERAL, Schema, fields_of, is_fields, items_of, members_of
from gatewright.validation.values import is_array, is_object

__all__ = ["Outline"]

_NAMED_TUPLES = frozenset({"call", "named-tuple"})
_ANY: Schema = {"type": "any"}
_LIST: Schema = {"type": "list"}
_CONVERTING = frozenset({"function-before", "function-wrap"})


@dataclass(slots=True)
class _Known:
    """What the outlines of one schema share."""

    refs: dict[str, Schema] = field(default_factory=dict[str, Schema])
    outlines: dict[tuple[int, ...], Outline] = field(default_factory=dict[tuple[int, ...], "Outline"])


class Outline:
    """Describe one place of the input.

    Attributes:
        names: of the fields that may stand there.
        is_list: whether a list may.
        is_deep: whether anything may that has parts.
        is_object: whether named fields, or None, are all that may.
        extras: what becomes of names that are no fields: "ignore", or something else, which the schema will say.
        scalars: the core types of single values that may stand there; empty where a converter looks at it first.
    """

    def __init__(self, schemas: tuple[Schema, ...], known: _Known) -> None:
        self._known = known
        self._fields: dict[str, tuple[Schema, ...]] = {}
        self._entries: tuple[Schema, ...] = ()
        self._items: tuple[Schema, ...] = ()
        self._places: dict[int, tuple[Schema, ...]] = {}
        self.is_list: bool = False
        self.extras: str = "ignore"
        scalars: list[str] = []
        branches = [branch for schema in schemas for branch in _branches(schema, {}, False, known.refs)]
        for core, config, converted in branches:
            scalars.append("any" if converted else core["type"])
            self._add(core, config)
        self.names: KeysView[str] = self._fields.keys()
        self.is_deep: bool = self.is_list or bool(self._fields or self._entries)
        self.is_object: bool = bool(branches) and all(
            is_fields(core) or core["type"] == "none" for core, _, _ in branches
        )
        self.scalars: frozenset[str] = frozenset(() if "any" in scalars else scalars)

    @classmethod
    def of(cls, schema: Schema) -> Outline:
        """Return the outline of a whole input."""
        return cls((schema,), _Known())

    def inside(self, name: str) -> Outline:
        """Return the outline of what stands under a name."""
        return self._of(self._fields.get(name, self._entries))

    def item(self, position: int) -> Outline:
        """Return the outline of what stands in the list, which may be a tuple of different things."""
        return self._of(self._places.get(position, ()) + self._items)

    def _add(self, core: Schema, config: Mapping[str, Any]) -> None:
        kind: str = core["type"]
        if kind == "tuple" and core.get("variadic_item_index") is None:
            self._place(items_of(core))
        elif kind in SEVERAL:
            self.is_list = True
            self._items += tuple(items_of(core))
        elif kind in _NAMED_TUPLES:
            self._place([schema for _, schema in members_of(core)])
            for name, schema in members_of(core):
                self._fields[name] = (*self._fields.get(name, ()), schema)
        if kind == "dict":
            self._entries += (core.get("values_schema", _ANY),)
        if is_fields(core):
            self.extras = core.get("extra_behavior") or config.get("extra_fields_behavior") or self.extras
            for name, inner, several in fields_of(core, config):
                self._fields[name] = (*self._fields.get(name, ()), _LIST if several else inner)

    def _place(self, schemas: Sequence[Schema]) -> None:
        self.is_list = True
        for position, schema in enumerate(schemas):
            self._places[position] = (*self._places.get(position, ()), schema)

    def _of(self, schemas: tuple[Schema, ...]) -> Outline:
        # The schemas live as long as the outline, so their identities stay theirs.
        key = tuple(map(id, schemas))
        if key not in self._known.outlines:
            self._known.outlines[key] = Outline(schemas, self._known)
        return self._known.outlines[key]


def _branches(
    schema: Schema, config: Mapping[str, Any], converted: bool, refs: dict[str, Schema]
) -> Iterator[tuple[Schema, Mapping[str, Any], bool]]:
    """Yield what *schema* may be, with the configuration around it, and whether a converter sees the input first."""
    kind: str = schema["type"]
    config = {**config, **(schema.get("config") or {})}
    refs |= {definition["ref"]: definition for definition in schema.get("definitions", ())}
    if kind == "definition-ref":
        inner = [refs[schema["schema_ref"]]]
    elif kind == "chain":
        inner = [schema["steps"][0]]
    elif kind in ("union", "tagged-union"):
        choices: Any = schema["choices"]
        choices = choices.values() if is_object(choices) else choices
        inner = [choice[0] if is_array(choice) else choice for choice in choices]
    elif kind in INSIDE:
        inner = [schema[INSIDE[kind]]]
    else:
        yield schema, config, converted
        return
    for each in inner:
        yield from _branches(each, config, converted or kind in _CONVERTING, refs)
