"""Forms with nested and repeated names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AliasPath, BaseModel, ConfigDict, Discriminator, Field, Json, RootModel, Tag
from pydantic_core import CoreSchema, core_schema

from gatewright.errors import InvalidInput
from gatewright.result import Result, ok
from gatewright.testing import enter
from gatewright.validation import FromForm, FromInput, validate
from gatewright.validation.nested import steps_of
from tests.validation.kit import FORM, MULTIPART, data, details, multipart, posted, sealed

pytestmark = pytest.mark.anyio


class Item(BaseModel):
    name: str
    count: int = 1


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["dog"]
    toys: list[Item] = []


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class Tree(BaseModel):
    label: str = ""
    kids: list[Tree] = []
    next: Tree | Item | None = None


class Pair(NamedTuple):
    x: int
    y: int


@dataclass
class Point:
    x: int


class Order(BaseModel):
    items: list[Item] = []
    tags: list[str] = []
    note: str = "-"
    prices: dict[int, Item] = {}
    pets: list[Pet] = []
    dotted: str = Field("", alias="ship.to")
    literal: str = Field("", alias="pay[by]")
    tree: Tree | None = None
    pair: Pair | None = None
    point: Point | None = None
    raw: Json[list[int]] | None = None
    first: str = Field("", validation_alias=AliasPath("all", 0))
    ids: set[int] = set()
    root: RootModel[list[Item]] | None = None


@validate
async def order(form: FromForm[Order]) -> Result[Any]:
    return ok(form.model_dump(mode="json", exclude_unset=True))


async def _read(entries: str) -> Any:
    return await data(order, data=entries.encode(), headers=FORM)


async def _wrong(entries: str) -> dict[str, list[str]]:
    return await details(order, data=entries.encode(), headers=FORM)


@pytest.mark.parametrize(
    "name", ["items[0].name", "items.0.name", "items[0][name]", "items.0[name]", "items%5B0%5D%5Bname%5D"]
)
async def test_every_notation_names_the_same_place(name: str) -> None:
    """Of Rails and PHP, of JavaScript, and of dots."""
    assert await _read(f"{name}=a") == {"items": [{"name": "a"}]}


async def test_notations_may_be_mixed_and_multipart_is_read_alike() -> None:
    """A path is a path, whoever wrote it."""
    assert await _read("items[1].name=b&items.0.name=a&items[0][count]=2") == {
        "items": [{"name": "a", "count": 2}, {"name": "b"}]
    }
    body = multipart(("items[0][name]", "a"), ("items.0.count", "3"))
    assert await data(order, data=body, headers=MULTIPART) == {"items": [{"name": "a", "count": 3}]}


@pytest.mark.parametrize("entries", ["tags=a&tags=b", "tags[]=a&tags[]=b", "tags[0]=a&tags.1=b", "tags[]=a&tags=b"])
async def test_a_list_of_values_is_written_in_four_ways(entries: str) -> None:
    """Repeated, with brackets, or numbered."""
    assert await _read(entries) == {"tags": ["a", "b"]}


async def test_a_number_is_an_index_or_a_key_as_the_schema_has_it() -> None:
    """`prices.7` is the seventh of a list for nobody but a parser that does not know the model."""
    assert await _read("prices.7.name=a") == {"prices": {"7": {"name": "a"}}}
    assert await _read("prices[9999999999999999999][name]=a") == {"prices": {"9999999999999999999": {"name": "a"}}}


async def test_what_holds_itself_is_read_as_deep_as_it_goes() -> None:
    """The schema is followed along the input."""
    assert await _read("tree.kids.0.kids.0.label=a&tree.next.name=b&tree.next.count=2") == {
        "tree": {"kids": [{"kids": [{"label": "a"}]}], "next": {"name": "b", "count": 2}}
    }


async def test_other_shapes() -> None:
    """Named tuples, dataclasses, root models, JSON inside a value, a path of an alias, sets."""
    found = await _read("pair.0=1&pair.1=2&point.x=3&raw=[4]&all=5&all=6&ids.0=7&ids.1=7&root.0.name=a")
    assert found == {
        "pair": [1, 2],
        "point": {"x": 3},
        "raw": [4],
        "first": "5",
        "ids": [7],
        "root": [{"name": "a"}],
    }


async def test_an_alias_may_be_written_with_dots_and_brackets() -> None:
    """A name that the schema knows is that name, whatever it looks like."""
    assert await _read("ship.to=a&pay[by]=b") == {"dotted": "a", "literal": "b"}


async def test_an_image_button_is_no_nested_field() -> None:
    """`<input type=image name=note>` sends `note.x` and `note.y`, which a field of one value knows nothing of."""
    assert await _read("note.x=1&note.y=2&note=a") == {"note": "a"}


async def test_rows_that_were_taken_out_leave_no_gap_and_errors_keep_the_clients_numbers() -> None:
    """The page has `items[2]` in it, so the message belongs to `items.2`."""
    assert await _read("items[4].name=b&items[2].name=a") == {"items": [{"name": "a"}, {"name": "b"}]}
    assert list(await _wrong("items[4].name=b&items[2].count=x")) == ["items.2.name", "items.2.count"]
    assert list(await _wrong("pets.7.kind=dog&pets.7.toys.5.count=1")) == ["pets.7.toys.5.name"]


async def test_a_huge_index_costs_nothing() -> None:
    """Not a list of 10⁹; beyond nine digits, or with a leading zero, it is no index."""
    assert await _read("items[999999999].name=a") == {"items": [{"name": "a"}]}
    for index in ("1000000000", "9" * 5_000, "01", "-1", "٣"):
        assert await _wrong(f"items[{index}].name=a") == {"items": ["Input should be a valid list"]}


@pytest.mark.parametrize(
    ("entries", "wrong"),
    [
        ("items=a&items.0.name=b", ["items"]),
        ("tags=a&tags.0=b", ["tags"]),
        ("tree.label=a&tree.label.x=b", ["tree.label"]),
        ("items[0].name=a&items.0.name=b", ["items.0.name"]),
        ("items.0=a", ["items.0"]),
        ("items.x.name=a", ["items"]),
        ("items.0.name.x=a", ["items.0.name"]),
        ("items[][name]=a", ["items"]),
        ("items[0.name=a", ["items"]),
        ("items..name=a", ["items"]),
        ("tree" + ".kids.0" * 8 + ".label=a", ["tree"]),
    ],
)
async def test_what_does_not_fit_together_is_a_400_by_path(entries: str, wrong: list[str]) -> None:
    """`a=1&a.b=2` says two things, and a name that goes on for ever says none."""
    found = await _wrong(entries)
    assert list(found)[:1] == wrong


async def test_a_named_tuple_lacks_its_second() -> None:
    """By number or by name: pydantic has changed its mind."""
    assert await _wrong("pair.0=1") in ({"pair.1": ["Field required"]}, {"pair.y": ["Missing required argument"]})
    assert await _read("pair.x=1&pair.y=2") == {"pair": [1, 2]}


async def test_a_conflict_is_said_as_one() -> None:
    """Whatever the parts are worth."""
    assert await _wrong("items=a&items.0.name=b") == {"items": ["Give this as one value or in parts, not as both"]}
    assert await _wrong("tree" + ".next" * 17 + "=a") == {"tree": ["A name in here goes too deep"]}
    assert await _wrong("items[=a") == {"items": ["A name in here is misspelled; write items[0][name]"]}


async def test_unions_have_the_paths_of_the_input() -> None:
    """No tag of a branch, wherever the union stands."""
    assert await _read("pets.0.kind=cat&pets.0.lives=9") == {"pets": [{"kind": "cat", "lives": 9}]}
    found = await _wrong(
        "pets.0.kind=cat&pets.0.lives=x&pets.1.kind=cow&pets.2.lives=1&pets.3.kind=dog&pets.3.lives=1&pets.3.toys.0.count=1"
    )
    assert list(found) == ["pets.0.lives", "pets.1", "pets.2", "pets.3.toys.0.name", "pets.3.lives"]
    assert found["pets.1"] == ["Input should have one of the tags 'cat', 'dog'"]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    items: list[Item] = []


async def test_a_form_that_forbids_extras_sees_them_under_their_whole_name() -> None:
    """A field's parts are no extras; what the page puts there for guards is none either."""

    @validate
    async def strict(form: FromForm[Strict], other: FromForm[list[Item]] = []) -> Result[Any]:  # noqa: B006
        return ok(len(form.items) + len(other))

    assert await data(strict, form={"items.0.name": "a", "other[0].name": "b", "csrf_token": "t", "_once": "o"}) == 2
    found = await details(strict, form={"item.0.name": "hunter2", "items.0.name": "a"})
    assert found == {"item.0.name": ["Extra inputs are not permitted"]}


