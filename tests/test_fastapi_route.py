"""`gatewright.fastapi`: guards before FastAPI reads anything, and the principal as a dependency."""

from __future__ import annotations

from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel
from starlette.requests import HTTPConnection

from gatewright import ConfigurationError, Gate, Principal, Result, Unauthorized, ok
from gatewright._core.decorate import guarded_by
from gatewright._core.install import GuardsFirst
from gatewright.fastapi import CurrentPrincipal, GuardedRoute, current_principal
from gatewright.testing import EventList, call
from tests.core.kit import Step, printed, requests
from tests.toys import Identify

pytestmark = pytest.mark.anyio
ALICE = {"x-caller": "alice"}
identified = guarded_by(Identify())


class Item(BaseModel):
    """A body that FastAPI parses."""

    name: str


@identified
async def create(item: Item, principal: Principal) -> Result[str]:
    """Take a body."""
    return ok(principal.sub + item.name)


async def _who(principal: CurrentPrincipal) -> str:
    return principal.sub


def _app(how: str) -> FastAPI:
    router = APIRouter(route_class=GuardedRoute) if how == "route class" else APIRouter()
    router.post("/items/{item_id}")(create)

    @router.get("/bare")
    async def bare() -> str:
        return "bare"

    @router.get("/bare-principal")
    async def bare_principal(who: Annotated[str, Depends(_who)]) -> str:
        return who

    @router.get("/who")
    @identified
    async def dependent(who: Annotated[str, Depends(_who)]) -> Result[str]:
        return ok(who)

    app = FastAPI()
    app.include_router(router, prefix="/v1")
    if how == "installed":
        Gate(log=EventList()).install(app)
    return app


async def test_guards_run_before_the_body_is_read() -> None:
    """A refusal takes no byte, whether the body would have been fit or not."""
    app = _app("route class")
    for body in (b'{"name": "n"}', b"{", b"x" * 100_000):
        reply = await call(app, path="/v1/items/1", data=body, headers={"content-type": "application/json"})
        assert (reply.status, reply.json["code"], reply.consumed) == (401, "unauthorized", 0)
    reply = await call(app, path="/v1/items/1", json={"name": "n"}, headers=ALICE)
    assert reply.json["data"] == "alicen"


async def test_an_endpoint_without_guards_is_served_as_by_fastapi() -> None:
    """The route class may be set for a whole router."""
    reply = await call(_app("route class"), path="/v1/bare")
    assert reply.json == "bare"
    assert "x-request-id" not in reply.headers


async def test_a_guarded_route_logs_its_template(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """One event, from the default gate."""
    await call(_app("route class"), path="/v1/items/1", json={"name": "n"}, headers=ALICE)
    (event,) = requests(printed(capsysbinary))
    assert event["route"] in ("/items/{item_id}", "/v1/items/{item_id}")


async def test_a_wrong_method_asks_no_guard() -> None:
    """405 is the route's own business."""
    reply = await call(_app("route class"), path="/v1/items/1", method="DELETE")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")


def test_what_cannot_work_is_refused_when_the_route_is_built() -> None:
    """Not at the first request."""

    @guarded_by(Step())
    async def mistaken(principal: Principal) -> Result[None]:
        return ok()

    with pytest.raises(ConfigurationError, match="principal is filled by @with_auth"):
        APIRouter(route_class=GuardedRoute).get("/")(mistaken)


def test_a_guarded_route_keeps_its_guards_at_hand() -> None:
    """None where the endpoint has none."""

    async def bare() -> None: ...

    assert isinstance(GuardedRoute("/", create, methods=["POST"]).guards, GuardsFirst)
    assert GuardedRoute("/", bare).guards is None


@pytest.mark.parametrize("how", ["plain", "route class", "installed"])
async def test_the_principal_as_a_dependency(how: str) -> None:
    """For dependencies of the app's own, wherever the guards ran; a 401 where no guard knows."""
    app = _app(how)
    assert (await call(app, path="/v1/who", headers=ALICE)).json["data"] == "alice"
    assert (await call(app, path="/v1/who")).status == 401
    assert (await call(app, path="/v1/bare-principal", headers=ALICE)).status == 401


async def test_a_router_by_itself_refuses_too() -> None:
    """Guards do not need the app around a router; what they let through does."""
    router = APIRouter(route_class=GuardedRoute)
    router.post("/")(create)
    reply = await call(router, json={"name": "n"})
    assert (reply.status, reply.json["code"]) == (401, "unauthorized")


def test_without_a_call_there_is_no_principal() -> None:
    """A connection that met no guard."""
    with pytest.raises(Unauthorized):
        current_principal(HTTPConnection({"type": "http", "headers": []}))
