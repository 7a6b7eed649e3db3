"""From exceptions to answers: who decides, and what never leaves."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from types import SimpleNamespace
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, AnyUrl, BaseModel, Field, Json, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from sqlalchemy import Column, Integer, MetaData, Table, Text, UniqueConstraint, create_engine, insert
from sqlalchemy.exc import IntegrityError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gatewright import ErrorMapper
from gatewright.errors import ApiError, BadGateway, BadRequest, ConfigurationError, Conflict, InvalidInput, NotFound
from gatewright.testing import call

SECRET = "hunter2@example.org"


class Base(Exception):
    """An app's own error."""


class Child(Base):
    """A more special one."""


class Mixed(Child, LookupError):
    """One with two parents."""


# Who decides


def test_what_no_mapping_knows_has_no_answer() -> None:
    """An unknown exception is not guessed at; it becomes the fixed 500 further out."""
    assert ErrorMapper().map(RuntimeError("secret")) is None


def test_an_api_error_stands_for_itself() -> None:
    """What a handler raises is what is answered: the very object."""
    error = NotFound()
    assert ErrorMapper().map(error) is error


def test_a_mapping_covers_the_classes_below() -> None:
    """A mapping for a class is one for its subclasses."""
    mapper = ErrorMapper().register(Base, lambda exc: BadRequest(code="base"))
    answer = mapper.map(Mixed())
    assert answer is not None
    assert answer.code == "base"


def test_the_nearest_class_decides() -> None:
    """Order of registration makes no difference, distance along the MRO does."""
    for first, second in [(Base, Child), (Child, Base)]:
        mapper = ErrorMapper()
        for kind in (first, second):
            mapper.register(kind, lambda exc, name=kind.__name__: BadRequest(code=name))  # type: ignore[misc]
        assert mapper.map(Child()).code == "Child"  # type: ignore[union-attr]  # it is mapped
        assert mapper.map(Base()).code == "Base"  # type: ignore[union-attr]


def test_a_mapping_that_returns_none_passes_on() -> None:
    """A mapping may look at the exception and leave it to the next class, and in the end to nobody."""
    mapper = ErrorMapper().register(Child, lambda exc: None)
    assert mapper.map(Child()) is None
    mapper.register(Base, lambda exc: BadRequest(code="base"))
    assert mapper.map(Child()).code == "base"  # type: ignore[union-attr]


def test_the_last_registration_for_a_class_counts() -> None:
    """An app can replace what a library registered."""
    mapper = ErrorMapper().register(Base, lambda exc: BadRequest()).register(Base, lambda exc: NotFound())
    assert isinstance(mapper.map(Base()), NotFound)


def test_a_mapping_is_given_the_exception() -> None:
    """The answer may be made from what the exception knows."""
    mapper = ErrorMapper().register(KeyError, lambda exc: NotFound(f"No {exc.args[0]}"))
    assert mapper.map(KeyError("post")).message == "No post"  # type: ignore[union-attr]


def test_a_mapping_that_raises_is_not_hidden() -> None:
    """The mapper leaves it to its caller, who logs it whole and answers with the fixed text."""

    def broken(exc: Base) -> ApiError:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ErrorMapper().register(Base, broken).map(Base())


def test_two_mappers_do_not_meet() -> None:
    """What one app registers is not another app's business."""
    ErrorMapper().register(Base, lambda exc: BadRequest()).constraint("c", field="f", message="m")
    assert ErrorMapper().map(Base()) is None
    ErrorMapper().constraint("users.email", field="f", message="m")
    assert ErrorMapper().map(_violate(*EMAIL)).details == {}  # type: ignore[union-attr]


# By name


def test_a_class_may_be_named() -> None:
    """A dotted name is compared with the names along the MRO."""
    mapper = ErrorMapper().register(f"{__name__}:Base", lambda exc: BadGateway())
    assert isinstance(mapper.map(Mixed()), BadGateway)


