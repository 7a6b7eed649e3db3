"""FastAPI and Litestar, reading three fields from each source as their documentation shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Form, Header, Path, Query
from litestar import Litestar, post
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter, URLEncodedBody
from pydantic import BaseModel, Field
from starlette.types import ASGIApp

__all__ = ["Thing", "fastapi", "litestar"]


class Thing(BaseModel):
    """What is asked for."""

    name: str = Field(min_length=2)
    count: int = Field(ge=1)
    ratio: float = 1.0


def fastapi(source: str, route: str) -> ASGIApp:
    """Let FastAPI read it."""
    app = FastAPI()
    app.post(route)(_IN_FASTAPI[source])
    return app


async def _body(thing: Thing) -> Thing:
    return thing


async def _query(thing: Annotated[Thing, Query()]) -> Thing:
    return thing


async def _path(
    name: Annotated[str, Path(min_length=2)], count: Annotated[int, Path(ge=1)], ratio: Annotated[float, Path()]
) -> Thing:
    return Thing(name=name, count=count, ratio=ratio)


async def _form(thing: Annotated[Thing, Form()]) -> Thing:
    return thing


async def _header(thing: Annotated[Thing, Header()]) -> Thing:
    return thing


_IN_FASTAPI: dict[str, Callable[..., Any]] = {
    "body": _body,
    "query": _query,
    "path": _path,
    "form": _form,
    "header": _header,
}


def litestar(source: str, route: str) -> ASGIApp:
    """Let Litestar read it."""
    if source == "path":
        route = "/thing/{name:str}/{count:int}/{ratio:float}"
    handler = post(route, status_code=200)(_IN_LITESTAR[source])
    # Its own logging would begin a thread, and change the root logger for all other candidates.
    app: Any = Litestar([handler], openapi_config=None, logging_config=None)
    served: ASGIApp = app
    return served


async def _json_data(data: JSONBody[Thing]) -> Thing:
    return data


async def _form_data(data: URLEncodedBody[Thing]) -> Thing:
    return data


async def _in_query(
    name: Annotated[str, QueryParameter(min_length=2)],
    count: Annotated[int, QueryParameter(ge=1)],
    ratio: Annotated[float, QueryParameter()] = 1.0,
) -> Thing:
    return Thing(name=name, count=count, ratio=ratio)


async def _in_path(
    name: Annotated[str, PathParameter(min_length=2)],
    count: Annotated[int, PathParameter(ge=1)],
    ratio: Annotated[float, PathParameter()],
) -> Thing:
    return Thing(name=name, count=count, ratio=ratio)


async def _in_headers(
    name: Annotated[str, HeaderParameter(name="name", min_length=2)],
    count: Annotated[int, HeaderParameter(name="count", ge=1)],
    ratio: Annotated[float, HeaderParameter(name="ratio")] = 1.0,
) -> Thing:
    return Thing(name=name, count=count, ratio=ratio)


_IN_LITESTAR: dict[str, Callable[..., Any]] = {
    "body": _json_data,
    "query": _in_query,
    "path": _in_path,
    "form": _form_data,
    "header": _in_headers,
}
