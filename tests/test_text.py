"""Types of text."""

from __future__ import annotations

import unicodedata
from time import process_time
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from gatewright.text import REFUSALS, Line, Nfc, NoControls, PlainText, Slug, Stripped, Text
from gatewright.validation import FromBody, FromForm, validate
from tests.validation.kit import JSON, data, details, send

KINDS: dict[str, TypeAdapter[str]] = {
    name: TypeAdapter(kind)
    for name, kind in {
        "Stripped": Stripped,
        "Nfc": Nfc,
        "NoControls": NoControls,
        "Line": Line,
        "Text": Text,
        "PlainText": PlainText,
        "Slug": Slug,
    }.items()
}
COMPOSED = ("Nfc", "Line", "Text", "PlainText")
CLEAN = ("NoControls", "Line", "Text", "PlainText")

ANY = st.text(st.characters()) | st.text(
    st.sampled_from(
        "a \t\r\n\u00e9e\u0301\u212b\u0344\u0958\ufb2c\U0001d160\u2028\x00\x85\u202e\ud800\ufffe<p>/!?-\u00a0"
    )
)


def _read(kind: str, text: str) -> str | None:
    """Return what becomes of a text, or None where it is refused."""
    try:
        return KINDS[kind].validate_python(text)
    except ValidationError:
        return None


@pytest.mark.parametrize("kind", KINDS)
@given(text=ANY)
@settings(max_examples=200, deadline=None)
def test_what_comes_out_stays_as_it_is(kind: str, text: str) -> None:
    """Idempotent, writable as UTF-8, and never three times as long as what came in."""
    once = _read(kind, text)
    if once is not None:
        assert _read(kind, once) == once
        assert len(once.encode()) <= 3 * len(text.encode())
        assert kind not in COMPOSED or unicodedata.is_normalized("NFC", once)
        assert kind not in CLEAN or not any(unicodedata.category(c) == "Cc" and c not in "\t\r\n" for c in once)
        assert kind != "Line" or (once.splitlines() in ([], [once]) and once == once.strip())
        assert kind not in ("Text", "PlainText") or "\r" not in once


@pytest.mark.parametrize(
    ("kind", "given", "read"),
    [
        ("Stripped", " \u00a0a b\t\n", "a b"),
        ("Nfc", "e\u0301", "\u00e9"),
        ("Nfc", "\u212b", "\u00c5"),
        ("NoControls", "a\tb\r\nc", "a\tb\r\nc"),
        ("NoControls", "a\u200db", "a\u200db"),
        ("NoControls", "a\u200bb", "a\u200bb"),
        ("NoControls", "a\u061cb", None),
        ("NoControls", "a\u200eb", None),
        ("NoControls", "a\u200fb", None),
        ("Line", "a\u061cb", None),
        ("Line", "a\u200eb", None),
        ("Line", "a\u200fb", None),
        ("Text", "a\u061cb", None),
        ("Text", "a\u200eb", None),
        ("Text", "a\u200fb", None),
        ("NoControls", "a\x00", None),
        ("NoControls", "a\x1b[31m", None),
        ("NoControls", "a\x85", None),
        ("NoControls", "a\u202eb", None),
        ("NoControls", "a\u2067b", None),
        ("NoControls", "a\ufffe", None),
        ("NoControls", "a\U0010ffff", None),
        ("NoControls", "a\ufdd0", None),
        ("Line", "  Caf\u0065\u0301 \n", "Caf\u00e9"),
        ("Line", "a\nb", None),
        ("Line", "a\tb", None),
        ("Line", "a\u2028b", None),
        ("Line", "a\x00", None),
        ("Line", "a\x1c", None),
        ("Line", "", ""),
        ("Text", "a\r\nb\rc\n", "a\nb\nc\n"),
        ("Text", " a ", " a "),
        ("PlainText", "a < b, 1<2, <3 & &lt;p&gt;", "a < b, 1<2, <3 & &lt;p&gt;"),
        ("PlainText", "a<b>", None),
        ("PlainText", "</p", None),
        ("PlainText", "<!--", None),
        ("PlainText", "<?php", None),
        ("Slug", " my-post-2 ", "my-post-2"),
        ("Slug", "My-Post", None),
        ("Slug", "my--post", None),
        ("Slug", "-a", None),
        ("Slug", "a\nb", None),
        ("Slug", "\u0663", None),
        ("Slug", "", None),
    ],
)
def test_what_becomes_of_a_text(kind: str, given: str, read: str | None) -> None:
    """Brought into one spelling, or refused; nothing but white space at the ends is taken out."""
    assert _read(kind, given) == read


@pytest.mark.parametrize("kind", KINDS)
def test_a_lone_surrogate_is_refused(kind: str) -> None:
    """It is no character, and cannot be written."""
    for text in ("a\ud800", "\udfff", "\ude00\ud83d"):
        assert _read(kind, text) is None


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_text_is_refused(kind: str) -> None:
    """By pydantic, with its own words."""
    with pytest.raises(ValidationError, match="valid string"):
        KINDS[kind].validate_python(3)


