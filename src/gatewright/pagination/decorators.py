"""The decorators that put pages on handlers: `paginate`, and `paginate.cursor`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, ParamSpec, TypeVar, overload

from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.function import Action, Guarded
from gatewright.errors import ConfigurationError
from gatewright.pagination.cursor import CursorPagination
from gatewright.pagination.keyset import check_order, keys_of
from gatewright.pagination.pages import Paginate

__all__ = ["Paginator", "paginate"]

P = ParamSpec("P")
R = TypeVar("R")


class Paginator:
    """What `paginate` is: a decorator with another one under its name."""

    __name__ = "paginate"

    def __repr__(self) -> str:
        return "<decorator paginate>"

    @overload
    def __call__(self, handler: Action[P, R], /) -> Action[P, R]: ...
    @overload
    def __call__(self, handler: Guarded[P, R], /) -> Guarded[P, R]: ...
    @overload
    def __call__(self, handler: Callable[P, R], /) -> Guarded[P, R]: ...
    @overload
    def __call__(self, /, *, default_limit: int = ..., max_limit: int = ...) -> Decorator: ...
    def __call__(self, handler: Any = None, /, *, default_limit: int = 10, max_limit: int = 100) -> Any:
        """Fill the handler's `PageParams` from `?page=` and `?limit=`; return a `Page` to answer with.

        A limit over the maximum is clamped, and the envelope says which was applied. A page past the end is an empty
        page, never the last one again: a client that walks until a page is empty has to come to an end.

        Args:
            default_limit: items on a page when the client does not say.
            max_limit: the most items on a page.

        Raises:
            ConfigurationError: for limits below 1, or a default over the maximum.
        """
        _check_limits("paginate", default_limit, max_limit)
        decorator: Any = guarded_by(Paginate(default_limit, max_limit))
        return decorator if handler is None else decorator(handler)

    def cursor(
        self,
        *,
        order: Sequence[str],
        unique: str | Sequence[str],
        default_limit: int = 10,
        max_limit: int = 100,
    ) -> Decorator:
        """Fill the handler's `CursorParams` from `?after=`, `?before=` and `?limit=`; return a `CursorPage`.

        A page goes on where the one before it ended, by the values of its last item and not by their number: it costs
        the same at any depth, and what is inserted or deleted meanwhile neither repeats nor hides an item.

        Cursors are signed with the gate's keys, and belong to one path, one order, one set of filters (every other
        parameter of the query) and one direction; any other is a 400 `invalid_cursor`. They are not encrypted, and
        not a permission: whoever has one can read the values in it, and sees no more than the handler shows to them.

        Args:
            order: keys, the most significant first: a name, after `-` where it descends. Items without a value come
                last, or first with `"-name nulls first"`.
            unique: the key, or keys, of which no two items have the same value; the order has to have them.
            default_limit: items on a page when the client does not say.
            max_limit: the most items on a page.

        Raises:
            ConfigurationError: for an order in which two items may have the same place, limits below 1, or a default
                over the maximum.
        """
        _check_limits("paginate.cursor", default_limit, max_limit)
        keys = keys_of(order)
        check_order(keys, unique)
        return guarded_by(CursorPagination(tuple(str(key) for key in keys), default_limit, max_limit))


def _check_limits(who: str, default_limit: int, max_limit: int) -> None:
    if not 1 <= default_limit <= max_limit:
        raise ConfigurationError(
            f"{who}(default_limit={default_limit}, max_limit={max_limit}): "
            "write limits of 1 or more, the default not over the maximum"
        )


paginate: Final = Paginator()
"""Read which page the client wants."""
