"""Endpoints in the style of FastAPI's tutorial, each of which a decorator may stand in front of."""

# Annotations are evaluated here, as in the tutorial: what is local to a function could not be found by name.

import datetime
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import fastapi
from fastapi import (
    APIRouter,
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    FastAPI,
    File,
    Form,
    Header,
    HTTPException,
    Path,
    Query,
    Request,
    Response,
    Security,
    UploadFile,
    status,
)
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from fastapi.security import APIKeyHeader, HTTPBasic, HTTPBasicCredentials, OAuth2PasswordBearer
from pydantic import BaseModel, Field

__all__ = ["YIELDS", "register"]

YIELDS = tuple(map(int, fastapi.__version__.split(".")[:2])) >= (0, 134)
Decorate = Callable[[Callable[..., Any]], Callable[..., Any]]


class Model(StrEnum):
    """A path's choices."""

    ALEX = "alex"
    LENET = "lenet"


class Image(BaseModel):
    """Nested."""

    url: str
    width: int = 10


class Item(BaseModel):
    """A body."""

    name: str = Field(min_length=2)
    price: float
    tags: set[str] = set()
    images: list[Image] = []
    description: str | None = Field(default=None, max_length=20)


class ItemOut(BaseModel):
    """What leaves of it."""

    name: str
    price: float = 1.5
    description: str | None = None


class Filters(BaseModel):
    """A query as a model."""

    model_config = {"extra": "forbid"}

    limit: int = Field(100, gt=0, le=100)
    order_by: str = "created"
    tags: list[str] = []


class LoginForm(BaseModel):
    """A form as a model."""

    username: str
    password: str


class Broken(Exception):
    """Handled by the app."""


class Common:
    """A dependency that is a class."""

    def __init__(self, q: str | None = None, skip: int = 0) -> None:
        self.q = q
        self.skip = skip


def register(app: FastAPI, router: APIRouter, guarded: Decorate, events: list[str]) -> None:
    """Put all endpoints, each behind *guarded*, into *router*, and it into *app*; *events* hears of dependencies."""
    _parameters(router, guarded)
    _bodies(router, guarded)
    _forms(router, guarded)
    _dependencies(router, guarded, events)
    _responses(router, guarded, events)
    _security(router, guarded)
    if YIELDS:
        _generators(router, guarded)
    app.include_router(router, prefix="/v1", tags=["all"], responses={418: {"description": "a teapot"}})

    @app.exception_handler(Broken)
    async def _handled(request: Request, exc: Broken) -> JSONResponse:
        return JSONResponse({"mine": str(exc)}, status_code=418)


def _parameters(router: APIRouter, guarded: Decorate) -> None:
    @router.get("/items/{item_id}")
    @guarded
    async def read_item(item_id: int, q: str | None = None, short: bool = False) -> dict[str, Any]:
        return {"item_id": item_id, "q": q, "short": short}

    @router.get("/models/{model}")
    @guarded
    def read_model(model: Model) -> str:
        return model.value

    @router.get("/files/{file_path:path}", deprecated=True, summary="A file", response_description="Its path")
    @guarded
    async def read_file(file_path: str) -> str:
        """Return a *path*."""
        return file_path

    @router.get("/search")
    @guarded
    async def search(
        q: Annotated[list[str], Query(alias="item-query", min_length=1)],
        size: Annotated[float, Query(gt=0, lt=10.5)] = 1,
        hidden: Annotated[str | None, Query(include_in_schema=False)] = None,
    ) -> dict[str, Any]:
        return {"q": q, "size": size, "hidden": hidden}

    @router.get("/filtered")
    @guarded
    async def filtered(filters: Annotated[Filters, Query()]) -> Filters:
        return filters

    @router.get("/bounds/{number}")
    @guarded
    async def bounds(number: Annotated[int, Path(title="A number", ge=1, le=1000)], *, at: datetime.date) -> str:
        return f"{number} {at}"

    @router.get("/headers")
    @guarded
    async def headers(
        user_agent: Annotated[str | None, Header()] = None,
        x_token: Annotated[list[str] | None, Header()] = None,
        ads_id: Annotated[str | None, Cookie()] = None,
    ) -> dict[str, Any]:
        return {"agent": user_agent, "tokens": x_token, "ads": ads_id}