class Post(BaseModel):
    around: Annotated[Line, Field(min_length=2, max_length=4)] = "abcd"
    beside: Line = Field("abcd", min_length=2, max_length=4)
    slug: Annotated[Slug, Field(max_length=4)] = "abcd"
    plain: Annotated[PlainText, Field(pattern="^[a-z<> ]*$")] = "abcd"


@validate
async def write(post: FromBody[Post]) -> dict[str, str]:
    return post.model_dump()


@validate
async def fill(name: FromForm[Annotated[Line, Field(max_length=4)]]) -> str:
    return name


@pytest.mark.anyio
@pytest.mark.parametrize("field", ["around", "beside"])
async def test_lengths_are_counted_of_what_comes_out(field: str) -> None:
    """Four letters are four, in whichever form of Unicode, and with spaces around."""
    text = "  " + "e\u0301" * 4 + "\n"
    assert (await data(write, json={field: text}))[field] == "\u00e9" * 4
    for wrong in ("e\u0301" * 5, "  a  "):
        assert list(await details(write, json={field: wrong})) == [field]


@pytest.mark.anyio
async def test_messages_do_not_repeat_the_text() -> None:
    """Each type of refusal has one text."""
    found = await details(
        write, json={"around": "hunter2", "beside": "a\u202ehunter2", "slug": "Hun", "plain": "<hunter2"}
    )
    assert found == {
        "around": ["Value should be at most 4 long"],
        "beside": [REFUSALS["text_controls"]],
        "slug": ["String should match pattern '^[a-z0-9]+(?:-[a-z0-9]+)*$'"],
        "plain": [REFUSALS["text_markup"]],
    }
    assert await details(write, json={"around": "a"}) == {"around": ["Value should be at least 2 long"]}
    assert await details(fill, form={"name": "a\nb"}) == {"name": [REFUSALS["text_lines"]]}


@pytest.mark.anyio
async def test_a_text_that_repeats_a_word_of_a_refusal_gets_the_refusal() -> None:
    """ "Text" is three letters long, and also what somebody submitted."""
    found = await details(write, json={"around": "text", "beside": "a\x00"})
    assert found == {"beside": [REFUSALS["text_controls"]]}


@pytest.mark.anyio
async def test_surrogates_in_json_and_in_a_form_are_a_400() -> None:
    """Never a 500."""
    body = b'{"around":"\\ud800"}'
    assert (await send(write, data=body, headers=JSON)).status == 400
    assert (
        await send(fill, data=b"name=%ED%A0%80", headers={"content-type": "application/x-www-form-urlencoded"})
    ).status == 400


def test_python_normalises_in_quadratic_time_so_stacked_accents_are_refused_first() -> None:
    """A body of 400 kB of accents keeps `unicodedata.normalize` busy for a minute."""
    before = process_time()
    for kind in COMPOSED:
        assert _read(kind, "a" + "\u0301\u0316" * 200_000) is None
    assert process_time() - before < 2
    assert _read("Nfc", "a" + "\u0316" * 30) is not None
    with pytest.raises(ValidationError, match="at most 30 accents"):
        KINDS["Nfc"].validate_python("a" + "\u0316" * 31)


ACCENTS_BY_DECOMPOSITION = [
    letter
    for letter in map(chr, range(0x110000))
    if not unicodedata.combining(letter) and unicodedata.combining(unicodedata.normalize("NFD", letter)[0])
]


@pytest.mark.parametrize("letter", ACCENTS_BY_DECOMPOSITION, ids=ascii)
@pytest.mark.parametrize("kind", COMPOSED)
def test_what_becomes_accents_is_counted_as_one(kind: str, letter: str) -> None:
    """Three Tibetan vowels are of class 0, and two accents once they are taken apart: as slow as accents are."""
    assert _read(kind, "a" + letter * 20_000) is None
    assert _read(kind, "a" + "\u0316" * 30 + letter) is None
    assert _read(kind, "a" + letter * 30) is not None


def test_python_knows_such_letters() -> None:
    """Else the test above tests nothing."""
    assert {"\u0f73", "\u0f75", "\u0f81"} <= set(ACCENTS_BY_DECOMPOSITION)


def test_the_json_schema_shows_what_it_can() -> None:
    """Lengths and patterns; that a text is normalised has no word in JSON Schema."""
    shown: dict[str, Any] = Post.model_json_schema()["properties"]
    assert (shown["around"]["minLength"], shown["around"]["maxLength"]) == (2, 4)
    assert shown["beside"]["maxLength"] == 4
    assert shown["slug"]["pattern"] == "^[a-z0-9]+(?:-[a-z0-9]+)*$" and shown["slug"]["maxLength"] == 4
    assert {each["type"] for each in shown.values()} == {"string"}


def test_types_may_stand_inside_of_others() -> None:
    """In lists, in unions, and one around another."""
    adapter: TypeAdapter[Any] = TypeAdapter(list[Annotated[Stripped, Field(max_length=1)] | int])
    assert adapter.validate_python([" a ", 7]) == ["a", 7]
    assert TypeAdapter(Annotated[Line, Field(pattern="^a+$")]).validate_python(" aa ") == "aa"
