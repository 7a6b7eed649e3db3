"""From what a handler returns to the envelope."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import UnionType
from typing import Any, get_args, get_origin, TYPE_CHECKING, Union

from gatewright._core.links import link_header, page_facts
from pydantic import PydanticSchemaGenerationError, TypeAdapter
from pydantic.errors import PydanticUndefinedAnnotation
from pydantic_core import to_json
from starlette.responses import Response

from gatewright._core.outcome import Outcome, RawHeaders
from gatewright.errors import ConfigurationError
from gatewright.result import Err, Ok, Page, PageParams, Result, is_ok, is_page

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.handler import Handler
    from gatewright.cookie import Cookie

__all__ = ["ANYTHING", "JSON", "Renderer", "declares_result", "error_body", "extra_headers", "paginated"]

JSON = (b"content-type", b"application/json")
_EMPTY = frozenset({204, 304})
_FORBIDDEN_IN_HEADERS = frozenset("\r\n\0")
_UNKNOWN: Any = object()
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
        return Outcome(status, [JSON, (b"content-length", b"%d" % len(body)), *headers], body)

    def _err(self, result: Err, call: Call) -> Outcome:
        body = error_body(result.error, result.code, result.details or {}, call.request_id)
        headers = extra_headers(result.headers, result.cookies, call)
        call.note(error=result.code)
        head = [JSON, (b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store"), *headers]
        return Outcome(result.status, head, body)


def error_body(message: str, code: str, details: Mapping[str, Sequence[str]], request_id: str) -> bytes:
    """Return the error envelope."""
    fields: dict[str, object] = {"success": False, "error": message, "code": code}
    if details:
        fields["details"] = details
    fields["request_id"] = request_id
    return to_json(fields)


def paginated(page: Page[Any], call: Call, headers: RawHeaders) -> dict[str, int]:
    """Return the facts of *page* and append its `Link` header.

    Raises:
        ConfigurationError: where no `@paginate` read the page that the client asked for.
    """
    if call.provided is None or PageParams not in call.provided:
        raise ConfigurationError("a handler that returns a Page needs @paginate and a PageParams parameter")
    params: PageParams = call.provided[PageParams]
    link = link_header(call.scope, params, page.total)
    if link is not None:
        headers.append((b"link", link))
    return page_facts(params, page.total)


def extra_headers(headers: Mapping[str, str] | None, cookies: Sequence[Cookie], call: Call) -> RawHeaders:
    """Return raw headers, with the cookies signed by the call's gate.

    Raises:
        ConfigurationError: for a value that would split the header.
    """
    raw: RawHeaders = []
    for name, value in (headers or {}).items():
        if not _FORBIDDEN_IN_HEADERS.isdisjoint(name + value):
            raise ConfigurationError(f"the header {name} holds a line break; encode what it carries")
        raw.append((name.lower().encode("latin-1"), value.encode("latin-1")))
    raw += [(b"set-cookie", cookie.header(call.gate)) for cookie in cookies]
    return raw


def _writer(handler: Handler) -> Write:
    declared = _declared(handler.returns)
    if declared is _UNKNOWN:
        return _write_anything
    if get_origin(declared) is Page:
        declared = list[get_args(declared)[0]]  # type: ignore[misc]  # built at run time
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(declared)
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation) as exc:
        raise ConfigurationError(
            f"{handler.name}: {declared!r} cannot be written as JSON; declare a pydantic model, such as Result[PostOut]"
        ) from exc
    write, validate = adapter.serializer.to_json, adapter.validator.validate_python
    exact = declared if inspect.isclass(declared) else _UNKNOWN

    def filtered(data: Any) -> bytes:
        if type(data) is not exact:
            data = validate(data, from_attributes=True, by_name=True, by_alias=True)
        return write(data, by_alias=True)

    return filtered


def _declared(returns: Any) -> Any:
    """Return the `T` of `Result[T]`, `Ok[T]` or a bare `T`; unknown where none, or more than one, is declared."""
    origin = get_origin(returns)
    if origin is Result or origin is Ok:
        return _declared(get_args(returns)[0])
    if origin is Union or origin is UnionType:
        types = [arg for arg in get_args(returns) if not _is_answer(arg)]
        return _declared(types[0]) if len(types) == 1 and len(types) < len(get_args(returns)) else returns
    if returns in (inspect.Signature.empty, Any, object) or _is_answer(returns) or isinstance(returns, str):
        return _UNKNOWN
    return returns


def declares_result(returns: Any) -> bool:
    """Say whether a return annotation names `Result` or `Ok`, so that a framework will serialise the envelope."""
    origin = get_origin(returns) or returns
    if origin in (Union, UnionType):
        return any(declares_result(arg) for arg in get_args(returns))
    return origin is Result or origin is Ok


def _is_answer(annotation: Any) -> bool:
    return annotation is Err or (inspect.isclass(annotation) and issubclass(annotation, Response))


def _write_anything(data: Any) -> bytes:
    return to_json(data, by_alias=True, inf_nan_mode="null")


ANYTHING = Renderer(None)
"""Renders what no handler declared, such as a guard's own answer."""
