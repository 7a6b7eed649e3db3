"""Validate a request: parameters say where they are read from, and their types are the schemas."""

from __future__ import annotations

from gatewright.validation.checkboxes import Checkbox, Checkboxes
from gatewright.validation.guard import Validate, validate
from gatewright.validation.manner import Empty
from gatewright.validation.refine import Refine, Refined
from gatewright.validation.sources import (
    FromBody,
    FromCookie,
    FromFile,
    FromForm,
    FromHeader,
    FromInput,
    FromPath,
    FromQuery,
)

__all__ = [
    "Checkbox",
    "Checkboxes",
    "Empty",
    "FromBody",
    "FromCookie",
    "FromFile",
    "FromForm",
    "FromHeader",
    "FromInput",
    "FromPath",
    "FromQuery",
    "Refine",
    "Refined",
    "Validate",
    "validate",
]
