"""From what a handler returns to the envelope."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    NamedTuple,
    Never,
    NoReturn,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import BaseModel, PydanticUserError, TypeAdapter
from pydantic.errors import PydanticUndefinedAnnotation
from pydantic_core import to_json
from starlette.responses import Response
from typing_extensions import TypeAliasType

from gatewright._core.outcome import Outcome, RawHeaders, beside, raw_headers
from gatewright._core.refuse import JSON, refusal
from gatewright.errors import ConfigurationError
from gatewright.redirect import Redirect
from gatewright.result import Err, Ok, Paged, Result, is_ok, is_page, page_class

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.handler import Handler
    from gatewright.cookie import Cookie

__all__ = ["ANYTHING", "Renderer", "Standing", "declares_result", "extra_headers", "paginated"]

_NOTHING = (b"content-length", b"0")
_EMPTY = frozenset({204, 304})
_UNIONS = (Union, UnionType)
_UNKNOWN: Any = object()
_ANYTHING = (Any, object, inspect.Signature.empty)
Write = Callable[[Any], bytes]


class Renderer:
    """Turn a handler's result into an outcome; what was declared is what leaves.

    Args:
        handler: its return annotation `Result[T]` filters the data through `T`; without one, data is written as it is.

    Raises:
        ConfigurationError: for a declared type that pydantic cannot write.
    """

    __slots__ = ("_write",)

    def __init__(self, handler: Handler | None) -> None:
        self._write = _write_anything if handler is None else _writer(handler)

    def __call__(self, result: object, call: Call) -> Outcome:
        """Return the outcome of *result*: a response as it is, a `Result` in the envelope, anything else as `ok`."""
        if is_ok(result):
            return self._ok(result, call)
        if isinstance(result, Response):
            return Outcome.of(result)
        if isinstance(result, Err):
            return self._err(result, call)
        if isinstance(result, Redirect):
            return _redirected(result, call)
        return self._ok(Ok(result), call)

    def _ok(self, result: Ok[Any], call: Call) -> Outcome:
        status, data = result.status, result.data
        headers = extra_headers(result.headers, result.cookies, call) if result.headers or result.cookies else []
        if data is None and status == 200 and call.method == "DELETE":
            status = 204
        if status in _EMPTY:
            return Outcome(status, headers, b"")
        if is_page(data):
            facts = to_json(paginated(data, call, headers))
            body = b'{"success":true,"data":%b,"pagination":%b}' % (self._write(data.items), facts)
        else:
            body = b'{"success":true,"data":%b}' % self._write(data)
        if call.stale:
            body = b'%b,"invalidated":%b}' % (body[:-1], to_json(list(call.stale)))
        head = [JSON, (b"content-length", b"%d" % len(body))]
        return Outcome(status, beside(head[1:], beside(headers, head)) if headers else head, body)

    def _err(self, result: Err, call: Call) -> Outcome:
        outcome = refusal(result.as_error(), call)
        outcome.headers += extra_headers(None, result.cookies, call)
        return outcome


def _redirected(result: Redirect, call: Call) -> Outcome:
    headers = extra_headers(result.headers, result.cookies, call)
    return Outcome(result.status, [(b"location", result.to.encode("ascii")), _NOTHING, *headers], b"")


class Standing(NamedTuple):
    """Where a page stands among the others; whoever read which one the client wants provides, by its class, a function
    that returns it.

    Attributes:
        facts: the envelope's `pagination`.
        link: the value of `Link` (RFC 8288); None where there is nothing to link to.
    """

    facts: Mapping[str, object]
    link: bytes | None


def paginated(page: Paged[Any], call: Call, headers: RawHeaders) -> Mapping[str, object]:
    """Return the facts of *page* and append its `Link` header.

    Raises:
        ConfigurationError: where no guard read which page the client asked for.
    """
    provided: Mapping[Hashable, Any] = call.provided or {}
    kinds = [kind for kind in type(page).__mro__ if kind in provided]
    if not kinds:
        raise ConfigurationError(f"a handler that returns a {type(page).__name__} needs {page.__needs__}")
    standing: Callable[[Paged[Any]], Standing] = provided[kinds[0]]
    facts, link = standing(page)
    if link is not None:
        headers.append((b"link", link))
    return facts


def extra_headers(headers: Mapping[str, str] | None, cookies: Sequence[Cookie], call: Call) -> RawHeaders:
    """Return raw headers, with the cookies signed by the call's gate.

    Raises:
        ConfigurationError: for a value that would split the header.
    """
    return raw_headers(headers) + [(b"set-cookie", cookie.header(call.gate)) for cookie in cookies]


def _writer(handler: Handler) -> Write:
    declared = _declared(handler)
    if declared is _UNKNOWN:
        return _write_anything
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(declared)
        write, validate = adapter.serializer.to_json, adapter.validator.validate_python
    except (PydanticUserError, PydanticUndefinedAnnotation) as exc:
        raise ConfigurationError(
            f"{handler.name}: {declared!r} cannot be written as JSON; declare a pydantic model, such as Result[PostOut]"
        ) from exc
    model = declared if inspect.isclass(declared) and issubclass(declared, BaseModel) else _UNKNOWN

    def filtered(data: Any) -> bytes:
        if type(data) is model:
            # It was checked when it was made; only `model_construct`, for trusted data, gets around that.
            return write(data, by_alias=True)
        data = validate(data, from_attributes=True, by_name=True, by_alias=True)
        # A dataclass in it may hold what was never checked; pydantic would warn, and write all of it.
        return write(data, by_alias=True, warnings="error")

    return filtered


def _declared(handler: Handler) -> Any:
    """Return the one type of all the data that *handler*'s return annotation names; unknown where it names none."""
    types = tuple(_data_types(_returns(handler)))
    if not types or any(each in _ANYTHING for each in types):
        return _UNKNOWN
    return types[0] if len(types) == 1 else Union[types]  # noqa: UP007  # built at run time


