"""How a handler asks for the session of its transaction."""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeAlias, TypeVar

from gatewright._core.handler import Marker

__all__ = ["Transaction", "TransactionMarker"]

T = TypeVar("T")


class TransactionMarker(Marker):
    """Mark the parameter that takes the open session."""

    __injected_by__: ClassVar[str] = "@transactional(...)"
    place: ClassVar[str] = ""  # of no part of the request

    def __repr__(self) -> str:
        return "Transaction"


Transaction: TypeAlias = Annotated[T, TransactionMarker()]
"""Take the session in whose transaction the handler works: `db: Transaction[AsyncSession]`."""
