"""From an exception to a fault: what is looked at, what is not, and what is told without a code."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from pymongo import errors as mongo
from sqlalchemy import ForeignKey, create_engine, delete, select, update
from sqlalchemy.exc import IntegrityError, NoResultFound
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from gatewright import ErrorMapper
from gatewright.errors import Conflict, GatewayTimeout, NotFound, ServiceUnavailable
from gatewright.faults import Fault, FaultKind, answer_for, classify

SECRET = "hunter2@example.org"


def made(name: str, *arguments: Any, above: str = "", **attributes: Any) -> Exception:
    """Return an exception of a class with the module and the name of a library's, which is not installed here.

    Args:
        name: `"package.module:Class"`.
        arguments: of the exception.
        above: the class that it is of, if there is one between it and `Exception`.
        attributes: of the class.
    """
    bases: tuple[type, ...] = (type(made(above)),) if above else (Exception,)
    module, _, qualname = name.partition(":")
    # As it comes out of a driver that is not there.
    cls = type(qualname.rpartition(".")[2], bases, {"__module__": module, "__qualname__": qualname, **attributes})
    return cls(*arguments)  # type: ignore[no-any-return]


def kind_of(exc: BaseException, **more: Any) -> FaultKind | None:
    """Return what an exception is told as."""
    fault = classify(exc, **more)
    return None if fault is None else fault.kind


def duplicate() -> sqlite3.IntegrityError:
    """Return what SQLite raises for a row that is there."""
    connection = sqlite3.connect(":memory:")
    connection.execute("create table users (email text unique)")
    with pytest.raises(sqlite3.IntegrityError) as caught:
        connection.execute("insert into users values ('a'), ('a')")
    connection.close()
    return caught.value


# What is looked through


def test_an_exception_of_anybodys_is_nothing() -> None:
    """Attributes and numbers that happen to look like a code are none."""
    for exc in (Exception(), ValueError("23505"), KeyError(1062), KeyError(11000), OSError(1062, "no"), TimeoutError()):
        assert classify(exc) is None
    assert classify(made("app:Refused", code=11000, details={"writeErrors": [{"code": 11000}]}, errno=1062)) is None


def test_a_mistake_while_dealing_with_a_conflict_is_no_conflict() -> None:
    """The `__context__` of an exception is what was being handled when a bug came up: it stays a 500."""
    with pytest.raises(KeyError) as caught:
        try:
            raise duplicate()
        except sqlite3.IntegrityError:
            {}["row"]
    assert isinstance(caught.value.__context__, sqlite3.IntegrityError)
    assert classify(caught.value) is None
    assert ErrorMapper().map(caught.value) is None


def test_a_row_that_is_not_there_after_a_conflict_is_not_there() -> None:
    """`get_or_create`, whose second look finds nothing: the context of a database's own exception does not count."""
    with pytest.raises(NoResultFound) as caught:
        try:
            raise duplicate()
        except sqlite3.IntegrityError:
            raise NoResultFound  # noqa: B904  # as SQLAlchemy does
    assert kind_of(caught.value) == "not_found"


def test_an_exception_of_the_applications_own_is_its_own_answer() -> None:
    """`raise SettingsAreMissing from exc` says something else than the database did, and is a 500 till it is mapped.

    Whether the transaction may be run again is another question, and the cause answers it.
    """
    own = RuntimeError("the settings are missing")
    own.__cause__ = made("pymysql.err:OperationalError", 1213, "Deadlock found")
    assert ErrorMapper().map(own) is None
    assert classify(own, wrapped=False) is None
    assert classify(own) == Fault("deadlock")
    own.__cause__ = NoResultFound()
    assert ErrorMapper().map(own) is None


def test_what_a_wrapper_holds_is_found_however_deep() -> None:
    """SQLAlchemy's `orig`, whose cause is the driver's own."""
    orig = made("somebody.dbapi:Error")
    orig.__cause__ = duplicate()
    exc = IntegrityError("insert", {}, orig)
    assert classify(exc, wrapped=False) == Fault("unique", "users.email")