def _pick(value: Any) -> str | None:
    return value.get("kind") if isinstance(value, dict) else None


async def test_a_union_of_models_takes_the_whole_form_and_the_whole_json() -> None:
    """So does `FromInput`: what is one object as JSON has no name in the form either."""

    @validate
    async def adopt(pet: FromInput[Annotated[Cat | Dog, Field(discriminator="kind")]]) -> Result[Any]:
        return ok(pet)

    @validate
    async def chosen(
        pet: FromForm[Annotated[Annotated[Cat, Tag("cat")] | Annotated[Dog, Tag("dog")], Discriminator(_pick)]],
    ) -> Result[Any]:
        return ok(pet)

    cat = {"kind": "cat", "lives": 9}
    assert await data(adopt, form=cat) == cat
    assert await data(adopt, json=cat) == cat
    assert await data(chosen, form=cat) == cat
    for handler in (adopt, chosen):
        assert list(await details(handler, form={"kind": "cat", "lives": "x"})) == ["lives"]
        assert list(await details(handler, form={"kind": "dog", "bones": "x"})) == ["bones"]


async def test_a_single_parameter_may_be_deep() -> None:
    """Its name is the first step."""

    @validate
    async def handler(prices: FromForm[dict[str, list[int]]], tags: FromForm[list[str]] = []) -> Result[Any]:  # noqa: B006
        return ok([prices, tags])

    assert await data(handler, data=b"prices[tea]=1&prices[tea]=2&tags[]=a", headers=FORM) == [{"tea": [1, 2]}, ["a"]]
    assert list(await details(handler, data=b"prices[tea].5=x", headers=FORM)) == ["prices.tea.5"]


