"""What the page said of the last attempt, sent back by its form to a handler that answers the next one by it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, ClassVar

from pydantic import TypeAdapter

from gatewright._core.form_field import form_field
from gatewright._core.guard import Entering, Guard
from gatewright._core.hidden import PREVIOUS
from gatewright._core.phase import Phase
from gatewright._core.tokens import TokenSigner
from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.gate import Gate
    from gatewright._core.handler import Handler
    from gatewright.actions.state import ActionState

__all__ = ["Previous", "RecallPrevious", "previous_token"]

_LONGEST = 4096
_MOST_ERRORS, _MOST_MESSAGES, _MOST_TEXT = 20, 3, 200


@dataclass(frozen=True, slots=True)
class Previous:
    """Tell a handler what was said of the last attempt; ask for it with `previous: Previous | None` behind `@action`.

    The form brings it back, signed with the gate's keys, so that it is what the page said: of this action, on this
    route, to this caller. Nothing in it was submitted. A client may always leave it out, so do not count with it what
    somebody may do only so often; that is a rate limit's.

    Args:
        message: what was said, cut at 200 characters.
        code: the same for programs.
        errors: messages by input path; of many, the first.
        status: the status of that answer.
        attempt: how many attempts failed before this one, from 1.
    """

    __injected_by__: ClassVar[str] = "@action"

    message: str
    code: str
    errors: Mapping[str, Sequence[str]]
    status: int
    attempt: int


@dataclass(frozen=True, slots=True)
class _Record:
    place: str
    previous: Previous


@dataclass(frozen=True, repr=False)
class RecallPrevious(Guard):
    """Read what was said of the last attempt, where the handler asks for it; otherwise do nothing."""

    name = "previous"
    phase = Phase.PARSE
    # Before the fields: an attempt with a field that is wrong is one, too.
    rank = -1
    provides: ClassVar[tuple[Hashable, ...]] = (Previous,)
    single = True
    reads_handler = True

    def __repr__(self) -> str:
        return self.name

    def seal(self, handler: Handler) -> Guard:
        """Look whether the handler asks.

        Raises:
            ConfigurationError: for one that asks, and could not be told that there was no attempt before.
        """
        wanted = handler.wanting(Previous)
        for want in wanted:
            if not want.optional:
                raise ConfigurationError(
                    f"{handler.name}: nothing comes before the first attempt; write {want.name}: Previous | None"
                )
        return _Wanted(handler.name) if wanted else self

    def enter(self, call: Call) -> Entering:
        """Let pass."""
        return None


@dataclass(frozen=True, eq=False, repr=False)
class _Wanted(Guard):
    """`RecallPrevious` in front of a handler that asks, by its full name."""

    name = RecallPrevious.name
    phase = RecallPrevious.phase

    action: str

    def bind(self, gate: Gate) -> Guard:
        """Take the gate's keys."""
        keys = gate.require_keys(f"{self.action} asks for Previous, and that")
        schema = TypeAdapter(_Record).core_schema
        return _Recalling(TokenSigner(keys, f"gatewright.previous {self.action}", schema, _LONGEST))


@dataclass(frozen=True, eq=False, repr=False)
class _Recalling(Guard):
    name = RecallPrevious.name
    phase = RecallPrevious.phase

    signer: TokenSigner[_Record]

    async def enter(self, call: Call) -> None:
        """Provide what was said of the last attempt, and what signs what will be said of this one."""
        call.provide(Previous, await self._read(call))
        call.provide(_Recalling, self)

    async def _read(self, call: Call) -> Previous | None:
        try:
            (token,) = await form_field(call, PREVIOUS)
            record = self.signer.read(token.encode())
        except ValueError:
            # None, several, not ours, or a form that its readers will refuse: as if there had been none.
            return None
        return record.previous if record.place == _place(call) else None


def previous_token(call: Call, state: ActionState) -> str | None:
    """Return what brings *state* back with the form's next attempt; None where nobody asks for that."""
    known = call.provided or {}
    recalling: _Recalling | None = known.get(_Recalling)
    if recalling is None or not state:
        return None
    before: Previous | None = known[Previous]
    errors = {
        _cut(path): [_cut(message) for message in messages[:_MOST_MESSAGES]]
        for path, messages in islice(state.errors.items(), _MOST_ERRORS)
    }
    attempt = 1 if before is None else before.attempt + 1
    while True:
        said = Previous(_cut(state.message), _cut(state.code), errors, state.status, attempt)
        token = recalling.signer.sign({"place": _place(call), "previous": said})
        if len(token) <= _LONGEST:
            return token
        errors.popitem()


def _cut(text: str) -> str:
    # A lone surrogate cannot be written down.
    return text[:_MOST_TEXT].encode(errors="replace").decode()


def _place(call: Call) -> str:
    """Return whose attempt it is, and on which route: a digest, because a page shows it."""
    who = call.principal
    place = (call.route, None if who is None else (who.method, who.tenant, who.sub))
    return blake2b(repr(place).encode(), digest_size=12).hexdigest()
