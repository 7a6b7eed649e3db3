"""The surround that says to each client, in its own way, what an action came to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from gatewright._core.callers import function_name
from gatewright._core.guard import Guard, Proceed, Surround
from gatewright._core.names import Names
from gatewright._core.outcome import Outcome
from gatewright._core.phase import Phase
from gatewright._core.refuse import app_handles, refuse
from gatewright.actions.answers import VARY, Wanted, steered, succeeded, wanted
from gatewright.actions.failure import Failure, failure_of
from gatewright.actions.instead import surviving
from gatewright.actions.kept import Values, kept
from gatewright.actions.pages import Page, page_of, plain_page, takes_call_and_state
from gatewright.actions.reached import begin, may_see_the_form
from gatewright.actions.run import runner
from gatewright.actions.secrecy import secret_fields
from gatewright.actions.state import ActionState
from gatewright.errors import ConfigurationError
from gatewright.redirect import is_place

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.function import GuardedFunction
    from gatewright._core.gate import Gate
    from gatewright._core.handler import Handler

__all__ = ["Negotiate"]

# What a header can carry.
_SELECTOR = re.compile(r"[!-~](?:[ -~]*[!-~])?")


@dataclass(frozen=True, repr=False)
class Negotiate(Surround):
    """Answer as the client wants it; see `action`.

    Attributes:
        page: shows the form again.
        then: where a browser goes after success, where the handler does not say.
        invalidates: what a success makes stale.
        target: the part of a page that htmx replaces after a failure, as a CSS selector.
        htmx_status: the status of that answer.
        forget: steps of names whose values are not shown again.
    """

    name = "action"
    phase = Phase.OBSERVE
    single = True
    reads_handler = True
    changes = True

    page: Page | None = None
    then: str | None = None
    invalidates: tuple[str, ...] = ()
    target: str | None = None
    htmx_status: int = 422
    forget: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.page is not None and not takes_call_and_state(self.page):
            raise ConfigurationError(
                f"action(page={self.page!r}): write a function of the call and the state, such as "
                "async def form(call: Call, state: ActionState) -> str, without decorators"
            )
        if self.then is not None and not is_place(self.then):
            raise ConfigurationError(f'action(then={self.then!r}): write a path on this host, such as "/posts"')
        if self.htmx_status != 200 and not 400 <= self.htmx_status < 600:
            raise ConfigurationError(f"action(htmx_status={self.htmx_status!r}): write 422, or 200 for htmx before 4")
        if self.target is not None and not _SELECTOR.fullmatch(self.target):
            raise ConfigurationError(f'action(target={self.target!r}): write a CSS selector, such as "#form"')

    def __repr__(self) -> str:
        said = [
            f"{each.name}={function_name(value) if each.name == 'page' else repr(value)}"
            for each in fields(self)
            if (value := getattr(self, each.name)) != each.default
        ]
        return f"action({', '.join(said)})" if said else "action"

    def carries(self, function: GuardedFunction) -> Mapping[str, object]:
        """Give the function its `.run`."""
        return {"run": runner(function)}

    def seal(self, handler: Handler) -> Guard:
        """Learn which fields of the handler's models are secret."""
        return replace(self, forget=self.forget | secret_fields(handler))

    def bind(self, gate: Gate) -> Guard:
        """Take the gate's names of secrets."""
        return _Negotiating(self, gate.names)


@dataclass(frozen=True, eq=False, repr=False)
class _Negotiating(Surround):
    """`Negotiate` at its gate."""

    name = Negotiate.name
    phase = Negotiate.phase

    rule: Negotiate
    names: Names

    async def around(self, call: Call, proceed: Proceed) -> Outcome:
        """Let the rest do what is asked, and say what it came to."""
        call.added.append(VARY)
        call.wants_refusal, call.refused_with = True, None
        begin(call)
        acted, stale = call.acted, dict(call.stale)
        call.invalidate(*self.rule.invalidates)
        try:
            outcome = await proceed()
        except Exception as exc:
            if app_handles(exc, call):
                call.stale = stale
                raise
            outcome = await refuse(exc, call)
        if outcome.status < 400:
            return steered(succeeded(outcome, call, self.rule.then), call, self.rule.then)
        # Nothing has changed, and htmx may be told so with a 200: nobody shall take that for a success.
        call.stale, call.failed = stale, True
        if wanted(call.headers) is Wanted.DATA:
            return outcome
        return steered(await self._failed(outcome, call, call.acted is not acted), call, self.rule.then)

    async def _failed(self, refusal: Outcome, call: Call, began: bool) -> Outcome:
        """Return a page in the place of *refusal*: the author's, with what was entered, or a plain one."""
        failure = failure_of(refusal, call)
        if failure is None:
            return refusal
        values = await kept(call, self.rule.forget, self.names)
        state = _state(failure, refusal, values)
        if self.rule.page is None or not may_see_the_form(call, began):
            return self._shown(plain_page(call, state, began), refusal, call)
        try:
            page = await page_of(self.rule.page, call, state)
        except Exception as exc:
            call.refused_with = None
            broken = await refuse(exc, call)
            failure = failure_of(broken, call)
            if failure is None:
                return broken
            return self._shown(plain_page(call, _state(failure, broken, values), began), broken, call)
        if page.status >= 400 and self.rule.target is not None and wanted(call.headers) is Wanted.HTMX:
            # Reselected, so that one page serves htmx, and browsers, which need all of it.
            where = self.rule.target.encode("ascii")
            page.headers += [(b"hx-retarget", where), (b"hx-reswap", b"outerHTML"), (b"hx-reselect", where)]
        return self._shown(page, refusal, call)

    def _shown(self, page: Outcome, refusal: Outcome, call: Call) -> Outcome:
        """Return *page* with the headers of the *refusal* that it shows, such as `Retry-After`."""
        own = {name for name, _ in page.headers} - {b"set-cookie"}
        page.headers = page.headers + [pair for pair in surviving(refusal.headers) if pair[0] not in own]
        if page.status < 400:
            # A page that leads away, to a login.
            return succeeded(page, call, None)
        # What overrules every answer is sent with its own status, or not at all.
        if wanted(call.headers) is Wanted.HTMX and call.overruled_by is None:
            page.status = self.rule.htmx_status
        return page


def _state(failure: Failure, refusal: Outcome, values: Values) -> ActionState:
    return ActionState(values, failure.errors, failure.message, failure.code, refusal.status)
