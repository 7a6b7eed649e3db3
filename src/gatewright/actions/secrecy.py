"""Which entries of a form are secret, by what the handler's parameters are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeGuard, cast, get_args, get_type_hints

from pydantic import AliasChoices, AliasPath, BaseModel, Secret, SecretBytes, SecretStr, TypeAdapter

from gatewright.errors import ConfigurationError
from gatewright.validation.parts import Terms, form_parts_of
from gatewright.validation.sources import Body, Form, Input
from gatewright.validation.values import is_array, is_object

if TYPE_CHECKING:
    from gatewright._core.handler import Handler

__all__ = ["secret_fields"]

_SECRETS: Final = (SecretStr, SecretBytes, Secret)
_FIELDS: Final = frozenset({"dataclass-args", "model-fields", "typed-dict"})
# What a core schema says beside what is taken as input.
_OPAQUE: Final = frozenset({"computed_fields", "default", "metadata", "serialization"})


def secret_fields(handler: Handler) -> frozenset[str]:
    """Return the names of everything in *handler*'s body that is a secret to pydantic, however deep it lies."""
    found = set(_compiled_names(handler))
    for want in handler.wanting(Body, Form, Input):
        if _is_secret(want.schema):
            found.add(want.name)
        found.update(_secret_names(want.schema, set()))
    return frozenset(found)


def _is_secret(annotation: Any) -> bool:
    annotation = _written_out(annotation)
    kind = getattr(annotation, "__origin__", annotation)
    if isinstance(kind, type) and issubclass(kind, _SECRETS):
        return True
    return any(_is_secret(argument) for argument in get_args(annotation))


def _written_out(annotation: Any) -> Any:
    """Return what stands behind an alias (PEP 695), or a `NewType`."""
    while True:
        behind = getattr(annotation, "__value__", getattr(annotation, "__supertype__", None))
        if behind is None:
            return annotation
        annotation = behind


def _secret_names(annotation: Any, seen: set[Any]) -> Iterator[str]:
    """Yield the names, and the aliases, of secret fields of every model that *annotation* holds."""
    annotation = _written_out(annotation)
    for argument in get_args(annotation):
        yield from _secret_names(argument, seen)
    if not isinstance(annotation, type) or annotation in seen:
        return
    seen.add(annotation)
    for name, kind, aliases in _fields(annotation):
        if _is_secret(kind):
            yield name
            yield from aliases
        yield from _secret_names(kind, seen)


def _fields(model: type[Any]) -> Iterator[tuple[str, Any, set[str]]]:
    if issubclass(model, BaseModel):
        for name, field in model.model_fields.items():
            yield name, field.annotation, {*_aliases(field.alias), *_aliases(field.validation_alias)}
    elif dataclasses.is_dataclass(model) or hasattr(model, "__total__") or hasattr(model, "__struct_fields__"):
        for name, kind in _hints(model).items():
            yield name, kind, set()


def _hints(model: type[Any]) -> Mapping[str, Any]:
    try:
        return get_type_hints(model, include_extras=True)
    except NameError:
        # Defined in a function: nobody can tell here, so nothing of it is shown again.
        return dict.fromkeys(model.__annotations__, SecretStr)


def _aliases(alias: str | AliasPath | AliasChoices | None) -> Iterator[str]:
    if isinstance(alias, str):
        yield alias
    elif isinstance(alias, AliasPath):
        yield cast(str, alias.path[0])
    elif isinstance(alias, AliasChoices):
        for choice in alias.choices:
            yield from _aliases(choice)


def _compiled_names(handler: Handler) -> Iterator[str]:
    """Yield the names of secret fields as pydantic compiled them, when aliases were made and type variables filled."""
    try:
        parts = form_parts_of(handler.wanting(Body, Form, Input), handler.name, Terms())
    except ConfigurationError:
        # Whoever reads the input says so; here, nothing more can be known.
        return
    for part in parts:
        nodes = list(_nodes(part.adapter.schema))
        refs = {node["ref"]: node for node in nodes if "ref" in node}
        for name, field in (pair for node in nodes if node["type"] in _FIELDS for pair in _pairs(node["fields"])):
            if _holds_secret(field["schema"], refs, set()):
                yield name
                yield from _first_steps(field.get("validation_alias", ()))


def _pairs(fields: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return iter(fields.items()) if is_object(fields) else ((field["name"], field) for field in fields)


def _first_steps(alias: Any) -> Iterator[str]:
    """Yield the names that an alias begins with: it is a text, a path, or several paths."""
    if isinstance(alias, str):
        yield alias
    else:
        paths = [step for step in alias if is_array(step)] or [alias[:1]]
        yield from (path[0] for path in paths if path)


def _nodes(part: object) -> Iterator[Mapping[str, Any]]:
    if _is_node(part):
        yield part
    for inner in _inside(part):
        yield from _nodes(inner)


def _is_node(part: object) -> TypeGuard[Mapping[str, Any]]:
    """Say whether a part of a core schema has keys of pydantic's, and not the names of somebody's fields, or tags."""
    return is_object(part) and isinstance(part.get("type"), str)


def _inside(part: object) -> Iterator[object]:
    if is_object(part):
        yield from (part[key] for key in part.keys() - (_OPAQUE if _is_node(part) else ()))
    elif is_array(part):
        yield from part


def _holds_secret(part: object, refs: Mapping[str, Any], seen: set[str]) -> bool:
    """Say whether a field is secret as a whole: a list of secrets is, and a tuple with one; a model with one is not."""
    if _is_node(part):
        if part["type"] in _FIELDS:
            return False
        if _is_sealed(part):
            return True
        ref = part.get("schema_ref")
        if ref is not None and ref not in seen:
            seen.add(ref)
            return _holds_secret(refs[ref], refs, seen)
    return any(_holds_secret(inner, refs, seen) for inner in _inside(part))


def _is_sealed(node: Mapping[str, Any]) -> bool:
    """Say whether a node of a core schema is that of a secret: it makes one, or hides it where it is written."""
    made = node.get("function"), node.get("cls")
    return any(isinstance(each, type) and issubclass(each, _SECRETS) for each in made) or _hides(node) in _hiding()


def _hides(node: Mapping[str, Any]) -> object:
    return node.get("serialization", {}).get("function")


@cache
def _hiding() -> tuple[object, ...]:
    """Return the functions by which pydantic writes stars; a `Secret[...]` is told by nothing else."""
    return tuple(filter(None, map(_hides, _nodes(TypeAdapter(Secret[str]).core_schema))))