def test_a_circle_ends() -> None:
    """An exception may be its own cause, and its cause's."""
    one, other = RuntimeError(), RuntimeError()
    one.__cause__, other.__cause__ = other, one
    assert classify(one) is None
    other.__cause__ = other
    assert classify(one) is None


def test_depth_has_an_end() -> None:
    """A chain of thousands is not walked."""
    exc: Exception = duplicate()
    for _ in range(5000):
        outer = RuntimeError()
        outer.__cause__ = exc
        exc = outer
    assert classify(exc) is None


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_an_exception_carries_is_survived(data: st.DataObject) -> None:
    """Drivers come in new versions, and what they put where is theirs to say."""
    anything = st.sampled_from(
        [None, 0, -1, 1062, True, "", "23505", b"23505", [1], {"writeErrors": [0, {}]}, ValueError("x")]
    )
    names = ("sqlstate", "pgcode", "diag", "errno", "sqlite_errorcode", "code", "details", "orig", "constraint_name")
    module = data.draw(st.sampled_from(["pymysql.err:Error", "pymongo.errors:Error", "sqlite3:Error", "app:Error"]))
    more = {name: data.draw(anything) for name in names}
    exc = made(module, *data.draw(st.lists(anything, max_size=2)), **more)
    exc.__cause__ = data.draw(st.none() | st.builds(ValueError))
    fault = classify(exc)
    assert fault is None or fault.kind in get_args(FaultKind)
    ErrorMapper().map(exc)


# Codes, by whoever carries them


