"""What a handler returns: `Ok` or `Err`, and a `Page` of items."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Literal,
    TypeGuard,
    TypeVar,
    Union,
    get_args,
    get_origin,
    overload,
)

from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypeAliasType

from gatewright.envelope import failure, success
from gatewright.errors import ApiError, BadRequest, ConfigurationError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

    from gatewright.cookie import Cookie

__all__ = ["Err", "Ok", "Page", "PageParams", "Paged", "Result", "err", "ok"]

T = TypeVar("T")
U = TypeVar("U")
T_co = TypeVar("T_co", covariant=True)

_INTEGER = {"type": "integer", "minimum": 1}


@dataclass(frozen=True, slots=True)
class PageParams:
    """Say which page the client asked for, checked and clamped.

    Args:
        page: the page's number, from 1.
        limit: items on a page.
        offset: items before the page.
    """

    __injected_by__: ClassVar[str] = "@paginate"
    __query__: ClassVar[Mapping[str, Mapping[str, object]]] = {"page": _INTEGER, "limit": _INTEGER}

    page: int
    limit: int
    offset: int


# Without slots, as `Principal`: `Page[Post](items, total)` is an ordinary thing to write.
@dataclass(frozen=True)
class Paged(Generic[T_co]):
    """Hold some of many items; the guard that provides the class itself says where they stand among the others.

    Attributes:
        __needs__: what a handler that returns one has to have, as one writes it.
        __facts__: what `pagination` looks like in the envelope.
    """

    __needs__: ClassVar[str]
    __facts__: ClassVar[CoreSchema]

    items: Sequence[T_co]


@dataclass(frozen=True)
class Page(Paged[T_co]):
    """Hold one page of items and the number of items on all pages."""

    __needs__: ClassVar[str] = "@paginate and a PageParams parameter"
    __facts__: ClassVar[CoreSchema] = core_schema.typed_dict_schema(
        {
            name: core_schema.typed_dict_field(core_schema.int_schema(), required=True)
            for name in ("page", "limit", "total", "totalPages")
        }
    )

    total: int

    def map(self, change: Callable[[T_co], U]) -> Page[U]:
        """Return the page with every item changed, such as `page.map(PostOut.model_validate)`."""
        return Page([change(item) for item in self.items], self.total)


class Ok(Generic[T_co]):
    """Carry what a handler answers when all went well; make one with `ok(...)`."""

    __slots__ = ("cookies", "data", "headers", "invalidated", "pagination", "status")

    success: ClassVar[Literal[True]] = True
    error: ClassVar[None] = None

    def __init__(
        self,
        data: T_co,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        cookies: Sequence[Cookie] = (),
    ) -> None:
        self.data: T_co = data
        self.status: int = status
        self.headers: Mapping[str, str] | None = headers
        self.cookies: Sequence[Cookie] = cookies
        self.pagination: Mapping[str, object] | None = None
        self.invalidated: Sequence[str] = ()

    def __repr__(self) -> str:
        return f"Ok({self.data!r}, status={self.status})"

    def __eq__(self, other: object) -> bool:
        return is_ok(other) and (self.data, self.status) == (other.data, other.status)

    __hash__: ClassVar[None]  # type: ignore[assignment]  # equal by value and mutable, like a list

    def as_dict(self) -> dict[str, object]:
        """Return the envelope, for a serialiser that knows nothing of `Ok`."""
        envelope: dict[str, object] = {"success": True, "data": self.data}
        if is_page(self.data):
            envelope |= {"data": list(self.data.items), "pagination": self.pagination}
        return envelope | {"invalidated": self.invalidated} if self.invalidated else envelope

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Describe the envelope, for frameworks that serialise and document a return annotation."""
        (data_type,) = get_args(source) or (Any,)
        page = page_class(data_type)
        if page is None:
            return success(_open_ok, handler.generate_schema(data_type))
        (item_type,) = get_args(data_type) or (Any,)
        items = core_schema.list_schema(handler.generate_schema(item_type))
        return success(_open_ok, items, page.__facts__)


