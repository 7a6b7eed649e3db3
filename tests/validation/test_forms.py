"""FromForm: URL-encoded and multipart forms."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from gatewright.errors import InvalidInput
from gatewright.result import Result, ok
from gatewright.testing import enter
from gatewright.validation import FromForm, validate
from tests.validation.kit import FORM, MULTIPART, data, details, multipart, posted, sealed, send

pytestmark = pytest.mark.anyio


class Signup(BaseModel):
    name: str
    age: int | None = None
    tags: list[str] = []


@validate
async def signup(form: FromForm[Signup]) -> Result[Signup]:
    return ok(form)


@validate
async def fields(
    name: FromForm[Annotated[str, Field(alias="full-name", max_length=5)]],
    ids: FromForm[set[int]],
    note: FromForm[str] = "-",
) -> Result[list[Any]]:
    return ok([name, sorted(ids), note])


@validate
async def maybe(form: FromForm[Signup | None]) -> Result[Any]:
    return ok(form)


async def test_a_model_takes_the_whole_form() -> None:
    """Lists collect repeated entries; numbers are read from text."""
    found = await data(signup, form={"name": "Ann", "age": "7", "tags": ["a", "b"], "submit": "Go"})
    assert found == {"name": "Ann", "age": 7, "tags": ["a", "b"]}


async def test_single_parameters_take_the_entry_of_their_name_or_alias() -> None:
    """A scalar takes one entry, a set all of its name, and an alias names the entry."""
    assert await data(fields, form={"full-name": "Ann", "ids": [2, 1, 2]}) == ["Ann", [1, 2], "-"]
    found = await details(fields, form={"full-name": "Annabel", "name": "x"})
    assert found == {"full-name": ["String should have at most 5 characters"], "ids": ["Field required"]}


async def test_multipart_is_read_like_urlencoded() -> None:
    """The encoding of a form is the browser's choice."""
    body = multipart(("name", "Ann ü"), ("tags", "a"), ("tags", "b"))
    assert await data(signup, data=body, headers=MULTIPART) == {"name": "Ann ü", "age": None, "tags": ["a", "b"]}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (FORM, b"name=%ff"),
        (FORM, b"name=\xff"),
        (FORM, b"&".join([b"a=1"] * 1_001)),
        (MULTIPART, multipart(*[("a", "1")] * 1_001)),
        (MULTIPART, multipart(("name", "Ann"))[:-6]),
        (MULTIPART, multipart(("name", "Ann"))[:20]),
        (MULTIPART, b"junk"),
        (MULTIPART, multipart(("name", "Ann")).replace(b"Ann", b"\xff")),
        (MULTIPART, multipart(("name", "Ann")).replace(b'; name="name"', b"")),
        ({"content-type": "multipart/form-data"}, multipart(("name", "Ann"))),
        ({"content-type": 'multipart/form-data; boundary="\xff"'}, multipart(("name", "Ann"))),
    ],
    ids=range(11),
)
async def test_a_malformed_form_is_a_400_about_the_whole(headers: dict[str, str], body: bytes) -> None:
    """Broken, cut off, not UTF-8, with a thousand fields too many: a fixed text, no traceback."""
    found = await details(signup, data=body, headers=headers)
    assert list(found) == ["_root"]


async def test_a_multipart_form_that_breaks_off_is_not_a_shorter_form() -> None:
    """Starlette's parser returns what it has; here a form without its last boundary is malformed."""
    body = multipart(("name", "Ann"), ("age", "7"))
    cut = body[: body.index(b"--b", 4) + 10]
    assert await details(signup, data=cut, headers=MULTIPART) == {"_root": ["The form breaks off"]}


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/x-www-form-urlencoded; charset=latin-1",
        "multipart/form-data; boundary=b; charset=idna",
        "multipart/mixed; boundary=b",
    ],
)
async def test_other_types_are_a_415(kind: str) -> None:
    """Also another charset: Starlette raises a UnicodeError for `charset=idna`, which was a 500."""
    reply = await send(signup, data=multipart(("name", "a")), headers={"content-type": kind})
    assert reply.status == 415
    assert reply.headers["accept"] == "application/x-www-form-urlencoded, multipart/form-data"


async def test_without_python_multipart_such_a_form_is_a_415(monkeypatch: pytest.MonkeyPatch) -> None:
    """URL-encoded forms need no extra; the log says which extra is missing."""
    monkeypatch.setitem(sys.modules, "python_multipart", None)
    bare = validate(signup.handler)
    assert (await data(bare, form={"name": "Ann"}))["name"] == "Ann"
    reply = await send(bare, data=multipart(("name", "Ann")), headers=MULTIPART)
    assert (reply.status, reply.headers["accept"]) == (415, "application/x-www-form-urlencoded")


async def test_an_empty_form_lacks_its_fields_or_is_absent() -> None:
    """No entries: a required model says what it lacks, an optional one is None."""
    for headers in ({}, FORM, MULTIPART):
        assert await details(signup, method="POST", headers=headers) == {"name": ["Field required"]}
        assert await data(maybe, method="POST", headers=headers) is None


async def test_a_repeated_scalar_is_a_400() -> None:
    """Parameter pollution: a proxy may have judged by the other value."""
    assert await details(signup, form={"name": ["a", "b"]}) == {"name": ["Give this once only"]}


GUARD = sealed(signup.handler)
BITS = st.lists(
    st.sampled_from(
        [b"--b", b"--", b"\r\n", b"\n", b'Content-Disposition: form-data; name="name"', b"; filename=x", b"name", b":"]
    )
    | st.binary(max_size=4),
    max_size=20,
).map(b"".join)


@given(body=st.binary(max_size=60) | BITS, kind=st.sampled_from([FORM, MULTIPART]))
@settings(max_examples=300, deadline=None)
async def test_any_bytes_are_a_form_or_a_400(body: bytes, kind: dict[str, str]) -> None:
    """Nothing but InvalidInput ever leaves the guard."""
    try:
        await enter(GUARD, posted(body, kind))
    except InvalidInput as refusal:
        assert refusal.details
