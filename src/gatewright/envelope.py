"""The envelope, described to pydantic: for frameworks that serialise and document a return annotation."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic_core import CoreSchema, core_schema

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler

__all__ = ["failure", "success"]

Open = Callable[[object], dict[str, object]]


def success(open_: Open, data: CoreSchema, pagination: CoreSchema | None = None) -> CoreSchema:
    """Describe the envelope of a success, which may say what is stale, too.

    Args:
        open_: returns the members of a result, or raises a `ValueError` for anything else.
        data: describes the data.
        pagination: describes where a page stands, where the data is one.
    """
    fields = {"success": _field(core_schema.literal_schema([True])), "data": _field(data)}
    if pagination is not None:
        fields["pagination"] = _field(pagination)
    told = fields | {"invalidated": _field(core_schema.list_schema(_TEXT))}
    envelopes: dict[Hashable, CoreSchema] = {False: _envelope(_Envelope, fields), True: _envelope(_Told, told)}
    either = core_schema.tagged_union_schema(envelopes, _is_told, metadata=_documented(fields))
    return core_schema.chain_schema([core_schema.no_info_plain_validator_function(open_), either])


def failure(open_: Open) -> CoreSchema:
    """Describe the envelope of an error; *open_* as for `success`."""
    return core_schema.chain_schema([core_schema.no_info_plain_validator_function(open_), _ERROR])


def _field(schema: CoreSchema, *, required: bool = True) -> core_schema.TypedDictField:
    return core_schema.typed_dict_field(schema, required=required)


class _Envelope:
    """Hold an envelope that was filtered, until it is written."""


class _Told:
    """Hold one that says what is stale, which few do."""


def _is_told(envelope: Mapping[str, object] | _Envelope | _Told) -> bool:
    """Tell an envelope that is to be read by its names, and one that is to be written by its class."""
    return "invalidated" in envelope if isinstance(envelope, Mapping) else isinstance(envelope, _Told)


def _documented(fields: dict[str, core_schema.TypedDictField]) -> dict[str, Any]:
    """Return the metadata of a schema that is documented as an object with *fields*."""
    described = core_schema.typed_dict_schema(fields)

    def document(_: CoreSchema, describe: GetJsonSchemaHandler) -> dict[str, Any]:
        return describe(described)

    return {"pydantic_js_functions": [document]}


def _envelope(held: type, fields: dict[str, core_schema.TypedDictField]) -> CoreSchema:
    """Describe an object with *fields*, to be read as a dict, and written as a model is.

    In a union, which is what `Result` is, pydantic writes a subclass inside of a model as its declared class, but a
    subclass inside of a dict with everything that it has.
    """
    members = {name: core_schema.model_field(field["schema"]) for name, field in fields.items()}
    return core_schema.model_schema(held, core_schema.model_fields_schema(members))


_TEXT = core_schema.str_schema()
_ERROR = core_schema.typed_dict_schema(
    {
        "success": _field(core_schema.literal_schema([False])),
        "error": _field(_TEXT),
        "code": _field(_TEXT),
        "details": _field(core_schema.dict_schema(_TEXT, core_schema.list_schema(_TEXT)), required=False),
        "request_id": _field(_TEXT, required=False),
    }
)
