"""What handlers return: values for a unit test, an envelope for a framework that serialises annotations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, TypeAdapter, ValidationError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from gatewright import Cookie, Err, Ok, Page, PageParams, Result, err, ok
from gatewright.errors import ApiError, ConfigurationError
from gatewright.result import code_of
from gatewright.testing import call

SECRET = "hunter2"


class PostOut(BaseModel):
    """What clients may see."""

    id: int
    title: str


class Node(BaseModel):
    """A tree."""

    children: list[Node] = []


class Entity(DeclarativeBase):
    """SQLAlchemy's base."""


class PostRow(Entity):
    """A row with a column that nobody may see."""

    __tablename__ = "posts"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    password: Mapped[str]


ROW = PostRow(id=1, title="Hi", password=SECRET)


# Values


def test_ok_carries_data_and_a_status() -> None:
    """A unit test reads what the handler answered without HTTP."""
    cookie = Cookie("a", "b")
    result = ok([1], status=201, headers={"Location": "/1"}, cookies=[cookie])
    assert (result.success, result.error) == (True, None)
    assert (result.data, result.status, result.headers) == ([1], 201, {"Location": "/1"})
    assert result.cookies == [cookie]


def test_ok_without_data_is_a_success() -> None:
    """Nothing to say is still said with 200."""
    assert (ok().data, ok().status, ok().headers, ok().cookies) == (None, 200, None, ())
    assert ok(status=204).status == 204


@pytest.mark.parametrize("status", [0, 100, 199, 400, 404, 500])
def test_ok_refuses_an_error(status: int) -> None:
    """The message says what to write instead."""
    with pytest.raises(ConfigurationError, match=rf"write err\(\.\.\., status={status}\)"):
        ok(status=status)


def test_err_carries_a_message_and_a_code() -> None:
    """A refusal that is returned is a value like any other."""
    cookie = Cookie("a", "b")
    result = err("No", status=409, code="taken", details={"a": ["b"]}, headers={"X": "1"}, cookies=[cookie])
    assert (result.success, result.data) == (False, None)
    assert (result.error, result.status, result.code, result.details) == ("No", 409, "taken", {"a": ["b"]})
    assert (result.headers, result.cookies) == ({"X": "1"}, [cookie])


@pytest.mark.parametrize("status", [0, 200, 302, 399])
def test_err_refuses_a_success(status: int) -> None:
    """The message says what to write instead."""
    with pytest.raises(ConfigurationError, match=rf"write ok\(\.\.\., status={status}\)"):
        err("No", status=status)


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "bad_request"), (404, "not_found"), (409, "conflict"), (418, "error"), (500, "internal_error"),
     (503, "service_unavailable"), (507, "internal_error"), (599, "internal_error")],
)  # fmt: skip
def test_a_status_has_a_code(status: int, code: str) -> None:
    """A program can switch on the code of every refusal, also where nobody wrote one."""
    assert err("No", status=status).code == code_of(status) == code


def test_every_error_of_the_tree_speaks_for_its_status() -> None:
    """`err("...", status=404)` and `raise NotFound` say the same to a program."""
    for kind in ApiError.__subclasses__():
        assert code_of(kind.status) == kind.default_code


def test_an_apps_own_error_does_not_change_the_codes() -> None:
    """What a status means does not depend on what was imported."""

    class Gone(ApiError):
        status, default_code = 404, "gone_for_good"

    assert code_of(Gone.status) == "not_found"


def test_results_compare_by_value() -> None:
    """A unit test may write `assert await handler() == ok(...)`."""
    assert ok(1) == ok(1) != ok(2)
    assert ok(1) != ok(1, status=201)
    assert ok(1) != 1
    assert ok() != err("No")
    assert err("No") == err("No") != err("Yes")
    assert Page([1], 1) == Page([1], 1)
    assert PageParams(1, 10, 0) == PageParams(1, 10, 0)