@dataclass(slots=True)
class Err:
    """Carry what a handler answers when it cannot do what was asked; make one with `err(...)`."""

    success: ClassVar[Literal[False]] = False
    data: ClassVar[None] = None

    error: str
    status: int = 400
    code: str = "error"
    details: Mapping[str, Sequence[str]] | None = None
    headers: Mapping[str, str] | None = None
    cookies: Sequence[Cookie] = ()

    def as_error(self) -> ApiError:
        """Return the exception that says the same; cookies are left out, an exception has none."""
        return ApiError(self.error, status=self.status, code=self.code, details=self.details, headers=self.headers)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Describe the error envelope, for frameworks that document a return annotation."""
        return failure(_open_err)


# Guards, because `isinstance` leaves a checker with a type whose argument it does not know.
def is_ok(value: object) -> TypeGuard[Ok[Any]]:
    """Say whether *value* is an `Ok`."""
    return isinstance(value, Ok)


def is_page(value: object) -> TypeGuard[Paged[Any]]:
    """Say whether *value* is a page of any kind."""
    return isinstance(value, Paged)


def page_class(annotation: object) -> type[Paged[Any]] | None:
    """Return the kind of page that an annotation names by itself; None for anything else."""
    origin: Any = get_origin(annotation) or annotation
    return origin if isinstance(origin, type) and issubclass(origin, Paged) else None  # pyright: ignore[reportUnknownVariableType]  # of whatever items


def _open_ok(value: object) -> dict[str, object]:
    if not is_ok(value):
        raise ValueError("not an Ok")
    return value.as_dict()


def _open_err(value: object) -> dict[str, object]:
    if not isinstance(value, Err):
        raise ValueError("not an Err")
    opened: dict[str, object] = {"success": False, "error": value.error, "code": value.code}
    return opened | {"details": value.details} if value.details else opened


# A real generic alias: `Ok[T] | Err` would resolve `Ok[T]` too early to be subscripted.
Result = TypeAliasType("Result", Union[Ok[T], Err], type_params=(T,))  # noqa: UP007


@overload
def ok(*, status: int = ..., headers: Mapping[str, str] | None = ..., cookies: Sequence[Cookie] = ...) -> Ok[None]: ...
@overload
def ok(
    data: T, *, status: int = ..., headers: Mapping[str, str] | None = ..., cookies: Sequence[Cookie] = ...
) -> Ok[T]: ...
def ok(
    data: Any = None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    cookies: Sequence[Cookie] = (),
) -> Ok[Any]:
    """Answer with *data* in the envelope.

    Args:
        data: what the handler's `Result[T]` declares; filtered through `T` before it leaves.
        status: the HTTP status; a DELETE without data becomes 204.
        headers: further response headers.
        cookies: cookies to set, signed by the gate where they need to be.

    Raises:
        ConfigurationError: for a status that is not a success.
    """
    if not 200 <= status < 400:
        raise ConfigurationError(f"ok(status={status}) is not a success; write err(..., status={status})")
    return Ok(data, status, headers, cookies)


def err(
    error: str,
    /,
    *,
    status: int = 400,
    code: str | None = None,
    details: Mapping[str, Sequence[str]] | None = None,
    headers: Mapping[str, str] | None = None,
    cookies: Sequence[Cookie] = (),
) -> Err:
    """Answer with a refusal in the envelope, without raising.

    Args:
        error: what people read; it leaves the process as it is.
        status: the HTTP status, 400 or more.
        code: what programs switch on; by default the status's own, such as `not_found`.
        details: messages by field path.
        headers: further response headers.
        cookies: cookies to set.

    Raises:
        ConfigurationError: for a status that is not an error.
    """
    if status < 400:
        raise ConfigurationError(f"err(status={status}) is not an error; write ok(..., status={status})")
    return Err(error, status, code or code_of(status), details, headers, cookies)


def _codes(kind: type[ApiError]) -> dict[int, str]:
    """Collect the codes of the tree; the class nearest the root speaks for its status."""
    found = {kind.status: kind.default_code}
    for child in kind.__subclasses__():
        found = _codes(child) | found
    return found


_CODES = _codes(ApiError) | {BadRequest.status: BadRequest.default_code}


def code_of(status: int) -> str:
    """Return the code that stands for *status* when nothing more is known."""
    return _CODES.get(status, "error" if status < 500 else "internal_error")
