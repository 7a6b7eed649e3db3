"""Which page the client asked for."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar, overload

from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.function import Guarded
from gatewright._core.guard import Entering, Guard
from gatewright._core.links import decoded
from gatewright._core.phase import Phase
from gatewright.errors import ConfigurationError, InvalidInput
from gatewright.result import PageParams

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.handler import Handler

__all__ = ["Paginate", "paginate"]

P = ParamSpec("P")
R = TypeVar("R")

_ONCE = "Give this once only"
_COUNT = "Input should be a whole number of 1 or more"
_FAR = "Input is past the last page that can be"
# Databases count rows in signed 64 bits.
_ROWS = 1 << 63
# One digit more than any bound here has: what is longer is over every bound, and never becomes a huge int.
_DIGITS = 20


@dataclass(frozen=True, repr=False)
class Paginate(Guard):
    """Read `page` and `limit` from the query."""

    name = "paginate"
    phase = Phase.PARSE
    rank = 1
    provides: ClassVar[tuple[Hashable, ...]] = (PageParams,)
    single = True
    reads_handler = True

    default_limit: int = 10
    max_limit: int = 100

    def __repr__(self) -> str:
        return f"paginate(default_limit={self.default_limit}, max_limit={self.max_limit})"

    def seal(self, handler: Handler) -> Guard:
        """Refuse a handler that never learns which page was asked for."""
        if not handler.wanting(PageParams):
            raise ConfigurationError(f"{handler.name}: @paginate needs a parameter to fill, page: PageParams")
        return self

    def enter(self, call: Call) -> Entering:
        """Provide the page."""
        query: bytes = call.scope.get("query_string", b"")
        page, limit = 1, self.default_limit
        if query:
            page, limit = self._asked(query, call.gate.invalid_status)
        call.provide(PageParams, PageParams(page, limit, (page - 1) * limit))
        return None

    def _asked(self, query: bytes, status: int) -> tuple[int, int]:
        given: dict[bytes, bytes | None] = {}
        for pair in query.split(b"&"):
            name, _, value = pair.partition(b"=")
            name = decoded(name)
            if name == b"page" or name == b"limit":
                given[name] = None if name in given else decoded(value)
        details: dict[str, list[str]] = {}
        page = _number("page", given.get(b"page", b"1"), details)
        limit = min(_number("limit", given.get(b"limit", b"%d" % self.default_limit), details), self.max_limit)
        if (page - 1) * limit >= _ROWS:
            details["page"] = [_FAR]
        if details:
            raise InvalidInput(details=details, status=status)
        return page, limit


def _number(name: str, value: bytes | None, details: dict[str, list[str]]) -> int:
    """Return a number from 1, in ASCII digits; otherwise note what is wrong with it, and return 1."""
    digits = b"" if value is None else value.lstrip(b"0")
    if digits.isdigit():
        return int(digits[:_DIGITS])
    details[name] = [_ONCE if value is None else _COUNT]
    return 1


@overload
def paginate(handler: Guarded[P, R], /) -> Guarded[P, R]: ...
@overload
def paginate(handler: Callable[P, R], /) -> Guarded[P, R]: ...
@overload
def paginate(*, default_limit: int = ..., max_limit: int = ...) -> Decorator: ...
def paginate(handler: Any = None, /, *, default_limit: int = 10, max_limit: int = 100) -> Any:
    """Fill the handler's `PageParams` from `?page=` and `?limit=`; return a `Page` to answer with.

    A limit over the maximum is clamped, and the envelope says which was applied. A page past the end is an empty
    page, never the last one again: a client that walks until a page is empty has to come to an end.

    Args:
        default_limit: items on a page when the client does not say.
        max_limit: the most items on a page.

    Raises:
        ConfigurationError: for limits below 1, or a default over the maximum.
    """
    if not 1 <= default_limit <= max_limit:
        raise ConfigurationError(
            f"paginate(default_limit={default_limit}, max_limit={max_limit}): "
            "write limits of 1 or more, the default not over the maximum"
        )
    decorator: Any = guarded_by(Paginate(default_limit, max_limit))
    return decorator if handler is None else decorator(handler)
