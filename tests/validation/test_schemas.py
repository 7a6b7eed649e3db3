"""What may stand in the brackets: whatever pydantic's TypeAdapter takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple, NotRequired

import attrs
import msgspec
import pydantic
import pytest
from pydantic import BaseModel, Discriminator, Field, RootModel, Tag
from typing_extensions import TypedDict

from gatewright.errors import ConfigurationError
from gatewright.result import Result, ok
from gatewright.validation import FromBody, FromForm, FromInput, FromQuery, validate
from tests.validation.kit import JSON, data, details, sealed, send

pytestmark = pytest.mark.anyio


@dataclass
class Standard:
    name: str
    tags: list[str] = field(default_factory=list)


@pydantic.dataclasses.dataclass
class Pydantics:
    name: str
    tags: list[str] = Field(default_factory=list)


class Typed(TypedDict):
    name: str
    tags: NotRequired[list[str]]


class Named(NamedTuple):
    name: str
    tags: list[str] = []  # noqa: RUF012  # as an author may write it


class Model(BaseModel):
    name: str
    tags: list[str] = []


class Outer(BaseModel):
    inner: Standard | None = None
    typed: Typed | None = None
    named: Named | None = None


class Struct(msgspec.Struct):
    name: str


@attrs.define
class Attrs:
    name: str


def _taking(source: Any, type_: Any) -> Any:
    async def handler(given: Any) -> Result[Any]:
        return ok(given)

    handler.__annotations__["given"] = source[type_]
    return validate(handler)


@pytest.mark.parametrize("type_", [Standard, Pydantics, Typed, Model, Named])
async def test_json_fills_every_kind_of_record(type_: Any) -> None:
    """The path of what is wrong is the client's."""
    handler = _taking(FromBody, type_)
    found = await data(handler, json={"name": "a", "tags": ["b"]})
    assert found in ({"name": "a", "tags": ["b"]}, ["a", ["b"]])
    assert list(await details(handler, json={"name": "a", "tags": [1]})) == ["tags.0"]


@pytest.mark.parametrize("source", [FromForm, FromInput, FromQuery])
@pytest.mark.parametrize("type_", [Standard, Pydantics, Typed, Model])
async def test_so_do_forms_and_queries(source: Any, type_: Any) -> None:
    """A record takes the whole source."""
    handler = _taking(source, type_)
    sent = {"query": "name=a&tags=b"} if source is FromQuery else {"form": {"name": "a", "tags": ["b"]}}
    assert await data(handler, **sent) == {"name": "a", "tags": ["b"]}


async def test_records_stand_inside_of_records() -> None:
    """In a form, too."""
    handler = _taking(FromInput, Outer)
    sent = {"inner.name": "a", "typed[name]": "b", "named.0": "c"}
    found = await data(handler, form=sent)
    assert (found["inner"]["name"], found["typed"], found["named"][0]) == ("a", {"name": "b"}, "c")
    sent = {"named.name": "c", "named.tags[]": ["d", "e"]}
    assert (await data(handler, form=sent))["named"] == ["c", ["d", "e"]]
    assert (await data(handler, form={"named.0": "c", "named[1][0]": "d"}))["named"] == ["c", ["d"]]


@pytest.mark.parametrize(
    ("type_", "says"),
    [
        (Struct, "a dataclass or a pydantic model in place of the msgspec.Struct Struct"),
        (list[Struct], "a dataclass or a pydantic model in place of the msgspec.Struct Struct"),
        (Attrs, "a dataclass or a pydantic model in place of the attrs class Attrs"),
        (dict[str, Attrs], "a dataclass or a pydantic model in place of the attrs class Attrs"),
    ],
)
def test_what_pydantic_does_not_take_is_refused_with_what_to_write(type_: Any, says: str) -> None:
    """When sealed, and never by a request."""

    def handler(given: Any) -> None: ...

    handler.__annotations__["given"] = FromBody[type_]
    with pytest.raises(ConfigurationError, match=says):
        sealed(handler)


class A(BaseModel):
    kind: str
    a: int


class B(BaseModel):
    kind: str
    b: int


def _kind(value: Any) -> str | None:
    return value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)


Either = Annotated[Annotated[A, Tag("a")] | Annotated[B, Tag("b")], Discriminator(_kind)]


class Many(BaseModel):
    lists: list[list[Either]] = []
    by_name: dict[str, list[Either]] = {}


async def test_unions_in_lists_in_lists_have_the_paths_of_the_input() -> None:
    """Tags of a callable discriminator are no steps; a tag that is missing or unknown is the union's own mistake."""
    handler = _taking(FromBody, Many)
    found = await details(
        handler,
        json={
            "lists": [[], [{"kind": "a", "a": "x"}, {"kind": "c"}, {}, 3]],
            "by_name": {"b": [{"kind": "b"}]},
        },
    )
    assert list(found) == ["lists.1.0.a", "lists.1.1", "lists.1.2", "lists.1.3", "by_name.b.0.b"]
    assert list(await details(_taking(FromBody, RootModel[list[Either]]), json=[{"kind": "a"}])) == ["0.a"]


@pytest.mark.parametrize(
    "kind",
    ["application/problem+json", "application/json; charset=utf-8", "APPLICATION/VND.API+JSON", "application/json"],
)
async def test_an_input_takes_every_json(kind: str) -> None:
    """As `FromBody` does."""
    handler = _taking(FromInput, Model)
    assert (await data(handler, data=b'{"name":"a"}', headers={"content-type": kind}))["name"] == "a"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/json; charset=latin-1"}, 415),
        ({"content-type": "multipart/mixed; boundary=b"}, 415),
        ({}, 415),
        ({"content-type": "multipart/form-data"}, 400),
        ({"content-type": "multipart/form-data; boundary="}, 415),
    ],
)
async def test_hono_middleware_841_an_input_of_another_type_is_no_empty_object(
    headers: dict[str, str], status: int
) -> None:
    """Hono validated `{}` and said that every field was missing; the client learns here what it may send."""
    reply = await send(_taking(FromInput, Model), data=b'{"name":"a"}', headers=headers)
    assert reply.status == status
    if status == 415:
        accepted = "application/json, application/x-www-form-urlencoded, multipart/form-data"
        assert reply.headers["accept"] == accepted


async def test_an_input_that_is_empty_is_a_body_that_is_missing() -> None:
    """Whatever its type says; an empty form is a form without entries."""
    handler = _taking(FromInput, Model)
    for headers in ({}, JSON):
        assert await details(handler, method="POST", headers=headers) == {"_root": ["A body is required"]}
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert await details(handler, method="POST", headers=form) == {"name": ["Field required"]}
