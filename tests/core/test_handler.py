"""What a handler asks for: its signature, read once."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Optional

import pytest
from fastapi import Depends
from pydantic import BaseModel, Field
from starlette.requests import HTTPConnection, Request
from starlette.websockets import WebSocket

from gatewright import Call, ConfigurationError, FromBody, FromQuery, Logger, PageParams, Principal, Result, ok
from gatewright._core.decorate import guarded_by
from gatewright._core.handler import Handler, Kind, Marker, injected_by
from gatewright.fastapi import CurrentPrincipal
from gatewright.starlette import GuardedRoute
from gatewright.testing import call
from tests.toys import Identify


class Item(BaseModel):
    """A body."""

    name: str


class User:
    """What a principal may carry."""


class FromMoon(Marker):
    """A marker of somebody else's guard."""

    __injected_by__ = "@moon"
    place = "moon"


def _names(function: Callable[..., Any]) -> tuple[list[str], list[str]]:
    handler = Handler.read(function)
    return list(handler.wants), list(handler.others)


# Annotations


def test_string_annotations_are_resolved_where_the_function_was_written() -> None:
    """This module postpones annotations, and its names are found all the same."""

    async def handler(request: Request, body: FromBody[Item], principal: Principal[User]) -> Result[Item]:
        return ok(body)

    read = Handler.read(handler)
    assert list(read.wants) == ["body", "principal"]
    assert read.wants["body"].annotation is Item
    assert read.wants["body"].schema is Item
    assert read.wants["principal"].key is Principal
    assert read.wants["principal"].annotation == Principal[User]
    assert read.others["request"].annotation is Request
    assert read.returns == Result[Item]
    assert read.unresolved == ()


def test_names_of_an_enclosing_function_are_resolved() -> None:
    """A model defined in a function is found where the handler closes over it."""

    class Local(BaseModel):
        name: str

    async def handler(body: FromBody[Local]) -> str:
        return Local.__name__

    assert Handler.read(handler).wants["body"].annotation is Local


