"""From what a handler returns to what leaves: the envelope, and nothing that was not declared."""

from __future__ import annotations

import json
import math
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from types import ModuleType
from typing import Annotated, Any, Literal, NamedTuple, NoReturn, Optional

import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, Session, mapped_column
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from typing_extensions import TypeAliasType, TypedDict

from gatewright import Cookie, Err, Gate, Ok, Page, PageParams, Result, err, limit_body, ok, paginate
from gatewright._core.handler import Handler
from gatewright._core.outcome import Outcome
from gatewright._core.render import Renderer, declares_result
from gatewright.errors import ConfigurationError, NotFound
from gatewright.testing import EventList, FrozenClock, Reply, call, make_call

pytestmark = pytest.mark.anyio

SECRET = "hunter2"


@pytest.fixture
def anyio_backend() -> str:
    """Run on one event loop: nothing here waits."""
    return "asyncio"


PLAIN = limit_body(1 << 20)
"""A decorator that does as little as one can do."""


def returning(annotation: Any, result: Any) -> Any:
    """Return a decorated handler that declares *annotation* and returns *result*; raises an exception."""

    async def handler() -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    handler.__annotations__["return"] = annotation
    return PLAIN(handler)


async def answer(annotation: Any, result: Any, **request: Any) -> Reply:
    """Serve one request to such a handler."""
    gate = request.pop("gate", None) or Gate(log=EventList(), clock=FrozenClock())
    return await call(returning(annotation, result), gate=gate, **request)


class UserOut(BaseModel):
    """What clients may see of a user."""

    name: str


class PostOut(BaseModel):
    """What clients may see of a post."""

    title: str
    author: UserOut


class Base(DeclarativeBase):
    """SQLAlchemy's base."""


class UserRow(Base):
    """A row with a column that nobody may see."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    password: Mapped[str]


class DataBase(MappedAsDataclass, DeclarativeBase):
    """SQLAlchemy's base, for rows that are dataclasses."""


class DataRow(DataBase):
    """A row that every JSON encoder knows how to write, whole."""

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(primary_key=True)
    password: Mapped[str]


@dataclass
class Plain:
    """A dataclass with a field too many."""

    name: str = "ada"
    password: str = SECRET


class Admin(UserOut):
    """A model with a field too many."""

    password: str = SECRET


class Loose(UserOut, extra="allow"):
    """A model that keeps what it does not know."""


class Pair(NamedTuple):
    """A tuple with a field too many."""

    name: str = "ada"
    password: str = SECRET


def rows() -> dict[str, Any]:
    """Return one user in every shape that a handler might return."""
    return {
        "row": UserRow(id=1, name="ada", password=SECRET),
        "dataclass row": DataRow(name="ada", password=SECRET),
        "dataclass": Plain(),
        "dict": {"name": "ada", "password": SECRET},
        "subclass": Admin(name="ada"),
        "loose subclass": Loose(name="ada", password=SECRET),  # type: ignore[call-arg]  # extra is allowed
        "named tuple": Pair(),
        "exact": UserOut(name="ada"),
    }


SHAPES = sorted(rows())


# Nothing leaves that was not declared

