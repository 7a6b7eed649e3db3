"""Pages: which one the client wants, by its number or by a cursor, and what the answer says about the others."""

from __future__ import annotations

from gatewright.pagination.cursor import CursorPagination
from gatewright.pagination.decorators import paginate
from gatewright.pagination.keyset import Key
from gatewright.pagination.pages import Paginate
from gatewright.pagination.walk import CursorPage, CursorParams

__all__ = ["CursorPage", "CursorPagination", "CursorParams", "Key", "Paginate", "paginate"]
