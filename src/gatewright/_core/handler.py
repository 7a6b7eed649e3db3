"""What a handler asks for, read from its signature once."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin

from starlette.requests import HTTPConnection

from gatewright.errors import ConfigurationError
from gatewright.result import Paged, page_class

__all__ = ["PRIVATE", "Handler", "Kind", "Marker", "Want", "injected_by", "is_of_fastapi", "read_for"]

_UNSET = inspect.Parameter.empty
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


PRIVATE = "gatewright_turn"
"""How the names of parameters begin that a decorated function shows to FastAPI, and to nobody else."""


def _pages(annotation: Any) -> Iterator[type[Paged[Any]]]:
    page = page_class(annotation)
    if page is not None:
        yield page
    for arg in get_args(annotation):
        yield from _pages(arg)


def _is_connection(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, HTTPConnection)


def injected_by(key: object) -> str | None:
    """Return the decorator that fills parameters of this type, as one writes it; None for other types."""
    written: str | None = getattr(key, "__injected_by__", None)
    return written


def read_for(want: Want) -> Mapping[str, Mapping[str, object]]:
    """Return the query parameters, with their JSON schemas, that a guard reads by itself to fill *want*."""
    read: Mapping[str, Mapping[str, object]] = getattr(want.key, "__query__", {})
    return read


class Kind(Enum):
    """How a handler is called."""

    ASYNC = "async"
    SYNC = "sync"
    ASYNC_GENERATOR = "async generator"
    GENERATOR = "generator"


class Marker:
    """Stand in an `Annotated` parameter to say which guard fills it; the marker's class is the key.

    The guard that provides the class puts the value into `call.arguments` under the parameter's name.

    Attributes:
        __injected_by__: the decorator that fills it, as one writes it; for the message when it is missing.
        place: the part of the request that it is read from, in the words of OpenAPI, and "body", "form", "input",
            which is either of the two, or "file"; empty where it is of none.
    """

    __injected_by__: ClassVar[str]
    place: ClassVar[str]


@dataclass(frozen=True, slots=True)
class Want:
    """One parameter that guards fill.

    Attributes:
        name: the parameter's name.
        key: what a guard has to provide: a type, or a marker's class.
        annotation: the type without `Annotated` and without `| None`.
        schema: the annotation as written, for pydantic: `T`, or `Annotated[T, ...]` without the marker.
        marker: the marker, where the annotation carries one.
        optional: whether None is welcome.
        default: the parameter's default, or `inspect.Parameter.empty`.
    """

    name: str
    key: Hashable
    annotation: Any
    schema: Any
    marker: Marker | None
    optional: bool
    default: Any = _UNSET

    @property
    def required(self) -> bool:
        """Say whether the parameter has no default."""
        return self.default is _UNSET


@dataclass(frozen=True, slots=True)
class Handler:
    """Describe a handler to the guards that are fitted to it.

    Attributes:
        function: the original.
        name: its qualified name, for messages.
        kind: how it is called.
        wants: the parameters that guards fill, by name.
        others: what remains, by name, with resolved annotations: the connection, `self`, the framework's business.
        returns: the resolved return annotation, or `inspect.Signature.empty`.
        unresolved: the parameters (and "return") whose annotations name nothing that is known yet.
    """

    function: Callable[..., Any]
    name: str
    kind: Kind
    wants: Mapping[str, Want]
    others: Mapping[str, inspect.Parameter]
    returns: Any
    unresolved: tuple[str, ...] = field(default=())

    def connection(self, receivers: int) -> str | None:
        """Name the parameter that takes the Starlette connection.

        It is the one annotated with a connection class; else, in the way of Starlette, the unannotated
        positional one that follows *receivers* (a method's `self`).
        """
        for parameter in self.others.values():
            if _is_connection(parameter.annotation) and not parameter.name.startswith(PRIVATE):
                return parameter.name
        bare = [p.name for p in self.others.values() if p.kind in _POSITIONAL and p.annotation is _UNSET]
        return bare[receivers] if len(bare) > receivers else None

    @property
    def pages(self) -> list[type[Paged[Any]]]:
        """Return the kinds of pages that stand anywhere in the declared result."""
        return [*_pages(self.returns)]

    def takes_connection_by_position(self, receivers: int) -> bool:
        """Say whether the connection has no name here: before `*args`, or a decorated handler behind a foreign one."""
        if any(name.startswith(PRIVATE) for name in self.others):
            return True
        variadic = any(p.kind is p.VAR_POSITIONAL for p in self.others.values())
        return variadic and self.connection(receivers) is None

    def strangers(self) -> list[str]:
        """Return the parameters that only a framework with its own injection could fill."""
        return [
            p.name
            for p in self.others.values()
            if p.annotation is not _UNSET
            and p.default is _UNSET
            and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
            and not _is_connection(p.annotation)
            and not p.name.startswith(PRIVATE)
        ]

    def wanting(self, *keys: Hashable) -> list[Want]:
        """Return the wants with one of these keys, in the order of the signature."""
        return [want for want in self.wants.values() if want.key in keys]

    @classmethod
    def read(cls, function: Callable[..., Any]) -> Handler:
        """Read *function*'s signature; a parameter with a marker, or whose type says `__injected_by__`, is a want."""
        plain = _unwrapped(function)
        name = f"{getattr(plain, '__module__', '?')}.{getattr(plain, '__qualname__', repr(plain))}"
        wants: dict[str, Want] = {}
        others: dict[str, inspect.Parameter] = {}
        signature = inspect.signature(function)
        known = _names(plain)
        returns = _resolved(signature.return_annotation, *known)
        unresolved = ["return"] if isinstance(returns, str) else []
        for parameter in signature.parameters.values():
            annotation = _resolved(parameter.annotation, *known)
            if isinstance(annotation, str):
                unresolved.append(parameter.name)
            want = _want(parameter, annotation)
            if want is not None:
                if parameter.kind is parameter.POSITIONAL_ONLY:
                    raise ConfigurationError(f"{name}: {parameter.name} is filled by name; take the '/' out")
                wants[parameter.name] = want
            else:
                others[parameter.name] = parameter.replace(annotation=annotation)
        return cls(
            function=function,
            name=name,
            kind=_kind(plain),
            wants=wants,
            others=others,
            returns=returns,
            unresolved=tuple(unresolved),
        )


def _unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Peel `partial`s and bound methods; a foreign decorator's wrapper is what it is."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        else:
            return function


def _kind(function: Callable[..., Any]) -> Kind:
    if inspect.isasyncgenfunction(function):
        return Kind.ASYNC_GENERATOR
    if inspect.isgeneratorfunction(function):
        return Kind.GENERATOR
    return Kind.ASYNC if inspect.iscoroutinefunction(function) else Kind.SYNC


def _names(function: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the globals and the closure of the place where *function* was written, as far as they are assigned yet."""
    origin = inspect.unwrap(function)
    if not inspect.isfunction(origin):
        return {}, {}
    closure: dict[str, Any] = {}
    for name, cell in zip(origin.__code__.co_freevars, origin.__closure__ or (), strict=True):
        with suppress(ValueError):  # still empty
            closure[name] = cell.cell_contents
    return origin.__globals__, closure


def _resolved(annotation: Any, global_names: dict[str, Any], closure: dict[str, Any]) -> Any:
    """Evaluate one string annotation; the string itself where it names nothing."""
    if not isinstance(annotation, str):
        return annotation
    try:
        found = eval(annotation, global_names, closure)  # noqa: S307  # the author's own annotation
        # Quoted, in a module that postpones annotations too.
        return eval(found, global_names, closure) if isinstance(found, str) else found  # noqa: S307
    except Exception:
        return annotation


def _want(parameter: inspect.Parameter, annotation: Any) -> Want | None:
    annotation = _lifted(annotation)
    schema: Any = annotation
    markers: tuple[Marker, ...] = ()
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        markers = tuple(item for item in metadata if isinstance(item, Marker))
        rest = tuple(item for item in metadata if not isinstance(item, Marker))
        schema = Annotated[(inner, *rest)] if rest else inner
    bare, optional = _without_none(get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation)
    if markers:
        kind: Any = type(markers[-1])
        return Want(parameter.name, kind, bare, schema, markers[-1], optional, parameter.default)
    key = get_origin(bare) or bare
    if isinstance(key, type) and injected_by(key) is not None and not is_of_fastapi(parameter, annotation):
        return Want(parameter.name, key, bare, schema, None, optional, parameter.default)
    return None


def is_of_fastapi(parameter: inspect.Parameter, annotation: Any) -> bool:
    """Say whether `Depends(...)`, or a part of the request, was named for a parameter."""
    named = (parameter.default, *(get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()))
    return any(type(item).__module__ == "fastapi.params" for item in named)


def _lifted(annotation: Any) -> Any:
    """Read `FromBody[T] | None` as `FromBody[T | None]`, which is how it is meant."""
    inner, optional = _without_none(annotation)
    if not optional or get_origin(inner) is not Annotated:
        return annotation
    type_, *metadata = get_args(inner)
    return Annotated[(Union[type_, None], *metadata)]  # noqa: UP007  # built at run time


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation, False
    args = get_args(annotation)
    rest = tuple(arg for arg in args if arg is not types.NoneType)
    if len(rest) == len(args) or not rest:
        return annotation, False
    return (rest[0] if len(rest) == 1 else Union[rest]), True  # noqa: UP007  # built at run time