@pytest.mark.parametrize("name", ["sqlstate", "pgcode"])
def test_a_sqlstate_is_read_off_any_driver(name: str) -> None:
    """The names are nobody else's: asyncpg, psycopg, psycopg2, and drivers that are not written yet."""
    assert kind_of(made("newdriver:Error", **{name: "23505"})) == "unique"
    assert kind_of(made("newdriver:Error", diag=made("newdriver:Diagnosis", sqlstate="40001"))) == "serialization"
    # Not one of these.
    assert kind_of(made("newdriver:Error", **{name: 23505})) is None
    assert kind_of(made("newdriver:Error", **{name: "235"})) is None


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("23001", "still_referenced"), ("23P01", "exclusion"), ("23000", "integrity"), ("23XXX", "integrity"),
        ("08006", "unavailable"), ("53300", "unavailable"), ("57P01", "unavailable"), ("57P02", "unavailable"),
        ("57P03", "unavailable"), ("40003", "unavailable"), ("40001", "serialization"), ("40P01", "deadlock"),
        ("55P03", "locked"), ("57014", "timeout"), ("22021", "bad_data"), ("22008", "bad_data"),
        ("22012", "internal"), ("25P02", "internal"), ("42P01", "internal"), ("XX000", "internal"),
    ],
)  # fmt: skip
def test_sqlstates(state: str, kind: FaultKind) -> None:
    """By the state, then by its class; a division by zero, or a transaction that failed before, is ours."""
    assert kind_of(made("psycopg:Error", sqlstate=state)) == kind


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (1062, "unique"), (1586, "unique"), (1451, "still_referenced"), (1452, "missing_reference"),
        (1048, "not_null"), (1364, "not_null"), (3819, "check"), (4025, "check"), (1406, "bad_data"),
        (1264, "bad_data"), (1366, "bad_data"), (1205, "locked"), (1213, "deadlock"), (1020, "serialization"),
        (3024, "timeout"), (1969, "timeout"), (1040, "unavailable"), (1203, "unavailable"), (2003, "unavailable"),
        (2006, "unavailable"), (2013, "unavailable"), (1142, "internal"), (1146, "internal"), (1064, "internal"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("module", ["pymysql.err", "MySQLdb._exceptions", "asyncmy.errors", "mysql.connector.errors"])
def test_numbers_of_mysql(module: str, number: int, kind: FaultKind) -> None:
    """From the first argument, or from `errno`."""
    assert kind_of(made(f"{module}:Error", number, "said")) == kind
    assert kind_of(made(f"{module}:Error", "said", errno=number, sqlstate="HY000")) == kind


def test_the_sqlstate_of_mysql_says_less_than_its_number() -> None:
    """23000 for every constraint, 40001 for a deadlock."""
    assert kind_of(made("mysql.connector.errors:Error", errno=1062, sqlstate="23000")) == "unique"
    assert kind_of(made("pymysql.err:Error", 1213, sqlstate="40001")) == "deadlock"
    assert kind_of(made("mysql.connector.errors:Error", errno=9999, sqlstate="23000")) == "integrity"


def test_the_codes_of_mongo() -> None:
    """Pymongo's own exceptions: a duplicate, one among many, a conflict of writes, a server that is not there."""
    assert kind_of(mongo.DuplicateKeyError("E11000 duplicate key", 11000)) == "unique"
    assert kind_of(mongo.WriteError("E11000", 11000)) == "unique"
    assert kind_of(mongo.BulkWriteError({"writeErrors": [{"code": 11000}]})) == "unique"
    assert kind_of(mongo.BulkWriteError({"writeErrors": [{"code": 65}]})) == "internal"
    assert kind_of(mongo.OperationFailure("WriteConflict", 112)) == "serialization"
    assert kind_of(mongo.OperationFailure("Document failed validation", 121)) == "check"
    assert kind_of(mongo.OperationFailure("not authorized", 13)) == "internal"
    assert kind_of(mongo.ExecutionTimeout("operation exceeded time limit", 50)) == "timeout"
    for gone in (mongo.AutoReconnect, mongo.NetworkTimeout, mongo.ServerSelectionTimeoutError):
        answer = ErrorMapper().map(gone("hunter2:27017: Connection refused"))
        assert isinstance(answer, ServiceUnavailable)
        assert answer.headers == {"Retry-After": "5"}
        assert "hunter2" not in answer.message
    assert kind_of(mongo.InvalidOperation("Cannot use MongoClient after close")) is None


def test_sqlite_without_a_code() -> None:
    """Other builds of SQLite carry none: what kind of constraint it was is not guessed at, but it was one."""
    assert classify(sqlite3.IntegrityError("UNIQUE constraint failed: users.email")) == Fault(
        "integrity", "users.email"
    )
    assert kind_of(sqlite3.OperationalError("no such table: users")) is None
    assert kind_of(sqlite3.InterfaceError()) is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [(5, "locked"), (6, "locked"), (261, "locked"), (262, "locked"), (773, "locked"), (517, "serialization"),
     (1555, "unique"), (2067, "unique"), (2579, "unique"), (787, "foreign_key"), (1299, "not_null"), (275, "check"),
     (3091, "bad_data"), (20, "bad_data"), (1811, "integrity"), (1, "internal"), (11, "internal"), (13, "internal")],
)  # fmt: skip
def test_codes_of_sqlite(code: int, kind: FaultKind) -> None:
    """The extended code, else its lowest byte."""
    assert kind_of(made("sqlite3:Error", sqlite_errorcode=code)) == kind


def test_a_number_that_sqlite_does_not_take() -> None:
    """`OverflowError`, of Python's own: `?page=99999999999999999999` is the client's (sqladmin#1137)."""
    connection = sqlite3.connect(":memory:")
    with pytest.raises(OverflowError) as caught:
        connection.execute("select ?", (10**30,))
    connection.close()
    assert kind_of(caught.value) == "bad_data"
    with pytest.raises(OverflowError) as own:
        (10**30).to_bytes(1)
    assert classify(own.value) is None


