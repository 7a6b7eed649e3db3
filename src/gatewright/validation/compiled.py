"""A schema, compiled once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from gatewright.errors import ConfigurationError
from gatewright.validation.shape import lazy

__all__ = ["Compiled", "compiled"]


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """Hold pydantic's validator of a type, without the adapter around it.

    Attributes:
        schema: the core schema.
        validate: takes Python values.
        validate_json: takes the bytes of a JSON text.
    """

    schema: Mapping[str, Any]
    validate: Callable[[Any], Any]
    validate_json: Callable[[bytes], Any]


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
        raise ConfigurationError(
            f"{who}: pydantic cannot check {name}; write a model defined at module level, or a type it knows ({said})"
        ) from exc
    if lazy(adapter.core_schema):
        raise ConfigurationError(
            f"{who}: {name} would be checked only while the handler iterates; write list[...] in place of Iterable[...]"
        )
    return Compiled(adapter.core_schema, adapter.validator.validate_python, adapter.validator.validate_json)