def test_a_name_that_is_nowhere_stays_unresolved() -> None:
    """One annotation that names nothing does not spoil the others."""

    async def handler(body: FromBody[Item], odd: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
        return None

    read = Handler.read(handler)
    assert read.unresolved == ("odd",)
    assert read.others["odd"].annotation == "Nowhere"
    assert list(read.wants) == ["body"]


def test_a_closure_that_is_still_empty_can_be_decorated() -> None:
    """A nested handler may use a variable that is assigned further down."""

    async def handler(principal: Principal) -> str:
        return later + principal.sub

    read = Handler.read(handler)
    later = "hello "
    assert list(read.wants) == ["principal"]
    assert later


def test_annotations_of_a_foreign_wrapper_are_resolved_in_the_original_s_module() -> None:
    """A decorator from another module brings its own globals, which are not asked."""
    namespace: dict[str, Any] = {"functools": functools}
    exec(  # a module that knows neither Item nor FromBody
        "def logged(function):\n"
        "    @functools.wraps(function)\n"
        "    async def wrapper(*args, **kwargs):\n"
        "        return await function(*args, **kwargs)\n"
        "    return wrapper\n",
        namespace,
    )

    async def handler(body: FromBody[Item]) -> None:
        return None

    assert Handler.read(namespace["logged"](handler)).wants["body"].annotation is Item


def test_an_annotation_that_is_quoted_twice_is_resolved() -> None:
    """As in a module that postpones annotations, and quotes one nevertheless."""

    async def handler(body: "FromBody[Item]") -> "Result[Item]":  # noqa: UP037
        return ok(body)

    read = Handler.read(handler)
    assert (read.wants["body"].annotation, read.returns, read.unresolved) == (Item, Result[Item], ())


def test_a_foreign_wrapper_around_an_object_is_read_as_it_is() -> None:
    """An object was written nowhere; its wrapper's annotations may be objects themselves."""

    class Served:
        def __call__(self, request: Request) -> None:
            """Serve."""

    @functools.wraps(Served())
    def wrapper(request):  # type: ignore[no-untyped-def]
        return None

    assert _names(wrapper) == ([], ["request"])


def test_what_is_written_beside_a_marker_reaches_the_schema() -> None:
    """`Annotated` keeps its constraints; only the marker is taken out."""
    constraint = Field(gt=0)

    async def handler(
        limit: Annotated[int, constraint, FromMoon()],
        plain: Annotated[int, FromMoon()],
        doc: Annotated[Principal, "who"],
    ) -> None:
        return None

    # Read with real annotations: a constraint in a local variable is not in the closure.
    handler.__annotations__.update(
        limit=Annotated[int, constraint, FromMoon()],
        plain=Annotated[int, FromMoon()],
        doc=Annotated[Principal, "who"],
    )
    read = Handler.read(handler)
    assert read.wants["limit"].schema == Annotated[int, constraint]
    assert read.wants["limit"].annotation is int
    assert read.wants["limit"].key is FromMoon
    assert isinstance(read.wants["limit"].marker, FromMoon)
    assert read.wants["plain"].schema is int
    assert (read.wants["doc"].key, read.wants["doc"].marker) == (Principal, None)


@pytest.mark.parametrize(
    ("annotation", "bare", "optional"),
    [
        (Principal, Principal, False),
        (Principal | None, Principal, True),
        (Optional[Principal], Principal, True),  # noqa: UP045  # as older code writes it
        (Principal[User] | None, Principal[User], True),
        (FromQuery[int] | None, int, True),
        (FromQuery[int | None], int, True),
        (FromQuery[int | str | None], int | str, True),
        (FromQuery[int | str], int | str, False),
    ],
)
def test_none_is_welcome_where_it_is_written(annotation: Any, bare: Any, optional: bool) -> None:
    """`| None` makes a want optional, inside a marker or around it."""

    def handler(value):  # type: ignore[no-untyped-def]  # annotated below
        return value

    handler.__annotations__["value"] = annotation
    want = Handler.read(handler).wants["value"]
    assert want.annotation == bare
    assert want.optional is optional


def test_a_union_with_a_marker_around_none_keeps_its_schema() -> None:
    """`FromQuery[int] | None` validates None too."""

    def handler(value: FromQuery[int] | None = None) -> None:
        return None

    want = Handler.read(handler).wants["value"]
    assert want.schema == int | None
    assert (want.default, want.required) == (None, False)


@pytest.mark.parametrize("annotation", [int, int | str, int | None, None, type(None), "text", Annotated[int, "doc"]])
def test_what_no_guard_fills_is_left_alone(annotation: Any) -> None:
    """A parameter without a marker, of a type that no guard injects, is the framework's business."""

    def handler(value):  # type: ignore[no-untyped-def]  # annotated below
        return value

    handler.__annotations__["value"] = annotation
    assert _names(handler) == ([], ["value"])


def test_what_fastapi_was_told_to_fill_is_no_want() -> None:
    """`Depends`, in the annotation or as the default; a marker of ours beside it is still ours."""

    def someone() -> Principal:
        return Principal("u1")

    def handler(one: CurrentPrincipal, two: Principal = Depends(someone), three: Principal = None) -> None:  # type: ignore[assignment]  # noqa: B008
        return None

    handler.__annotations__["one"] = CurrentPrincipal
    assert _names(handler) == (["three"], ["one", "two"])


def test_a_want_without_default_is_required() -> None:
    """Whether there is a default is what `required` says."""

    def handler(one: FromQuery[int], two: FromQuery[int] = 2) -> None:
        return None

    wants = Handler.read(handler).wants
    assert (wants["one"].required, wants["two"].required, wants["two"].default) == (True, False, 2)


def test_wanting_keeps_the_order_of_the_signature() -> None:
    """A guard finds its parameters by key, in the order in which they are written."""

    def handler(b: PageParams, a: Principal, c: PageParams) -> None:
        return None

    assert [want.name for want in Handler.read(handler).wanting(PageParams, Call)] == ["b", "c"]


def test_a_want_that_is_positional_only_is_refused() -> None:
    """Guards fill by name, so a `/` after such a parameter is said to be wrong."""

    def handler(principal: Principal, /) -> None:
        return None

    with pytest.raises(ConfigurationError, match=r"principal is filled by name; take the '/' out"):
        Handler.read(handler)


def test_injected_types_name_their_decorator() -> None:
    """The message for a missing decorator says which one it is."""
    assert injected_by(Principal) == "@with_auth(...)"
    assert injected_by(Logger) == "every guard"
    assert injected_by(int) is None


# Shapes


async def _async() -> None: ...
def _sync() -> None: ...
async def _async_generator() -> AsyncIterator[int]:
    yield 1


def _generator() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (_async, Kind.ASYNC),
        (_sync, Kind.SYNC),
        (_async_generator, Kind.ASYNC_GENERATOR),
        (_generator, Kind.GENERATOR),
        (functools.partial(_async), Kind.ASYNC),
        (functools.partial(functools.partial(_generator)), Kind.GENERATOR),
    ],
)
def test_the_kind_is_how_it_is_called(function: Callable[..., Any], kind: Kind) -> None:
    """Coroutine functions, plain ones and the two generators are told apart, through partials too."""
    assert Handler.read(function).kind is kind