def test_half_of_a_surrogate_pair() -> None:
    """A driver that cannot send a text lets Python's own error out; one of the application is its own."""
    with create_engine("sqlite://").connect() as connection, pytest.raises(UnicodeEncodeError) as caught:
        connection.exec_driver_sql("select ?", ("\ud800",))
    connection.engine.dispose()
    assert kind_of(caught.value) == "bad_data"
    with pytest.raises(UnicodeEncodeError) as own:
        "\ud800".encode()
    assert classify(own.value) is None


def test_a_value_of_another_type_is_a_mistake_of_ours() -> None:
    """asyncpg has one class for a number that is too big and for a text where a number belongs."""
    too_big, wrong = (made("asyncpg.exceptions:DataError", sqlstate="22000") for _ in range(2))
    too_big.__cause__, wrong.__cause__ = OverflowError(), TypeError()
    assert (kind_of(too_big), kind_of(wrong)) == ("bad_data", "internal")


# The names of constraints


def test_mysql_says_the_table_too() -> None:
    """MySQL 8 says `users.uq_email` where MariaDB says `uq_email`; either may be written."""
    exc = made("pymysql.err:IntegrityError", 1062, f"Duplicate entry '{SECRET}' for key 'users.uq_email'")
    assert classify(exc) == Fault("unique", "uq_email", ("users.uq_email",))


@pytest.mark.parametrize(
    "value", ["x' for key 'uq_admin", "CONSTRAINT `uq_admin`", "uq_admin", "' for key 'users.uq_admin' for key '", "'"]
)
def test_a_submitted_value_is_not_taken_for_a_constraint(value: str) -> None:
    """MySQL quotes what was submitted; whoever writes a constraint's name there does not choose the answer."""
    exc = made("pymysql.err:IntegrityError", 1062, f"Duplicate entry '{value}' for key 'uq_email'")
    fault = classify(exc)
    assert fault is not None
    assert (fault.constraint, fault.also_called) == ("uq_email", ())


def test_mysql_in_another_language() -> None:
    """`lc_messages = de_DE`: the name stands last all the same."""
    exc = made("pymysql.err:IntegrityError", 1062, "Doppelter Eintrag 'ada' für Schlüssel 'uq_email'")
    assert classify(exc) == Fault("unique", "uq_email")
    for number, text in (
        (3819, "Check constraint 'adult' is violated."),
        (4025, "CONSTRAINT `adult` failed for `a`.`b`"),
    ):
        assert classify(made("pymysql.err:OperationalError", number, text)) == Fault("check", "adult")
    assert classify(made("pymysql.err:IntegrityError", 1062)) == Fault("unique")
    assert classify(made("pymysql.err:IntegrityError", 1062, "")) == Fault("unique")


def test_an_index_on_an_expression() -> None:
    """SQLite names the index there, as it has no column to name."""
    connection = sqlite3.connect(":memory:")
    connection.executescript("create table t (a text); create unique index ix_lower on t (lower(a))")
    with pytest.raises(sqlite3.IntegrityError) as caught:
        connection.execute("insert into t values ('a'), ('A')")
    connection.close()
    assert classify(caught.value) == Fault("unique", "ix_lower")


# Names of classes


