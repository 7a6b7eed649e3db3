"""Pages by cursor: where the client goes on, and how it comes from there to the next page and back."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from gatewright._core.guard import Entering, Guard
from gatewright._core.phase import Phase
from gatewright._core.render import Standing
from gatewright.errors import BadRequest, ConfigurationError, InvalidInput
from gatewright.pagination.links import link_header
from gatewright.pagination.pages import Paginate
from gatewright.pagination.query import Details, asked, list_of, number
from gatewright.pagination.walk import CursorPage, CursorParams, Position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Scope

    from gatewright._core.call import Call
    from gatewright._core.gate import Gate
    from gatewright._core.handler import Handler
    from gatewright.pagination.token import Cursors

__all__ = ["CursorPagination"]

_OURS = frozenset({b"limit", b"after", b"before"})
_EITHER = "Give after or before, not both"
_ELSEWHERE = "This cursor does not belong to this list; start again without it"


@dataclass(frozen=True, repr=False)
class CursorPagination(Guard):
    """Read `limit`, and `after` or `before`, from the query."""

    name = "paginate.cursor"
    phase = Phase.PARSE
    rank = 1
    provides: ClassVar[tuple[Hashable, ...]] = (CursorParams, CursorPage)
    single = True
    reads_handler = True

    order: tuple[str, ...]
    default_limit: int = 10
    max_limit: int = 100
    cursors: Cursors | None = None

    def __repr__(self) -> str:
        return f"paginate.cursor(order={self.order!r}, default_limit={self.default_limit}, max_limit={self.max_limit})"

    def beside(self, others: Sequence[Guard]) -> None:
        """Refuse a handler that would count its pages too."""
        if any(isinstance(other, Paginate) for other in others):
            raise ConfigurationError("paginate and paginate.cursor on one handler; write the one that it answers with")

    def seal(self, handler: Handler) -> Guard:
        """Refuse a handler that never learns where to go on."""
        if not handler.wanting(CursorParams):
            raise ConfigurationError(
                f"{handler.name}: @paginate.cursor needs a parameter to fill, cursor: CursorParams"
            )
        return self

    def bind(self, gate: Gate) -> Guard:
        """Take the keys that sign cursors."""
        return replace(self, cursors=_cursors(gate))

    def enter(self, call: Call) -> Entering:
        """Provide the position, and what will sign those of the pages beside."""
        walk = _Walk(self.cursors or _cursors(call.gate), self.order, call.scope)
        limit, backward, cursor = self.default_limit, False, None
        if walk.query:
            limit, backward, cursor = self._asked(walk.query, call.gate.invalid_status)
        position = () if cursor is None else walk.position(cursor, backward)
        walk.params = CursorParams(limit, self.order, position, backward)
        call.provide(CursorParams, walk.params)
        call.provide(CursorPage, walk.standing)
        return None

    def _asked(self, query: bytes, status: int) -> tuple[int, bool, bytes | None]:
        details: Details = {}
        given = asked(query, _OURS, details)
        limit = min(number("limit", given, self.default_limit, details), self.max_limit)
        if b"after" in given and b"before" in given:
            details |= {"after": [_EITHER], "before": [_EITHER]}
        if details:
            raise InvalidInput(details=details, status=status)
        backward = b"before" in given
        return limit, backward, given.get(b"before" if backward else b"after")


def _cursors(gate: Gate) -> Cursors:
    # Late: it brings itsdangerous, which an app without cursors may never need.
    from gatewright.pagination.token import Cursors

    return Cursors(gate.require_keys("@paginate.cursor"))


class _Walk:
    """One request's part of a walk through a list."""

    params: CursorParams

    def __init__(self, cursors: Cursors, order: tuple[str, ...], scope: Scope) -> None:
        self._cursors = cursors
        self._order = order
        self._scope = scope
        self.query: bytes = scope.get("query_string", b"")

    @cached_property
    def _list(self) -> str:
        return list_of(self._scope, self._order, _OURS)

    def position(self, cursor: bytes, backward: bool) -> Position:
        """Return where a cursor of the client points.

        Raises:
            BadRequest: for one that was not made for this list and this direction.
        """
        try:
            return self._cursors.read(cursor, self._list, backward=backward, size=len(self._order))
        except ValueError as exc:
            raise BadRequest(
                "The cursor is not valid",
                code="invalid_cursor",
                details={"before" if backward else "after": [_ELSEWHERE]},
                reason=f"the cursor is {exc}",
            ) from None

    def standing(self, page: CursorPage[Any]) -> Standing:
        """Return the cursors that lead on from *page*, and links with them."""
        onward = self._cursor(page.next, backward=False)
        back = self._cursor(page.prev, backward=True)
        facts: dict[str, object] = {"limit": self.params.limit, "next": onward, "prev": back}
        if page.total is not None:
            facts["total"] = page.total
        ways = {"prev": ("before", back), "next": ("after", onward)}
        relations = {
            relation: f"limit={self.params.limit}&{name}={cursor}"
            for relation, (name, cursor) in ways.items()
            if cursor is not None
        }
        return Standing(facts, link_header(self.query, _OURS, relations))

    def _cursor(self, position: Position | None, *, backward: bool) -> str | None:
        if position is None:
            return None
        if len(position) not in (0, len(self._order)):
            raise ConfigurationError(f"{len(position)} values are no position in order={self._order!r}")
        return self._cursors.sign(self._list, position, backward=backward)
