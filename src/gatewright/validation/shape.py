"""What a schema looks like from outside: one value, several, named fields, or something deeper.

A query, a form, headers and cookies are flat: names and texts. Whether a name may occur several times, and which
names there are, is read from pydantic's core schema, where aliases, defaults and validators are already resolved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from gatewright.validation.values import is_array, is_object

__all__ = [
    "INSIDE",
    "SEVERAL",
    "Kind",
    "Schema",
    "Shape",
    "fields_of",
    "is_fields",
    "items_of",
    "lazy",
    "members_of",
    "shape",
    "unwrapped",
]

Schema = Mapping[str, Any]

INSIDE = {
    "custom-error": "schema",
    "dataclass": "schema",
    "default": "schema",
    "definitions": "schema",
    "function-after": "schema",
    "function-before": "schema",
    "function-wrap": "schema",
    "json-or-python": "json_schema",
    "lax-or-strict": "lax_schema",
    "model": "schema",
    "nullable": "schema",
}
"""What does not change the shape, with the key of what is inside."""

_FIELDS = frozenset({"dataclass-args", "model-fields", "typed-dict"})
SEVERAL = frozenset({"deque", "frozenset", "list", "set", "tuple"})
"""What takes a name more than once."""

_DEEP = frozenset({"arguments", "call", "counter", "named-tuple", "tagged-union"})
_OPAQUE = frozenset({"default", "metadata"})


class Kind(Enum):
    """What a flat source would have to give."""

    ONE = "one value"
    SEVERAL = "several values"
    FIELDS = "named values"
    DEEP = "an object inside"


@dataclass(frozen=True, slots=True)
class Shape:
    """Describe a schema.

    Attributes:
        kind: what it takes.
        fields: of named fields, the kind of each by the name that the input uses.
        required: the names that have to be there.
        extras: what it does with names it does not know: "ignore", "allow" or "forbid".
    """

    kind: Kind
    fields: Mapping[str, Kind] = field(default_factory=dict[str, Kind])
    required: frozenset[str] = frozenset()
    extras: str = "ignore"


def shape(schema: Schema) -> Shape:
    """Return the shape of a core schema."""
    refs: dict[str, Schema] = {}
    core, config = unwrapped(schema, refs)
    if core["type"] not in _FIELDS:
        return Shape(_kind(core, refs))
    extras = core.get("extra_behavior") or config.get("extra_fields_behavior") or "ignore"
    named = list(_named(core["fields"], config, refs))
    required = frozenset(name for name, _, needed in named if needed)
    return Shape(Kind.FIELDS, {name: kind for name, kind, _ in named}, required, extras)


def lazy(schema: object) -> bool:
    """Say whether a part of it is checked only when the handler iterates: an error there would be a 500."""
    if is_object(schema):
        return schema.get("type") == "generator" or any(lazy(schema[key]) for key in schema.keys() - _OPAQUE)
    return is_array(schema) and any(lazy(part) for part in schema)


def unwrapped(schema: Schema, refs: dict[str, Schema]) -> tuple[Schema, Mapping[str, Any]]:
    """Peel what does not change the shape; return the core, and the configuration met on the way."""
    config: dict[str, Any] = {}
    while True:
        kind: str = schema["type"]
        config |= schema.get("config") or {}
        refs |= {definition["ref"]: definition for definition in schema.get("definitions", ())}
        if kind == "definition-ref":
            schema = refs[schema["schema_ref"]]
        elif kind == "chain":
            schema = schema["steps"][0]
        elif kind in INSIDE:
            schema = schema[INSIDE[kind]]
        else:
            return schema, config


def _kind(schema: Schema, refs: dict[str, Schema]) -> Kind:
    schema, _ = unwrapped(schema, refs)
    kind: str = schema["type"]
    if kind in SEVERAL:
        # One look inside is enough, and a type that holds itself has no last one.
        return Kind.DEEP if any(_contains(item, refs) for item in items_of(schema)) else Kind.SEVERAL
    if kind == "union":
        kinds = {_kind(choice[0] if is_array(choice) else choice, refs) for choice in schema["choices"]}
        if kinds & {Kind.DEEP, Kind.FIELDS}:
            return Kind.DEEP
        return Kind.SEVERAL if Kind.SEVERAL in kinds else Kind.ONE
    if kind in _FIELDS:
        return Kind.FIELDS
    return Kind.DEEP if kind in _DEEP or kind.endswith("dict") else Kind.ONE


def _contains(schema: Schema, refs: dict[str, Schema]) -> bool:
    kind: str = unwrapped(schema, refs)[0]["type"]
    return kind in _FIELDS or kind in SEVERAL or kind in _DEEP or kind.endswith("dict")


def items_of(schema: Schema) -> Sequence[Schema]:
    """Return the schemas of what stands in a list."""
    items: Any = schema.get("items_schema", [])
    return items if is_array(items) else [items]


def members_of(core: Schema) -> Sequence[tuple[str, Schema]]:
    """Return the members of a named tuple, which older pydantic calls with arguments."""
    arguments: Schema = core.get("arguments_schema", {})
    members: Any = core.get("fields", arguments.get("arguments_schema", ()))
    return [(member["name"], member["schema"]) for member in members if is_object(member)]


def is_fields(core: Schema) -> bool:
    """Say whether a core schema has named fields."""
    return core["type"] in _FIELDS


def fields_of(core: Schema, config: Mapping[str, Any]) -> Iterator[tuple[str, Schema, bool]]:
    """Yield every name that the input may use, with the field's schema, and whether it is the start of a path."""
    for name, item in _pairs(core["fields"]):
        for alias in _names(name, item.get("validation_alias"), config):
            yield (alias, item["schema"], False) if isinstance(alias, str) else (alias[0], item["schema"], True)


def _pairs(fields: Any) -> list[tuple[str, Mapping[str, Any]]]:
    return list(fields.items()) if is_object(fields) else [(item["name"], item) for item in fields]


def _named(fields: Any, config: Mapping[str, Any], refs: dict[str, Schema]) -> Iterator[tuple[str, Kind, bool]]:
    """Yield the names of each field, with what it takes and whether it has to be there under just this name."""
    for name, item in _pairs(fields):
        kind = _kind(item["schema"], refs)
        aliases = _names(name, item.get("validation_alias"), config)
        needed = len(aliases) == 1 and item["schema"]["type"] != "default" and item.get("required", True)
        for alias in aliases:
            yield (alias, kind, needed) if isinstance(alias, str) else (alias[0], Kind.SEVERAL, False)


def _names(name: str, alias: Any, config: Mapping[str, Any]) -> list[Any]:
    """Return what the input may call a field: names, and paths such as `["tags", 0]`."""
    if alias is None or config.get("validate_by_alias") is False:
        return [name]
    if isinstance(alias, str):
        aliases = [alias]
    else:
        paths = alias if isinstance(alias[0], list) else [alias]
        aliases = [path[0] if len(path) == 1 else path for path in paths]
    return [*aliases, name] if config.get("validate_by_name") or config.get("populate_by_name") else aliases