@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        # Classes of ORMs that are not installed here, made with the same modules and names.
        (made("app.models:User.DoesNotExist", above="django.core.exceptions:ObjectDoesNotExist"), "not_found"),
        (made("app.models:Many", above="django.core.exceptions:MultipleObjectsReturned"), "several_found"),
        (made("app.models:UserDoesNotExist", above="peewee:DoesNotExist"), "not_found"),
        (made("tortoise.exceptions:DoesNotExist"), "not_found"),
        (made("tortoise.exceptions:MultipleObjectsReturned"), "several_found"),
        (made("tortoise.exceptions:DBConnectionError"), "unavailable"),
        (made("tortoise.exceptions:IntegrityError", duplicate()), "unique"),
        (made("tortoise.exceptions:IntegrityError", "told as a text"), "integrity"),
        (made("tortoise.exceptions:OperationalError", made("asyncpg:Error", sqlstate="42703")), "internal"),
        (made("tortoise.exceptions:ConfigurationError"), None),
        (made("django.db.utils:DataError"), "bad_data"),
        (made("psycopg_pool:PoolTimeout", above="psycopg:OperationalError", sqlstate=None), "unavailable"),
        (made("psycopg2:OperationalError", pgcode=None), "unavailable"),
        (made("pymysql.err:InterfaceError", 0, ""), "unavailable"),
        (made("mongoengine.errors:NotUniqueError"), "unique"),
        # httpx goes by another name, too.
        (made("httpx2:ReadTimeout", above="httpx2:TimeoutException"), "upstream_timeout"),
        (made("httpx2:ConnectError", above="httpx2:RequestError"), "upstream"),
        (made("httpx2:HTTPStatusError"), "upstream"),
        # Of the application, with a name that a driver has.
        (made("app:IntegrityError"), None),
        (made("app:NoResultFound"), None),
        (made("app:TimeoutException"), None),
    ],
    ids=lambda value: f"{type(value).__module__}.{type(value).__name__}" if isinstance(value, Exception) else value,
)  # fmt: skip
def test_names(exc: Exception, kind: FaultKind | None) -> None:
    """By package and class, wherever in the package it is; of what says nothing more, by what all drivers call it."""
    assert kind_of(exc, wrapped=False) == kind


def test_djangos_wrapper_holds_the_drivers_as_its_cause() -> None:
    """`django.db.utils.IntegrityError`, raised from psycopg's."""
    exc = made("django.db.utils:IntegrityError", "null value")
    exc.__cause__ = made("psycopg.errors:NotNullViolation", sqlstate="23502")
    assert kind_of(exc, wrapped=False) == "not_null"


def test_advanced_alchemy_says_foreign_key_where_it_is_a_duplicate() -> None:
    """advanced-alchemy#262: it reads the text; what it was raised from carries the code."""
    exc = made("advanced_alchemy.exceptions:ForeignKeyError", above="advanced_alchemy.exceptions:IntegrityError")
    exc.__cause__ = IntegrityError("insert", {}, duplicate())
    answer = ErrorMapper().constraint("users.email", field="email", message="Taken").map(exc)
    assert isinstance(answer, Conflict)
    assert answer.details == {"email": ["Taken"]}


# SQLAlchemy's own


class Base(DeclarativeBase):
    """The tables."""


class Post(Base):
    """A row that knows its version."""

    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    version: Mapped[int] = mapped_column()
    parent: Mapped[int | None] = mapped_column(ForeignKey("posts.id"))
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  # as SQLAlchemy wants it