def test_a_nested_class_is_named_by_its_qualified_name() -> None:
    """`Model.DoesNotExist` is how some libraries name theirs."""

    class Inner(Exception):
        pass

    mapper = ErrorMapper().register(f"{__name__}:{Inner.__qualname__}", lambda exc: NotFound())
    assert isinstance(mapper.map(Inner()), NotFound)


def test_a_class_and_its_name_are_both_asked() -> None:
    """The class comes first; what it passes on, the name may answer."""
    mapper = ErrorMapper().register(Base, lambda exc: None).register(f"{__name__}:Base", lambda exc: NotFound())
    assert isinstance(mapper.map(Base()), NotFound)


@pytest.mark.parametrize("name", ["", "sqlalchemy.exc.NoResultFound", ":NoResultFound", "sqlalchemy.exc:"])
def test_a_name_without_module_or_class_is_refused(name: str) -> None:
    """A name that would match nothing is a mistake, and the message says what to write."""
    with pytest.raises(ConfigurationError, match=r'write "package\.module:Class"'):
        ErrorMapper().register(name, lambda exc: None)


def test_names_import_nothing() -> None:
    """Mapping a library's errors costs nothing where the library is not used."""
    code = (
        "import sys; from gatewright.mapper import ErrorMapper; from gatewright.errors import NotFound\n"
        "mapper = ErrorMapper().register('sqlalchemy.exc:NoResultFound', lambda exc: NotFound())\n"
        "mapper.constraint('uq', field='f', message='m'); mapper.map(ValueError())\n"
        "sys.exit(bool({'sqlalchemy', 'fastapi', 'sqlite3', 'nosuch'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Exceptions of a framework


@pytest.mark.parametrize(
    ("exc", "status", "code", "message"),
    [
        (HTTPException(404), 404, "not_found", "Not Found"),
        (HTTPException(405), 405, "method_not_allowed", "Method Not Allowed"),
        (HTTPException(403, "Members only"), 403, "forbidden", "Members only"),
        (HTTPException(418, "Short and stout"), 418, "error", "Short and stout"),
        (HTTPException(503, "Back at noon"), 503, "service_unavailable", "Back at noon"),
        (HTTPException(507, "Full"), 507, "internal_error", "Full"),
        (HTTPException(400, ""), 400, "bad_request", "Bad Request"),
    ],
)
def test_a_frameworks_exception_keeps_status_and_text(exc: HTTPException, status: int, code: str, message: str) -> None:
    """The text of a status other than 500 was written for the client; a code is found for it."""
    answer = ErrorMapper().map(exc)
    assert answer is not None
    assert (answer.status_code, answer.code, answer.message) == (status, code, message)


def test_the_headers_of_a_frameworks_exception_are_kept() -> None:
    """`Allow` and `WWW-Authenticate` belong to the refusal."""
    assert ErrorMapper().map(HTTPException(405, headers={"Allow": "GET"})).headers == {"Allow": "GET"}  # type: ignore[union-attr]


def test_the_text_of_a_500_is_an_exceptions() -> None:
    """Debugging frameworks put a repr there; it stays inside."""
    assert SECRET not in ErrorMapper().map(HTTPException(500, SECRET)).message  # type: ignore[union-attr]


@pytest.mark.parametrize("status", [400, 404, 499, 500, 503, 599])
def test_a_detail_that_is_no_text_never_breaks_the_answer(status: int) -> None:
    """FastAPI allows any detail, and any status, 499 of nginx too: the status is kept, the message is text."""
    details: list[Any] = [{"loc": ["a"]}, ["a", "b"], 7, b"bytes"]
    for detail in details:
        answer = ErrorMapper().map(HTTPException(status, detail))
        assert answer is not None
        assert answer.status_code == status
        assert isinstance(answer.message, str)
        assert str(detail) not in answer.message


@pytest.mark.parametrize("status", [200, 204, 304])
def test_a_frameworks_exception_that_is_no_error_is_passed_on(status: int) -> None:
    """An error below 400 is nothing that an error mapper could answer."""
    assert ErrorMapper().map(HTTPException(status)) is None


def test_an_exception_that_keeps_its_facts_on_the_class_is_understood() -> None:
    """`class Taken(HTTPException)` with a status and a detail as class attributes, and no call of the base."""

    class Taken(HTTPException):
        status_code, detail, headers = 409, "Taken", None

        def __init__(self) -> None:
            Exception.__init__(self)

    answer = ErrorMapper().map(Taken())
    assert answer is not None
    assert (answer.status_code, answer.message) == (409, "Taken")


# FastAPI's validation failure


class Query(BaseModel):
    """What a FastAPI endpoint takes."""

    item: int
    url: AnyUrl | None = None


@pytest.mark.anyio
@pytest.mark.parametrize("body", [b'{"item": "hunter2"}', b'{"item": 1, "url": "hunter2"}', b'"hunter2"', b"{hunter2"])
async def test_fastapis_failure_does_not_echo_the_input(body: bytes) -> None:
    """FastAPI's own answer carries `input`; ours has paths and messages."""
    app = FastAPI()
    seen: list[ApiError | None] = []

    @app.exception_handler(RequestValidationError)
    async def keep(request: Request, exc: RequestValidationError) -> Response:
        seen.append(ErrorMapper().map(exc))
        return Response()

    @app.post("/")
    async def endpoint(query: Query) -> None:
        """Take a query."""

    await call(app, data=body, headers={"Content-Type": "application/json"})
    (answer,) = seen
    assert isinstance(answer, InvalidInput)
    assert answer.details
    assert "hunter2" not in repr(answer.details)


def _failure(*errors: dict[str, Any]) -> ApiError:
    answer = ErrorMapper().map(RequestValidationError(errors))
    assert isinstance(answer, InvalidInput)
    return answer


def _error(*loc: int | str, type: str = "missing", msg: str = "Field required") -> dict[str, Any]:  # noqa: A002
    return {"loc": loc, "type": type, "msg": msg, "input": SECRET}


def test_paths_follow_the_input() -> None:
    """The place that FastAPI puts first is left out; several messages of one path stand together."""
    answer = _failure(
        _error("body", "items", 0, "name"),
        _error("query", "page"),
        _error("query", "page", msg="Second"),
        _error("body"),
    )
    assert answer.details == {
        "items.0.name": ["Field required"],
        "page": ["Field required", "Second"],
        "body": ["Field required"],
    }


def test_malformed_json_belongs_to_the_whole_body() -> None:
    """FastAPI gives the offset as a path; a client cannot do anything with it."""
    assert _failure(_error("body", 17, type="json_invalid", msg="JSON decode error")).details == {
        "_root": ["The body is not valid JSON"]
    }


def test_a_failure_without_a_location_is_still_the_clients() -> None:
    """`raise RequestValidationError(exc.errors())` after a model validator has an empty `loc`; it is no 500."""

    class Range(BaseModel):
        low: int
        high: int

        @model_validator(mode="after")
        def _ordered(self) -> Range:
            raise ValueError(SECRET)

    with pytest.raises(ValidationError) as caught:
        Range(low=2, high=1)
    answer = _failure(*caught.value.errors())  # type: ignore[arg-type]  # typed dicts
    assert answer.details
    assert SECRET not in repr(answer.details)


def test_fifty_errors_are_enough() -> None:
    """A body of a million wrong items does not make an answer of a million messages."""
    answer = _failure(*(_error("body", index) for index in range(1000)))
    assert len(answer.details) == 50


@pytest.mark.parametrize("kind", ["value_error", "assertion_error", "union_tag_invalid", "uuid_parsing", "url_parsing"])
def test_a_message_that_may_quote_the_input_is_replaced(kind: str) -> None:
    """Pydantic and validators of the app put the value into some texts."""
    answer = _failure(_error("body", "a", type=kind, msg=f"Value error, {SECRET} is not valid"))
    assert answer.details == {"a": ["Invalid value"]}


def test_an_apps_own_type_of_error_does_not_echo() -> None:
    """`PydanticCustomError` is made to put the value into the text; `@validate` does not let it out, nor does this."""

    def taken(value: str) -> str:
        raise PydanticCustomError("taken", "{value} is taken", {"value": value})

    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Annotated[str, AfterValidator(taken)]).validate_python(SECRET)
    _refutes(caught.value, SECRET)