def _bodies(router: APIRouter, guarded: Decorate) -> None:
    @router.post("/items", status_code=status.HTTP_201_CREATED)
    @guarded
    async def create_item(item: Item) -> Item:
        return item

    @router.put("/items/{item_id}")
    @guarded
    async def put_item(item_id: int, item: Item, user: Image, importance: Annotated[int, Body(gt=0)]) -> dict[str, Any]:
        return {"id": item_id, "item": item, "user": user, "importance": importance}

    @router.patch("/embedded")
    @guarded
    def embedded(item: Annotated[Item, Body(embed=True)], q: str = "none") -> dict[str, Any]:
        return {"item": item, "q": q}

    @router.post("/weights")
    @guarded
    async def weights(weights: dict[int, float]) -> dict[int, float]:
        return weights

    @router.post("/images")
    @guarded
    async def images(images: list[Image]) -> list[Image]:
        return images

    @router.post("/kinds")
    @guarded
    async def kinds(
        uuid: Annotated[UUID, Body()], at: Annotated[datetime.datetime, Body()], amount: Annotated[Decimal, Body()]
    ) -> dict[str, Any]:
        return {"uuid": uuid, "at": at, "amount": amount}

    @router.post("/raw")
    @guarded
    async def raw(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @router.delete("/items/{item_id}", status_code=204)
    @guarded
    async def delete_item(item_id: int) -> None:
        return None


def _forms(router: APIRouter, guarded: Decorate) -> None:
    @router.post("/login")
    @guarded
    async def login(username: Annotated[str, Form()], password: Annotated[str, Form(min_length=3)]) -> str:
        return f"{username} {len(password)}"

    @router.post("/login-model")
    @guarded
    async def login_model(data: Annotated[LoginForm, Form()]) -> str:
        return data.username

    @router.post("/file")
    @guarded
    async def file(file: Annotated[bytes, File()]) -> int:
        return len(file)

    @router.post("/upload")
    @guarded
    async def upload(file: UploadFile, token: Annotated[str, Form()]) -> dict[str, Any]:
        return {"name": file.filename, "size": len(await file.read()), "token": token, "type": file.content_type}

    @router.post("/uploads")
    @guarded
    def uploads(files: list[UploadFile]) -> list[str | None]:
        return [file.filename for file in files]


def _dependencies(router: APIRouter, guarded: Decorate, events: list[str]) -> None:
    async def session() -> AsyncIterator[str]:
        events.append("open")
        try:
            yield "session"
        except Exception as exc:
            events.append(f"rollback {type(exc).__name__}")
            raise
        else:
            events.append("commit")
        finally:
            events.append("close")

    def sync_session() -> Iterator[str]:
        events.append("open sync")
        yield "sync"
        events.append("close sync")

    def needs_token(x_token: Annotated[str, Header()]) -> str:
        if x_token != "secret":
            raise HTTPException(400, "X-Token header invalid", headers={"X-Error": "token"})
        return x_token

    def nested(token: Annotated[str, Depends(needs_token)], q: str = "") -> str:
        return token + q

    Session = Annotated[str, Depends(session)]

    @router.get("/common")
    @guarded
    async def common(found: Annotated[Common, Depends()]) -> dict[str, Any]:
        return {"q": found.q, "skip": found.skip}

    @router.get("/nested")
    @guarded
    async def with_nested(found: Annotated[str, Depends(nested)], db: Session) -> str:
        return f"{found} {db}"

    @router.get("/required", dependencies=[Depends(needs_token), Depends(sync_session)])
    @guarded
    def required() -> str:
        return "in"

    @router.post("/transaction/{how}")
    @guarded
    async def transaction(how: str, db: Session, other: Annotated[str, Depends(sync_session)]) -> str:
        if how == "http":
            raise HTTPException(409, {"why": "taken"})
        if how == "mine":
            raise Broken("by the author")
        if how == "bug":
            raise RuntimeError("hunter2")
        return db + other


def _responses(router: APIRouter, guarded: Decorate, events: list[str]) -> None:
    @router.get("/model", response_model=ItemOut, response_model_exclude_unset=True)
    @guarded
    async def model() -> Any:
        return {"name": "tea", "secret": "no"}

    @router.get("/either")
    @guarded
    async def either(image: bool = False) -> ItemOut | Image:
        return Image(url="/a") if image else ItemOut(name="tea")

    @router.get("/own-headers")
    @guarded
    async def own_headers(response: Response, tasks: BackgroundTasks) -> dict[str, str]:
        response.headers["X-Cat-Dog"] = "alone"
        response.set_cookie("fake", "session")
        response.status_code = 202
        tasks.add_task(events.append, "task")
        return {"said": "hello"}

    @router.get("/html", response_class=HTMLResponse)
    @guarded
    async def html() -> str:
        return "<p>hello"

    @router.get("/plain")
    @guarded
    async def plain() -> Response:
        return PlainTextResponse("plain", status_code=203, headers={"x-own": "1"})

    @router.get("/away", response_class=RedirectResponse, status_code=302)
    @guarded
    async def away() -> str:
        return "/elsewhere"

    @router.get("/stream")
    @guarded
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for part in (b"one ", b"two"):
                yield part

        return StreamingResponse(parts(), media_type="text/plain")

    @router.get(
        "/documented", operation_id="told", tags=["more"], responses={404: {"model": Image}}, openapi_extra={"x-a": 1}
    )
    @guarded
    async def documented() -> ItemOut:
        return ItemOut(name="tea")

    @router.get("/hidden", include_in_schema=False)
    @guarded
    async def hidden() -> str:
        return "hidden"


def _generators(router: APIRouter, guarded: Decorate) -> None:
    """FastAPI takes them since 0.134."""

    @router.get("/lines")
    @guarded
    async def lines() -> AsyncIterator[ItemOut]:
        for name in ("tea", "coffee"):
            yield ItemOut(name=name)


def _security(router: APIRouter, guarded: Decorate) -> None:
    bearer = OAuth2PasswordBearer(tokenUrl="token")

    @router.get("/bearer")
    @guarded
    async def by_bearer(token: Annotated[str, Security(bearer, scopes=["me"])]) -> str:
        return token

    @router.get("/basic")
    @guarded
    async def by_basic(who: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]) -> str:
        return who.username

    @router.get("/key")
    @guarded
    async def by_key(key: Annotated[str, Depends(APIKeyHeader(name="x-key"))]) -> str:
        return key
