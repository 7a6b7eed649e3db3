"""FromFile: files beside the fields of a form."""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from typing import Annotated, Any, cast

import fastapi
import pytest
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.routing import Route

from gatewright import Gate
from gatewright._core.log import EventList
from gatewright.errors import ConfigurationError, InvalidInput
from gatewright.fastapi import GuardedRoute
from gatewright.result import Result, ok
from gatewright.testing import FrozenClock, call, enter
from gatewright.validation import FromBody, FromFile, FromForm, FromInput, validate
from tests.validation.kit import FORM, MULTIPART, data, details, multipart, posted, sealed, send

pytestmark = pytest.mark.anyio


class Post(BaseModel):
    title: str


@validate
async def upload(
    post: FromForm[Post],
    cover: FromFile[UploadFile],
    pictures: FromFile[Annotated[list[UploadFile], Field(max_length=2)]] = [],  # noqa: B006
    thumb: FromFile[UploadFile | None] = None,
) -> Result[Any]:
    """Say what came."""
    found = [post.title, cover.filename, (await cover.read()).decode("latin-1"), len(pictures)]
    return ok([*found, thumb and thumb.content_type])


def form(*parts: tuple[str, str | None, bytes], end: bytes = b"--b--\r\n") -> bytes:
    """Write a multipart form: the name of each part, its filename where it is a file, and what is in it."""
    written = b""
    for name, filename, content in parts:
        named = "" if filename is None else f'; filename="{filename}"\r\nContent-Type: image/png'
        written += f'--b\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode() + content + b"\r\n"
    return written + end


TITLE = ("title", None, b"T")
COVER = ("cover", "c.png", b"\xff\x00bytes")


async def test_files_stand_beside_fields() -> None:
    """Bytes are not read as text, and texts stay texts."""
    found = await data(upload, data=form(TITLE, COVER), headers=MULTIPART)
    assert found == ["T", "c.png", "\xff\x00bytes", 0, None]
    more = [("pictures", "1.png", b"1"), ("pictures", "2.png", b"2"), ("thumb", "t.png", b"t")]
    assert (await data(upload, data=form(*more, COVER, TITLE), headers=MULTIPART))[3:] == [2, "image/png"]


async def test_a_file_that_was_not_picked_is_absent() -> None:
    """A browser sends an empty file without a name; an empty file with a name was picked."""
    empty = ("cover", "", b"")
    assert await details(upload, data=form(TITLE, empty), headers=MULTIPART) == {"cover": ["Field required"]}
    blank = ("thumb", "", b"")
    assert (await data(upload, data=form(TITLE, COVER, blank), headers=MULTIPART))[4] is None
    named = ("cover", "empty.txt", b"")
    assert (await data(upload, data=form(TITLE, named), headers=MULTIPART))[1:3] == ["empty.txt", ""]


@pytest.mark.parametrize(
    ("parts", "wrong"),
    [
        ([COVER], {"title": ["Field required"]}),
        ([TITLE], {"cover": ["Field required"]}),
        ([TITLE, ("cover", None, b"text")], {"cover": ["Send a file here, in a multipart form"]}),
        ([("title", "t.txt", b"T"), COVER], {"title": ["No file is expected here"]}),
        ([TITLE, COVER, ("other", "o.png", b"")], {"other": ["No file is expected here"]}),
        ([TITLE, COVER, COVER], {"cover": ["Give at most one file here"]}),
        ([TITLE, COVER, *[("pictures", "p", b"")] * 3], {"pictures": ["Give at most 2 files here"]}),
        ([("title", None, b"\xff"), COVER], {"_root": ["The form is not UTF-8"]}),
    ],
)
async def test_what_is_wrong_with_a_file_is_said_by_its_name(parts: Any, wrong: dict[str, list[str]]) -> None:
    """A file where a text is wanted, a text where a file is, too many, none."""
    assert await details(upload, data=form(*parts), headers=MULTIPART) == wrong


async def test_a_form_that_forgot_its_enctype_is_told_so() -> None:
    """A browser then sends the name of the file as text."""
    found = await details(upload, form={"title": "T", "cover": "c.png"})
    assert found == {"cover": ["Send a file here, in a multipart form"]}


async def test_a_form_with_files_that_breaks_off_is_refused_and_leaves_none_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half an upload is none."""
    closed: list[str | None] = []
    close = UploadFile.close

    async def noted(self: UploadFile) -> None:
        closed.append(self.filename)
        await close(self)

    monkeypatch.setattr(UploadFile, "close", noted)
    body = form(TITLE, COVER, end=b"--b\r\n")
    assert await details(upload, data=body, headers=MULTIPART) == {"_root": ["The form breaks off"]}
    assert closed == ["c.png"]


async def test_files_are_closed_when_the_call_is_over() -> None:
    """Neither before the handler has read them nor never."""
    seen: list[UploadFile] = []

    @validate
    async def keep(cover: FromFile[UploadFile]) -> Result[None]:
        seen.append(cover)
        assert not cover.file.closed
        return ok()

    await data(keep, data=form(COVER), headers=MULTIPART)
    assert seen[0].file.closed
    # Nor where the form is refused for something else.
    refused = posted(form(COVER), MULTIPART)
    with pytest.raises(InvalidInput):
        await enter(sealed(upload.handler), refused)
    assert refused.afterthoughts is not None
    for afterthought in refused.afterthoughts:
        await cast("Awaitable[None]", afterthought())


async def test_the_body_limit_holds_for_files() -> None:
    """413, as for any other body."""
    gate = Gate(body_limit=100, clock=FrozenClock(), log=EventList())
    assert (await send(upload, data=form(TITLE, COVER), headers=MULTIPART, gate=gate)).status == 413


async def test_beside_an_input_that_may_be_json_files_are_absent_there() -> None:
    """`FromInput` and files: a program that sends JSON sends no files."""

    @validate
    async def either(post: FromInput[Post], cover: FromFile[UploadFile] | None = None) -> Result[Any]:
        return ok([post.title, cover and cover.filename])

    @validate
    async def needed(post: FromInput[Post], cover: FromFile[UploadFile]) -> Result[Any]:
        return ok()

    assert await data(either, json={"title": "T"}) == ["T", None]
    assert await data(either, form={"title": "T"}) == ["T", None]
    assert await data(either, data=form(TITLE, COVER), headers=MULTIPART) == ["T", "c.png"]
    assert await details(needed, json={}) == {"title": ["Field required"], "cover": ["Field required"]}


async def test_files_alone_make_a_form() -> None:
    """Also under an alias, and as FastAPI's class."""

    @validate
    async def alone(cover: FromFile[Annotated[fastapi.UploadFile, Field(alias="the-cover")]]) -> Result[Any]:
        return ok(cover.filename)

    assert await data(alone, data=form(("the-cover", "c.png", b"x")), headers=MULTIPART) == "c.png"
    assert await details(alone, headers=FORM, method="POST") == {"the-cover": ["Field required"]}
    assert (await send(alone, json={})).status == 415


