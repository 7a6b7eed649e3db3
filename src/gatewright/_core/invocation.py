"""Calling a handler with what guards provided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from starlette.requests import HTTPConnection

from gatewright._core.call import Call
from gatewright._core.handler import Handler, Kind, Want
from gatewright._core.log import Logger
from gatewright._core.principal import Principal
from gatewright._core.threads import in_thread
from gatewright.errors import Unauthorized

__all__ = ["Invocation"]


class Invocation:
    """Call the original with what guards provided."""

    def __init__(self, handler: Handler, receivers: int | None) -> None:
        self._function = handler.function
        self._sync = handler.kind is Kind.SYNC
        self._injectors = tuple((want.name, _injector(want)) for want in handler.wants.values() if want.marker is None)
        self._positional = receivers is not None and handler.takes_connection_by_position(receivers)
        connection = None if receivers is None or self._positional else handler.connection(receivers)
        if connection is not None:
            self._injectors += ((connection, _connection),)

    async def __call__(self, call: Call, receivers: Sequence[Any] = ()) -> Any:
        """Return what the original returns; a plain function runs in a thread, so that it cannot block the loop."""
        arguments = self.arguments(call, call.arguments)
        if self._positional:
            receivers = (*receivers, call.connection)
        if self._sync:
            return await in_thread(call, self._function, *receivers, **arguments)
        return await self._function(*receivers, **arguments)

    def arguments(self, call: Call, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return *arguments*, which guards filled, with what the call itself provides."""
        for name, inject in self._injectors:
            arguments[name] = inject(call)
        return arguments


def _injector(want: Want) -> Callable[[Call], Any]:
    if want.key is Principal:
        return _principal_or_none if want.optional else _principal
    if want.key is Call:
        return _call
    if want.key is Logger:
        return _log
    key = cast("type[Any]", want.key)
    return lambda call: call.get(key)


def _principal(call: Call) -> Principal[Any]:
    if call.principal is None:
        raise Unauthorized(reason="the handler wants a Principal, and authentication is optional here")
    return call.principal


def _principal_or_none(call: Call) -> Principal[Any] | None:
    return call.principal


def _call(call: Call) -> Call:
    return call


def _log(call: Call) -> Logger:
    return call.log


def _connection(call: Call) -> HTTPConnection:
    return call.connection
