"""FromBody: strict JSON in, a checked value out."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.types import Message

from gatewright._core.call import Call
from gatewright._core.gate import Gate
from gatewright._core.log import EventList
from gatewright.errors import InvalidInput, UnsupportedMedia
from gatewright.result import Result, ok
from gatewright.testing import FrozenClock, chunked, disconnecting, enter, make_call
from gatewright.validation import FromBody, validate
from tests.validation.kit import FORM, JSON, data, details, nothing, sealed, send

pytestmark = pytest.mark.anyio

NOT_JSON = {"_root": ["The body is not valid JSON"]}


class Post(BaseModel):
    title: str
    score: float = 0.0
    tags: list[str] = []


class Login(BaseModel):
    user: str
    password: str
    pin: int


@validate
async def create(body: FromBody[Post]) -> Result[Post]:
    return ok(body)


@validate
async def anything(body: FromBody[Any]) -> Result[Any]:
    return ok(None)


@validate
async def maybe(body: FromBody[Post] | None = None) -> Result[Any]:
    return ok(body)


@validate
def nullable(body: FromBody[Post | None]) -> Result[Any]:
    return ok(body)


async def test_a_fitting_body_reaches_the_handler_as_its_model() -> None:
    """The handler is given the model; defaults are filled in."""
    assert await data(create, json={"title": "Hi", "tags": ["a"]}) == {"title": "Hi", "score": 0.0, "tags": ["a"]}


async def test_the_original_takes_the_model_itself_in_a_unit_test() -> None:
    """`.handler` is callable without HTTP."""
    result = await create.handler(Post(title="Hi"))
    assert result == ok(Post(title="Hi"))


async def test_all_that_is_wrong_is_said_at_once_by_input_path() -> None:
    """Every field that does not fit has its own message."""
    found = await details(create, json={"score": "x", "tags": ["a", 1, None]})
    assert list(found) == ["title", "score", "tags.1", "tags.2"]
    assert found["title"] == ["Field required"]


async def test_the_gate_chooses_422() -> None:
    """`Gate(invalid_status=422)` is the status of a validation failure."""
    reply = await send(create, json={}, gate=Gate(invalid_status=422, clock=FrozenClock(), log=EventList()))
    assert (reply.status, reply.json["code"]) == (422, "validation_failed")
    with pytest.raises(InvalidInput) as caught:
        await enter(sealed(create.handler), make_call(headers=JSON, gate=Gate(invalid_status=422, log=EventList())))
    assert caught.value.status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        b"NaN",
        b'{"title":"a","score":NaN}',
        b'{"title":"a","score":Infinity}',
        b'{"title":"a","score":-Infinity}',
        b'{"title":"a","unknown":NaN}',
        b"{",
        b'{"title":"a"} trailing',
        b"\xff\xfe",
        b'{"title":"\xff"}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"title":' + b"9" * 5_000 + b"}",
        b'{"title":"\\ud800"}',
        b'{"\\udfff":1}',
        b"'a'",
        b"   ",
    ],
    ids=range(16),
)
async def test_fastapi_nan_500_any_bytes_that_are_not_json_are_a_400(body: bytes) -> None:
    """FastAPI answers 500 to NaN, Infinity and binary bodies: its error repeats the input. Here: one fixed text."""
    assert await details(create, data=body, headers=JSON) == NOT_JSON
    assert await details(anything, data=body, headers=JSON) == NOT_JSON


async def test_the_word_nan_inside_a_string_is_text() -> None:
    """The quick look for NaN only decides whether to look twice."""
    assert (await data(create, json={"title": "NaN and Infinity"}))["title"] == "NaN and Infinity"


async def test_of_duplicate_keys_the_last_wins() -> None:
    """As RFC 8259 parsers do."""
    assert (await data(create, data=b'{"title":"a","title":"b"}', headers=JSON))["title"] == "b"


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json;charset=utf-8",
        "application/json; charset=UTF-8",
        'Application/JSON ; Charset="utf-8"',
        "application/problem+json",
        'application/vnd.api+json; profile="a;charset=latin-1"',
        "application/json;",
    ],
)
async def test_json_types_are_taken(kind: str) -> None:
    """application/json and application/*+json, in UTF-8, in every spelling."""
    assert (await data(create, json={"title": "a"}, headers={"content-type": kind}))["title"] == "a"


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin-1",
        "application/json; charset=utf-8; charset=utf-16",
        "application/json, text/plain",
        "application/jsonp",
        "+json",
        "application/json; charset",
        "application/json" + "; " * 20_000 + "=",
    ],
)
async def test_hono_silent_empty_object_a_wrong_content_type_is_a_415(kind: str) -> None:
    """Hono gives the handler `{}` for a type that it does not read; FastAPI used to parse text/plain (CSRF)."""
    reply = await send(create, json={"title": "a"}, headers={"content-type": kind})
    assert (reply.status, reply.headers["accept"]) == (415, "application/json")


async def test_a_body_without_a_content_type_is_a_415() -> None:
    """What the bytes are is the client's to say."""
    assert (await send(create, data=b'{"title":"a"}')).status == 415


async def test_two_content_types_are_a_415() -> None:
    """A proxy may have judged by the other one."""
    headers = [("content-type", "application/json"), ("content-type", "text/plain")]
    assert (await send(create, json={"title": "a"}, headers=headers)).status == 415


@pytest.mark.parametrize("headers", [JSON, {}, {**FORM, "content-length": "0"}])
async def test_a_required_body_that_is_empty_is_a_400(headers: dict[str, str]) -> None:
    """Nothing was sent, so its type is not the problem."""
    assert await details(create, method="POST", headers=headers) == {"_root": ["A body is required"]}


async def test_a_wrong_type_is_refused_before_the_body_is_read() -> None:
    """A flood of what the handler does not read costs no memory."""

    async def receive() -> Message:
        raise AssertionError("the body was read")

    scope = make_call(method="POST", headers={"content-type": "text/plain"}).scope
    with pytest.raises(UnsupportedMedia):
        await enter(sealed(create.handler), Call(Gate(), scope, receive, nothing))


@pytest.mark.parametrize("handler", [maybe, nullable])
async def test_an_optional_body_may_be_missing_or_null(handler: Any) -> None:
    """A default or `| None`, on either side of the bracket, makes the body optional."""
    assert await data(handler, method="POST") is None
    assert await data(handler, data=b"null", headers=JSON) is None
    assert (await data(handler, json={"title": "a"}))["title"] == "a"
    assert list(await details(handler, json={})) == ["title"]


async def test_a_body_in_chunks_is_read_whole() -> None:
    """Chunk borders do not matter."""
    assert (await data(create, data=chunked(b'{"title":"abc"}', 4), headers=JSON))["title"] == "abc"


async def test_a_body_over_the_cap_is_a_413() -> None:
    """The gate's cap holds for validation."""
    gate = Gate(body_limit=10, clock=FrozenClock(), log=EventList())
    assert (await send(create, json={"title": "abc"}, gate=gate)).status == 413


async def test_a_client_that_leaves_is_no_error_of_validation() -> None:
    """A disconnect ends the call; it is not turned into a 400."""
    call = make_call(method="POST", headers=JSON, data=disconnecting(b'{"title'))
    with pytest.raises(ClientDisconnect):
        await enter(sealed(create.handler), call)


async def test_fastapi_echoing_hunter2_no_submitted_value_is_repeated() -> None:
    """FastAPI's 422 repeats the whole input, with the password, in `input`."""
    reply = await send(create, json={"title": ["hunter2"], "score": "hunter2"})
    assert reply.status == 400
    login = validate(_login)
    reply = await send(login, json={"user": "u", "password": "hunter2", "pin": "hunter2"})
    assert reply.status == 400 and b"hunter2" not in reply.body


async def _login(body: FromBody[Login]) -> None:
    """Take a login."""


async def test_the_error_carries_no_input_for_error_monitors_either(caplog: pytest.LogCaptureFixture) -> None:
    """Pydantic's error, which holds the input, is neither the cause nor the context of ours."""
    caplog.set_level(logging.DEBUG)
    call = make_call(method="POST", headers=JSON, data=b'{"user":"u","password":7,"pin":"hunter2"}')
    with pytest.raises(InvalidInput) as caught:
        await enter(sealed(_login), call)
    assert caught.value.__cause__ is None and caught.value.__context__ is None
    assert "hunter2" not in caplog.text


async def test_fastapi_5415_a_pydantic_error_inside_the_handler_is_a_500() -> None:
    """Only what our own validation raised is the client's fault."""

    @validate
    async def broken(body: FromBody[Any]) -> Result[Any]:
        return ok(Post.model_validate({}))

    reply = await send(broken, json={})
    assert (reply.status, reply.json["error"]) == (500, "Internal server error")
