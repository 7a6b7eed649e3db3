"""A schema, compiled once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

from pydantic import TypeAdapter

from gatewright.errors import ConfigurationError
from gatewright.validation.shape import lazy

__all__ = ["Compiled", "compiled"]


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """Hold pydantic's validator of a type, without the adapter around it.

    Attributes:
        schema: the core schema.
        validate: takes texts, and what is made of them; a text is never of the type itself, so it is not strict.
        validate_json: takes the bytes of a JSON text.
        validate_strict_json: takes them as well, with values of the type itself only.
    """

    schema: Mapping[str, Any]
    validate: Callable[[Any], Any]
    validate_json: Callable[[bytes], Any]
    validate_strict_json: Callable[[bytes], Any]


def compiled(type_: Any, who: str, name: str) -> Compiled:
    """Compile a type.

    Raises:
        ConfigurationError: for one that pydantic cannot check, in the name of the handler and its parameter.
    """
    try:
        adapter = TypeAdapter(type_)
        if not adapter.pydantic_complete:
            adapter.rebuild(raise_errors=True)
    except Exception as exc:
        # Whatever pydantic says, at this moment it is about the declaration.
        said = str(exc).partition("\n")[0]
        raise ConfigurationError(f"{who}: pydantic cannot check {name}; write {_instead(type_)} ({said})") from exc
    if lazy(adapter.core_schema):
        raise ConfigurationError(
            f"{who}: {name} would be checked only while the handler iterates; write list[...] in place of Iterable[...]"
        )
    validator = adapter.validator
    return Compiled(
        adapter.core_schema,
        partial(validator.validate_python, strict=False),
        validator.validate_json,
        partial(validator.validate_json, strict=True),
    )


def _instead(type_: Any) -> str:
    """Say what to write in place of a type, which may stand inside of another."""
    for each in (type_, *get_args(type_)):
        if hasattr(each, "__struct_fields__"):
            return f"a dataclass or a pydantic model in place of the msgspec.Struct {each.__name__}"
        if hasattr(each, "__attrs_attrs__"):
            return f"a dataclass or a pydantic model in place of the attrs class {each.__name__}"
    return "a model defined at module level, or a type it knows"