WRAPPED: dict[str, tuple[Any, Callable[[Any], Any], Any]] = {
    "Result[T]": (Result[UserOut], lambda row: row, {"name": "ada"}),
    "Result[T], ok": (Result[UserOut], ok, {"name": "ada"}),
    "Ok[T]": (Ok[UserOut], ok, {"name": "ada"}),
    "T": (UserOut, lambda row: row, {"name": "ada"}),
    "T, ok": (UserOut, ok, {"name": "ada"}),
    "T | Response": (UserOut | Response, lambda row: row, {"name": "ada"}),
    "Result[T] | Response": (Result[UserOut] | Response, ok, {"name": "ada"}),
    "Ok[T] | Err": (Ok[UserOut] | Err, ok, {"name": "ada"}),
    "T | None": (UserOut | None, lambda row: row, {"name": "ada"}),
    "Optional[T]": (Optional[UserOut], lambda row: row, {"name": "ada"}),  # noqa: UP045  # it is another type
    "Result[T | None]": (Result[UserOut | None], ok, {"name": "ada"}),
    "Result[T | U]": (Result[UserOut | PostOut], ok, {"name": "ada"}),
    "Result[Annotated[T]]": (Result[Annotated[UserOut, "a user"]], ok, {"name": "ada"}),
    "Annotated[T]": (Annotated[UserOut, ["a list has no hash"]], lambda row: row, {"name": "ada"}),
    "alias of T": (TypeAliasType("User", UserOut), lambda row: row, {"name": "ada"}),
    "list": (Result[list[UserOut]], lambda row: ok([row, row]), [{"name": "ada"}] * 2),
    "tuple": (Result[tuple[UserOut, ...]], lambda row: ok([row]), [{"name": "ada"}]),
    "dict": (Result[dict[str, UserOut]], lambda row: ok({"a": row}), {"a": {"name": "ada"}}),
    "nested": (
        Result[PostOut],
        lambda row: ok({"title": "Hi", "author": row, "password": SECRET}),
        {"title": "Hi", "author": {"name": "ada"}},
    ),
    "list of dicts": (
        Result[list[PostOut]],
        lambda row: ok([{"title": "Hi", "author": row}]),
        [{"title": "Hi", "author": {"name": "ada"}}],
    ),
}


@pytest.mark.parametrize("wrapped", WRAPPED)
async def test_what_was_declared_is_what_leaves(wrapped: str) -> None:
    """Whatever holds the data, and wherever in the declaration the model stands: a password never leaves."""
    annotation, wrap, expected = WRAPPED[wrapped]
    for shape in SHAPES:
        reply = await answer(annotation, wrap(rows()[shape]))
        assert (shape, reply.json) == (shape, {"success": True, "data": expected})


@pytest.mark.parametrize("wrapped", WRAPPED)
async def test_what_does_not_fit_is_a_fault_and_leaves_nothing(wrapped: str) -> None:
    """A handler that breaks its word gets the fixed text, and the log has the reason."""
    annotation, wrap, _ = WRAPPED[wrapped]
    for data in ({"password": SECRET}, SECRET, [SECRET], 7):
        reply = await answer(annotation, wrap(data))
        assert (reply.status, reply.json["code"]) == (500, "internal_error")
        assert SECRET not in reply.body.decode()


@dataclass
class PostData:
    """A declared dataclass, which checks nothing when it is made."""

    title: str
    author: UserOut


class PostTuple(NamedTuple):
    """A declared tuple, which checks nothing either."""

    title: str
    author: UserOut


class PostDict(TypedDict):
    """A declared dict."""

    title: str
    author: UserOut


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize(
    ("declared", "make"),
    [(PostData, PostData), (PostTuple, PostTuple), (PostDict, PostDict)],
    ids=["dataclass", "named tuple", "typed dict"],
)
async def test_an_instance_that_was_never_checked_is_filtered_all_the_same(
    declared: Any, make: Callable[..., Any]
) -> None:
    """A dataclass takes anything into a field, and pydantic writes it whole, and warns.

    The answer is what was declared, or the fixed text of a fault. A declared model is trusted: it checks when it is
    made, and whoever writes `model_construct` says that the data was checked before.
    """
    for shape in SHAPES:
        reply = await answer(Result[declared], ok(make(title="Hi", author=rows()[shape])))
        assert (shape, SECRET in reply.body.decode()) == (shape, False)
        assert reply.status in (200, 500)


