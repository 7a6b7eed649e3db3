"""What models, dataclasses, attrs classes and named tuples hold, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import ismemberdescriptor
from typing import Any, cast

from gatewright._core.names import Names
from gatewright._core.scrub import REDACTED

__all__ = ["members_of"]


def members_of(value: object, names: Names) -> Iterable[tuple[str, object]] | None:
    """Return the fields of a model, a dataclass, an attrs class or a named tuple; None for anything else.

    Only what is stored, since asking an ORM's attribute may query the database; without what its author hides
    with `repr=False`, or reads under a secret alias.
    """
    kind: Any = type(value)
    if isinstance(value, tuple):
        return zip(kind._fields, cast("tuple[object, ...]", value), strict=False) if hasattr(kind, "_fields") else None
    declared: Mapping[str, Any] | None = getattr(kind, "__pydantic_fields__", None)
    if declared is None:
        declared = getattr(kind, "__dataclass_fields__", None)
    if declared is None:
        if not hasattr(kind, "__attrs_attrs__"):
            return None
        declared = {attribute.name: attribute for attribute in kind.__attrs_attrs__}
    held: Mapping[str, object] = getattr(value, "__dict__", {})
    shown: dict[str, object] = {}
    for name, field in declared.items():
        if name in held:
            shown[name] = held[name]
        elif ismemberdescriptor(getattr(kind, name, None)) and hasattr(value, name):
            shown[name] = getattr(value, name)
        else:
            continue
        alias = getattr(field, "alias", None)
        if field.repr is False or (isinstance(alias, str) and names.secret(alias)):
            shown[name] = REDACTED
    shown.update(getattr(value, "__pydantic_extra__", None) or {})
    return shown.items()
