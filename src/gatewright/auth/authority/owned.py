"""Ownership: load an object once, look whose it is, and hand over that very object."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias, TypeVar, overload

from pydantic import TypeAdapter, ValidationError

from gatewright._core.functions import is_async
from gatewright._core.handler import Handler, Kind, Marker
from gatewright._core.principal import Principal
from gatewright._core.threads import in_thread
from gatewright.auth.authority.awaited import Findings, Late
from gatewright.auth.authority.kinds import path_parameter
from gatewright.auth.authority.requirement import Requirement, factory
from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["Load", "Loader", "Owned", "OwnedMarker", "owned"]

T = TypeVar("T")

_UNSET = inspect.Parameter.empty
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_WRITE = 'write owned(posts.find, owner="author_id")'


class OwnedMarker(Marker):
    """Mark the parameter that takes what `owned(...)` loaded."""

    __injected_by__: ClassVar[str] = "@require(owned(...))"
    place: ClassVar[str] = ""  # of no part of the request


Owned: TypeAlias = Annotated[T, OwnedMarker()]
"""Take the object that `require(owned(...))` loaded and checked: the same one, not fetched again."""


@overload
def owned(
    load: Callable[..., Awaitable[T | None]],
    *,
    owner: str | Callable[[T], object],
    by: Literal["sub", "tenant"] = ...,
    reveal: bool = ...,
) -> Requirement: ...
@overload
def owned(
    load: Callable[..., T | None],
    *,
    owner: str | Callable[[T], object],
    by: Literal["sub", "tenant"] = ...,
    reveal: bool = ...,
) -> Requirement: ...
@factory("owned(posts.find, owner='author_id')")
def owned(
    load: Callable[..., Any],
    *,
    owner: str | Callable[[Any], object],
    by: Literal["sub", "tenant"] = "sub",
    reveal: bool = False,
) -> Requirement:
    """Require that the caller owns what the route names (ASVS 5.0, 8.2.2).

    The object is loaded once, in `REFINE`, for every caller who gets there, an admin too; a handler that asks for
    `Owned[T]` is given it. One that is not there, and one that is somebody else's, are the same 404.

    Args:
        load: returns the object, or None. Its parameters are named like those of the route's path, and validated by
            their annotations; what does not fit is an object that is not there. It may ask for `Principal` and
            `Call` by annotation. Write `async def` where it does I/O; a plain function runs in a thread.
        owner: the name of the attribute that names the owner, or a plain function of the object; None owns nothing.
        by: what of the principal has to equal it, as text: its `sub`, or its `tenant`.
        reveal: answer 403, and not 404, for what is somebody else's.

    Raises:
        ConfigurationError: for a loader or an owner that cannot be asked; when called, for a parameter that the
            route's path does not have.
    """
    if by not in ("sub", "tenant"):
        raise ConfigurationError(f"owned(by={by!r}): write by='sub' or by='tenant'")
    if not isinstance(reveal, bool):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        raise ConfigurationError(f"owned(reveal={reveal!r}): write True or False")
    return Load(Loader(load), _owner(owner), by, reveal)


def _owner(owner: object) -> str | Callable[[Any], object]:
    if isinstance(owner, str) and all(part.isidentifier() for part in owner.split(".")):
        return owner
    if not callable(owner) or isinstance(owner, type):
        raise ConfigurationError(f'owned(owner={owner!r}): write the name of an attribute, owner="author_id"')
    if is_async(owner):
        raise ConfigurationError(f"owned(owner={owner!r}): write a plain function; what it needs, load it with load=")
    return owner


@dataclass(frozen=True, slots=True, repr=False)
class Load(Late):
    """See `owned`.

    Attributes:
        loader: loads the object.
        owner: tells whose it is.
        by: what of the principal has to equal that.
        reveal: whether a caller may know that it is there.
    """

    loader: Loader
    owner: str | Callable[[Any], object]
    by: Literal["sub", "tenant"]
    reveal: bool

    async def find(self, principal: Principal[Any], call: Call, findings: Findings) -> bool:
        """Load the object, and look whose it is."""
        found = await self.loader.load(principal, call)
        findings.loaded[self] = found
        return found is not None and self._is_of(principal, found)

    def _is_of(self, principal: Principal[Any], found: Any) -> bool:
        whose = attrgetter(self.owner)(found) if isinstance(self.owner, str) else self.owner(found)
        # Nobody owns what has no owner, not even a caller without a tenant.
        return whose is not None and str(whose) == getattr(principal, self.by)

    def __repr__(self) -> str:
        owner = repr(self.owner) if isinstance(self.owner, str) else getattr(self.owner, "__qualname__", self.owner)
        more = f", by={self.by!r}" * (self.by != "sub") + ", reveal=True" * self.reveal
        return f"owned({self.loader.name}, owner={owner}{more})"


class Loader:
    """Call a function of the user's with what the route found in the path.

    Args:
        function: the function.

    Raises:
        ConfigurationError: for one that cannot be called by name.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        if not callable(function) or isinstance(function, type):
            raise ConfigurationError(f"owned({function!r}): {_WRITE}")
        try:
            self._handler = Handler.read(function)
        except (TypeError, ValueError):
            raise ConfigurationError(f"owned({function!r}): it does not say what it takes; write a function") from None
        self.name: str = self._handler.name.removeprefix("?.")
        self._check()
        self._adapters: Mapping[str, TypeAdapter[Any] | None] | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Loader) and self.function == other.function

    def __hash__(self) -> int:
        return hash(self.function)

    def _check(self) -> None:
        if self._handler.kind in (Kind.GENERATOR, Kind.ASYNC_GENERATOR):
            raise ConfigurationError(f"owned({self.name}): it yields; return the object, or None")
        for want in self._handler.wants.values():
            if want.marker is not None or getattr(want.key, "__name__", "") not in ("Principal", "Call"):
                raise ConfigurationError(
                    f"owned({self.name}): nobody fills {want.name}; it may ask for the path's parameters, "
                    "Principal and Call"
                )
        for parameter in self._handler.others.values():
            if parameter.kind not in _BY_NAME:
                raise ConfigurationError(
                    f"owned({self.name}): {parameter} has no name in the path; {_WRITE} with parameters named as there"
                )
        if not self._handler.others:
            raise ConfigurationError(
                f"owned({self.name}): it takes nothing of the path, so it would load the same for every request; "
                "name its parameters as the route does"
            )

    def prepare(self) -> Mapping[str, TypeAdapter[Any] | None]:
        """Compile the parameters' annotations, once all names are defined.

        Raises:
            ConfigurationError: for one that names nothing, or that pydantic cannot check.
        """
        if self._adapters is None:
            if self._handler.unresolved:
                self._handler = Handler.read(self.function)
                self._check()
            self._adapters = {name: self._adapter(name, each) for name, each in self._handler.others.items()}
        return self._adapters

    def _adapter(self, name: str, parameter: inspect.Parameter) -> TypeAdapter[Any] | None:
        if parameter.annotation is _UNSET:
            return None
        if isinstance(parameter.annotation, str):
            raise ConfigurationError(f"owned({self.name}): the annotation of {name} names nothing; define it before")
        try:
            return TypeAdapter(parameter.annotation)
        except Exception as exc:
            # Whatever pydantic says, at this moment it is about the declaration.
            raise ConfigurationError(
                f"owned({self.name}): pydantic cannot read {name} from a path; annotate it with int, str or UUID"
            ) from exc

    async def load(self, principal: Principal[Any], call: Call) -> object:
        """Return the object; None where there is none, and where the path cannot name one."""
        arguments = self._arguments(principal, call)
        if arguments is None:
            return None
        try:
            if is_async(self.function):
                return await self.function(**arguments)
            return await in_thread(call, self.function, **arguments)
        except Exception as exc:
            # However a 404 is said, by what text and with which headers: it must not differ from that of a stranger.
            known = call.gate.errors.map(exc)
            if known is None or known.status_code != 404:
                raise
            return None

    def _arguments(self, principal: Principal[Any], call: Call) -> dict[str, Any] | None:
        arguments: dict[str, Any] = {}
        for name, adapter in self.prepare().items():
            if name not in call.path_params and self._handler.others[name].default is not _UNSET:
                continue
            value = path_parameter(call, name, f"owned({self.name})")
            try:
                # From text, as if the route had no convertor, so that `str` takes what a convertor made an int.
                arguments[name] = value if adapter is None else adapter.validate_python(str(value))
            except ValidationError:
                return None
        for want in self._handler.wants.values():
            arguments[want.name] = principal if want.key is Principal else call
        return arguments
