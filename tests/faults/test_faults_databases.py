"""What databases refuse, each provoked in a real one through every driver, and what the client hears of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from gatewright import ErrorMapper, Gate, Result, limit_body, ok
from gatewright.faults import FaultKind, classify
from gatewright.testing import EventList, call
from tests.faults.kit import Dialect, Talk, Way, raised_by, ways_to

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SECRET = "hunter2@x.example"


@dataclass(frozen=True)
class Refusal:
    """What a database refuses.

    Args:
        what: in a word.
        sql: a statement, in which `?` stands for a value.
        values: for it.
        kind: what it is called; by dialect, where they differ.
        names: how the violated constraint is called, by dialect.
        status: of the answer.
    """

    what: str
    sql: str
    values: tuple[Any, ...]
    kind: dict[Dialect, FaultKind]
    status: dict[Dialect, int] | int
    names: dict[Dialect, tuple[str, ...]] = field(default_factory=dict)

    def status_on(self, dialect: Dialect) -> int:
        """Return the status of the answer."""
        return self.status if isinstance(self.status, int) else self.status[dialect]


def _everywhere(kind: FaultKind) -> dict[Dialect, FaultKind]:
    return {"postgres": kind, "mariadb": kind, "sqlite": kind}


def _on_servers(kind: FaultKind) -> dict[Dialect, FaultKind]:
    return {"postgres": kind, "mariadb": kind}


def _named(server: str, *sqlite: str) -> dict[Dialect, tuple[str, ...]]:
    return {"postgres": (server,), "mariadb": (server,), "sqlite": sqlite}


REFUSALS = [
    Refusal(
        "an email that exists",
        "insert into users values (10, ?, 30)",
        ("ada@example.org",),
        _everywhere("unique"),
        409,
        _named("uq_email", "users.email"),
    ),
    Refusal(
        "a row of a unique index",
        "insert into members values (?)",
        ("ada@example.org",),
        _everywhere("unique"),
        409,
        _named("ix_members_email", "members.email"),
    ),
    Refusal(
        "a primary key that exists",
        "insert into users values (1, ?, 30)",
        (SECRET,),
        _everywhere("unique"),
        409,
        {"postgres": ("users_pkey",), "mariadb": ("PRIMARY",), "sqlite": ("users.id",)},
    ),
    Refusal(
        "a pair that exists",
        "insert into pairs values (1, 1)",
        (),
        _everywhere("unique"),
        409,
        _named("uq_pair", "pairs.a, pairs.b", "pairs.a", "pairs.b"),
    ),
    Refusal(
        "a reference to nothing",
        "insert into posts values (2, 77)",
        (),
        {"postgres": "foreign_key", "mariadb": "missing_reference", "sqlite": "foreign_key"},
        {"postgres": 409, "mariadb": 422, "sqlite": 409},
        _named("fk_author"),
    ),
    Refusal(
        "to delete what is referred to",
        "delete from users where id = 1",
        (),
        {"postgres": "foreign_key", "mariadb": "still_referenced", "sqlite": "foreign_key"},
        409,
        _named("fk_author"),
    ),
    Refusal("a null", "insert into users values (11, null, 30)", (), _everywhere("not_null"), 422),
    Refusal("no value at all", "insert into users (id) values (11)", (), _everywhere("not_null"), 422),
    Refusal(
        "a child",
        "insert into users values (11, ?, 12)",
        (SECRET,),
        _everywhere("check"),
        422,
        _named("adult", "adult"),
    ),
    Refusal(
        "two bookings at once",
        "insert into bookings values ('[2,3)')",
        (),
        {"postgres": "exclusion"},
        409,
        {"postgres": ("no_overlap",)},
    ),
    Refusal("a text too long", "insert into users values (11, ?, 30)", (SECRET * 9,), _on_servers("bad_data"), 422),
    Refusal(
        "a number out of range", "insert into users values (11, 'x', 99999999999)", (), _on_servers("bad_data"), 422
    ),
    Refusal(
        "a byte that is no text",
        "insert into users values (11, ?, 30)",
        (f"{SECRET}\0",),
        {"postgres": "bad_data"},
        422,
    ),
    Refusal("what is no number", "insert into users values (11, 'x', 'hunter2')", (), _on_servers("bad_data"), 422),
    Refusal("a table that is not there", "select * from nosuch", (), _everywhere("internal"), 500),
    Refusal("a column that is not there", "select nosuch from users", (), _everywhere("internal"), 500),
    Refusal("what is no SQL", "selec id from users", (), _everywhere("internal"), 500),
]
everyway = pytest.mark.parametrize("way", ways_to("postgres", "mariadb", "sqlite"), ids=str)


def _refusals(way: Way) -> list[Refusal]:
    return [refusal for refusal in REFUSALS if way.dialect in refusal.kind]


async def _answered(talk: Talk, errors: ErrorMapper, sql: str, *values: Any) -> Any:
    """Return the answer of a handler that runs the statement."""

    @limit_body(0)
    async def handler() -> Result[None]:
        await talk.run(sql, *values)
        return ok()

    return await call(handler, method="POST", gate=Gate(errors=errors, log=EventList()))


@everyway
async def test_what_a_database_refuses_is_told_apart(talk: Talk, way: Way) -> None:
    """By its code, through whatever wraps it; the constraint by its name."""
    for refusal in _refusals(way):
        fault = classify(await raised_by(talk, refusal.sql, *refusal.values))
        assert fault is not None, refusal.what
        names = () if fault.constraint is None else (fault.constraint, *fault.also_called)
        expected = (refusal.kind[way.dialect], refusal.names.get(way.dialect, ()))
        assert (fault.kind, names) == expected, refusal.what
        assert not fault.retryable


LEAKS = (
    "uq_", "ix_", "fk_", "adult", "no_overlap", "pkey", "primary", "users", "members", "posts", "pairs", "bookings",
    "insert", "delete", "select", "values", "nosuch", "hunter2", "ada@", "constraint", "column", "key ", "sql",
)  # fmt: skip


@everyway
async def test_the_client_hears_which_kind_and_nothing_else(talk: Talk, way: Way) -> None:
    """No statement, parameter, table, column or constraint, in the body or in a header."""
    for refusal in _refusals(way):
        reply = await _answered(talk, ErrorMapper(), refusal.sql, *refusal.values)
        assert reply.status == refusal.status_on(way.dialect), refusal.what
        assert "details" not in reply.json
        told = f"{reply.json} {reply.raw_headers}".lower()
        assert [leak for leak in LEAKS if leak in told] == [], refusal.what


@everyway
async def test_a_named_constraint_is_an_error_on_its_field(talk: Talk, way: Way) -> None:
    """By any of its names, with the words and the status of the application."""
    for refusal in _refusals(way):
        for name in refusal.names.get(way.dialect, ()):
            errors = ErrorMapper().constraint("uq", field="no", message="no")
            errors.constraint(name, field="field", message="Not this one", status=418)
            reply = await _answered(talk, errors, refusal.sql, *refusal.values)
            assert (reply.status, reply.json["details"]) == (418, {"field": ["Not this one"]}), refusal.what
            assert name not in str(reply.json)


@everyway
async def test_a_null_is_not_taken_for_a_duplicate_of_its_column(talk: Talk, way: Way) -> None:
    """SQLite names the column for both; whoever wrote "Already taken" meant one of them."""
    errors = ErrorMapper().constraint("users.email", field="email", message="Already taken")
    reply = await _answered(talk, errors, "insert into users values (11, null, 30)")
    assert (reply.status, reply.json.get("details")) == (422, None)
