"""Who is counted: functions that name a caller, and whether they want to know who is logged in."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from gatewright._core.address import network_key
from gatewright._core.call import Call
from gatewright._core.functions import is_async
from gatewright.errors import ConfigurationError

__all__ = [
    "By",
    "Metered",
    "by_address",
    "by_header",
    "by_principal",
    "by_principal_or_address",
    "caller_of",
    "function_name",
    "has_to_be_awaited",
    "metered",
    "named_caller",
    "plain",
]

_HEADER = re.compile(r"[A-Za-z0-9_-]+")

By = Callable[[Call], str | Awaitable[str]]


@dataclass(frozen=True)
class Metered:
    """Tell callers apart by what is known of them once they are identified.

    Attributes:
        by: names the caller.
        needs_principal: whether it makes no sense where nothing identifies callers.
    """

    by: By
    needs_principal: bool = True

    def __call__(self, call: Call) -> str | Awaitable[str]:
        return self.by(call)


def metered(by: By) -> Metered:
    """Say of a function for `by=` that it wants to know the principal: it runs after `with_auth`.

    Args:
        by: returns who is counted, never an empty string; may be async.
    """
    return Metered(by)


def by_address(call: Call) -> str:
    """Count by the client's address, or by the /64 of an IPv6 one.

    Raises:
        ConfigurationError: where there is no address, so that all clients would be one.
    """
    client = call.client
    if client is None:
        raise ConfigurationError(
            "by_address: the server gives no client address, as behind a Unix socket; write "
            'Gate(trusted_proxies=["unix"]) and let the proxy in front send X-Forwarded-For'
        )
    if b"x-forwarded-for" in call.headers and not call.gate.proxies.trusted:
        call.gate.advice.about_address(call.scope)
    return network_key(client)


def _principal_or_address(call: Call) -> str:
    principal = call.principal
    if principal is None:
        return f"address {by_address(call)}"
    return principal.sub and f"sub {principal.sub}"


by_principal: Metered = Metered(_principal_or_address)
"""Count by the principal's `sub`; an anonymous caller, where authentication is optional, by address."""

by_principal_or_address: Metered = Metered(_principal_or_address, needs_principal=False)
"""Count by the principal's `sub` where somebody is known, else by address; it does not ask for `with_auth`."""


@dataclass(frozen=True)
class _ByHeader:
    name: bytes

    def __repr__(self) -> str:
        return f"by_header({self.name.decode()!r})"

    def __call__(self, call: Call) -> str:
        value = call.header(self.name)
        return f"address {by_address(call)}" if not value else f"header {value.decode('latin-1')}"


def by_header(name: str) -> By:
    """Count by a request header, such as a tenant's id that a proxy in front sets; by address where it is absent.

    Anybody may write a header: use one that your proxy overwrites, or limit by address as well.

    Args:
        name: the header's name.

    Raises:
        ConfigurationError: for what is no header's name.
    """
    if not isinstance(name, str) or not _HEADER.fullmatch(name):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        raise ConfigurationError(f'by_header({name!r}): write a header\'s name, such as by_header("x-tenant")')
    return _ByHeader(name.lower().encode("ascii"))


def plain(by: By) -> By:
    """Return *by* without its mark."""
    return by.by if isinstance(by, Metered) else by


async def caller_of(call: Call, by: By) -> str:
    """Return whom *by* names, waited for where it is async.

    Raises:
        ConfigurationError: as `named_caller` does.
    """
    who = by(call)
    return named_caller(await who if inspect.isawaitable(who) else who, by)


def named_caller(who: object, by: By) -> str:
    """Return *who*, if it names a caller.

    Raises:
        ConfigurationError: for an empty name, which would let everybody pass or make everybody one, and for no name.
    """
    if isinstance(who, str) and who:
        return who
    if inspect.iscoroutine(who):
        who.close()
    said = "an empty string" if who == "" else f"a {type(who).__name__}"
    raise ConfigurationError(
        f"{function_name(by)} returned {said}; return a str that names the caller, or write `async def`"
    )


def _function(by: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function inside: without the mark, without `partial`."""
    while isinstance(by, (Metered, functools.partial)):
        by = by.by if isinstance(by, Metered) else by.func
    return by


def function_name(by: Callable[..., Any]) -> str:
    """Return a function's full name; where it is a value that shows its settings, what it shows."""
    if isinstance(by, Metered) and by in (by_principal, by_principal_or_address):
        return f"{__name__}.{'by_principal' if by.needs_principal else 'by_principal_or_address'}"
    function = _function(by)
    if isinstance(function, _ByHeader):
        return f"{__name__}.{function!r}"
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{getattr(named, '__module__', 'builtins')}.{named.__qualname__}"


def has_to_be_awaited(by: By) -> bool:
    """Say whether *by* returns something to await."""
    return is_async(_function(by))
