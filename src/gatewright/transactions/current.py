"""The transactions that a call is in, from the outermost in."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright.transactions.guard import Transactional
    from gatewright.transactions.unit import Open

__all__ = ["Current"]


class Current:
    """What handlers and savepoints find on a call.

    Args:
        call: the call.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._entered: list[tuple[Transactional, Open]] = []

    @staticmethod
    def of(call: Call) -> Current:
        """Return the one of *call*."""
        if call.provided is None or Current not in call.provided:
            call.provide(Current, Current(call))
        return call.get(Current)

    def around(self, said: Transactional) -> Open | None:
        """Return what an enclosing pipeline opened on the same factory.

        Raises:
            ConfigurationError: where that one does not keep what *said* promises.
        """
        for outer, open_ in self._entered:
            if outer.factory == said.factory:
                if (outer.read_only and not said.read_only) or said.isolation not in (None, outer.isolation):
                    raise ConfigurationError(f"{said!r} within {outer!r}: it can be no more than that; write the same")
                return open_
        return None

    @contextmanager
    def entered(self, said: Transactional, open_: Open) -> Generator[None]:
        """Hand the session to whoever works within: to parameters by their names, to others by its class."""
        session, key = open_.session, open_.kind
        before = self._provided().get(key)
        self._entered.append((said, open_))
        self._call.provide(key, session)
        for name in said.names:
            self._call.arguments[name] = session
        try:
            yield
        finally:
            self._entered.pop()
            # What comes after, such as a stream, shall not find a session that is closed.
            self._provided().pop(key)
            if before is not None:
                self._call.provide(key, before)

    def _provided(self) -> dict[Any, Any]:
        return self._call.provided or {}