async def test_rows_come_out_of_a_session() -> None:
    """The row that SQLAlchemy gives, and the tuple of one that `execute` gives."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(UserRow(name="ada", password=SECRET))
        session.commit()
        users = session.scalars(select(UserRow)).all()
        named = session.execute(select(UserRow.name, UserRow.password)).all()
        for data in (users, named):
            reply = await answer(Result[list[UserOut]], ok(data))
            assert reply.json["data"] == [{"name": "ada"}]
    engine.dispose()


class Renamed(BaseModel):
    """A model whose fields have other names outside."""

    full_name: str = Field(alias="fullName")
    password: str = Field(exclude=True)
    token: SecretStr


@dataclass
class RenamedRow:
    """A row with the names that the app uses inside."""

    full_name: str = "Ada"
    password: str = SECRET
    token: str = SECRET


async def test_names_outside_are_the_models_aliases() -> None:
    """A row has the inner names, a client sees the outer ones; what a model hides stays hidden."""
    expected = {"fullName": "Ada", "token": "**********"}
    for data in (RenamedRow(), {"fullName": "Ada", "password": SECRET, "token": SECRET}):
        assert (await answer(Result[Renamed], ok(data))).json["data"] == expected


# A declaration that cannot be read is no licence

LATER = """
    from __future__ import annotations
    from dataclasses import dataclass
    from typing import TYPE_CHECKING
    from pydantic import BaseModel
    from gatewright import Ok, Page, Result, limit_body, ok
    if TYPE_CHECKING:
        from nowhere import Missing

    @dataclass
    class Row:
        name: str = "ada"
        password: str = "hunter2"

    @limit_body(10)
    async def handler() -> {annotation}:
        return ok(Row())

    class Later(BaseModel):
        name: str
"""


def written(annotation: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the handler of a module that declares *annotation*."""
    module = ModuleType("tests.later")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    source = textwrap.dedent(LATER).format(annotation=annotation)
    exec(compile(source, "later.py", "exec", dont_inherit=True), module.__dict__)
    return module.handler


