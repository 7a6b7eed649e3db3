"""From an event's type to the function that takes it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from gatewright._core.guard import Answer, Guard
from gatewright._core.phase import Phase
from gatewright.errors import ConfigurationError, InvalidInput
from gatewright.webhooks.answers import ignored
from gatewright.webhooks.scheme import Path, Scheme, Verified, WebhookRejected
from gatewright.webhooks.schemes.members import document, text_at

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.handler import Handler
    from gatewright.webhooks.taker import Taker

__all__ = ["Dispatch", "Dispatched", "Takers"]

_LOGGED_CHARACTERS = 100


class Takers:
    """The functions of a router, by the names of the events that they take."""

    def __init__(self) -> None:
        self.default: Taker | None = None
        self._exact: dict[str, Taker] = {}
        # By what stands before the *, the longest first.
        self._prefixes: dict[str, Taker] = {}

    def __bool__(self) -> bool:
        return bool(self._exact or self._prefixes or self.default)

    def __repr__(self) -> str:
        names = [*self._exact, *(f"{prefix}*" for prefix in self._prefixes)]
        return ", ".join([*names, *(["default"] if self.default is not None else [])])

    def add(self, taker: Taker) -> None:
        """Let *taker* take the events that it names; where it names none, those that its annotation says.

        Raises:
            ConfigurationError: for a name that is none, or that another function has.
        """
        names = taker.names or taker.own_names()
        for name in names:
            self._check(name)
        for name in names:
            if name.endswith("*"):
                self._prefixes[name[:-1]] = taker
            else:
                self._exact[name] = taker
        self._prefixes = dict(sorted(self._prefixes.items(), key=lambda item: -len(item[0])))

    def set_default(self, taker: Taker) -> None:
        """Let *taker* take the events that no name is for.

        Raises:
            ConfigurationError: where another function does.
        """
        if self.default is not None:
            raise ConfigurationError(f"@hooks.default: {_name(self.default)} is it already; write one")
        self.default = taker

    def _check(self, name: str) -> None:
        if not name or "*" in name[:-1]:
            raise ConfigurationError(f'@hooks.on({name!r}): write a name, or how names begin: "invoice.*"')
        if name == "*":
            raise ConfigurationError('@hooks.on("*"): for events that nobody else takes, write @hooks.default')
        other = self._prefixes.get(name[:-1]) if name.endswith("*") else self._exact.get(name)
        if other is not None:
            raise ConfigurationError(f"@hooks.on({name!r}): {_name(other)} takes it already; call both from one")

    def find(self, event_type: str | None) -> Taker | None:
        """Return who takes events of this type: the exact name before the longest prefix, and that before others."""
        if event_type is not None:
            if event_type in self._exact:
                return self._exact[event_type]
            for prefix, taker in self._prefixes.items():
                if event_type.startswith(prefix) and taker.takes(event_type):
                    return taker
        return self.default if self.default is not None and self.default.takes(event_type) else None

    def check(self) -> None:
        """Refuse, with `ConfigurationError`, functions whose annotations could not be read when they were written."""
        for taker in {*self._exact.values(), *self._prefixes.values(), self.default}:
            if taker is not None:
                taker.check()


def _name(taker: Taker) -> str:
    return getattr(taker.function, "__qualname__", repr(taker.function))


class Dispatched(NamedTuple):
    """An event, and the function that takes it."""

    taker: Taker
    event: object


@dataclass(frozen=True, repr=False)
class Dispatch(Guard):
    """Read a verified event for the function that takes its type; before it is claimed, so that no other one is.

    Args:
        scheme: the sender.
        path: where an event says its type.
        takers: the functions.
    """

    name: ClassVar[str] = "dispatch"
    phase = Phase.PARSE
    provides: ClassVar[tuple[Hashable, ...]] = (Dispatched,)
    single: ClassVar[bool] = True
    reads_body: ClassVar[bool] = True

    scheme: Scheme
    path: Path
    takers: Takers

    def __repr__(self) -> str:
        return f"dispatch({self.takers!r})"

    def seal(self, handler: Handler) -> Dispatch:
        """Check the functions that are there by now."""
        self.takers.check()
        return self

    async def enter(self, call: Call) -> Answer | None:
        """Find who takes the event, and read it."""
        body = await call.body()
        try:
            event_type = text_at(document(body), self.path)
        except WebhookRejected:
            raise InvalidInput("The event is not valid", reason="event: not a JSON object") from None
        if not self.takers:
            # Answered, every event would be lost.
            raise ConfigurationError(f"{self!r}: no function takes events; import the module with its @hooks.on(...)")
        taker = self.takers.find(event_type)
        if taker is None:
            return ignored(call, self.scheme, call.get(Verified), event_type)
        if event_type is not None:
            call.note(webhook_type=event_type[:_LOGGED_CHARACTERS])
        event = None if taker.reader is None else taker.reader.read(body, known=True)
        call.provide(Dispatched, Dispatched(taker, event))
        return None
