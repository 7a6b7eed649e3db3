"""FromQuery, FromPath, FromHeader, FromCookie: flat sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, RootModel
from typing_extensions import TypedDict

from gatewright._core.call import Call
from gatewright.errors import ConfigurationError, InvalidInput
from gatewright.pagination import paginate
from gatewright.result import PageParams, Result, ok
from gatewright.testing import enter, make_call
from gatewright.validation import FromBody, FromCookie, FromHeader, FromPath, FromQuery, validate
from tests.validation.kit import data, details, sealed, send

pytestmark = pytest.mark.anyio


class Filters(BaseModel):
    q: str | None = None
    tags: list[str] = []
    order: Literal["up", "down"] = "up"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    q: str = ""


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")

    q: str = ""


class Named(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    user_name: str = Field(alias="userName")
    colour: str = Field("red", validation_alias=AliasChoices("color", "colour"))
    first: str = Field("", validation_alias=AliasPath("all", 0))


@dataclass
class Point:
    x: int
    y: int = 0


class Box(TypedDict):
    width: int
    height: NotRequired[int]


@validate
async def search(filters: FromQuery[Filters]) -> Result[Any]:
    return ok(filters)


@validate
async def scalars(
    page: FromQuery[int],
    ids: FromQuery[Sequence[int]] = (),
    pair: FromQuery[tuple[int, int] | None] = None,
    when: FromQuery[UUID | None] = None,
    json: FromQuery[bool] | None = None,
    *,
    size: FromQuery[Annotated[int, Field(alias="page-size", default=20, le=50)]],
) -> Result[Any]:
    return ok([page, list(ids), pair, when, json, size])


async def test_a_model_takes_the_whole_query() -> None:
    """Lists collect every entry of their name; other entries are ignored."""
    found = await data(search, query="tags=a&q=x+y%C3%BC&tags=b&utm=1&utm=2")
    assert found == {"q": "x yü", "tags": ["a", "b"], "order": "up"}


async def test_single_parameters_take_the_entry_of_their_name() -> None:
    """Defaults, `| None` on either side of the bracket, and aliases make the difference."""
    assert await data(scalars, query="page=2&ids=1&ids=2&json=true&page-size=5") == [2, [1, 2], None, None, True, 5]
    assert await data(scalars, query="page=2&pair=3&pair=4") == [2, [], [3, 4], None, None, 20]
    found = await details(scalars, query="ids=1&ids=x&when=hunter2&page-size=51")
    assert found == {
        "page": ["Field required"],
        "ids.1": ["Input should be a valid integer, unable to parse string as an integer"],
        "when": ["Input should be a valid UUID"],
        "page-size": ["Input should be less than or equal to 50"],
    }


@pytest.mark.parametrize("query", ["q=%ff", "%ff=1", "q=%C3", "&".join(["a=1"] * 1_001)])
async def test_a_query_that_cannot_be_read_is_a_400(query: str) -> None:
    """Bad UTF-8 is refused, not replaced: two values that differ must not become one."""
    assert list(await details(search, query=query)) == ["_root"]


async def test_parameter_pollution_a_repeated_scalar_is_a_400() -> None:
    """First or last wins is how a firewall and an app come to disagree; the other errors are said too."""
    found = await details(search, query="q=a&q=b&order=left")
    assert found == {"q": ["Give this once only"], "order": ["Input should be 'up' or 'down'"]}


async def test_a_model_that_forbids_extras_sees_them() -> None:
    """Unknown entries are its business, named by their path; their values are not repeated."""

    @validate
    async def strict(filters: FromQuery[Strict], n: FromQuery[int] = 0) -> Result[Any]:
        return ok([filters, n])

    found = await details(strict, query="q=a&zz=hunter2")
    assert found == {"zz": ["Extra inputs are not permitted"]}
    # What another parameter of the same source reads is no extra.
    assert await data(strict, query="q=a&n=1") == [{"q": "a"}, 1]


async def test_a_page_is_no_extra() -> None:
    """Beside `PageParams`, page and limit belong to paginate."""

    @validate
    @paginate
    async def strict(filters: FromQuery[Strict], page: PageParams) -> Result[Any]:
        return ok([filters.q, page.page])

    assert await data(strict, query="q=a&page=2&limit=5") == ["a", 2]
    assert list(await details(strict, query="q=a&page=2&pages=5")) == ["pages"]


async def test_a_model_that_allows_extras_gets_each_once() -> None:
    """A repeated unknown entry would be a list for one model and a text for another."""

    @validate
    async def open_(filters: FromQuery[Open]) -> Result[Any]:
        return ok(filters.model_extra)

    assert await data(open_, query="a=1&b=2") == {"a": "1", "b": "2"}
    assert await details(open_, query="a=1&a=2") == {"a": ["Give this once only"]}


async def test_names_and_aliases() -> None:
    """A field is found under every name that pydantic would take."""

    @validate
    async def named(names: FromQuery[Named]) -> Result[Any]:
        return ok([names.user_name, names.colour, names.first])

    assert await data(named, query="userName=a&color=b&all=c&all=d") == ["a", "b", "c"]
    assert await data(named, query="user_name=a&colour=b") == ["a", "b", ""]
    assert await details(named, query="color=a") == {"userName": ["Field required"]}


async def test_dataclasses_and_typed_dicts_are_models_too() -> None:
    """Whatever has named fields takes the whole source; several may share it."""

    @validate
    async def shapes(point: FromQuery[Point], box: FromQuery[Box], root: FromQuery[RootModel[int]]) -> Result[Any]:
        return ok([point.x, point.y, box, root.root])

    assert await data(shapes, query="x=1&width=2&root=3") == [1, 0, {"width": 2}, 3]
    assert set(await details(shapes, query="")) == {"x", "width", "root"}


async def test_an_optional_model_is_absent_when_none_of_its_fields_is_there() -> None:
    """Other entries do not bring it to life."""

    @validate
    async def maybe(point: FromQuery[Point | None] = None) -> Result[Any]:
        return ok(point)

    assert await data(maybe, query="z=1") is None
    assert await data(maybe, query="x=1") == {"x": 1, "y": 0}
    assert await details(maybe, query="y=1") == {"x": ["Field required"]}


async def test_a_mutable_default_is_given_as_python_would() -> None:
    """A default need not be hashable."""

    @validate
    async def listed(ids: FromQuery[list[int]] = [7]) -> Result[Any]:  # noqa: B006
        return ok(ids)

    assert await data(listed) == [7]


@validate
async def path(post: FromPath[int], slug: FromPath[str] = "none") -> Result[Any]:
    return ok([post, slug])


async def test_path_parameters_come_from_the_route() -> None:
    """Texts, or what a convertor of the route made of them."""
    assert await data(path, path_params={"post": "7"}) == [7, "none"]
    assert await data(path, path_params={"post": 7, "slug": "a"}) == [7, "a"]
    assert list(await details(path, path_params={"post": "x"})) == ["post"]


async def test_a_route_without_the_parameter_is_the_authors_mistake() -> None:
    """The client cannot have left it out, so it is told nothing."""
    with pytest.raises(ConfigurationError, match=r"the route has no \{post\}"):
        await enter(sealed(path.handler), make_call(path_params={"name": "a"}))
    assert (await send(path, path_params={})).status == 500


class Tracing(BaseModel):
    x_token: str
    accept: list[str] = []


@validate
async def headers(
    tracing: FromHeader[Tracing],
    user_agent: FromHeader[str],
    tries: FromHeader[Annotated[int, Field(alias="X-Tries")]] = 1,
) -> Result[Any]:
    return ok([tracing, user_agent, tries])


async def test_headers_are_named_with_hyphens() -> None:
    """`x_token` reads `X-Token`, in any case; a list collects repeated lines; bytes are latin-1."""
    sent = [("X-Token", "t\xe9"), ("User-Agent", "me"), ("Accept", "a"), ("accept", "b, c"), ("x-tries", "2")]
    assert await data(headers, headers=sent) == [{"x_token": "té", "accept": ["a", "b, c"]}, "me", 2]


async def test_header_errors_name_the_header() -> None:
    """A path is what the client would have to send."""
    found = await details(headers, headers=[("x-token", "secret-1"), ("x-token", "secret-2"), ("x-tries", "secret-3")])
    assert found == {
        "x-token": ["Give this once only"],
        "user-agent": ["Field required"],
        "x-tries": ["Input should be a valid integer, unable to parse string as an integer"],
    }


class Exact(BaseModel):
    model_config = ConfigDict(extra="forbid")

    x_token: str


async def test_headers_and_cookies_that_nobody_asked_for_are_not_forbidden() -> None:
    """Every browser sends some; a strict model is not told of them, nor of its neighbours."""

    @validate
    async def strict(
        head: FromHeader[Exact], accept: FromHeader[str], jar: FromCookie[Exact], theme: FromCookie[str]
    ) -> Result[Any]:
        return ok([head.x_token, jar.x_token])

    found = await data(
        strict, headers={"x-token": "a", "accept": "b"}, cookies={"x_token": "c", "theme": "d", "z": "e"}
    )
    assert found == ["a", "c"]


@validate
async def cookies(
    theme: FromCookie[Literal["dark", "light"]] = "light", n: FromCookie[int | None] = None
) -> Result[Any]:
    return ok([theme, n])


async def test_cookies() -> None:
    """One entry each; a cookie that occurs twice is none."""
    assert await data(cookies, cookies={"theme": "dark", "n": "3"}) == ["dark", 3]
    assert await data(cookies, headers={"cookie": "theme=dark; theme=light"}) == ["light", None]
    assert await details(cookies, cookies={"theme": "hunter2"}) == {"theme": ["Input should be 'dark' or 'light'"]}


async def test_all_sources_are_validated_together() -> None:
    """One answer says what is wrong with body, path, query, headers and cookies; one path may have several messages."""

    @validate
    async def everything(
        body: FromBody[Point], x: FromPath[int], page: FromQuery[int], n: FromCookie[int], x_token: FromHeader[str]
    ) -> Result[Any]:
        return ok()

    found = await details(everything, json={"x": "a"}, query="page=a", cookies={"n": "a"}, path_params={"x": "a"})
    assert set(found) == {"x", "page", "n", "x-token"}
    assert len(found["x"]) == 2


def test_without_a_body_nothing_is_awaited() -> None:
    """The guard is a plain function, so that it costs no coroutine."""
    call = make_call(query="q=a")
    assert sealed(search.handler).enter(call) is None
    assert call.arguments == {"filters": Filters(q="a")}


NOTHING: Any = (None, None)
GUARDS = [sealed(handler.handler) for handler in (search, scalars, headers, cookies, path)]


@given(query=st.binary(max_size=50), header=st.binary(max_size=20))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_values_or_a_400(query: bytes, header: bytes) -> None:
    """Nothing but InvalidInput ever leaves the guard."""
    call = make_call(path_params={"post": query.decode("latin-1")})
    call.scope["query_string"] = query
    call.scope["headers"] = [(b"x-token", header), (b"cookie", header), (b"x-tries", query)]
    for guard in GUARDS:
        try:
            guard.enter(Call(call.gate, call.scope, *NOTHING))
        except InvalidInput as refusal:
            assert refusal.details
