"""Validate a request: parameters say where they are read from, and their types are the schemas."""

from __future__ import annotations

from gatewright.validate.guard import Validate, validate
from gatewright.validate.refine import Refine, Refined
from gatewright.validate.sources import FromBody, FromCookie, FromForm, FromHeader, FromPath, FromQuery

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