class Cat(BaseModel):
    """One kind of pet."""

    kind: Literal["cat"]


class Dog(BaseModel):
    """The other kind."""

    kind: Literal["dog"]


class Color(Enum):
    """A closed set."""

    RED = "red"


KINDS: list[Any] = [
    int, float, bool, date, datetime, time, timedelta, Decimal, Color, IPv4Address, UUID, AnyUrl, Query, Json[Any],
    Annotated[str, Field(max_length=3)], Annotated[str, Field(pattern="^a$")], Literal["a"], list[int], dict[str, int],
    int | UUID | Color,
]  # fmt: skip


@given(st.text(st.sampled_from("hunter2@/:.-[]{}T")).map(SECRET.__add__))
def test_no_type_of_pydantics_echoes(value: str) -> None:
    """Whatever the annotation, the submitted text is not in the answer."""
    for kind in KINDS:
        with pytest.raises(ValidationError) as caught:
            TypeAdapter(kind).validate_python(value)
        _refutes(caught.value, value)
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Annotated[Cat | Dog, Field(discriminator="kind")]).validate_python({"kind": value})
    _refutes(caught.value, value)


def _refutes(error: ValidationError, value: str) -> None:
    located = [{**fault, "loc": ("body", "field", *fault["loc"])} for fault in error.errors()]
    answer = _failure(*located)
    assert value not in repr(answer.details)
    assert SECRET not in repr(answer.details)


