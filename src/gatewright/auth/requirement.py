"""What a principal has to be: requirements that are values, joined with `&`, `|` and `~`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from gatewright._core.principal import Principal
from gatewright.auth.authenticator import is_async
from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["Predicate", "Requirement", "requirement_of", "role", "scopes"]

Predicate = Callable[[Principal[Any], "Call"], "bool | None"]

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749, section 3.3


class Requirement:
    """Say whether a principal may go on: True, False, or None where that is not known, and then it may not.

    Not known stays not known under `~`, so that no check that could not be made turns into a permission.
    """

    __slots__ = ()

    def __call__(self, principal: Principal[Any], call: Call) -> bool | None:
        """Judge *principal*; never awaits."""
        raise NotImplementedError

    def scopes_for(self, principal: Principal[Any], call: Call) -> frozenset[str] | None:
        """Return the scopes with which *principal* would pass; None where no scope would help."""
        return frozenset() if self(principal, call) is True else None

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
        return _written("role", self.names)


@dataclass(frozen=True, slots=True, repr=False)
class Scopes(Requirement):
    names: frozenset[str]

    def __call__(self, principal: Principal[Any], call: Call) -> bool:
        return self.names <= principal.scopes

    def scopes_for(self, principal: Principal[Any], call: Call) -> frozenset[str]:
        return self.names

    def __repr__(self) -> str:
        return _written("scopes", self.names)


@dataclass(frozen=True, slots=True, repr=False)
class Check(Requirement):
    function: Predicate

    def __call__(self, principal: Principal[Any], call: Call) -> bool | None:
        held = self.function(principal, call)
        if held is None or isinstance(held, bool):  # pyright: ignore[reportUnnecessaryIsInstance]  # it is the user's
            return held
        raise ConfigurationError(f"{self!r} returned a {type(held).__name__}; return True or False")

    def __repr__(self) -> str:
        name = getattr(self.function, "__qualname__", None)
        return f"{self.function.__module__}.{name}" if name else repr(self.function)


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

    def scopes_for(self, principal: Principal[Any], call: Call) -> frozenset[str] | None:
        needed: frozenset[str] = frozenset()
        for part in self.parts:
            more = part.scopes_for(principal, call)
            if more is None:
                return None
            needed |= more
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

    def scopes_for(self, principal: Principal[Any], call: Call) -> frozenset[str] | None:
        helpful = (part.scopes_for(principal, call) for part in self.parts)
        return next((scopes for scopes in helpful if scopes is not None), None)

    def __repr__(self) -> str:
        return " | ".join(repr(part) for part in self.parts)


@dataclass(frozen=True, slots=True, repr=False)
class Not(Requirement):
    part: Requirement

    def __call__(self, principal: Principal[Any], call: Call) -> bool | None:
        held = self.part(principal, call)
        return None if held is None else not held

    def __invert__(self) -> Requirement:
        return self.part

    def __repr__(self) -> str:
        return f"~({self.part!r})" if isinstance(self.part, (AllOf, AnyOf)) else f"~{self.part!r}"


def role(*names: str) -> Requirement:
    """Require one of these roles.

    Raises:
        ConfigurationError: for no role, or an empty one.
    """
    if not names or not all(names):
        raise ConfigurationError("role() holds for nobody; write role('admin')")
    return Role(frozenset(names))


def scopes(*names: str) -> Requirement:
    """Require all of these scopes; a bearer that lacks them is told which (RFC 6750, section 3.1).

    Raises:
        ConfigurationError: for no scope, which everybody has, or one with a space, a quote or a backslash.
    """
    if not names:
        raise ConfigurationError("scopes() holds for everybody; write scopes('posts:write')")
    for name in names:
        if not _SCOPE.fullmatch(name):
            raise ConfigurationError(
                f"scopes({name!r}): a scope has no spaces or quotes; write scopes('read', 'write')"
            )
    return Scopes(frozenset(names))


_FACTORIES: tuple[object, ...] = (role, scopes)


def requirement_of(value: Requirement | Predicate) -> Requirement:
    """Return *value* where it is a requirement, and one that asks it where it is a function.

    Raises:
        ConfigurationError: for an async function, and for what cannot be called with a principal and a call.
    """
    if is_async(value):
        raise ConfigurationError(f"require({value!r}): write a plain function; it judges what is already known")
    if isinstance(value, Requirement):
        return value
    if value in _FACTORIES:
        raise ConfigurationError("require(role) and require(scopes) name none; write require(role('...'))")
    try:
        inspect.signature(value).bind(None, None)
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"require({value!r}): write role('...'), scopes('...'), or a function that takes (principal, call)"
        ) from None
    return Check(value)


def _joined(kind: type[AllOf | AnyOf], parts: Iterable[Requirement]) -> Requirement:
    """Join *parts* in one order, whatever the order they come in; what is there twice is there once."""
    flat = dict.fromkeys(inner for part in parts for inner in (part.parts if isinstance(part, kind) else (part,)))
    ordered = tuple(sorted(flat, key=repr))
    return ordered[0] if len(ordered) == 1 else kind(ordered)


def _written(factory: str, names: frozenset[str]) -> str:
    return f"{factory}({', '.join(map(repr, sorted(names)))})"
