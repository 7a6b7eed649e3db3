"""Proof (b): parameters that guards fill are hidden from FastAPI, and back in its OpenAPI document."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

from gatewright import (
    FromBody,
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
from gatewright.fastapi import GuardedRoute
from tests.toys import Identify


class Author(BaseModel):
    """Nested, so that a reference has to be written out."""

    name: str
    friends: list[Author] = []


class CreatePost(BaseModel):
    """The body."""

    title: str
    author: Author


class PostOut(BaseModel):
    """The answer."""

    id: int


class Filters(BaseModel):
    """Several query parameters at once."""

    tag: str = "all"
    draft: bool = False


@guarded_by(Identify())
@validate
@paginate
async def create(
    blog: FromPath[int],
    body: FromBody[CreatePost],
    filters: FromQuery[Filters],
    x_tenant: FromHeader[str],
    page: PageParams,
    principal: Principal,
) -> Result[PostOut]:
    """Create a post."""
    return ok(PostOut(id=blog))


def _document(how: str) -> dict[str, Any]:
    app = FastAPI()
    router = APIRouter(route_class=GuardedRoute) if how == "route class" else APIRouter()
    router.post("/blogs/{blog}/posts", status_code=201)(create)
    app.include_router(router, prefix="/v1")
    if how == "installed":
        Gate().install(app)
    document: dict[str, Any] = app.openapi()
    return document


@pytest.mark.parametrize("how", ["route class", "installed"])
def test_injected_parameters_are_in_the_document(how: str) -> None:
    """Body, query, path, header and page parameters are documented; the principal and the private one are not."""
    operation = _document(how)["paths"]["/v1/blogs/{blog}/posts"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["properties"]) == {"title", "author"}
    assert schema["properties"]["author"]["properties"]["friends"]["items"] == {"title": "Author", "type": "object"}
    shown = {(p["in"], p["name"], p["required"]) for p in operation["parameters"]}
    assert shown == {
        ("path", "blog", True),
        ("query", "tag", False),
        ("query", "draft", False),
        ("query", "page", False),
        ("query", "limit", False),
        ("header", "x-tenant", True),
    }


@pytest.mark.parametrize("how", ["plain", "route class", "installed"])
def test_nothing_private_shows(how: str) -> None:
    """FastAPI sees no parameter of ours in any of the three ways, and the envelope is the documented answer."""
    document = _document(how)
    operation = document["paths"]["/v1/blogs/{blog}/posts"]["post"]
    assert "gatewright" not in repr(document)
    assert "principal" not in repr(document)
    answer = operation["responses"]["201"]["content"]["application/json"]["schema"]
    written = repr(answer) + repr(document.get("components", {}))
    assert "success" in written
    assert "PostOut" in written
