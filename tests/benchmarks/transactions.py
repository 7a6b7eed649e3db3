"""What a transaction around a handler costs: a row is inserted, in a transaction by hand, and with `transactional`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Column, Integer, MetaData, String, Table, insert
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gatewright import Gate, Transaction, transactional
from gatewright._core.decorate import guarded_by
from gatewright.starlette import GuardedRoute
from gatewright.timeout import ReadTimeout
from tests.benchmarks.method import Effort, Work, measure
from tests.benchmarks.table import Table as Shown
from tests.benchmarks.table import micro, ratio
from tests.benchmarks.wire import Exchange, Headers, running, working
from tests.servers import PostgresServer

__all__ = ["APPS", "inserted", "prepared", "table"]

_PATH = "/notes"
_HEADERS: Headers = [(b"host", b"api.example"), (b"content-length", b"0")]
_NOTES = Table("notes", MetaData(), Column("id", Integer, primary_key=True), Column("text", String(40)))
_DONE = {"done": True}

Sessions = async_sessionmaker[AsyncSession]


async def _write(db: AsyncSession) -> Response:
    await db.execute(insert(_NOTES).values(text="a note"))
    return JSONResponse(_DONE)


def _by_hand(sessions: Sessions) -> ASGIApp:
    """Begin and commit in the handler."""

    async def create(request: Request) -> Response:
        async with sessions.begin() as db:
            return await _write(db)

    return Starlette(routes=[Route(_PATH, create, methods=["POST"])])


def _by_hand_in_fastapi(sessions: Sessions) -> ASGIApp:
    """The same, where a handler is FastAPI's."""
    from fastapi import FastAPI

    app = FastAPI()

    @app.post(_PATH)
    async def create() -> Response:
        async with sessions.begin() as db:
            return await _write(db)

    return app


def _by_dependency(sessions: Sessions) -> ASGIApp:
    """Have a dependency commit, as FastAPI's documentation has it; after the answer has gone."""
    from fastapi import Depends, FastAPI

    async def session() -> AsyncIterator[AsyncSession]:
        async with sessions.begin() as db:
            yield db

    app = FastAPI()

    @app.post(_PATH)
    async def create(db: AsyncSession = Depends(session)) -> Response:  # noqa: B008  # FastAPI's way
        return await _write(db)

    return app


def _ours(sessions: Sessions) -> ASGIApp:
    """Have the decorator commit."""

    @transactional(sessions)
    async def create(db: Transaction[AsyncSession]) -> Response:
        return await _write(db)

    return Starlette(routes=[GuardedRoute(_PATH, create, methods=["POST"])])


def _by_hand_behind_a_gate(sessions: Sessions) -> ASGIApp:
    """Begin and commit in a handler that has a gate, with the least of guards: what is ours without transactions."""

    @guarded_by(ReadTimeout(None))
    async def create(request: Request) -> Response:
        async with sessions.begin() as db:
            return await _write(db)

    return Starlette(routes=[GuardedRoute(_PATH, create, methods=["POST"])])


def _ours_in_fastapi(sessions: Sessions) -> ASGIApp:
    """Have the decorator commit, on a route of FastAPI's."""
    from fastapi import FastAPI

    app = FastAPI()

    @app.post(_PATH)
    @transactional(sessions)
    async def create(db: Transaction[AsyncSession]) -> Response:
        return await _write(db)

    Gate().install(app)
    return app


_HAND = "Starlette, `async with sessions.begin()`"
APPS: dict[str, Callable[[Sessions], ASGIApp]] = {
    _HAND: _by_hand,
    "gatewright, `async with sessions.begin()` in the handler": _by_hand_behind_a_gate,
    "gatewright, `transactional`": _ours,
    "FastAPI, `async with sessions.begin()`": _by_hand_in_fastapi,
    "FastAPI, a dependency that yields": _by_dependency,
    "gatewright on FastAPI, `transactional`": _ours_in_fastapi,
}
"""Who takes part."""

_COLUMNS = ("one row inserted", "SQLite, min µs", "÷ by hand", "PostgreSQL, min µs", "÷ by hand", "÷ by hand, median")
_NOTE = (
    "CPU time of the app's process: what the database itself does on PostgreSQL is not in it. SQLite is a file, not "
    "synced. The rows of gatewright have security headers, a request id and a log line in them; the second row is "
    "those alone, so that the third less the second is the transaction."
)


def table(effort: Effort) -> Shown:
    """Measure every way to commit, on both databases."""
    with PostgresServer() as server:
        on = {"sqlite": "", "postgres": server.url}
        figures = {
            name: measure({app: partial(_inserting, app, url) for app in APPS}, effort) for name, url in on.items()
        }
    sqlite, postgres = figures["sqlite"], figures["postgres"]
    rows = [
        (
            app,
            micro(sqlite[app].minimum),
            ratio(sqlite[app].minimum, sqlite[_HAND].minimum),
            micro(postgres[app].minimum),
            ratio(postgres[app].minimum, postgres[_HAND].minimum),
            ratio(postgres[app].median, postgres[_HAND].median),
        )
        for app in APPS
    ]
    return Shown("Transactions", _COLUMNS, rows, _NOTE)


def inserted(app: ASGIApp) -> Coroutine[Any, Any, Exchange]:
    """Insert a row through *app*."""
    return Exchange(b"", "POST", _PATH).run(app, 0, _HEADERS)


async def prepared(engine: AsyncEngine) -> Sessions:
    """Return sessions, and the table to write to."""
    async with engine.begin() as connection:
        # Of several candidates in one database, the first makes it.
        await connection.run_sync(_NOTES.metadata.create_all)
        if engine.dialect.name == "sqlite":
            await connection.exec_driver_sql("PRAGMA synchronous = OFF")
    return async_sessionmaker(engine)


@contextmanager
def _inserting(app: str, url: str) -> Generator[Work, None, None]:
    with TemporaryDirectory() as folder, running() as runner:
        engine = create_async_engine(url or f"sqlite+aiosqlite:///{Path(folder) / 'notes.db'}", pool_size=1)
        served = APPS[app](runner.run(prepared(engine)))

        def ask(user: int, sent: Headers) -> Coroutine[Any, Any, Exchange]:
            return inserted(served)

        try:
            yield working(runner, ask, 200, lambda user: _HEADERS)
        finally:
            runner.run(engine.dispose())
