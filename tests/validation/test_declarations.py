"""What @validate refuses before the first request, and what it says to write instead."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Annotated, Any, NamedTuple

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic_core import CoreSchema, core_schema

from gatewright._core.phase import Phase
from gatewright.errors import ConfigurationError
from gatewright.validation import FromBody, FromCookie, FromForm, FromHeader, FromPath, FromQuery, Validate, validate
from gatewright.validation.shape import Kind, shape
from gatewright.validation.sources import SOURCES, Body
from tests.validation.kit import sealed


class Post(BaseModel):
    title: str


class Nested(BaseModel):
    post: Post


class Tree(BaseModel):
    children: list[Tree] = []


class Unfinished(BaseModel):
    other: Missing  # type: ignore[name-defined]  # noqa: F821  # what the test is about


class Late(BaseModel):
    model_config = ConfigDict(defer_build=True)

    title: str


class Lazy(BaseModel):
    parts: list[Iterable[int]]


class Pair(NamedTuple):
    a: int


class Chained:
    """A type that is read in two steps."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        return core_schema.chain_schema([core_schema.list_schema(), core_schema.any_schema()])


def nothing(request: Any) -> None: ...
def two_bodies(one: FromBody[Post], two: FromBody[Post]) -> None: ...
def body_and_form(one: FromBody[Post], two: FromForm[Post]) -> None: ...
def nested_query(q: FromQuery[Nested]) -> None: ...
def tree_query(q: FromQuery[Tree]) -> None: ...
def dict_query(q: FromQuery[dict[str, int]]) -> None: ...
def pair_query(q: FromQuery[list[Pair]]) -> None: ...
def union_query(q: FromQuery[int | list[Post]]) -> None: ...
def list_path(ids: FromPath[list[int]]) -> None: ...
def set_cookie(ids: FromCookie[set[int]]) -> None: ...
def nested_header(h: FromHeader[Nested]) -> None: ...
def unresolved(body: FromBody[Missing]) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def inner_string(body: Any) -> None: ...
def unfinished(body: FromBody[Unfinished]) -> None: ...
def unknown(body: FromBody[inspect.Signature]) -> None: ...
def lazy(body: FromBody[Lazy]) -> None: ...


# Written with quotes inside, which a formatter would take away.
inner_string.__annotations__["body"] = FromBody["Missing"]  # type: ignore[name-defined]


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (nothing, "nothing to validate; annotate a parameter, such as body: FromBody"),
        (two_bodies, "one, two are two bodies; write one model"),
        (body_and_form, "write FromBody or FromForm"),
        (nested_query, "cannot fill post, which takes named values"),
        (tree_query, "cannot fill children, which takes an object inside"),
        (dict_query, "cannot fill q, which takes an object inside"),
        (pair_query, "cannot fill q, which takes an object inside"),
        (union_query, "cannot fill q, which takes an object inside"),
        (list_path, "FromPath cannot fill ids, which takes several values; write fields of one value,"),
        (set_cookie, "FromCookie cannot fill ids"),
        (nested_header, "FromHeader cannot fill post"),
        (unresolved, "not under TYPE_CHECKING"),
        (inner_string, "name 'Missing' is not defined"),
        (unfinished, "name 'Missing' is not defined"),
        (unknown, "pydantic cannot check body"),
        (lazy, "write list"),
    ],
)
def test_what_cannot_work_is_refused_when_sealed(handler: Any, says: str) -> None:
    """The message names the handler and the parameter, and what to write."""
    with pytest.raises(ConfigurationError, match=says) as caught:
        sealed(handler)
    assert handler.__name__ in str(caught.value) and "\n" not in str(caught.value)


def test_a_foreign_unresolved_annotation_is_not_our_business() -> None:
    """FastAPI takes `user: "User" = Depends(...)` whose type exists for checkers only."""

    def handler(body: FromBody[Post], user: OnlyForCheckers = None) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert sealed(handler).reads_body


def test_a_model_in_place_of_a_handler_is_refused() -> None:
    """`@validate(Model)` is how other libraries are written."""
    with pytest.raises(ConfigurationError, match=r"body: FromBody\[Post\]"):
        validate(Post)


def test_the_guard_says_what_it_is() -> None:
    """One per handler, in PARSE, providing every source; it reads the body only where a body is wanted."""
    guard = Validate()
    assert (guard.phase, guard.single, guard.reads_handler, guard.provides) == (Phase.PARSE, True, True, SOURCES)
    assert sealed(two_sources).reads_body and not sealed(only_query).reads_body
    with pytest.raises(ConfigurationError, match="two validate"):
        validate(validate(only_query))


def two_sources(body: FromForm[Post], q: FromQuery[str]) -> None: ...
def only_query(q: FromQuery[str]) -> None: ...
def late(body: FromBody[Late]) -> None: ...


def test_a_model_with_a_deferred_schema_is_built() -> None:
    """Not at the first request, and not by a stand-in."""
    assert sealed(late).reads_body


def test_a_source_is_written_as_it_is_imported() -> None:
    """For messages."""
    assert repr(Body()) == "FromBody"


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        (int, Kind.ONE),
        (Any, Kind.ONE),
        (Annotated[list[int], Field(max_length=3)], Kind.SEVERAL),
        (frozenset[int] | None, Kind.SEVERAL),
        (tuple[int, str], Kind.SEVERAL),
        (tuple[int, list[str]], Kind.DEEP),
        (int | list[int], Kind.SEVERAL),
        (int | Post, Kind.DEEP),
        (dict[str, int], Kind.DEEP),
        (Pair, Kind.DEEP),
        (Chained, Kind.SEVERAL),
        (Tree, Kind.FIELDS),
        (Tree | None, Kind.FIELDS),
    ],
)
def test_shapes(type_: Any, kind: Kind) -> None:
    """What a flat source would have to give for a type."""
    assert shape(TypeAdapter(type_).core_schema).kind is kind
