"""Proof (c): guards in front of `handle()` under `include_router`, and dependencies with `yield` that roll back."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel

from gatewright import ApiError, Gate, NotFound, Result, err, ok
from gatewright._core.decorate import guarded_by
from gatewright.fastapi import GuardedRoute
from gatewright.testing import EventList, call
from tests.toys import Identify

pytestmark = pytest.mark.anyio
identified = guarded_by(Identify())


class Item(BaseModel):
    """A body that FastAPI parses itself."""

    name: str


class Ledger(list[str]):
    """What happened to the transaction."""

    async def transaction(self) -> AsyncIterator[str]:
        """Commit on a clean exit, roll back on anything else."""
        self.append("open")
        try:
            yield "session"
        except BaseException as exc:
            self.append(f"rollback {type(exc).__name__}")
            raise
        else:
            self.append("commit")


def _app(ledger: Ledger, how: str) -> FastAPI:
    router = APIRouter(route_class=GuardedRoute) if how == "route class" else APIRouter()

    @router.post("/ok")
    @identified
    async def fine(item: Item, session: str = Depends(ledger.transaction)) -> Result[Item]:
        return ok(item)

    @router.post("/err")
    @identified
    def refused(item: Item, session: str = Depends(ledger.transaction)) -> Result[Item]:
        return err("taken", status=409, details={"name": ["taken"]})

    @router.post("/raise")
    @identified
    async def raised(item: Item, session: str = Depends(ledger.transaction)) -> Result[Item]:
        raise NotFound("no such item")

    @router.post("/boom")
    @identified
    async def broken(item: Item, session: str = Depends(ledger.transaction)) -> Result[Item]:
        raise ValueError("postgres://user:hunter2@db")

    app = FastAPI()
    app.include_router(router, prefix="/v1")
    if how == "installed":
        Gate(log=EventList()).install(app)
    return app


ENVELOPED = pytest.mark.parametrize("how", ["route class", "installed"])


@pytest.mark.parametrize("how", ["plain", "route class", "installed"])
@pytest.mark.parametrize(
    ("path", "status", "end"),
    [("/ok", 200, "commit"), ("/err", 409, "rollback ApiError"), ("/raise", 404, "rollback NotFound")],
)
async def test_only_success_commits(how: str, path: str, status: int, end: str) -> None:
    """`err(...)` and a raised `ApiError` roll the transaction back; success commits it."""
    ledger = Ledger()
    reply = await call(_app(ledger, how), path=f"/v1{path}", json={"name": "n"}, headers={"x-caller": "u1"})
    assert reply.status == status
    assert ledger == ["open", end]


@ENVELOPED
async def test_an_unexpected_exception_rolls_back_and_leaks_nothing(how: str) -> None:
    """A handler's own exception reaches the dependency as it is, and the client as a fixed text."""
    ledger = Ledger()
    reply = await call(_app(ledger, how), path="/v1/boom", json={"name": "n"}, headers={"x-caller": "u1"})
    assert ledger == ["open", "rollback ValueError"]
    assert (reply.status, reply.json["error"]) == (500, "Internal server error")
    assert b"hunter2" not in reply.body


@pytest.mark.parametrize("how", ["plain", "route class", "installed"])
async def test_a_refusal_opens_no_transaction(how: str) -> None:
    """A guard refuses before the endpoint's own dependencies open anything."""
    ledger = Ledger()
    reply = await call(_app(ledger, how), path="/v1/ok", json={"name": "n"})
    assert (reply.status, reply.headers["www-authenticate"]) == (401, "Toy")
    assert ledger == []


@ENVELOPED
async def test_a_refusal_reads_nothing(how: str) -> None:
    """An unauthenticated 10 MB upload is refused with 0 bytes read, malformed or not."""
    reply = await call(_app(Ledger(), how), path="/v1/ok", data=b"{" * 10_000_000, method="POST")
    assert (reply.status, reply.consumed) == (401, 0)
    assert reply.json["code"] == "unauthorized"


async def test_what_a_dependency_sees_is_the_error_itself() -> None:
    """An `Err` becomes an `ApiError` with its code and details, for dependencies that look."""
    seen: list[ApiError] = []

    async def look() -> AsyncIterator[None]:
        try:
            yield
        except ApiError as exc:
            seen.append(exc)
            raise

    router = APIRouter(route_class=GuardedRoute)

    @router.post("/")
    @identified
    async def refused(_: None = Depends(look)) -> Result[None]:
        return err("taken", status=409, code="email_taken", details={"email": ["taken"]})

    app = FastAPI()
    app.include_router(router, prefix="/v1")
    reply = await call(app, path="/v1/", method="POST", headers={"x-caller": "u1"})
    assert reply.json["code"] == seen[0].code == "email_taken"
    assert seen[0].details == {"email": ["taken"]}
