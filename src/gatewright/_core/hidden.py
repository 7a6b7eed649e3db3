"""Entries of a form that a page puts there for guards; no field of the author's model."""

from __future__ import annotations

from typing import Final

__all__ = ["HIDDEN", "ONCE", "PREVIOUS", "TOKEN"]

ONCE: Final = "_once"
"""Names one filling of a form, so that sending it twice does what it says once."""

PREVIOUS: Final = "_previous"
"""What the page said of the last attempt."""

TOKEN: Final = "csrf_token"  # noqa: S105  # its name
"""Belongs to the session; see `cross_origin(missing="token")`."""

HIDDEN: Final = frozenset({ONCE, PREVIOUS, TOKEN})