@pytest.mark.parametrize("annotation", ["Result[Later]", "Later", "'Result[Later]'", "Ok[Later]", "Result['Later']"])
async def test_a_model_that_is_defined_further_down_is_found(annotation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the time that the first request comes it is there; until then nothing is assumed."""
    reply = await call(written(annotation, monkeypatch), gate=Gate(log=EventList()))
    assert reply.json == {"success": True, "data": {"name": "ada"}}


@pytest.mark.parametrize(
    "annotation", ["Result[Missing]", "Missing", "Result['Missing']", "Result[list[Missing]]", "list['Missing']"]
)
async def test_a_model_that_is_never_found_is_refused(annotation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import under `if TYPE_CHECKING` must not turn the filter off: it says so when sealed."""
    with pytest.raises(ConfigurationError):
        await call(written(annotation, monkeypatch), gate=Gate(log=EventList()))


class Odd:
    """A class that pydantic knows nothing of."""


@pytest.mark.parametrize("annotation", [Odd, list[Odd], Result[Odd], Result[Page[Odd]], Odd | Err])
def test_a_type_that_cannot_be_written_is_refused(annotation: Any) -> None:
    """Before the first request, with what to write instead."""
    with pytest.raises(ConfigurationError, match=r"declare a pydantic model, such as Result\[PostOut\]"):
        Renderer(Handler.read(_returns(annotation)))


def _returns(annotation: Any) -> Callable[[], None]:
    def handler() -> None:
        """Do nothing."""

    handler.__annotations__["return"] = annotation
    return handler


# Every way to declare


@pytest.mark.parametrize(
    "annotation",
    [Result, Ok, Ok | Err, Result[Any], Result[object], Any, object, Response, Response | None, Err, JSONResponse],
)
async def test_who_declares_nothing_gets_everything(annotation: Any) -> None:
    """Data goes as it is where no type says otherwise: the bare `Result` is `Result[Any]`."""
    data = None if annotation == Response | None else {"a": [1]}
    assert (await answer(annotation, ok(data))).json == {"success": True, "data": data}


async def test_an_unannotated_handler_is_written_as_it_is() -> None:
    """Models by their aliases, dataclasses, dates and decimals too."""

    @limit_body(10)
    async def handler():  # type: ignore[no-untyped-def]  # that is the case
        return {
            "at": datetime(2026, 1, 2, tzinfo=UTC),
            "sum": Decimal("1.50"),
            "who": UserOut(name="ada"),
            "row": Plain(),
        }

    assert (await call(handler, gate=Gate(log=EventList()))).json["data"] == {
        "at": "2026-01-02T00:00:00Z",
        "sum": "1.50",
        "who": {"name": "ada"},
        "row": {"name": "ada", "password": SECRET},
    }


@pytest.mark.parametrize(
    "annotation",
    [
        UserOut | Response | None,
        UserOut | PostOut | Response,
        Ok[UserOut] | Ok[PostOut] | Err,
        Result[UserOut] | None,
        Annotated[Result[UserOut], "doc"],
        TypeAliasType("UserResult", Result[UserOut]),
    ],
    ids=[
        "T | Response | None",
        "T | U | Response",
        "Ok[T] | Ok[U] | Err",
        "Result[T] | None",
        "Annotated[Result]",
        "alias",
    ],
)
async def test_more_than_one_declared_type_filters_too(annotation: Any) -> None:
    """Every union, `Annotated` and alias of results is read for the data in it; a bare `T | U` is `Result[T | U]`."""
    assert (await answer(annotation, ok(Plain()))).json == {"success": True, "data": {"name": "ada"}}


async def test_a_handler_that_always_raises_may_say_so() -> None:
    """`NoReturn` is a type like any other."""
    assert (await answer(NoReturn, NotFound())).status == 404


@pytest.mark.parametrize("annotation", [None, Result[None], Ok[None]])
async def test_nothing_may_be_declared(annotation: Any) -> None:
    """A handler that says it answers nothing answers null; data all the same would be a fault."""
    assert (await answer(annotation, None)).json == {"success": True, "data": None}
    assert (await answer(annotation, ok())).json == {"success": True, "data": None}
    assert (await answer(annotation, ok(SECRET))).status == 500


@pytest.mark.parametrize(
    ("annotation", "declares"),
    [
        *[(each, True) for each in (Result[int], Result, Ok[int], Ok, Ok[int] | Err, Result[int] | Response)],
        *[(each, False) for each in (int, None, list[int], int | None, Err, Response)],
    ],
)
def test_an_annotation_declares_a_result_or_not(annotation: Any, declares: bool) -> None:
    """FastAPI serialises the envelope by itself where the annotation names it."""
    assert declares_result(annotation) is declares


# The envelope


@pytest.mark.parametrize("data", [None, 0, "", False, [], {}, {"a": None}, "ünï", 1.5, 10**30])
async def test_a_success(data: Any) -> None:
    """`success` and `data`, and no more; a value that is no result is one."""
    for result in (data, ok(data)):
        reply = await answer(Any, result)
        assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
        assert reply.headers["content-length"] == str(len(reply.body))
        assert reply.json == {"success": True, "data": data}


@pytest.mark.parametrize("status", [200, 201, 202, 203, 206, 303])
async def test_a_success_has_the_status_that_it_was_given(status: int) -> None:
    """With the envelope as its body."""
    reply = await answer(Any, ok(1, status=status))
    assert (reply.status, reply.json["data"]) == (status, 1)


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_has_none(status: int) -> None:
    """Nor a type or a length; its own headers and cookies stay (RFC 9110, sections 15.3.5 and 15.4.5)."""
    reply = await answer(Any, ok(1, status=status, headers={"ETag": '"a"'}, cookies=[Cookie("a", "b")]))
    assert (reply.status, reply.body, reply.headers["etag"], reply.cookies) == (status, b"", '"a"', {"a": "b"})
    assert {"content-type", "content-length"}.isdisjoint(reply.headers)


async def test_a_delete_without_data_is_204() -> None:
    """What was deleted needs no envelope; data, or another status, is kept."""
    for result in (None, ok()):
        reply = await answer(Result[None], result, method="DELETE")
        assert (reply.status, reply.body) == (204, b"")
    assert (await answer(Any, ok(1), method="DELETE")).json == {"success": True, "data": 1}
    assert (await answer(Any, ok(status=202), method="DELETE")).json == {"success": True, "data": None}
    assert (await answer(Result[None], ok())).status == 200


async def test_an_err_is_the_error_envelope() -> None:
    """Message, code and request id; details only where there are some. It is not kept by caches."""
    reply = await answer(Result[int], err("No", status=409, code="taken"), headers={"X-Request-Id": "id-1"})
    assert (reply.status, reply.headers["content-type"], reply.headers["cache-control"]) == (
        409,
        "application/json",
        "no-store",
    )
    assert reply.headers["content-length"] == str(len(reply.body))
    assert reply.json == {"success": False, "error": "No", "code": "taken", "request_id": "id-1"}
    assert reply.headers["x-request-id"] == "id-1"
    reply = await answer(Result[int], err("No", details={"a.0": ["b"]}))
    assert reply.json["details"] == {"a.0": ["b"]}


async def test_an_err_is_in_the_log() -> None:
    """One can find out why a request was refused, returned or raised."""
    events = EventList()
    await answer(Any, err("No", code="taken"), gate=Gate(log=events))
    assert (events[0]["status"], events[0]["error"]) == (400, "taken")


async def test_an_err_has_headers_and_cookies_of_its_own() -> None:
    """A refusal may sign somebody out."""
    gone = Cookie("sid", "", max_age=0)
    reply = await answer(Any, err("No", status=401, headers={"WWW-Authenticate": "Own"}, cookies=[gone]))
    assert (reply.headers["www-authenticate"], reply.cookies) == ("Own", {"sid": ""})


async def test_an_err_is_problem_details_for_who_prefers_them() -> None:
    """Returned or raised, on Starlette or FastAPI: the same facts in the form that was asked for (RFC 9457)."""
    reply = await answer(Any, err("No", status=409), headers={"Accept": "application/problem+json"})
    assert reply.headers["content-type"] == "application/problem+json"
    assert (reply.json["title"], reply.json["code"], reply.json["status"]) == ("No", "conflict", 409)


async def test_an_err_says_once_how_it_is_cached() -> None:
    """As a raised refusal does: no-store, whatever a handler's default headers say."""
    reply = await answer(Any, err("No", headers={"Cache-Control": "public"}))
    assert [value for name, value in reply.raw_headers if name == b"cache-control"] == [b"no-store"]


async def test_a_returned_401_has_a_challenge() -> None:
    """RFC 9110, section 15.5.2: a 401 has to send one, whoever made it."""
    assert "www-authenticate" in (await answer(Any, err("Who?", status=401))).headers


# Responses


@pytest.mark.parametrize("annotation", [Any, Response, Result[UserOut], UserOut | Response])
async def test_a_response_passes_untouched(annotation: Any) -> None:
    """What a handler builds itself is its own business, whatever was declared."""
    reply = await answer(annotation, PlainTextResponse("hello", status_code=203, headers={"X-A": "1"}))
    assert (reply.status, reply.body, reply.headers["x-a"]) == (203, b"hello", "1")
    reply = await answer(annotation, RedirectResponse("/there"))
    assert (reply.status, reply.headers["location"]) == (307, "/there")


async def test_a_stream_passes_in_its_pieces() -> None:
    """Nothing collects it; a test that calls the handler gets every piece."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        await anyio.lowlevel.checkpoint()
        yield b"b"

    reply = await answer(Any, StreamingResponse(pieces()))
    assert [chunk for chunk in reply.chunks if chunk] == [b"a", b"b"]
    assert "content-length" not in reply.headers


# Numbers, texts, bytes


class Measure(BaseModel):
    """A model with a number."""

    value: float
    values: list[float] = Field(default_factory=list)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
async def test_what_json_has_no_word_for_is_null(number: float) -> None:
    """`NaN` would be a body that no client can parse (RFC 8259, section 6)."""
    for annotation, data, expected in [
        (Any, number, None),
        (Any, {"a": [number]}, {"a": [None]}),
        (Result[float], number, None),
        (Result[dict[str, float]], {"a": number}, {"a": None}),
        (Result[Measure], Measure(value=number, values=[number]), {"value": None, "values": [None]}),
    ]:
        reply = await answer(annotation, ok(data))
        assert json.loads(reply.body, parse_constant=pytest.fail)["data"] == expected


@pytest.mark.parametrize("annotation", [Any, Result[str]])
async def test_a_text_that_utf8_has_no_bytes_for_is_a_fault(annotation: Any) -> None:
    """A lone surrogate from a database or a client: the fixed text, and no broken connection."""
    assert (await answer(annotation, ok("\ud800"))).status == 500


@pytest.mark.parametrize(
    "error",
    [err("\ud800"), NotFound("\ud800"), NotFound("No", code="\ud800"), NotFound(details={"\ud800": ["\udfff"]})],
    ids=["err", "raised", "code", "details"],
)
async def test_a_message_that_utf8_has_no_bytes_for_still_refuses(error: Any) -> None:
    """`NotFound(f"No post {slug}")` with a lone surrogate out of a client's JSON: an answer, never an exception."""
    reply = await answer(Any, error)
    assert not reply.json["success"]
    assert reply.status < 500


JSONS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSONS)
def test_any_json_comes_back_as_it_was(data: Any) -> None:
    """The envelope is written piece by piece; the whole is JSON all the same."""
    made = make_call()
    outcome = Renderer(None)(data, made)
    assert json.loads(outcome.body or b"") == {"success": True, "data": data}
    assert (b"content-length", b"%d" % len(outcome.body or b"")) in outcome.headers