class Chained:
    """A type that is read in two steps, and that a form may have as `marks.0`."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        return core_schema.chain_schema([core_schema.list_schema(core_schema.int_schema()), core_schema.any_schema()])


async def test_tuples_and_chains_have_places_too() -> None:
    """Each place of a tuple takes what belongs there."""

    @validate
    async def handler(
        pair: FromForm[tuple[str, list[int]]],
        many: FromForm[tuple[int, ...]] = (),
        marks: FromForm[Chained] | None = None,
    ) -> Result[Any]:
        return ok([pair, many, marks])

    sent = b"pair.0=a&pair.1=1&pair.1=2&many.0=3&many.1=4&marks.1=6&marks.0=5"
    assert await data(handler, data=sent, headers=FORM) == [["a", [1, 2]], [3, 4], [5, 6]]
    found = await details(handler, data=b"pair.0=a&pair.0=b&pair.1=x&marks=x", headers=FORM)
    assert list(found) == ["pair.0", "pair.1.0", "marks.0"]


async def test_a_hundred_thousand_fields_are_a_400() -> None:
    """Of any name, in any notation."""
    for pair in (b"a=1", b"items[0].name=1", b"items.%d.name=1"):
        body = b"&".join(pair % i if b"%" in pair else pair for i in range(100_000 if pair == b"a=1" else 30_000))
        assert await details(order, data=body, headers=FORM) == {"_root": ["The form has too many entries"]}
    body = b"--b\r\n" + b'Content-Disposition: form-data; name="a"\r\n\r\n1\r\n--b\r\n' * 15_000
    assert list(await details(order, data=body, headers=MULTIPART)) == ["_root"]


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("a", ("a",)),
        ("a.b", ("a", "b")),
        ("a[b]", ("a", "b")),
        ("a[b.c].d", ("a", "b.c", "d")),
        ("a[]", ("a",)),
        ("a[b][]", ("a", "b")),
        ("a[][b]", ("a", "")),
        ("a[b", ("a", "")),
        ("a.", ("a", "")),
        ("[a]", ("[a]",)),
        ("", ("",)),
        (".a", (".a",)),
    ],
)
def test_steps(name: str, steps: tuple[str, ...]) -> None:
    """How a name is split."""
    assert steps_of(name) == steps


STEPS = st.lists(st.text("ab0_- \u00e9%", min_size=1, max_size=5), min_size=1, max_size=8)


@given(steps=STEPS)
def test_a_name_in_brackets_comes_apart_as_it_was_put_together(steps: list[str]) -> None:
    """Whatever the steps are."""
    first, *rest = steps
    assert steps_of(first + "".join(f"[{step}]" for step in rest)) == tuple(steps)
    assert steps_of(".".join(steps)) == tuple(steps)


GUARD = sealed(order.handler)
WORDS = ["items", "tags", "tree", "kids", "next", "pets", "prices", "pair", "name", "all", "x", "ids", "root", "toys"]
PIECES = [*WORDS, "0", "1", "7", ".", "[", "]", "[]", "[0]", ".0", "[name]", ".label", ".kind"]
NAMES = st.lists(st.sampled_from(PIECES), max_size=9).map("".join)


@given(entries=st.lists(st.tuples(NAMES, st.sampled_from(["", "a", "1", "cat", "dog", "hunter2-marker"])), max_size=12))
@settings(max_examples=300, deadline=None)
async def test_any_names_are_a_form_or_a_400_without_its_values(entries: list[tuple[str, str]]) -> None:
    """Nothing but InvalidInput ever leaves the guard."""
    try:
        await enter(GUARD, posted(multipart(*entries), MULTIPART))
    except InvalidInput as refusal:
        assert refusal.details and len(refusal.details) <= 50
        assert "hunter2" not in repr(refusal.details)