def test_results_show_what_they_carry() -> None:
    """A failed assertion can be read."""
    assert repr(ok([1], status=201)) == "Ok([1], status=201)"
    assert "No" in repr(err("No"))


@pytest.mark.parametrize("result", [ok(1), err("No")])
def test_results_have_no_hash(result: Any) -> None:
    """They are mutable and equal by value, like a list."""
    with pytest.raises(TypeError):
        hash(result)


def test_the_envelope_as_a_dict() -> None:
    """A serialiser that knows nothing of us gets the envelope."""
    page = ok(Page((1, 2), 5))
    page.pagination = {"page": 1, "limit": 2, "total": 5, "totalPages": 3}
    assert ok({"a": 1}).as_dict() == {"success": True, "data": {"a": 1}}
    assert page.as_dict() == {"success": True, "data": [1, 2], "pagination": page.pagination}


# pydantic


def dump(annotation: Any, value: object) -> Any:
    """Do what a framework does with a return annotation."""
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    return adapter.dump_python(adapter.validate_python(value, from_attributes=True), mode="json")


@dataclass
class Row:
    """A row with a field too many."""

    id: int = 1
    title: str = "Hi"
    password: str = SECRET


class Admin(PostOut):
    """A model with a field too many."""

    password: str = SECRET


@pytest.mark.parametrize("data", [ROW, Row(), {"id": 1, "title": "Hi", "password": SECRET}, PostOut(id=1, title="Hi")])
@pytest.mark.parametrize("annotation", [Result[PostOut], Ok[PostOut], Ok[PostOut] | Err, Ok[PostOut | None]])
def test_data_is_filtered_through_the_declared_type(annotation: Any, data: object) -> None:
    """What was declared is what leaves; a row's password column is not."""
    assert dump(annotation, ok(data)) == {"success": True, "data": {"id": 1, "title": "Hi"}}


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("annotation", [Ok[PostOut], Ok[PostOut] | Err, Result[PostOut], Result[PostOut | None]])
def test_a_subclass_is_filtered_through_the_declared_class(annotation: Any) -> None:
    """`class UserInDB(UserOut)` with the hash of a password is how FastAPI's tutorial has it; the hash stays inside.

    Pydantic serialises a subclass as its parent, but inside a union it writes every field and warns.
    """
    assert dump(annotation, ok(Admin(id=1, title="Hi"))) == {"success": True, "data": {"id": 1, "title": "Hi"}}


def test_items_of_a_page_are_filtered() -> None:
    """A page is the envelope with a list and its facts."""
    page = ok(Page([ROW, {"id": 2, "title": "Ho", "password": SECRET}], 2))
    page.pagination = {"page": 1, "limit": 10, "total": 2, "totalPages": 1}
    assert dump(Result[Page[PostOut]], page) == {
        "success": True,
        "data": [{"id": 1, "title": "Hi"}, {"id": 2, "title": "Ho"}],
        "pagination": {"page": 1, "limit": 10, "total": 2, "totalPages": 1},
    }


@pytest.mark.parametrize("annotation", [Ok, Result[Any], Ok[Any]])
def test_undeclared_data_is_written_as_it_is(annotation: Any) -> None:
    """Who declares nothing gets everything."""
    assert dump(annotation, ok({"a": 1})) == {"success": True, "data": {"a": 1}}


def test_data_that_does_not_fit_is_a_fault() -> None:
    """A handler that breaks its word is found out, not silently obeyed."""
    with pytest.raises(ValidationError):
        dump(Result[PostOut], ok({"title": "Hi"}))
    with pytest.raises(ValidationError):
        dump(Result[None], ok(1))


@pytest.mark.parametrize("value", [{"success": True, "data": None}, None, "ok", 1])
@pytest.mark.parametrize("annotation", [Result[None], Ok[None], Err])
def test_only_a_result_is_a_result(annotation: Any, value: object) -> None:
    """A dict that looks like the envelope was not made by `ok`."""
    with pytest.raises(ValidationError, match=r"not an (Ok|Err)"):
        dump(annotation, value)


