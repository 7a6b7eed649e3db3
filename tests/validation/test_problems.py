"""From pydantic's errors to messages by input path."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from pathlib import PurePath
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AnyUrl,
    AwareDatetime,
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    HttpUrl,
    Json,
    RootModel,
    SecretStr,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError

from gatewright.errors import InvalidInput, UnsupportedMedia
from gatewright.testing import enter
from gatewright.validation import FromBody
from gatewright.validation.problems import Problems
from tests.validation.kit import posted, sealed

MARKER = "hunter2-marker"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["dog"]
    barks: dict[int, int] = {}


@dataclass
class Point:
    x: int
    y: int


def _explained(type_: Any, given: Any) -> dict[str, list[str]]:
    problems = Problems()
    try:
        TypeAdapter(type_).validate_json(json.dumps(given))
    except ValidationError as error:
        problems.explain(error, given)
    return dict(problems)


def _paths(type_: Any, given: Any) -> list[str]:
    return list(_explained(type_, given))


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class House(BaseModel):
    pets: list[Pet] = []
    any_pet: Cat | Dog | None = None
    scalar: int | list[int] = 0
    pair: tuple[int, int] = (0, 0)
    point: Point | None = None
    inner: Json[list[int]] = []
    name: str = Field("", alias="Name")


@pytest.mark.parametrize(
    ("given", "paths"),
    [
        ({"pets": [{"kind": "cat", "lives": 1}, {"kind": "cat", "lives": "x"}]}, ["pets.1.lives"]),
        ({"pets": [{"kind": "cat"}]}, ["pets.0.lives"]),
        ({"pets": [{"kind": "dog", "zz": 1}]}, ["pets.0.zz"]),
        ({"pets": [{"kind": "dog", "barks": {"1": "x", "y": 1}}]}, ["pets.0.barks.1", "pets.0.barks.y"]),
        ({"pets": [{"kind": "cow"}, {}, 3]}, ["pets.0", "pets.1", "pets.2"]),
        ({"any_pet": {"lives": "x"}}, ["any_pet.kind", "any_pet.lives"]),
        ({"scalar": "x"}, ["scalar"]),
        ({"scalar": [1, "x"]}, ["scalar", "scalar.1"]),
        ({"pair": [1]}, ["pair.1"]),
        ({"point": {"x": 1}}, ["point.y"]),
        ({"inner": '[1, "x"]'}, ["inner"]),
        ({"inner": "["}, ["inner"]),
        ({"Name": 1}, ["Name"]),
        ([], ["_root"]),
        ("x", ["_root"]),
    ],
)
def test_pydantic_union_tag_in_path_a_path_follows_the_input(given: Any, paths: list[str]) -> None:
    """FastAPI says `pet -> Cat -> lives`; tags, type names and `[key]` are the schema's, not the client's."""
    assert set(_paths(House, given)) == set(paths)


def test_keys_and_roots() -> None:
    """A path is never empty and never longer than 128 characters."""
    assert _paths(RootModel[list[int]], [1, "x"]) == ["1"]
    assert _paths(dict[Annotated[str, Field(max_length=2)], int], {"abc": 1}) == ["abc"]
    assert _paths(dict[str, int], {"": "x"}) == ["_root"]
    assert _paths(dict[str, int], {"k" * 500: "x"}) == ["k" * 128]


def test_a_function_validator_leaves_no_step_in_the_path() -> None:
    """`function-after[...]` is how pydantic tells branches of a union apart."""

    def positive(value: int) -> int:
        if value < 0:
            raise ValueError("must be positive")
        return value

    given = {"n": -1}
    found = _explained(dict[str, Annotated[int, AfterValidator(positive)] | bool], given)
    assert found == {"n": ["must be positive", "Input should be a valid boolean, unable to interpret input"]}


def test_a_callable_discriminator_leaves_no_step_in_the_path() -> None:
    """A tag is no key of the input, unless it happens to be."""
    pick = Discriminator(lambda value: "cat-tag")
    union = Annotated[Annotated[Cat, Tag("cat-tag")] | Annotated[Dog, Tag("dog-tag")], pick]
    assert _paths(dict[str, union], {"pet": {"kind": "cat", "lives": "x"}}) == ["pet.lives"]


def test_at_most_fifty_messages_of_two_hundred_characters() -> None:
    """The answer to a flood of errors is short."""
    found = _explained(list[int], ["x"] * 900)
    assert len(found) == 50
    assert _explained(list[int], ["x"] * 1_001) == {"_root": ["The input has too many errors"]}
    problems = Problems()
    problems.add("a", *"b" * 60)
    assert problems == {"a": ["b"] * 50}
    longest = _explained(Literal[tuple("abcdefgh" * 9 + str(n) for n in range(9))], "x")  # type: ignore[misc]
    assert [len(text) for text in longest["_root"]] == [200]


def test_a_lone_surrogate_can_be_written() -> None:
    """A path or a text that is no Unicode would fail when the answer is encoded."""
    problems = Problems()
    problems.add("a\ud800", "b\udfff")
    assert problems == {"a?": ["b?"]}


class Color(Enum):
    RED = "red"


def _quoting(make: Callable[[Any], Exception]) -> Any:
    def check(value: Any) -> Any:
        raise make(value)

    return Annotated[Any, AfterValidator(check)]


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (Pet, "Input should have one of the tags 'cat', 'dog'"),
        (UUID, "Input should be a valid UUID"),
        (HttpUrl, "Input should be a valid URL"),
        (Json[int], "Input should be valid JSON"),
        (date, "Input should be a valid date or datetime"),
        (datetime, "Input should be a valid datetime or date"),
        (time, "Input should be a valid time"),
        (timedelta, "Input should be a valid duration"),
        (Cat, "Input should be an object"),
        (Point, "Input should be an object"),
        (dict[str, int], "Input should be an object"),
        (Color, "Input should be 'red'"),
        (Literal["a", "b"], "Input should be 'a' or 'b'"),
        (Annotated[str, Field(pattern="^a+$")], "String should match pattern '^a+$'"),
        (Annotated[str, Field(max_length=3)], "String should have at most 3 characters"),
        (_quoting(lambda value: ValueError("is taken")), "is taken"),
        (_quoting(lambda value: ValueError(f"{value} is taken")), "Input is not valid"),
        (_quoting(lambda value: ValueError(f"{value!r} is taken".upper())), "Input is not valid"),
        (_quoting(lambda value: ValueError("x" * 1_001)), "Input is not valid"),
        (_quoting(lambda value: ValueError()), "Input is not valid"),
        (_quoting(lambda value: AssertionError("is odd")), "is odd"),
        (_quoting(lambda value: PydanticCustomError("mine", "{what} is taken", {"what": value})), "Input is not valid"),
        (
            _quoting(lambda value: PydanticCustomError("value_error", "no {what}", {"what": value})),
            "Input is not valid",
        ),
        (_quoting(lambda value: PydanticCustomError("value_error", f"no {value}")), "Input is not valid"),
        (_quoting(lambda value: PydanticCustomError("int_type", f"no {value}")), "Input should be a valid integer"),
        (_quoting(lambda value: PydanticCustomError("greater_than", f"no {value}")), "Input is not valid"),
        (_quoting(lambda value: PydanticCustomError("union_tag_invalid", f"no {value}")), "Input is not valid"),
        (_quoting(lambda value: PydanticKnownError("greater_than", {"gt": 7})), "Input should be greater than 7"),
    ],
)
def test_no_text_repeats_what_was_submitted(type_: Any, text: str) -> None:
    """Pydantic quotes the input in some texts, authors in others; a text without the input is kept."""
    submitted = {"kind": MARKER} if type_ is Pet else MARKER
    assert _explained(type_, submitted) == {"_root": [text]}


def test_a_text_may_not_quote_a_value_escaped() -> None:
    """A `repr` is how Python quotes, and it writes a line break in two characters."""
    found = _explained(_quoting(lambda value: ValueError(f"{value!r} is taken")), f"x\n{MARKER}")
    assert found == {"_root": ["Input is not valid"]}


def test_a_text_may_not_quote_another_field_either() -> None:
    """A check of the whole model sees all of it."""

    class Account(BaseModel):
        names: list[str]
        pin: int

        @model_validator(mode="after")
        def check(self) -> Account:
            raise ValueError(f"the pin {self.pin} is not of {self.names[0]}")

    assert _explained(Account, {"names": ["Ann"], "pin": 1}) == {"_root": ["Input is not valid"]}
    assert _explained(Account, {"names": ["A"], "pin": 4711}) == {"_root": ["Input is not valid"]}
    assert _explained(Account, {"names": ["A"], "pin": 1}) == {"_root": ["the pin 1 is not of A"]}
    assert _explained(Account, {"names": ["A"] * 1_000, "pin": 1}) == {"_root": ["Input is not valid"]}


def shout(value: str) -> str:
    """Quote in every way that comes to mind."""
    if len(value) % 2:
        raise ValueError(f"{value!r} or {value} or {value.upper()} is odd")
    return value


class Everything(BaseModel):
    model_config = ConfigDict(extra="forbid")

    pet: Pet | None = None
    pets: list[Cat | Dog] = []
    tree: Everything | list[Everything] | None = None
    mapping: dict[int, dict[Annotated[str, Field(max_length=3)], Decimal]] = {}
    amount: Annotated[Decimal, Field(gt=0, multiple_of=Decimal("0.01"), max_digits=8)] = Decimal(1)
    ratio: Annotated[float, Field(ge=0, le=1, multiple_of=0.25)] = 0
    count: Annotated[int, Field(multiple_of=3)] = 0
    when: datetime | date | time | timedelta | None = None
    aware: AwareDatetime | None = None
    ident: UUID | IPv4Address | None = None
    url: AnyUrl | None = None
    data: Base64Bytes | bytes = b""
    secret: SecretStr = SecretStr("")
    path: PurePath | None = None
    inner: Json[list[Pet]] | None = None
    color: Color | Literal[1, "x"] | None = None
    shouted: Annotated[str, AfterValidator(shout)] = ""
    unique: set[Any] | frozenset[int] = set()
    pair: tuple[int, Annotated[str, Field(pattern="^a+$")]] | None = None
    number: complex | re.Pattern[str] | None = None


FIELDS = st.sampled_from([*Everything.model_fields, "kind", "lives", "barks", "zz", "", "cat", "dog", "[key]", "_root"])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.just(MARKER)
    | st.sampled_from(
        ["cat", "dog", "1e400", "nan", "sNaN", "-0", "9" * 400, "2020-13-01", "P1D", "http://[", "a" + MARKER, "[1"]
    )
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS, inner, max_size=5),
    max_leaves=12,
)
GUARDS: list[Any] = []


def _guards() -> list[Any]:
    if not GUARDS:
        for type_ in (Everything, House, Pet, list[Pet], dict[int, Cat], Point, RootModel[list[int]], int, Any):

            def handler(body: Any) -> None: ...

            handler.__annotations__["body"] = FromBody[type_]  # type: ignore[valid-type]
            GUARDS.append(sealed(handler))
    return GUARDS


async def _refusal(guard: Any, body: bytes, kind: str = "application/json") -> InvalidInput | UnsupportedMedia | None:
    try:
        await enter(guard, posted(body, {"content-type": kind}))
    except (InvalidInput, UnsupportedMedia) as refusal:
        return refusal
    return None


@pytest.mark.anyio
@given(value=VALUES)
@settings(max_examples=200, deadline=None)
async def test_any_json_value_is_a_value_or_a_400_without_it(value: Any) -> None:
    """Whatever the schema, nothing else leaves the guard, and no message repeats a submitted value."""
    body = json.dumps(value).encode()
    for guard in _guards():
        refusal = await _refusal(guard, body)
        if refusal is not None:
            assert refusal.details and len(refusal.details) <= 50
            said = json.dumps(refusal.details, ensure_ascii=False).casefold()
            assert MARKER not in said
            assert all(0 < len(path) <= 128 for path in refusal.details)
            assert all(0 < len(text) <= 200 for texts in refusal.details.values() for text in texts)


@pytest.mark.anyio
@given(
    body=st.binary(max_size=80),
    kind=st.sampled_from(["application/json", "a/b+json"]) | st.text(st.characters(max_codepoint=255)),
)
@settings(max_examples=200, deadline=None)
async def test_any_bytes_are_a_value_a_400_or_a_415(body: bytes, kind: str) -> None:
    """Of any content type."""
    for guard in _guards()[-3:]:
        await _refusal(guard, body, kind)
