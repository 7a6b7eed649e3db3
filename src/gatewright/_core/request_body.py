"""What OpenAPI says of a body: one value as JSON, or the entries of a form, which several parameters may share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gatewright._core.handler import Want

__all__ = ["request_body"]

_JSON, _FORM, _MULTIPART = "application/json", "application/x-www-form-urlencoded", "multipart/form-data"
_FILE = {"type": "string", "format": "binary"}
_FILES = {"type": "array", "items": _FILE}

Schema = Mapping[str, Any]


def request_body(wants: Sequence[Want], schema: Callable[[Want], Schema]) -> Schema | None:
    """Return the request body of a handler; None where it reads none."""
    places = {want.name: want.marker.place for want in wants if want.marker is not None}
    read = [want for want in wants if places.get(want.name) in ("body", "input", "form", "file")]
    files = [want for want in read if places[want.name] == "file"]
    content: dict[str, Schema] = {}
    for want in read:
        if places[want.name] in ("body", "input") and not any(_is_required(file) for file in files):
            content[_JSON] = {"schema": schema(want)}
    entries = [want for want in read if places[want.name] != "body"]
    if entries:
        written = [(want, _file(want) if want in files else schema(want)) for want in entries]
        content[_MULTIPART if files else _FORM] = {"schema": _together(written)}
    return {"required": any(map(_is_required, read)), "content": content} if content else None


def _is_required(want: Want) -> bool:
    return want.required and not want.optional


def _file(want: Want) -> Schema:
    return _FILE if isinstance(want.annotation, type) else _FILES


def _together(written: Sequence[tuple[Want, Schema]]) -> Schema:
    """Return the schema of a form: a model is all of it, or a part of it, and anything else an entry of its name."""
    models = [schema for _, schema in written if _is_model(schema)]
    single = [(want, schema) for want, schema in written if not _is_model(schema)]
    if single:
        fields: dict[str, Any] = {"type": "object", "properties": {want.name: schema for want, schema in single}}
        required = [want.name for want, _ in single if _is_required(want)]
        models.append({**fields, "required": required} if required else fields)
    return models[0] if len(models) == 1 else {"allOf": models}


def _is_model(schema: Schema) -> bool:
    choices = [choice for choice in schema.get("oneOf", schema.get("anyOf", ())) if choice.get("type") != "null"]
    return "properties" in schema or (bool(choices) and all(map(_is_model, choices)))