def _returns(handler: Handler) -> Any:
    """Return the return annotation, with the names that stand in quotes inside of it."""

    def holder() -> None: ...

    holder.__annotations__["return"] = handler.returns
    try:
        written = getattr(inspect.unwrap(handler.function), "__globals__", {})
        return get_type_hints(holder, written, include_extras=True)["return"]
    except NameError as exc:
        raise ConfigurationError(
            f"{handler.name}: the return annotation {handler.returns!r} names nothing that is known when the handler "
            f"is served ({exc}); import it outside of `if TYPE_CHECKING`"
        ) from exc


def _data_types(annotation: Any) -> Iterator[Any]:
    """Yield the types of data in a return annotation: `T` of a bare `T`, `Result[T]`, and unions and aliases of these.

    A page is written as its items; responses and `Err` carry no data.
    """
    origin, args = get_origin(annotation) or annotation, get_args(annotation)
    if origin in _UNIONS:
        for arg in args:
            yield from _data_types(arg)
    elif origin is Result or origin is Ok:
        yield from _data_types(args[0] if args else Any)
    elif page_class(annotation) is not None:
        yield list[args[0] if args else Any]  # type: ignore[misc]  # built at run time
    elif declares_result(annotation):
        yield from _data_types(_inside(annotation))
    elif not _is_answer(annotation):
        yield annotation


def declares_result(returns: Any) -> bool:
    """Say whether a return annotation names `Result` or `Ok`, so that a framework will serialise the envelope."""
    origin = get_origin(returns) or returns
    if origin in _UNIONS:
        return any(declares_result(arg) for arg in get_args(returns))
    inside = _inside(returns)
    return origin is Result or origin is Ok or (inside is not returns and declares_result(inside))


def _inside(annotation: Any) -> Any:
    """Return what stands in an `Annotated` or behind an alias."""
    if get_origin(annotation) is Annotated:
        return get_args(annotation)[0]
    return annotation.__value__ if isinstance(annotation, TypeAliasType) else annotation


def _is_answer(annotation: Any) -> bool:
    answers = (Err, Redirect, Response, NoReturn, Never)
    return annotation in answers or (inspect.isclass(annotation) and issubclass(annotation, Response))


def _write_anything(data: Any) -> bytes:
    return to_json(data, by_alias=True, inf_nan_mode="null")


ANYTHING = Renderer(None)
"""Renders what no handler declared, such as a guard's own answer."""