# Constraints


def _violate(*statements: str) -> sqlite3.IntegrityError:
    connection = sqlite3.connect(":memory:")
    with pytest.raises(sqlite3.IntegrityError) as caught:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return caught.value


EMAIL = (
    "create table users (email text unique, email_verified text unique)",
    f"insert into users values ('{SECRET}', 'a')",
    f"insert into users values ('{SECRET}', 'b')",
)
VERIFIED = (*EMAIL[:2], "insert into users values ('other', 'a')")


def test_a_violated_constraint_is_a_conflict_on_its_field() -> None:
    """The client hears of the field that it knows, in the words of the app."""
    mapper = ErrorMapper().constraint("users.email", field="email", message="Already taken")
    answer = mapper.map(_violate(*EMAIL))
    assert isinstance(answer, Conflict)
    assert (answer.status_code, answer.message) == (409, "Already taken")
    assert answer.details == {"email": ["Already taken"]}


def test_a_constraint_may_have_another_status() -> None:
    """A check is more of a 422 than of a conflict."""
    mapper = ErrorMapper().constraint("adult", field="age", message="Too young", status=422)
    exc = _violate("create table t (age int constraint adult check (age > 17))", "insert into t values (3)")
    assert mapper.map(exc).status_code == 422  # type: ignore[union-attr]


@pytest.mark.parametrize("status", [200, 302])
def test_a_constraint_with_a_success_is_refused_when_it_is_registered(status: int) -> None:
    """A mistake is heard of at import, not by the first client who violates the constraint."""
    with pytest.raises(ConfigurationError):
        ErrorMapper().constraint("c", field="f", message="m", status=status)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_constraint_whose_name_begins_like_another_is_not_taken_for_it(reverse: bool) -> None:
    """`users.email` is not `users.email_verified`, in whatever order they were registered."""
    names = sorted(["users.email", "users.email_verified"], reverse=reverse)
    mapper = ErrorMapper()
    for name in names:
        mapper.constraint(name, field=name, message="Taken")
    assert mapper.map(_violate(*EMAIL)).details == {"users.email": ["Taken"]}  # type: ignore[union-attr]
    assert mapper.map(_violate(*VERIFIED)).details == {"users.email_verified": ["Taken"]}  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["email", "sers.email", "users.emai", "s.email", "users.email.x"])