# Headers and cookies


async def test_headers_and_cookies_of_a_result() -> None:
    """Names in lower case, as ASGI wants them; several cookies, each its own header."""
    cookies = [Cookie("a", "1"), Cookie("b", "2")]
    reply = await answer(Any, ok(1, headers={"Location": "/1", "X-Käse": "é"}, cookies=cookies))
    assert (b"location", b"/1") in reply.raw_headers
    assert ("X-Käse".lower().encode("latin-1"), "é".encode("latin-1")) in reply.raw_headers
    assert reply.cookies == {"a": "1", "b": "2"}


async def test_cookies_are_signed_by_the_gate_in_front() -> None:
    """A pending value gets the keys of the gate that answers."""
    gate = Gate(keys=["0123456789abcdef0123456789abcdef"], log=EventList())

    class Pending:
        def settle(self, by: Gate) -> str:
            return str(by is gate)

    assert (await answer(Any, ok(cookies=[Cookie("a", Pending())]), gate=gate)).cookies == {"a": "True"}


INJECTIONS: list[Mapping[str, str]] = [
    {"X-A": "a\r\nSet-Cookie: b=c"},
    {"X-A": "a\nb"},
    {"X-A": "a\rb"},
    {"X-A": "a\0b"},
    {"X-A\r\nSet-Cookie": "b"},
]


