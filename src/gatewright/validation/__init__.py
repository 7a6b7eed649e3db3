"""Validate a request: parameters say where they are read from, and their types are the schemas."""

from __future__ import annotations

from gatewright.validation.guard import Validate, validate
from gatewright.validation.refine import Refine, Refined
from gatewright.validation.sources import FromBody, FromCookie, FromForm, FromHeader, FromPath, FromQuery

__all__ = [
    "FromBody",
    "FromCookie",
    "FromForm",
    "FromHeader",
    "FromPath",
    "FromQuery",
    "Refine",
    "Refined",
    "Validate",
    "validate",
]
