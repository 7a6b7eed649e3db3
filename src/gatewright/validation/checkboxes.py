"""Fields that a browser sends only where they are ticked (HTML, section 4.10.5.1.15)."""

from __future__ import annotations

from typing import Annotated, TypeAlias, TypeVar

from pydantic import BeforeValidator, Field, ValidationInfo

__all__ = ["Checkbox", "Checkboxes"]

T = TypeVar("T")

_NOT_TICKED = frozenset({"", "0", "f", "false", "n", "no", "off"})


def _ticked(given: object, info: ValidationInfo) -> object:
    """Read a form's text: what a ticked box sends is its `value`, which may be anything."""
    if info.mode == "json" or not isinstance(given, str):
        return given
    return given.strip().lower() not in _NOT_TICKED


Checkbox: TypeAlias = Annotated[bool, Field(default=False), BeforeValidator(_ticked)]
"""A box: False where it was not ticked, and so not sent; in JSON, a boolean."""

# A factory could not stand beside a default that an author writes; pydantic copies this one.
Checkboxes: TypeAlias = Annotated[list[T], Field(default=[])]
"""Boxes of one name: the values of those that were ticked; none is an empty list."""