async def test_a_list_without_a_bound_of_its_own_takes_a_hundred() -> None:
    """No handler opens as many files as a body of a megabyte has parts."""

    @validate
    async def many(files: FromFile[list[UploadFile]]) -> Result[Any]:
        return ok(len(files))

    one = ("files", "f", b"")
    assert await data(many, data=form(*[one] * 100), headers=MULTIPART) == 100
    found = await details(many, data=form(*[one] * 101), headers=MULTIPART)
    assert found == {"files": ["Give at most 100 files here"]}


def _bytes(cover: FromFile[bytes]) -> None: ...
def _model(cover: FromFile[Post]) -> None: ...
def _texts(cover: FromFile[list[str]]) -> None: ...
def _with_body(post: FromBody[Post], cover: FromFile[UploadFile]) -> None: ...


@pytest.mark.parametrize("handler", [_bytes, _model, _texts])
def test_only_files_are_files(handler: Any) -> None:
    """The message says what to write."""
    with pytest.raises(ConfigurationError, match=r"write FromFile\[UploadFile\], or FromFile\[list\[UploadFile\]\]"):
        sealed(handler)


def test_a_json_body_has_no_files() -> None:
    """FromInput has, where a form comes."""
    with pytest.raises(ConfigurationError, match="post and cover both read the body; write FromBody or FromForm"):
        sealed(_with_body)


def test_files_need_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said when sealed, since no request could ever be answered."""
    monkeypatch.setitem(sys.modules, "python_multipart", None)
    with pytest.raises(ConfigurationError, match="gatewright"):
        sealed(upload.handler)


async def test_on_starlette_and_fastapi_files_arrive_and_are_documented() -> None:
    """FastAPI sees nothing of them in the signature, and its document has them all the same."""
    app = fastapi.FastAPI()
    app.router.route_class = GuardedRoute
    app.post("/")(upload)
    gate = Gate(log=EventList())
    gate.install(app)
    plain = Starlette(routes=[Route("/", upload, methods=["POST"])])
    gate.install(plain)
    for host in (app, plain):
        reply = await call(host, method="POST", data=form(TITLE, COVER), headers=MULTIPART)
        assert (reply.status, reply.json["data"][1]) == (200, "c.png")
    body = app.openapi()["paths"]["/"]["post"]["requestBody"]
    assert body["required"] and list(body["content"]) == ["multipart/form-data"]
    post, files = body["content"]["multipart/form-data"]["schema"]["allOf"]
    assert post["properties"]["title"]["type"] == "string"
    binary = {"type": "string", "format": "binary"}
    assert files == {
        "type": "object",
        "properties": {"cover": binary, "pictures": {"type": "array", "items": binary}, "thumb": binary},
        "required": ["cover"],
    }


async def _json_only(post: FromBody[Post]) -> Result[None]:
    return ok()


async def _any_input(post: FromInput[Post | None] = None) -> Result[None]:
    return ok()


async def _with_a_file(post: FromInput[Post], cover: FromFile[UploadFile]) -> Result[None]:
    return ok()


async def _may_have_a_file(post: FromInput[Post], cover: FromFile[UploadFile | None]) -> Result[None]:
    return ok()


async def _optional_entries(a: FromForm[int] = 0, b: FromForm[str | None] = None) -> Result[None]:
    return ok()


@pytest.mark.parametrize(
    ("handler", "required", "media"),
    [
        (_json_only, True, ["application/json"]),
        (_any_input, False, ["application/json", "application/x-www-form-urlencoded"]),
        (_with_a_file, True, ["multipart/form-data"]),
        (_may_have_a_file, True, ["application/json", "multipart/form-data"]),
        (_optional_entries, False, ["application/x-www-form-urlencoded"]),
    ],
)
def test_the_document_names_the_types_that_are_taken(handler: Any, required: bool, media: list[str]) -> None:
    """JSON cannot bring a file that is required; entries of one form are one schema."""
    app = fastapi.FastAPI()
    app.router.route_class = GuardedRoute
    app.post("/")(validate(handler))
    body = app.openapi()["paths"]["/"]["post"]["requestBody"]
    assert (body["required"], list(body["content"])) == (required, media)
    if handler is _optional_entries:
        schema = body["content"][media[0]]["schema"]
        assert list(schema["properties"]) == ["a", "b"] and "required" not in schema


def test_multipart_without_files_is_as_before() -> None:
    """The kit's forms and these are the same bytes."""
    assert form(TITLE) == multipart(("title", "T"))
