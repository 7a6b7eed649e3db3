"""From one page to the next: what a handler is told of a cursor, and what it answers with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, cmp_to_key, partial
from operator import getitem
from typing import Any, ClassVar, TypeVar

from pydantic_core import CoreSchema, core_schema

from gatewright.errors import ConfigurationError
from gatewright.pagination.keyset import Key, beyond, keys_of, turned
from gatewright.pagination.query import INTEGER
from gatewright.pagination.values import pack
from gatewright.result import Paged

__all__ = ["CursorPage", "CursorParams", "Position"]

T = TypeVar("T")
U = TypeVar("U")
T_co = TypeVar("T_co", covariant=True)

Position = tuple[object, ...]

_TEXT = {"type": "string"}
_CURSOR = core_schema.typed_dict_field(core_schema.nullable_schema(core_schema.str_schema()), required=True)


@dataclass(frozen=True)
class CursorPage(Paged[T_co]):
    """Hold some items of a list, and where those before and after them begin.

    `CursorParams.page` and `gatewright.pagination.sql.cursor_page_of` make it.

    Args:
        items: in the order of the list.
        next: the position after which the following page begins; None on the last one. `()` is the start of the list.
        prev: the position before which the preceding page ends; None on the first one. `()` is the end of the list.
        total: how many items there are on all pages; None where nobody counted.
    """

    __needs__: ClassVar[str] = "@paginate.cursor(...) and a CursorParams parameter"
    __facts__: ClassVar[CoreSchema] = core_schema.typed_dict_schema(
        {
            "limit": core_schema.typed_dict_field(core_schema.int_schema(), required=True),
            "next": _CURSOR,
            "prev": _CURSOR,
            "total": core_schema.typed_dict_field(core_schema.int_schema(), required=False),
        }
    )

    next: Position | None = None
    prev: Position | None = None
    total: int | None = None

    def map(self, change: Callable[[T_co], U]) -> CursorPage[U]:
        """Return the page with every item changed, such as `page.map(PostOut.model_validate)`."""
        return CursorPage([change(item) for item in self.items], self.next, self.prev, self.total)


@dataclass(frozen=True)
class CursorParams:
    """Say which part of a list the client asked for, checked and clamped.

    Args:
        limit: items on a page.
        order: the keys of the list, as they were declared.
        position: the values of these keys from which the page goes on; none where it starts at an edge of the list.
        backward: whether it holds what comes before the position; without one, the end of the list.
    """

    __injected_by__: ClassVar[str] = "@paginate.cursor(...)"
    __query__: ClassVar[Mapping[str, Mapping[str, object]]] = {"limit": INTEGER, "after": _TEXT, "before": _TEXT}

    limit: int
    order: tuple[str, ...]
    position: Position = ()
    backward: bool = False

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """Return the order in which to look for items: that of the list, or, backward, the other way round.

        What comes after the position in this order belongs on the page, and `limit + 1` of it says all.
        """
        keys = keys_of(self.order)
        return turned(keys) if self.backward else keys

    def page(
        self, found: Sequence[T], at: Callable[[T], Sequence[object]] | None = None, *, total: int | None = None
    ) -> CursorPage[T]:
        """Make a page of what was found.

        ::

            found = await store.find(after=cursor.position, keys=cursor.keys, limit=cursor.limit + 1)
            return ok(cursor.page(found))

        Args:
            found: the items beyond the position, in the order of `keys`: `limit + 1` of them, where there are so many.
            at: returns the position of an item; by default the attributes, or entries, that the keys name.
            total: how many items there are on all pages, where that is known.

        Raises:
            ConfigurationError: for items without these attributes, and for values that a cursor cannot hold.
        """
        items = list(found[: self.limit])
        if not items:
            # All that was on this side is gone. The position itself may still be there, so the other edge it is.
            edge = () if self.position else None
            return CursorPage([], edge if self.backward else None, None if self.backward else edge, total)
        if self.backward:
            items.reverse()
        first, last = (self._position(item, at) for item in (items[0], items[-1]))
        came, goes_on = bool(self.position), len(found) > self.limit
        before, after = (goes_on, came) if self.backward else (came, goes_on)
        return CursorPage(items, last if after else None, first if before else None, total)

    def cut(self, items: Iterable[T], at: Callable[[T], Sequence[object]] | None = None) -> CursorPage[T]:
        """Make a page of a list that is in memory, in whatever order; its total is known.

        Args:
            items: all of them.
            at: returns the position of an item; by default the attributes, or entries, that the keys name.
        """
        placed = [(self._position(item, at), item) for item in items]
        rest = [one for one in placed if not self.position or beyond(self.keys, one[0], self.position) > 0]
        place = cmp_to_key(partial(beyond, self.keys))
        rest.sort(key=lambda one: place(one[0]))
        return self.page([item for _, item in rest], at, total=len(placed))

    def _position(self, item: T, at: Callable[[T], Sequence[object]] | None) -> Position:
        position = self._read(item) if at is None else tuple(at(item))
        if len(position) != len(self.order):
            raise ConfigurationError(f"{len(position)} values are no position in order={self.order!r}")
        pack(position)
        return position

    def _read(self, item: object) -> Position:
        return tuple(self._value(item, key.name) for key in self.keys)

    def _value(self, item: Any, name: str) -> object:
        read: Callable[[Any, str], object] = getitem if issubclass(type(item), Mapping) else getattr
        try:
            found = read(item, name)
        except (AttributeError, KeyError):
            raise ConfigurationError(
                f"order={self.order!r}: {type(item).__name__} has no {name}; say with at= where its values are"
            ) from None
        return found
