"""Pages by number: which one the client asked for, and where it stands among the others."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from gatewright._core.guard import Entering, Guard
from gatewright._core.phase import Phase
from gatewright._core.render import Standing
from gatewright.errors import ConfigurationError, InvalidInput
from gatewright.pagination.links import link_header
from gatewright.pagination.query import Details, asked, number
from gatewright.result import Page, PageParams

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.handler import Handler

__all__ = ["Paginate"]

_OURS = frozenset({b"page", b"limit"})
_FAR = "Input is past the last page that can be"
# Databases count rows in signed 64 bits.
_ROWS = 1 << 63


@dataclass(frozen=True, repr=False)
class Paginate(Guard):
    """Read `page` and `limit` from the query."""

    name = "paginate"
    phase = Phase.PARSE
    rank = 1
    provides: ClassVar[tuple[Hashable, ...]] = (PageParams, Page)
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
        """Provide the page, and what will say where it stands."""
        query: bytes = call.scope.get("query_string", b"")
        page, limit = 1, self.default_limit
        if query:
            page, limit = self._asked(query, call.gate.invalid_status)
        params = PageParams(page, limit, (page - 1) * limit)
        call.provide(PageParams, params)
        call.provide(Page, partial(standing, params, query))
        return None

    def _asked(self, query: bytes, status: int) -> tuple[int, int]:
        details: Details = {}
        given = asked(query, _OURS, details)
        page = number("page", given, 1, details)
        limit = min(number("limit", given, self.default_limit, details), self.max_limit)
        if (page - 1) * limit >= _ROWS:
            details.setdefault("page", [_FAR])
        if details:
            raise InvalidInput(details=details, status=status)
        return page, limit


def standing(params: PageParams, query: bytes, page: Page[Any]) -> Standing:
    """Return where *page* stands: its number among all, and links to the first, previous, next and last.

    Past the end, prev is the last page: a client that walks back reaches rows at once. next never leads there, and
    never repeats a page, so a client that walks forward comes to an end. With no rows there are no pages.
    """
    last = -(-page.total // params.limit)
    facts = {"page": params.page, "limit": params.limit, "total": page.total, "totalPages": last}
    pages = {"first": 1, "prev": min(params.page - 1, last), "next": params.page + 1, "last": last}
    relations = {
        relation: f"page={number}&limit={params.limit}" for relation, number in pages.items() if 1 <= number <= last
    }
    return Standing(facts, link_header(query, _OURS, relations))