def test_a_part_of_a_name_is_not_the_name(name: str) -> None:
    """A constraint is named whole."""
    _says_nothing(ErrorMapper().constraint(name, field="f", message="m").map(_violate(*EMAIL)))


def test_a_name_is_no_pattern() -> None:
    """Dots and brackets in a name are themselves."""
    mapper = ErrorMapper().constraint("users.email", field="f", message="m").constraint("a(b", field="f", message="m")
    _says_nothing(mapper.map(_violate(*(statement.replace("users", "usersXemail") for statement in EMAIL))))
    exc = _violate('create table t (a int constraint "a(b" check (a > 17))', "insert into t values (3)")
    assert mapper.map(exc).details == {"f": ["m"]}  # type: ignore[union-attr]


def test_a_constraint_that_nobody_named_is_a_conflict_without_details() -> None:
    """What the database says about tables and columns never leaves."""
    _says_nothing(ErrorMapper().constraint("other", field="f", message="m").map(_violate(*EMAIL)))


def _says_nothing(answer: ApiError | None) -> None:
    """Hold that it is a conflict, and that it is not said of what."""
    assert isinstance(answer, Conflict)
    assert (answer.status_code, answer.message, answer.details) == (409, "It exists already", {})


def _table() -> Table:
    return Table(
        "users",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("email", Text),
        UniqueConstraint("email", name="uq_email"),
    )


def test_sqlalchemys_error_is_looked_into() -> None:
    """SQLAlchemy wraps the driver's error, with the statement and its parameters, which are not searched."""
    table, engine = _table(), create_engine("sqlite://")
    table.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(table).values(email=SECRET))
        with pytest.raises(IntegrityError) as caught:
            connection.execute(insert(table).values(email=SECRET))
    engine.dispose()
    mapper = ErrorMapper().constraint("users.email", field="email", message="Taken")
    assert mapper.map(caught.value).details == {"email": ["Taken"]}  # type: ignore[union-attr]
    _says_nothing(ErrorMapper().constraint(SECRET, field="f", message="m").map(caught.value))
    _says_nothing(ErrorMapper().constraint("users", field="f", message="m").map(caught.value))


class DriverError(Exception):
    """An error as psycopg and asyncpg raise it, with a text that quotes the row."""

    def __init__(self, text: str, constraint: str | None = None, diag: object = None) -> None:
        super().__init__(text)
        self.constraint_name = constraint
        self.diag = diag


def test_asyncpg_tells_the_name_on_the_cause() -> None:
    """SQLAlchemy's adapter for asyncpg keeps the driver's error as the cause of its own."""
    orig = DriverError("duplicate key value violates unique constraint")
    orig.__cause__ = DriverError("(email)=(uq_name)", constraint="uq_email")
    mapper = (
        ErrorMapper()
        .constraint("uq_name", field="name", message="N")
        .constraint("uq_email", field="email", message="E")
    )
    assert mapper.map(IntegrityError("insert", {}, orig)).details == {"email": ["E"]}  # type: ignore[union-attr]


def test_psycopg_tells_the_name_in_its_diagnosis() -> None:
    """A name that the driver tells is believed; its text, which quotes submitted values, is not searched then."""
    orig = DriverError("Key (name)=(uq_name) exists", diag=SimpleNamespace(constraint_name="uq_email"))
    mapper = (
        ErrorMapper()
        .constraint("uq_name", field="name", message="N")
        .constraint("uq_email", field="email", message="E")
    )
    assert mapper.map(IntegrityError("insert", {}, orig)).details == {"email": ["E"]}  # type: ignore[union-attr]


def test_a_mapping_counts_from_the_moment_it_is_registered() -> None:
    """What was found for a class before is looked up again."""
    mapper = ErrorMapper()
    assert mapper.map(KeyError("k")) is None
    mapper.register(LookupError, lambda exc: NotFound("no such thing"))
    answer = mapper.map(KeyError("k"))
    assert answer is not None and answer.message == "no such thing"