@pytest.mark.parametrize("headers", INJECTIONS, ids=repr)
async def test_a_header_that_would_split_is_a_fault(headers: Mapping[str, str]) -> None:
    """Some servers send it as it is; a text out of a request would add headers of its choice."""
    for result in (ok(1, headers=headers), err("No", headers=headers), ok(status=204, headers=headers)):
        reply = await answer(Any, result)
        assert reply.status == 500
        assert not any(b"set-cookie" in name.lower() or b"\n" in value for name, value in reply.raw_headers)


async def test_a_header_that_latin1_has_no_bytes_for_is_a_fault() -> None:
    """The fixed text, and no broken connection."""
    assert (await answer(Any, ok(1, headers={"X-A": "日本"}))).status == 500


async def test_a_header_that_a_handler_gives_is_there_once() -> None:
    """`ok(..., headers={"Content-Type": ...})` does not send two types."""
    reply = await answer(Any, ok(1, headers={"Content-Type": "application/vnd.api+json"}))
    assert [value for name, value in reply.raw_headers if name == b"content-type"] == [b"application/vnd.api+json"]


# Pages


def paged(items: Any, total: int, declared: Any = UserOut) -> Any:
    """Return a handler that answers with a page."""

    async def handler(params: PageParams) -> Any:
        return ok(Page(items, total))

    handler.__annotations__["return"] = Result[Page[declared]] if declared is not None else Any
    return paginate(handler)


