"""From exceptions to answers, along the class tree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any, Self, TypeVar, cast, get_args

from pydantic_core.core_schema import ErrorType
from starlette.exceptions import HTTPException

from gatewright.errors import ApiError, ConfigurationError, Conflict, InvalidInput
from gatewright.faults import answer_for, classify
from gatewright.result import code_of

__all__ = ["ErrorMapper"]

X = TypeVar("X", bound=Exception)
Answering = Callable[[Any], ApiError | None]

# The types of error whose text is a template of pydantic's, but for those that quote what was submitted.
_SPOKEN = frozenset(get_args(ErrorType)) - {
    "value_error", "assertion_error", "union_tag_invalid", "uuid_parsing", "url_parsing",
}  # fmt: skip


class ErrorMapper:
    """Say which answer stands for which exception.

    The nearest class along the exception's MRO decides; a mapping that returns None passes to the next one.
    A class may be named as `"package.module:Class"`, which imports nothing: it is compared with the names along the
    MRO.

    A constraint that was named comes before all of them. What a database or an HTTP client raised, and no mapping
    knows, is told apart by `gatewright.faults.classify`: a registration for any class that it is of comes first, one
    for `Exception` too. An application's own exception, raised from one of those, is its own. What nobody knows is a
    500 with a fixed text.
    """

    def __init__(self) -> None:
        self._by_class: dict[type[Exception], Answering] = {ApiError: _itself, HTTPException: _from_http}
        self._by_name: dict[str, Answering] = {"fastapi.exceptions:RequestValidationError": _from_fastapi}
        self._constraints: dict[str, tuple[str, str, int]] = {}
        # What the MRO of a class comes to, found once: a flood is refused with one class of exception.
        self._resolved: dict[type[Exception], tuple[Answering, ...]] = {}

    def register(self, exception: type[X] | str, answer: Callable[[X], ApiError | None], /) -> Self:
        """Map *exception* to what *answer* returns.

        Args:
            exception: a class, or its dotted name `"package.module:Class"`.
            answer: takes the exception, returns an `ApiError`, or None to pass to the next mapping.

        Raises:
            ConfigurationError: for a name without a colon.
        """
        if isinstance(exception, str):
            module, colon, name = exception.partition(":")
            if not (module and colon and name):
                raise ConfigurationError(f'register({exception!r}): write "package.module:Class"')
            self._by_name[exception] = answer
        else:
            self._by_class[exception] = answer
        self._resolved.clear()
        return self

    def constraint(self, name: str, *, field: str, message: str, status: int = 409) -> Self:
        """Map a violated database constraint to an error on *field*.

        Args:
            name: the constraint's name, or its index's; on SQLite, which names columns instead, `"table.column"`,
                and `"table.one, table.other"` or either of them for a constraint on several.
            field: the input path that the client knows.
            message: what people read.
            status: the HTTP status, 400 or more.

        Raises:
            ConfigurationError: for a status that is not an error.
        """
        if status < 400:
            raise ConfigurationError(f"constraint({name!r}, status={status}): an error is 400 or more; write 409")
        self._constraints[name] = (field, message, status)
        return self

    def map(self, exc: Exception) -> ApiError | None:
        """Return the answer for *exc*, or None where no mapping knows it."""
        kind = type(exc)
        if kind not in self._resolved:
            self._resolved[kind] = tuple(self._candidates(kind))
        for mapping in self._resolved[kind]:
            answer = mapping(exc)
            if answer is not None:
                return answer
        return None

    def _candidates(self, kind: type[Exception]) -> Iterable[Answering]:
        registered = self._along_mro(kind)
        # An answer that was raised is no failure behind this service.
        return registered if issubclass(kind, HTTPException) else (self._from_constraint, *registered, _from_fault)

    def _along_mro(self, kind: type[Exception]) -> Iterator[Answering]:
        for cls in kind.__mro__:
            if cls in self._by_class:
                yield self._by_class[cls]
            named = self._by_name.get(f"{cls.__module__}:{cls.__qualname__}")
            if named is not None:
                yield named

    def _from_constraint(self, exc: Exception) -> ApiError | None:
        """Say of a constraint that was named what is to be said; what the driver says of it never leaves."""
        fault = classify(exc, wrapped=False) if self._constraints else None
        if fault is None or fault.constraint is None:
            return None
        for name in (fault.constraint, *fault.also_called):
            if name in self._constraints:
                field, message, status = self._constraints[name]
                return Conflict(message, details={field: [message]}, status=status)
        return None


def _from_fault(exc: Exception) -> ApiError | None:
    fault = classify(exc, wrapped=False)
    if fault is None:
        return None
    answer = answer_for(fault)
    if answer is not None and fault.doubtful:
        # The log shows it then.
        answer.__cause__ = exc
    return answer


def _itself(exc: ApiError) -> ApiError:
    return exc


def _from_http(exc: HTTPException) -> ApiError | None:
    """Translate an exception that a framework raised for its 404, 405 and the like."""
    if exc.status_code < 400:
        return None
    # A 500's text may be an exception's; that of another status was written for the client.
    detail = cast(object, exc.detail)  # FastAPI's may be anything
    told = detail if isinstance(detail, str) and exc.status_code != 500 else ""
    message = told or _phrase(exc.status_code)
    return ApiError(message, status=exc.status_code, code=code_of(exc.status_code), headers=exc.headers)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ApiError.default_message


def _from_fastapi(exc: Any) -> ApiError:
    """Translate FastAPI's own validation failure; its `input` is never echoed."""
    details: dict[str, list[str]] = {}
    for error in exc.errors()[:50]:
        if error["type"] == "json_invalid":
            return InvalidInput(details={"_root": ["The body is not valid JSON"]})
        path = ".".join(str(part) for part in error["loc"][1:] or error["loc"]) or "_root"
        details.setdefault(path, []).append(_public(error))
    return InvalidInput(details=details)


def _public(error: dict[str, Any]) -> str:
    # Validators of the app may quote the value in their text, and types of error of their own are made to.
    return str(error["msg"]) if error["type"] in _SPOKEN else "Invalid value"
