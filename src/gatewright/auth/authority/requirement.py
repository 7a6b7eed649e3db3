"""What a principal has to be: requirements that are values, joined with `&`, `|` and `~`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from gatewright._core.functions import is_async
from gatewright._core.principal import Principal
from gatewright.auth.authority.remedy import NOTHING, Remedy
from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright.auth.authority.awaited import Late

__all__ = [
    "Predicate",
    "Requirement",
    "factory",
    "name_of",
    "requirement_of",
    "role",
    "scopes",
    "verdict_of",
    "written",
]

Predicate = Callable[[Principal[Any], "Call"], "Awaitable[bool | None] | bool | None"]
"""A function of yours that judges the principal and the call; plain, or async where it has to wait."""

F = TypeVar("F", bound=Callable[..., object])

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749, section 3.3
_EXAMPLE = "__gatewright_example__"


class Requirement:
    """Say whether a principal may go on: True, False, or None where that is not known, and then it may not.

    Not known stays not known under `~`, so that no check that could not be made turns into a permission.
    """

    __slots__ = ()

    def __call__(self, principal: Principal[Any], call: Call) -> bool | None:
        """Judge *principal* by what is known; never awaits."""
        raise NotImplementedError

    @property
    def late(self) -> tuple[Late, ...]:
        """Return the parts that are not known before something was awaited."""
        return ()

    def remedy(self, principal: Principal[Any], call: Call) -> Remedy | None:
        """Return with what *principal* would pass; None where nothing would help.

        Of a part that is still to be awaited the best is hoped: what else is lacking can be told before.
        """
        held = self(principal, call)
        hoped = held is None and any(part.pending(call) for part in self.late)
        return NOTHING if held is True or hoped else None

    def __and__(self, other: Requirement | Predicate) -> Requirement:
        return _joined(AllOf, (self, requirement_of(other)))

    def __or__(self, other: Requirement | Predicate) -> Requirement:
        return _joined(AnyOf, (self, requirement_of(other)))

    def __rand__(self, other: Predicate) -> Requirement:
        return requirement_of(other) & self

    def __ror__(self, other: Predicate) -> Requirement:
        return requirement_of(other) | self

    def __invert__(self) -> Requirement:
        return Not(self)

    def __bool__(self) -> NoReturn:
        # `role("a") and role("b")` would be `role("b")` without a word.
        raise ConfigurationError(f"{self!r}: join requirements with & | ~, not with and, or, not")


@dataclass(frozen=True, slots=True, repr=False)
class Role(Requirement):
    names: frozenset[str]

    def __call__(self, principal: Principal[Any], call: Call) -> bool:
        return not self.names.isdisjoint(principal.roles)

    def __repr__(self) -> str:
        return written("role", *sorted(self.names))


@dataclass(frozen=True, slots=True, repr=False)
class Scopes(Requirement):
    names: frozenset[str]

    def __call__(self, principal: Principal[Any], call: Call) -> bool:
        return self.names <= principal.scopes

    def remedy(self, principal: Principal[Any], call: Call) -> Remedy:
        return Remedy(self.names)

    def __repr__(self) -> str:
        return written("scopes", *sorted(self.names))


@dataclass(frozen=True, slots=True, repr=False)
class Check(Requirement):
    function: Callable[[Principal[Any], Call], object]

    def __call__(self, principal: Principal[Any], call: Call) -> bool | None:
        return verdict_of(self, self.function(principal, call))

    def __repr__(self) -> str:
        return name_of(self.function)


@dataclass(frozen=True, slots=True, repr=False)
class AllOf(Requirement):
    parts: tuple[Requirement, ...]

    def __call__(self, principal: Principal[Any], call: Call) -> bool | None:
        known: bool | None = True
        for part in self.parts:
            held = part(principal, call)
            if held is False:
                return False
            known = known if held else None
        return known

    @property
    def late(self) -> tuple[Late, ...]:
        return _late(self.parts)

    def remedy(self, principal: Principal[Any], call: Call) -> Remedy | None:
        needed = NOTHING
        for part in self.parts:
            more = part.remedy(principal, call)
            if more is None:
                return None
            needed += more
        return needed

    def __repr__(self) -> str:
        return " & ".join(f"({part!r})" if isinstance(part, AnyOf) else repr(part) for part in self.parts)


@dataclass(frozen=True, slots=True, repr=False)
class AnyOf(Requirement):
    parts: tuple[Requirement, ...]

    def __call__(self, principal: Principal[Any], call: Call) -> bool | None:
        known: bool | None = False
        for part in self.parts:
            held = part(principal, call)
            if held is True:
                return True
            known = None if held is None else known
        return known

    @property
    def late(self) -> tuple[Late, ...]:
        return _late(self.parts)

    def remedy(self, principal: Principal[Any], call: Call) -> Remedy | None:
        remedies = [part.remedy(principal, call) for part in self.parts]
        if NOTHING in remedies:
            return NOTHING
        return next((remedy for remedy in remedies if remedy is not None), None)

    def __repr__(self) -> str:
        return " | ".join(repr(part) for part in self.parts)


@dataclass(frozen=True, slots=True, repr=False)
class Not(Requirement):
    part: Requirement

    def __call__(self, principal: Principal[Any], call: Call) -> bool | None:
        held = self.part(principal, call)
        return None if held is None else not held

    @property
    def late(self) -> tuple[Late, ...]:
        return self.part.late

    def __invert__(self) -> Requirement:
        return self.part

    def __repr__(self) -> str:
        return f"~({self.part!r})" if isinstance(self.part, (AllOf, AnyOf)) else f"~{self.part!r}"


def factory(example: str) -> Callable[[F], F]:
    """Mark a function that makes requirements, so that `require(role)` can be told from `require(a_function)`."""

    def mark(function: F) -> F:
        vars(function)[_EXAMPLE] = example
        return function

    return mark


@factory("role('admin')")
def role(*names: str) -> Requirement:
    """Require one of these roles.

    Raises:
        ConfigurationError: for no role, or an empty one.
    """
    if not names or not all(names):
        raise ConfigurationError("role() holds for nobody; write role('admin')")
    for name in names:
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
            raise ConfigurationError(f"role({name!r}): write the names themselves, role('admin', 'editor')")
    return Role(frozenset(names))


@factory("scopes('posts:write')")
def scopes(*names: str) -> Requirement:
    """Require all of these scopes; a bearer that lacks them is told which (RFC 6750, section 3.1).

    Raises:
        ConfigurationError: for no scope, which everybody has, or one with a space, a quote or a backslash.
    """
    if not names:
        raise ConfigurationError("scopes() holds for everybody; write scopes('posts:write')")
    for name in names:
        if not isinstance(name, str) or not _SCOPE.fullmatch(name):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
            raise ConfigurationError(
                f"scopes({name!r}): a scope has no spaces or quotes; write scopes('read', 'write')"
            )
    return Scopes(frozenset(names))


def requirement_of(value: Requirement | Predicate) -> Requirement:
    """Return *value* where it is a requirement, and one that asks it where it is a function.

    Raises:
        ConfigurationError: for what cannot be called with a principal and a call.
    """
    if isinstance(value, Requirement):
        if is_async(value):
            raise ConfigurationError(f"{value!r}: a requirement judges what is known; write an async function instead")
        return value
    example: str | None = getattr(value, _EXAMPLE, None)
    if example is not None:
        name = example.partition("(")[0]
        raise ConfigurationError(f"require({name}) says nothing yet; write require({example})")
    try:
        inspect.signature(value).bind(None, None)
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"require({value!r}): write role('...'), scopes('...'), or a function that takes (principal, call)"
        ) from None
    function: Any = value
    if not is_async(value):
        return Check(function)
    from gatewright.auth.authority.awaited import LateCheck

    return LateCheck(function)


def written(name: str, *arguments: object) -> str:
    """Return how one writes a call of *name*."""
    return f"{name}({', '.join(map(repr, arguments))})"


def _joined(kind: type[AllOf | AnyOf], parts: Iterable[Requirement]) -> Requirement:
    """Join *parts* in one order, whatever the order they come in; what is there twice is there once."""
    flat = dict.fromkeys(inner for part in parts for inner in (part.parts if isinstance(part, kind) else (part,)))
    ordered = tuple(sorted(flat, key=repr))
    return ordered[0] if len(ordered) == 1 else kind(ordered)


def _late(parts: Iterable[Requirement]) -> tuple[Late, ...]:
    return tuple(dict.fromkeys(late for part in parts for late in part.late))


def verdict_of(who: Requirement, held: object) -> bool | None:
    """Return what a function said.

    Raises:
        ConfigurationError: for anything that is no verdict: truthy is not True.
    """
    if held is None or isinstance(held, bool):
        return held
    raise ConfigurationError(f"{who!r} returned a {type(held).__name__}; return True or False")


def name_of(function: Callable[..., object]) -> str:
    """Return the name by which a function is shown."""
    name = getattr(function, "__qualname__", None)
    return f"{function.__module__}.{name}" if name else repr(function)
