"""Put the parameters that guards fill back into a FastAPI route's OpenAPI operation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, cast

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from starlette.routing import Route

from gatewright._core.function import GuardedFunction, state_of
from gatewright._core.handler import Handler, Want, read_for
from gatewright._core.request_body import request_body
from gatewright._core.schemes import lets_strangers_pass

__all__ = ["document", "document_optional", "guarded_dependencies"]

_PARAMETERS = frozenset({"path", "query", "header", "cookie"})
_REFERENCE = "#/$defs/"


def document(route: Route, handler: Handler) -> None:
    """Add to *route*'s operation what its signature hides; does nothing for a route that has no OpenAPI.

    Schemas are written out in place: an operation cannot add to the document's components. Where a model contains
    itself, the inner one is named and left open.
    """
    if not hasattr(route, "openapi_extra"):
        return
    hidden: dict[str, Any] = {}
    parameters: list[dict[str, Any]] = []
    for want in handler.wants.values():
        place = want.marker.place if want.marker is not None else None
        if place in _PARAMETERS:
            parameters += _parameters(want, place)
        parameters += [_parameter(name, "query", False, schema) for name, schema in read_for(want).items()]
    body = request_body(list(handler.wants.values()), _schema)
    if body is not None:
        hidden["requestBody"] = body
    parameters += _undeclared(route, handler, {one["name"] for one in parameters if one["in"] == "path"})
    if parameters:
        hidden["parameters"] = parameters
    if hidden:
        extra: Mapping[str, Any] = getattr(route, "openapi_extra", None) or {}
        vars(route)["openapi_extra"] = {**hidden, **extra}


def document_optional(route: Route) -> None:
    """Say in *route*'s operation that it takes callers without credentials too, where its guards do.

    FastAPI collects the schemes by itself, from the first dependencies of guarded functions; that none of them is
    needed it could not know.
    """
    states = [*guarded_dependencies(getattr(route, "dependant", None)), state_of(route.endpoint)]
    passing = [lets_strangers_pass(state.pipeline) for state in states if state is not None]
    if True in passing and False not in passing:
        extra: Mapping[str, Any] = getattr(route, "openapi_extra", None) or {}
        vars(route)["openapi_extra"] = {"security": [{}], **extra}


def guarded_dependencies(dependant: Any) -> Iterator[GuardedFunction]:
    """Yield the guarded functions among the dependencies of a FastAPI route, at any depth."""
    for dependency in getattr(dependant, "dependencies", ()):
        state = state_of(dependency.call)
        if state is not None:
            yield state
        yield from guarded_dependencies(dependency)


def _undeclared(route: Any, handler: Handler, told: Set[str]) -> Iterator[dict[str, Any]]:
    """Yield the parameters of the path that no signature names: a guard reads them by itself."""
    named = {*told, *handler.others, *_path_parameters(getattr(route, "dependant", None))}
    for name in route.param_convertors:
        if name not in named:
            yield _parameter(name, "path", True, {"type": "string"})


def _path_parameters(dependant: Any) -> Iterator[str]:
    for field in getattr(dependant, "path_params", ()):
        yield field.alias
    for dependency in getattr(dependant, "dependencies", ()):
        yield from _path_parameters(dependency)


def _parameters(want: Want, place: str) -> list[dict[str, Any]]:
    schema = _schema(want)
    fields: dict[str, Any] | None = schema.get("properties")
    required = want.required and not want.optional
    if fields is None:
        return [_parameter(want.name, place, required, schema)]
    return [_parameter(name, place, name in schema.get("required", ()), field) for name, field in fields.items()]


def _parameter(name: str, place: str, required: bool, schema: Mapping[str, Any]) -> dict[str, Any]:
    shown = name.replace("_", "-") if place == "header" else name
    return {"name": shown, "in": place, "required": required or place == "path", "schema": schema}


def _schema(want: Want) -> dict[str, Any]:
    try:
        schema = TypeAdapter[Any](want.schema).json_schema()
    except PydanticInvalidForJsonSchema:
        # Documentation is not worth an outage: anything goes in, as far as the document can say.
        return {}
    written: dict[str, Any] = _written_out(schema, schema.get("$defs", {}), ())
    return written


def _written_out(node: Any, definitions: Mapping[str, Any], within: tuple[str, ...]) -> Any:
    """Replace references by what they name; JSON Schema's own would be looked up in the whole document."""
    if isinstance(node, list):
        return [_written_out(item, definitions, within) for item in cast("Iterable[object]", node)]
    if not isinstance(node, dict):
        return node
    schema = cast("dict[str, Any]", node)
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith(_REFERENCE):
        name = reference.removeprefix(_REFERENCE)
        if name in within:
            return {"title": name, "type": "object"}
        return _written_out(definitions[name], definitions, (*within, name))
    kept = {key: value for key, value in schema.items() if key not in ("$defs", "discriminator")}
    return {key: _written_out(value, definitions, within) for key, value in kept.items()}
