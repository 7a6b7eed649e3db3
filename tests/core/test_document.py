"""OpenAPI: what guards fill is hidden from FastAPI, and put back into its document."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.requests import Request
from starlette.routing import Route

from gatewright import (
    FromBody,
    FromCookie,
    FromForm,
    FromHeader,
    FromPath,
    FromQuery,
    Gate,
    PageParams,
    Principal,
    Result,
    ok,
    paginate,
    validate,
)
from gatewright._core.decorate import guarded_by
from gatewright._core.document import document
from gatewright._core.handler import Handler
from gatewright.fastapi import GuardedRoute
from gatewright.testing import call
from tests.toys import Identify

identified = guarded_by(Identify())


class Named(BaseModel):
    """A body."""

    name: str = Field(min_length=2)


class Tree(BaseModel):
    """Contains itself, twice over."""

    children: list[Tree] = []
    parent: Tree | None = None


class Search(BaseModel):
    """Several parameters at once."""

    model_config = ConfigDict(populate_by_name=True)

    text: str
    sort_by: str = Field("name", alias="sortBy")


class Opaque:
    """A type that pydantic takes on trust, and that has no JSON schema."""


class WithOpaque(BaseModel):
    """A body with a field that JSON Schema cannot describe."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    value: Annotated[Opaque, BeforeValidator(lambda value: Opaque())]


async def _shelf(shelf: int) -> int:
    return shelf


@pytest.fixture(params=["route class", "installed"])
def how(request: pytest.FixtureRequest) -> str:
    """Return one of the ways to get the document."""
    return str(request.param)


def _operation(handler: Any, how: str, **options: Any) -> dict[str, Any]:
    router = APIRouter(route_class=GuardedRoute) if how == "route class" else APIRouter()
    router.post(options.pop("path", "/x"), **options)(handler)
    app = FastAPI()
    app.include_router(router)
    if how == "installed":
        Gate().install(app)
    operation: dict[str, Any] = app.openapi()["paths"].popitem()[1]["post"]
    return operation


def _shown(operation: dict[str, Any]) -> dict[tuple[str, str], tuple[bool, Any]]:
    return {(p["in"], p["name"]): (p["required"], p["schema"].get("type")) for p in operation.get("parameters", ())}


def test_a_body_is_required_unless_it_has_a_default(how: str) -> None:
    """And so it is for a form; the media type follows the marker."""

    @validate
    async def must(body: FromBody[Named]) -> Result[None]:
        return ok()

    @validate
    async def may(form: FromForm[Named] | None = None) -> Result[None]:
        return ok()

    body = _operation(must, how)["requestBody"]
    assert body["required"] is True
    assert body["content"]["application/json"]["schema"]["properties"]["name"]["minLength"] == 2
    form = _operation(may, how)["requestBody"]
    assert form["required"] is False
    assert list(form["content"]) == ["application/x-www-form-urlencoded"]


def test_single_parameters_are_named_as_the_client_writes_them(how: str) -> None:
    """Headers with hyphens; a path parameter is always required."""

    @validate
    async def handler(
        item_id: FromPath[int],
        q: FromQuery[str],
        x_more: FromHeader[str],
        crumb: FromCookie[str] = "c",
        n: FromQuery[int] = 1,
    ) -> Result[None]:
        return ok()

    assert _shown(_operation(handler, how, path="/x/{item_id}")) == {
        ("path", "item_id"): (True, "integer"),
        ("query", "q"): (True, "string"),
        ("query", "n"): (False, "integer"),
        ("header", "x-more"): (True, "string"),
        ("cookie", "crumb"): (False, "string"),
    }


def test_a_model_of_parameters_is_one_parameter_for_each_field(how: str) -> None:
    """Under their aliases, required where the field is."""

    @validate
    async def handler(search: FromQuery[Search]) -> Result[None]:
        return ok()

    assert _shown(_operation(handler, how)) == {
        ("query", "text"): (True, "string"),
        ("query", "sortBy"): (False, "string"),
    }


def test_page_parameters_are_shown(how: str) -> None:
    """`page` and `limit`, whole numbers from 1."""

    @paginate
    async def handler(params: PageParams) -> Result[None]:
        return ok()

    assert _shown(_operation(handler, how)) == {
        ("query", "page"): (False, "integer"),
        ("query", "limit"): (False, "integer"),
    }


def test_a_model_that_contains_itself_is_written_out_once(how: str) -> None:
    """The inner one is named and left open; no reference dangles."""

    @validate
    async def handler(tree: FromBody[Tree]) -> Result[None]:
        return ok()

    operation = _operation(handler, how)
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["children"]["items"] == {"title": "Tree", "type": "object"}
    assert schema["properties"]["parent"]["anyOf"][0] == {"title": "Tree", "type": "object"}
    assert "$ref" not in repr(operation["requestBody"])


def test_what_no_client_sends_is_not_shown(how: str) -> None:
    """A principal, a logger, the private parameter; FastAPI's own parameters stay."""

    @identified
    async def handler(principal: Principal, q: int) -> Result[None]:
        return ok()

    operation = _operation(handler, how)
    assert _shown(operation) == {("query", "q"): (True, "integer")}
    assert "requestBody" not in operation


def test_what_only_a_guard_reads_of_the_path_is_shown(how: str) -> None:
    """An operation has all parameters of its path (OpenAPI 3.1, section 4.8.9); each is there once."""

    @identified
    @validate
    async def handler(
        room: FromPath[int], wall: str, book: FromQuery[str], shelf: Annotated[int, Depends(_shelf)]
    ) -> Result[None]:
        return ok()

    operation = _operation(handler, how, path="/{room}/{wall}/{shelf}/{book}")
    assert len(operation["parameters"]) == 5
    assert _shown(operation) == {
        ("path", "room"): (True, "integer"),
        ("path", "wall"): (True, "string"),
        ("path", "shelf"): (True, "integer"),
        ("path", "book"): (True, "string"),
        ("query", "book"): (True, "string"),
    }


def test_what_the_author_wrote_into_the_operation_is_kept(how: str) -> None:
    """`openapi_extra` wins over ours, and FastAPI's own parameters stand beside."""

    @validate
    async def handler(body: FromBody[Named], q: int, page: FromQuery[int] = 1) -> Result[None]:
        return ok()

    body = {"content": {"application/json": {"schema": {"title": "Mine"}}}}
    operation = _operation(handler, how, openapi_extra={"requestBody": body, "x-more": 1})
    assert operation["x-more"] == 1
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {"title": "Mine"}
    assert set(_shown(operation)) == {("query", "q"), ("query", "page")}


def test_a_route_without_openapi_is_left_alone() -> None:
    """Starlette's has no document."""

    async def handler(request: Request) -> None: ...

    route = Route("/", handler)
    document(route, Handler.read(handler))
    assert not hasattr(route, "openapi_extra")


@pytest.mark.anyio
async def test_a_type_without_a_schema_does_not_keep_the_app_from_starting(how: str) -> None:
    """Documentation is not worth an outage: the handler works, as it would on FastAPI itself."""

    @validate
    async def handler(body: FromBody[WithOpaque]) -> Result[bool]:
        return ok(isinstance(body.value, Opaque))

    router = APIRouter(route_class=GuardedRoute) if how == "route class" else APIRouter()
    router.post("/")(handler)
    app = FastAPI()
    app.include_router(router)
    if how == "installed":
        Gate().install(app)
    assert (await call(app, json={"value": 1})).json["data"] is True