@pytest.fixture
def session() -> Iterator[Session]:
    """Open a session with two posts."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Post(title="one"), Post(title="two")])
        session.commit()
        yield session
    engine.dispose()


def test_what_is_not_found_is_a_404(session: Session) -> None:
    """`scalar_one()` of nothing."""
    with pytest.raises(Exception) as caught:  # whichever it is
        session.execute(select(Post).where(Post.title == SECRET)).scalar_one()
    answer = ErrorMapper().map(caught.value)
    assert isinstance(answer, NotFound)
    assert (answer.message, answer.details) == ("Not found", {})


def test_several_where_there_should_be_one_are_a_mistake_of_ours(session: Session) -> None:
    """No client can choose among rows that should not be."""
    with pytest.raises(Exception) as caught:  # whichever it is
        session.execute(select(Post)).scalar_one()
    assert kind_of(caught.value) == "several_found"
    assert ErrorMapper().map(caught.value) is None


def test_what_somebody_else_changed_meanwhile_is_a_conflict(session: Session) -> None:
    """Optimistic locking: the row has another version by now. To save it again would undo what they did."""
    post = session.get_one(Post, 1)
    session.execute(
        update(Post).where(Post.id == 1).values(version=7), execution_options={"synchronize_session": False}
    )
    post.title = "mine"
    with pytest.raises(Exception) as caught:  # whichever it is
        session.flush()
    assert classify(caught.value) == Fault("stale")
    assert ErrorMapper().map(caught.value).status_code == 409  # type: ignore[union-attr]  # it is mapped


def test_what_somebody_else_deleted_meanwhile_is_a_conflict(session: Session) -> None:
    """An instance whose row is not there any more."""
    post = session.get_one(Post, 1)
    session.expire(post)
    session.execute(delete(Post).where(Post.id == 1), execution_options={"synchronize_session": False})
    with pytest.raises(Exception) as caught:  # whichever it is
        _ = post.title
    assert kind_of(caught.value) == "stale"


# Answers


def test_only_contention_may_be_run_again() -> None:
    """A deadline that passed passes again; a commit on a connection that broke may have come through."""
    assert {kind for kind in get_args(FaultKind) if Fault(kind).retryable} == {"serialization", "deadlock", "locked"}


def test_the_log_knows_which_constraint_and_the_client_does_not() -> None:
    """The reason is for the log alone."""
    answer = answer_for(Fault("unique", "uq_email"))
    assert answer is not None
    assert answer.reason == "unique uq_email"
    assert "uq_email" not in f"{answer.message} {answer.details} {answer.headers} {answer.facts}"


def test_answers_do_not_share_their_headers() -> None:
    """What is added to one is not in the next."""
    first, second = answer_for(Fault("locked")), answer_for(Fault("locked"))
    assert first is not None and second is not None
    assert first.headers == second.headers == {"Retry-After": "1"}
    assert first.headers is not second.headers


# Whose mapping counts


def test_a_registration_of_the_applications_comes_before_what_is_guessed() -> None:
    """For the class itself, for one above it however far, and by name."""
    for whose in (sqlite3.IntegrityError, sqlite3.Error, Exception, "sqlite3:DatabaseError"):
        mapper = ErrorMapper().register(whose, lambda exc: GatewayTimeout())  # type: ignore[arg-type]  # one or the other
        assert isinstance(mapper.map(duplicate()), GatewayTimeout)
        # And still passes on what it does not want.
        mapper.register(whose, lambda exc: None)  # type: ignore[arg-type]  # one or the other
        assert isinstance(mapper.map(duplicate()), Conflict)


def test_a_named_constraint_comes_before_every_class() -> None:
    """Whoever registered a class for all the rest did not mean the one that was named."""
    mapper = ErrorMapper().constraint("users.email", field="email", message="Taken")
    mapper.register(sqlite3.IntegrityError, lambda exc: GatewayTimeout())
    assert mapper.map(duplicate()).details == {"email": ["Taken"]}  # type: ignore[union-attr]  # it is mapped


def test_a_catch_all_of_the_applications_does_not_take_the_answers_that_were_raised() -> None:
    """`register(Exception, ...)`: a `NotFound` is nearer to itself."""
    mapper = ErrorMapper().register(Exception, lambda exc: GatewayTimeout())
    assert isinstance(mapper.map(NotFound()), NotFound)


def test_a_handlers_own_validation_error_is_a_500() -> None:
    """A model that the handler made wrongly is no input of the client's."""

    class Row(BaseModel):
        age: int

    with pytest.raises(ValidationError) as caught:
        Row(age=SECRET)  # type: ignore[arg-type]  # the mistake
    assert ErrorMapper().map(caught.value) is None


def test_nothing_is_imported() -> None:
    """To tell faults apart costs nothing where none of the libraries is used."""
    code = (
        "import sys; from gatewright.faults import classify; classify(ValueError()); classify(OSError())\n"
        "sys.exit(bool({'sqlalchemy', 'asyncpg', 'psycopg', 'pymysql', 'pymongo', 'httpx', 'aiohttp', 'requests',"
        " 'sqlite3', 'django'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
