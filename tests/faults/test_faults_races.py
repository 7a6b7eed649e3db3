"""Fifty at once who want one name: every peer's check finds it free, and all but one get a 500 (DRF#3876, #5760)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.routing import Route

from gatewright import ErrorMapper, FromBody, Gate, Result, err, ok, validate
from gatewright.testing import EventList, Reply, call
from tests.faults.kit import Dialect, Place, engine_of

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

MANY = 50
EMAIL = "grace@example.org"
TAKEN = {"email": ["This email is taken"]}
IN_USE = text("select count(*) from users where email = :email")
REGISTER = text("insert into users (id, email, age) values (:id, :email, 40)")


class Registration(BaseModel):
    """Who wants to be a member."""

    id: int
    email: str


class Gathering:
    """Where callers wait until all of them are there."""

    def __init__(self, size: int) -> None:
        self.missing = size
        self.complete = anyio.Event()

    async def wait(self) -> None:
        """Wait for the last one."""
        self.missing -= 1
        if self.missing == 0:
            self.complete.set()
        await self.complete.wait()


def _app(engine: AsyncEngine, checked: Gathering) -> Starlette:
    @validate
    async def register(form: FromBody[Registration]) -> Result[str]:
        async with engine.connect() as connection:
            taken = (await connection.execute(IN_USE, {"email": form.email})).scalar()
        if taken:
            return err("Taken", status=409, details=TAKEN)
        # What each of them has seen by now is that nobody has it.
        await checked.wait()
        async with engine.begin() as connection:
            await connection.execute(REGISTER, form.model_dump())
        return ok(form.email, status=201)

    errors = ErrorMapper()
    for name in ("uq_email", "users.email"):
        errors.constraint(name, field="email", message="This email is taken")
    app = Starlette(routes=[Route("/users", register, methods=["POST"])])
    Gate(errors=errors, log=EventList()).install(app)
    return app


@pytest.mark.parametrize(("dialect", "driver"), [("postgres", "asyncpg"), ("mariadb", "aiomysql")])
class TestRegistrations:
    """One database each."""

    @pytest.fixture
    def place(self, dialect: Dialect, place_of: Callable[[Dialect], Place]) -> Place:
        """Return the database."""
        return place_of(dialect)

    async def test_one_of_fifty_is_registered_and_the_others_hear_of_the_field(self, place: Place, driver: str) -> None:
        """All have asked whether the email is free, and it was: the constraint decides, and says the same."""
        engine = engine_of(place, driver, pool_size=10, max_overflow=0)
        app, replies = _app(engine, Gathering(MANY)), []

        async def register(number: int) -> None:
            replies.append(await call(app, path="/users", json={"id": 100 + number, "email": EMAIL}))

        async with anyio.create_task_group() as tasks:
            for number in range(MANY):
                tasks.start_soon(register, number)
        try:
            assert Counter(reply.status for reply in replies) == {201: 1, 409: MANY - 1}
            assert all(_is_about_the_email(reply) for reply in replies if reply.status == 409)
            async with engine.connect() as connection:
                assert (await connection.execute(IN_USE, {"email": EMAIL})).scalar() == 1
            late: Any = await call(_app(engine, Gathering(1)), path="/users", json={"id": 99, "email": EMAIL})
            assert (late.status, late.json["details"]) == (409, TAKEN)
        finally:
            async with engine.begin() as connection:
                await connection.execute(text("delete from users where email = :email"), {"email": EMAIL})
            await engine.dispose()


def _is_about_the_email(reply: Reply) -> bool:
    told = str(reply.json)
    return reply.json["details"] == TAKEN and not any(word in told for word in ("uq_", "grace", "insert", "users"))
