"""What it costs to read a request: the same three fields from body, query, path, form and headers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

from pydantic import BaseModel, Field, TypeAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gatewright import FromBody, FromForm, FromHeader, FromPath, FromQuery, Result, ok, validate
from gatewright.starlette import GuardedRoute
from tests.benchmarks.method import Effort, Setup, Work, measure
from tests.benchmarks.table import Table, micro, ratio
from tests.benchmarks.wire import Exchange, Headers, running, working

__all__ = ["MAKERS", "SOURCES", "asked", "table"]


class Thing(BaseModel):
    """What is asked for."""

    name: str = Field(min_length=2)
    count: int = Field(ge=1)
    ratio: float = 1.0


_THING: TypeAdapter[Thing] = TypeAdapter(Thing)
_JSON, _FORM = b"application/json", b"application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Source:
    """One way to send the fields.

    Args:
        route: the route that takes it.
        path: the path; the count in it, and in what follows, is seven.
        query: the query.
        body: the body.
        headers: the headers that belong to it.
    """

    route: str
    path: str = "/thing"
    query: bytes = b""
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def with_count(self, count: str) -> Source:
        """Return the same with another count."""
        raw = count.encode()
        headers = tuple((name, value.replace(b"7", raw)) for name, value in self.headers)
        replaced = (self.query.replace(b"7", raw), self.body.replace(b"7", raw), headers)
        return Source(self.route, self.path.replace("7", count), *replaced)


SOURCES = {
    "body": Source("/thing", body=b'{"name":"tea","count":7,"ratio":0.5}', headers=((b"content-type", _JSON),)),
    "query": Source("/thing", query=b"name=tea&count=7&ratio=0.5"),
    "path": Source("/thing/{name}/{count}/{ratio}", path="/thing/tea/7/0.5"),
    "form": Source("/thing", body=b"name=tea&count=7&ratio=0.5", headers=((b"content-type", _FORM),)),
    "header": Source("/thing", headers=((b"name", b"tea"), (b"count", b"7"), (b"ratio", b"0.5"))),
}
"""How the fields come."""


def _ours(source: str) -> ASGIApp:
    async def from_body(thing: FromBody[Thing]) -> Result[Thing]:
        return ok(thing)

    async def from_query(thing: FromQuery[Thing]) -> Result[Thing]:
        return ok(thing)

    async def from_path(thing: FromPath[Thing]) -> Result[Thing]:
        return ok(thing)

    async def from_form(thing: FromForm[Thing]) -> Result[Thing]:
        return ok(thing)

    async def from_header(thing: FromHeader[Thing]) -> Result[Thing]:
        return ok(thing)

    handlers = {"body": from_body, "query": from_query, "path": from_path, "form": from_form, "header": from_header}
    endpoint: Callable[..., Any] = validate(handlers[source])
    return Starlette(routes=[GuardedRoute(SOURCES[source].route, endpoint, methods=["POST"])])


def _by_hand(source: str) -> ASGIApp:
    """Do it with Starlette and pydantic, and nothing around it."""

    async def endpoint(request: Request) -> Response:
        try:
            if source == "body":
                thing = _THING.validator.validate_json(await request.body())
            else:
                thing = _THING.validator.validate_python(dict(await _texts(request, source)))
        except ValueError:
            return Response(b'{"error":"invalid"}', 400, media_type="application/json")
        return Response(_THING.serializer.to_json(thing), media_type="application/json")

    return Starlette(routes=[Route(SOURCES[source].route, endpoint, methods=["POST"])])


async def _texts(request: Request, source: str) -> Any:
    if source == "query":
        return request.query_params
    if source == "path":
        return request.path_params
    return await request.form() if source == "form" else request.headers


def _peer(name: str, source: str) -> ASGIApp:
    from tests.benchmarks import sources_peers

    make: Callable[[str, str], ASGIApp] = getattr(sources_peers, name)
    return make(source, SOURCES[source].route)


_THEIRS = "FastAPI"
_PEERS = {_THEIRS: partial(_peer, "fastapi"), "Litestar": partial(_peer, "litestar")}
MAKERS: dict[str, Callable[[str], ASGIApp]] = {
    "Starlette, by hand": _by_hand,
    **(_PEERS if find_spec("fastapi") is not None and find_spec("litestar") is not None else {}),
    "gatewright, `validate`": _ours,
}
"""Who takes part; without the frameworks, nobody who needs them."""

_COLUMNS = ("three fields", "min µs", "median µs", "÷ FastAPI, min", "÷ FastAPI, median")
_NOTE = (
    "A POST brings three fields with constraints, which are read into one pydantic model and written back. The rows of "
    "gatewright have security headers, a request id, a log line and the envelope in them, which the others have not. "
    "Written by hand, a repeated name, a wrong content type and a charset pass unseen."
)


def table(effort: Effort) -> Table:
    """Measure every source for every candidate."""
    setups: dict[str, Setup] = {
        f"{source}: {name}": partial(_asking, name, source) for source in SOURCES for name in MAKERS
    }
    figures = measure(setups, effort)
    rows: list[tuple[str, ...]] = []
    for source in SOURCES:
        base = figures[f"{source}: {_THEIRS if _THEIRS in MAKERS else 'Starlette, by hand'}"]
        for name in MAKERS:
            own = figures[f"{source}: {name}"]
            least, middle = ratio(own.minimum, base.minimum), ratio(own.median, base.median)
            rows.append((f"{source}: {name}", micro(own.minimum), micro(own.median), least, middle))
    return Table("Sources", _COLUMNS, rows, _NOTE)


def asked(app: ASGIApp, source: Source) -> Coroutine[Any, Any, Exchange]:
    """Send what *source* has to *app*."""
    head: Headers = [(b"host", b"api.example"), (b"accept", b"*/*"), (b"content-length", b"%d" % len(source.body))]
    return Exchange(source.body, "POST", source.path, source.query).run(app, 0, [*head, *source.headers])


@contextmanager
def _asking(name: str, source: str) -> Generator[Work, None, None]:
    with running() as runner:
        app, sent = MAKERS[name](source), SOURCES[source]

        def ask(user: int, headers: Headers) -> Coroutine[Any, Any, Exchange]:
            return asked(app, sent)

        yield working(runner, ask, 200, lambda user: [])