class Posts:
    """Handlers as methods."""

    async def create(self, prefix: str, request: Request, body: FromBody[Item]) -> str:
        """Take a body."""
        return prefix + body.name


def test_a_bound_method_has_no_self() -> None:
    """What is bound is bound; the name is the method's."""
    read = Handler.read(Posts().create)
    assert (read.kind, list(read.others), list(read.wants)) == (Kind.ASYNC, ["prefix", "request"], ["body"])
    assert read.name == f"{__name__}.Posts.create"


def test_a_partial_of_a_method_has_what_remains() -> None:
    """Arguments that a partial gives are no parameters any more; those given by name have a default."""
    read = Handler.read(functools.partial(Posts().create, "p"))
    assert (list(read.others), read.strangers()) == (["request"], [])
    read = Handler.read(functools.partial(Posts().create, prefix="p"))
    assert (list(read.others), read.strangers()) == (["prefix", "request"], [])


# The connection


def test_an_annotated_connection_is_found_wherever_it_stands() -> None:
    """`Request`, `WebSocket`, `HTTPConnection` or a subclass of them; positional, keyword-only, first or last."""

    class MyRequest(Request):
        pass

    def one(principal: Principal, *, req: MyRequest) -> None: ...
    def two(socket: WebSocket, principal: Principal) -> None: ...
    def three(self, connection: HTTPConnection) -> None: ...  # type: ignore[no-untyped-def]  # a method's

    one.__annotations__["req"] = MyRequest
    assert [Handler.read(f).connection(0) for f in (one, two, three)] == ["req", "socket", "connection"]


def test_a_bare_parameter_after_the_receivers_is_the_connection() -> None:
    """In the way of Starlette: unannotated and positional, after `self` where there is one."""

    def function(request): ...  # type: ignore[no-untyped-def]
    def method(self, request): ...  # type: ignore[no-untyped-def]
    def nothing(): ...  # type: ignore[no-untyped-def]
    def keyword(*, request): ...  # type: ignore[no-untyped-def]

    assert Handler.read(function).connection(0) == "request"
    assert Handler.read(method).connection(1) == "request"
    assert Handler.read(function).connection(1) is None
    assert Handler.read(nothing).connection(0) is None
    assert Handler.read(keyword).connection(0) is None


def test_strangers_are_what_only_another_injector_could_fill() -> None:
    """Annotated, without default, not variadic, no connection."""

    def handler(self, bare, request: Request, q: str, page: int = 1, *args: int, principal: Principal, **kw: str): ...  # type: ignore[no-untyped-def]

    assert Handler.read(handler).strangers() == ["q"]


# Stories


@dataclass
class Row:
    """What a database gives: more than the client may see."""

    id: int = 1
    password: str = "hunter2"


@guarded_by(Identify())
async def _returns_what_is_defined_below(request: Request) -> Result[Public]:
    return ok(Row())  # type: ignore[arg-type]  # filtered through Public


class Public(BaseModel):
    """What the client may see."""

    id: int


@pytest.mark.anyio
async def test_a_return_type_that_is_defined_below_filters_all_the_same() -> None:
    """The password column of a row never leaves, even where the declared type came after the handler."""
    reply = await call(_returns_what_is_defined_below, headers={"x-caller": "u1"})
    assert b"hunter2" not in reply.body
    assert reply.json["data"] == {"id": 1}


def test_a_return_type_that_names_nothing_is_refused_when_sealed() -> None:
    """Nothing could filter what such a handler returns, so it must not be served (never silently open)."""

    @guarded_by(Identify())
    async def handler(request: Request) -> Result[Nowhere]:  # type: ignore[name-defined]  # noqa: F821
        return ok(Row())

    with pytest.raises(ConfigurationError, match="return"):
        GuardedRoute("/", handler)
