"""The types of event that an annotation takes, as its `Literal` fields say them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from gatewright.webhooks.scheme import Path

__all__ = ["event_types"]

_Schema = Mapping[str, Any]


class _Outline(GenerateJsonSchema):
    """Leave out what JSON Schema has no words for: only the types of events are looked for."""

    def handle_invalid_for_json_schema(self, schema: object, error_info: str) -> JsonSchemaValue:
        return {}

    def emit_warning(self, kind: object, detail: str) -> None:
        """Keep quiet: nobody gets to see this schema."""


def event_types(adapter: TypeAdapter[Any], path: Path) -> frozenset[str] | None:
    """Return the types that *adapter* takes at *path*; None where a part of it takes any.

    Models, dataclasses, typed dicts and unions of them are all read from the one schema that pydantic makes of them,
    which has their fields under the names that the sender writes.
    """
    schema = adapter.json_schema(schema_generator=_Outline)
    found = set(_said(schema, path, schema.get("$defs", {})))
    return None if None in found else frozenset(name for name in found if name is not None)


def _said(schema: _Schema, path: Path, known: Mapping[str, _Schema]) -> Iterator[str | None]:
    if "$ref" in schema:
        schema = known[schema["$ref"].rpartition("/")[2]]
    choices: list[_Schema] = schema.get("anyOf") or schema.get("oneOf") or []
    for choice in choices:
        yield from _said(choice, path, known)
    if choices:
        return
    if path:
        yield from _said(schema.get("properties", {}).get(path[0], {}), path[1:], known)
    else:
        values: list[object] = schema.get("enum") or [schema.get("const")]
        yield from (value if isinstance(value, str) else None for value in values)