@pytest.mark.parametrize("annotation", [Result[PostOut], Err])
def test_err_is_written_as_the_error_envelope(annotation: Any) -> None:
    """Details stand there only where there are some; headers and cookies never do."""
    assert dump(annotation, err("No", status=404, headers={"X": "1"})) == {
        "success": False,
        "error": "No",
        "code": "not_found",
    }
    assert dump(annotation, err("No", details={"a": ["b"]}))["details"] == {"a": ["b"]}


def document(annotation: Any) -> dict[str, Any]:
    """Return the JSON schema of what is sent."""
    return TypeAdapter(annotation).json_schema(mode="serialization")


def test_ok_is_documented_as_the_envelope() -> None:
    """The document shows what a client gets, model and all."""
    schema = document(Ok[PostOut])
    assert schema["required"] == ["success", "data"]
    assert schema["properties"]["success"] == {"const": True, "title": "Success", "type": "boolean"}
    assert schema["properties"]["data"]["$ref"] == "#/$defs/PostOut"


def test_err_is_documented_as_the_error_envelope() -> None:
    """Optional is what is not always there."""
    schema = document(Err)
    assert schema["required"] == ["success", "error", "code"]
    assert schema["properties"].keys() == {"success", "error", "code", "details", "request_id"}
    assert schema["properties"]["success"]["const"] is False


def test_a_result_is_documented_as_either() -> None:
    """A union of the two envelopes."""
    assert [option["properties"]["success"]["const"] for option in document(Result[int])["anyOf"]] == [True, False]


def test_a_page_is_documented_with_its_facts() -> None:
    """The data is a list of items, the facts stand beside it."""
    schema = document(Ok[Page[PostOut]])
    assert schema["properties"]["data"]["items"]["$ref"] == "#/$defs/PostOut"
    assert schema["properties"]["pagination"]["required"] == ["page", "limit", "total", "totalPages"]
    assert schema["required"] == ["success", "data", "pagination"]


def test_a_page_of_anything_is_a_page() -> None:
    """A bare `Page` means `Page[Any]`, as a bare `list` means `list[Any]`."""
    page = ok(Page([1], 1))
    page.pagination = {"page": 1, "limit": 10, "total": 1, "totalPages": 1}
    assert dump(Result[Page], page)["data"] == [1]


def test_a_recursive_model_can_be_declared() -> None:
    """Definitions of a model that refers to itself are kept."""
    tree = Node(children=[Node()])
    assert dump(Result[Node], ok(tree))["data"] == {"children": [{"children": []}]}
    assert document(Result[Node])["$defs"].keys() == {"Node"}


@pytest.mark.anyio
async def test_fastapi_serialises_and_documents_a_result() -> None:
    """An endpoint without any decorator of ours may return `ok(...)`; FastAPI writes the envelope by itself."""
    app = FastAPI()

    @app.get("/post")
    async def read() -> Result[PostOut]:
        return ok(ROW)  # type: ignore[arg-type]  # a row that fits

    @app.get("/none")
    async def nothing() -> Result[None]:
        return ok()

    assert (await call(app, path="/post")).json == {"success": True, "data": {"id": 1, "title": "Hi"}}
    assert (await call(app, path="/none")).json == {"success": True, "data": None}
    document = app.openapi()
    schema = document["paths"]["/post"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    if "$ref" in schema:  # a name for the alias, in later versions of FastAPI
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    (success, failure) = schema["anyOf"]
    assert success["properties"]["data"]["$ref"] == "#/components/schemas/PostOut"
    assert failure["properties"]["success"]["const"] is False


def test_a_page_is_changed_item_by_item() -> None:
    """Where the rows of a database become what the handler declares; the total stays."""
    assert Page([1, 2], 7).map(str) == Page(["1", "2"], 7)