async def test_a_page_has_its_facts_and_links() -> None:
    """Items filtered like any data; where the page stands, and where the others are (RFC 8288)."""
    reply = await call(paged([Plain()] * 2, 25), query="limit=2&page=3&q=a%20b", gate=Gate(log=EventList()))
    assert reply.json == {
        "success": True,
        "data": [{"name": "ada"}] * 2,
        "pagination": {"page": 3, "limit": 2, "total": 25, "totalPages": 13},
    }
    assert reply.headers["content-length"] == str(len(reply.body))
    relations = {link.split("; ")[1]: link.split("; ")[0] for link in reply.headers["link"].split(", ")}
    assert relations.keys() == {'rel="first"', 'rel="prev"', 'rel="next"', 'rel="last"'}
    assert relations['rel="next"'] == "<?q=a%20b&page=4&limit=2>"


async def test_an_empty_page_has_no_links() -> None:
    """No rows, no pages."""
    reply = await call(paged([], 0), gate=Gate(log=EventList()))
    assert reply.json["pagination"] == {"page": 1, "limit": 10, "total": 0, "totalPages": 0}
    assert (reply.json["data"], "link" in reply.headers) == ([], False)


async def test_an_undeclared_page_is_written_as_it_is() -> None:
    """As any other data."""
    reply = await call(paged([{"a": 1}], 1, None), gate=Gate(log=EventList()))
    assert (reply.json["data"], reply.json["pagination"]["total"]) == ([{"a": 1}], 1)


async def test_a_page_needs_paginate() -> None:
    """Nobody read which page was asked for: said when it is sealed if it is declared, in the log if it is not."""
    with pytest.raises(ConfigurationError, match="@paginate"):
        await answer(Result[Page[UserOut]], ok(Page([], 0)))
    events = EventList()
    reply = await answer(Any, ok(Page([], 0)), gate=Gate(log=events))
    assert reply.status == 500
    assert "@paginate" in str(events[0])


def test_what_other_guards_provide_is_no_page() -> None:
    """Only the page that was asked for will do."""
    made = make_call()
    made.provide(int, 1)
    with pytest.raises(ConfigurationError, match="@paginate"):
        Renderer(None)(Page([], 0), made)


async def test_a_bare_page_is_a_page_of_anything() -> None:
    """`Result[Page]` is `Result[Page[Any]]`, as `list` is `list[Any]`."""

    @paginate
    async def handler(params: PageParams) -> Result[Page]:  # type: ignore[type-arg]  # that is the case
        return ok(Page([{"a": 1}], 1))

    assert (await call(handler, gate=Gate(log=EventList()))).json["data"] == [{"a": 1}]


# The renderer by itself


@dataclass
class Counted:
    """A sequence of results, to render with one renderer."""

    values: list[Literal[1, 2]] = field(default_factory=lambda: [1, 2])


def test_a_renderer_holds_nothing_of_a_call() -> None:
    """It is made once for a handler and used by every request at the same time."""
    render = Renderer(Handler.read(_returns(Result[int])))
    first, second = (render(ok(value, headers={"X": str(value)}), make_call()) for value in Counted().values)
    assert isinstance(first, Outcome)
    assert (first.body, second.body) == (b'{"success":true,"data":1}', b'{"success":true,"data":2}')
    assert first.headers is not second.headers
