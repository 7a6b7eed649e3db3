"""From the parameters of one named source to the parts that fill them.

A model takes the whole source. The parameters that are no models are validated together, as the fields of one
dataclass: that is one pass for all of them, and aliases, constraints and defaults are pydantic's own business.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import Field, dataclass, field, make_dataclass, replace
from typing import Any

from pydantic import ConfigDict

from gatewright._core.handler import Want
from gatewright.errors import ConfigurationError
from gatewright.validation.compiled import Compiled, compiled
from gatewright.validation.named import Part
from gatewright.validation.nested import FormPart
from gatewright.validation.outline import Outline
from gatewright.validation.shape import Kind, shape

__all__ = ["Terms", "absent", "form_parts_of", "parts_of"]

_UNSET = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Terms:
    """What a source can give.

    Attributes:
        named: what the source calls a field.
        repeats: whether a name may occur more than once.
        reserved: entries that a model is not shown unless it has a field for them.
        drops_empty: whether an empty text counts as absent.
        strict: whether a text has to be spelled as JSON spells its value.
        any_type: whether it gives more than texts, so that any class is a schema.
    """

    named: Callable[[str], str] = str
    repeats: bool = True
    reserved: frozenset[str] = frozenset()
    drops_empty: bool = False
    strict: bool = False
    any_type: bool = False


def parts_of(wants: Sequence[Want], who: str, terms: Terms) -> tuple[Part, ...]:
    """Compile the parameters of one source.

    Raises:
        ConfigurationError: for a schema that a flat source cannot fill.
    """
    parts: list[Part] = []
    single: list[Want] = []
    for want in wants:
        alone = shape(_together([want], who, terms).schema)
        if Kind.FIELDS in alone.fields.values():
            parts.append(_part(compiled(want.schema, who, want.name), who, terms, want, whole=want))
        else:
            single.append(want)
    if single:
        parts.append(_part(_together(single, who, terms), who, terms, *single))
    return _apart(parts, terms)


def form_parts_of(wants: Sequence[Want], who: str, terms: Terms) -> tuple[Part, ...]:
    """Compile the parameters of a form, whose names reach into any schema."""
    parts: list[Part] = []
    single: list[Want] = []
    for want in wants:
        alone = Outline.of(_together([want], who, terms).schema)
        if all(alone.inside(name).is_object for name in alone.names):
            parts.append(_form_part(compiled(want.schema, who, want.name), terms, want))
        else:
            single.append(want)
    if single:
        parts.append(_form_part(_together(single, who, terms), terms))
    return _apart(parts, terms)


def _apart(parts: Sequence[Part], terms: Terms) -> tuple[Part, ...]:
    """Return *parts*, each of which knows what the others read."""
    claimed = terms.reserved.union(*(part.names.values() for part in parts))
    return tuple(replace(part, reserved=claimed) for part in parts)


def _form_part(adapter: Compiled, terms: Terms, whole: Want | None = None) -> FormPart:
    outline = Outline.of(adapter.schema)
    return FormPart(
        names={name: name for name in outline.names},
        several=frozenset(name for name in outline.names if outline.inside(name).is_list),
        required=frozenset(),
        extras=outline.extras,
        adapter=adapter,
        parameter=None if whole is None else whole.name,
        absent=_UNSET if whole is None else absent(whole),
        drops_empty=terms.drops_empty,
        strictly=outline if terms.strict else None,
        outline=outline,
    )


def _part(adapter: Compiled, who: str, terms: Terms, *wants: Want, whole: Want | None = None) -> Part:
    outline = shape(adapter.schema)
    for key, kind in outline.fields.items():
        if kind is not Kind.ONE and not (kind is Kind.SEVERAL and terms.repeats):
            lists = ", or lists of one value" if terms.repeats else ""
            names = ", ".join(want.name for want in wants)
            raise ConfigurationError(
                f"{who}: {names}: {wants[0].marker!r} cannot fill {key}, which takes {kind.value}; "
                f"write fields of one value{lists}, or read a FromBody[...]"
            )
    return Part(
        names={key: terms.named(key) for key in outline.fields},
        several=frozenset(key for key, kind in outline.fields.items() if kind is Kind.SEVERAL),
        required=outline.required,
        extras=outline.extras,
        adapter=adapter,
        parameter=None if whole is None else whole.name,
        absent=_UNSET if whole is None else absent(whole),
        drops_empty=terms.drops_empty,
        strictly=Outline.of(adapter.schema) if terms.strict else None,
    )


def absent(want: Want) -> Any:
    """Return what a parameter gets when its source has nothing for it; unset where it is required."""
    return None if want.optional and want.required else want.default


def _together(wants: Sequence[Want], who: str, terms: Terms) -> Compiled:
    config = ConfigDict(arbitrary_types_allowed=terms.any_type)
    fields = [_as_field(want) for want in wants]
    together = make_dataclass("parameters", fields, kw_only=True, namespace={"__pydantic_config__": config})
    return compiled(together, who, ", ".join(want.name for want in wants))


def _as_field(want: Want) -> tuple[str, Any] | tuple[str, Any, Field[Any]]:
    value = absent(want)
    if value is _UNSET:
        return want.name, want.schema
    return want.name, want.schema, field(default_factory=lambda: value)
