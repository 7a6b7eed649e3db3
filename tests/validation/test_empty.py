"""Empty entries and boxes: what a form sends for what nobody filled in."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel

from gatewright.errors import ConfigurationError
from gatewright.result import Result, ok
from gatewright.validation import Checkbox, Checkboxes, FromBody, FromForm, FromHeader, FromInput, FromQuery, validate
from tests.validation.kit import MULTIPART, data, details, multipart, send

pytestmark = pytest.mark.anyio


class Address(BaseModel):
    street: str
    city: str


class Profile(BaseModel):
    name: str
    age: int = 18
    bio: str | None = "old"
    tags: list[str] = []
    address: Address | None = None
    others: list[Address] = []


async def _profile(form: FromForm[Profile]) -> Result[Any]:
    return ok(form.model_dump(exclude_unset=True))


keep, missing = validate(empty="keep")(_profile), validate(empty="missing")(_profile)


async def test_fastapi_13533_an_empty_entry_of_an_optional_number_is_its_default() -> None:
    """A browser sends `age=` for a field that was left alone; FastAPI tried to read a number from it."""
    assert await data(missing, form={"name": "Ann", "age": ""}) == {"name": "Ann"}
    assert list(await details(keep, form={"name": "Ann", "age": ""})) == ["age"]


async def test_fastapi_2823_vibetuner_1870_a_field_can_be_cleared() -> None:
    """FastAPI makes None of an empty text before the handler sees it, so that nothing can ever be cleared."""
    assert await data(keep, form={"name": "Ann", "bio": ""}) == {"name": "Ann", "bio": ""}
    assert await data(missing, form={"name": "Ann", "bio": ""}) == {"name": "Ann"}


async def test_what_is_required_and_empty_is_missing() -> None:
    """The message is the one for a field that is not there."""
    assert await details(missing, form={"name": ""}) == {"name": ["Field required"]}
    assert await data(keep, form={"name": ""}) == {"name": ""}


async def test_lists_and_nested_parts_lose_what_is_empty() -> None:
    """Blank rows and a blank address were not filled in; one that was begun has to be finished."""
    form = {"name": "A", "tags": ["", "a", ""], "address.street": "", "address.city": "", "others.0.street": ""}
    assert await data(missing, form=form) == {"name": "A", "tags": ["a"]}
    assert await details(missing, form={**form, "address.city": "B"}) == {"address.street": ["Field required"]}
    found = await data(keep, form={"name": "A", "tags": ["", "a"], "address.street": "", "address.city": ""})
    assert found == {"name": "A", "tags": ["", "a"], "address": {"street": "", "city": ""}}


async def test_white_space_is_not_empty() -> None:
    """Whether it counts is for the type to say: see `Line`."""
    assert await data(missing, form={"name": " "}) == {"name": " "}


async def test_multipart_is_no_different() -> None:
    """The encoding is the browser's business."""
    body = multipart(("name", "Ann"), ("age", ""))
    assert await data(missing, data=body, headers=MULTIPART) == {"name": "Ann"}


@validate(empty="missing")
async def search(q: FromQuery[str] = "all", low: FromQuery[int | None] = None, ids: FromQuery[list[int]] = []) -> Any:  # noqa: B006
    return ok([q, low, ids])


async def test_a_form_that_is_sent_in_the_query_is_a_form() -> None:
    """A search form is a GET, and its empty fields are in the address."""
    assert await data(search, query="q=&low=&ids=&ids=3") == ["all", None, [3]]
    assert list(await details(validate(search.handler), query="q=&low=")) == ["low"]


async def test_headers_are_no_form() -> None:
    """An empty header is one."""

    @validate(empty="missing")
    async def handler(x_note: FromHeader[str] = "none") -> Result[Any]:
        return ok(x_note)

    assert await data(handler, headers={"x-note": ""}) == ""


async def test_json_says_what_it_means() -> None:
    """Also where a form would be taken."""

    @validate(empty="missing")
    async def either(body: FromInput[Profile]) -> Result[Any]:
        return ok(body.model_dump(exclude_unset=True))

    @validate(empty="missing")
    async def json(body: FromBody[Profile]) -> Result[Any]:
        return ok(body.model_dump(exclude_unset=True))

    for handler in (either, json):
        assert await data(handler, json={"name": "", "bio": ""}) == {"name": "", "bio": ""}
    assert await data(either, form={"name": "A", "bio": ""}) == {"name": "A"}


@pytest.mark.parametrize("empty", ["none", "", None, True])
def test_other_policies_are_refused(empty: Any) -> None:
    """When decorating."""
    with pytest.raises(ConfigurationError, match='write empty="keep" or empty="missing"'):
        validate(empty=empty)


class Signup(BaseModel):
    news: Checkbox
    terms: Checkbox = False
    topics: Checkboxes[Literal["math", "art"]]
    more: Checkboxes[str] = []


@validate
async def signup(form: FromInput[Signup]) -> Result[Any]:
    return ok([form.news, form.terms, form.topics])


@pytest.mark.parametrize("value", ["on", "1", "yes", "true", "7", "newsletter"])
async def test_a_box_that_is_ticked_is_true_whatever_its_value(value: str) -> None:
    """`value=` is the author's choice, and "on" without one."""
    assert await data(signup, form={"news": value}) == [True, False, []]


async def test_a_box_that_is_not_ticked_is_not_sent() -> None:
    """Absent is False, and a group of which none is ticked is an empty list."""
    assert await data(signup, data=b"x=1", headers={"content-type": "application/x-www-form-urlencoded"}) == [
        False,
        False,
        [],
    ]
    assert await data(signup, form={"topics": ["art", "math"], "terms": "on"}) == [False, True, ["art", "math"]]
    assert list(await details(signup, form={"topics": ["art", "sport"]})) == ["topics.1"]


async def test_no_two_forms_share_the_list_that_is_empty() -> None:
    """A handler may append to it."""
    first, second = Signup.model_validate({}), Signup.model_validate({})
    first.topics.append("math")
    first.more.append("a")
    assert (second.topics, second.more) == ([], [])


@pytest.mark.parametrize("value", ["", "0", "false", "off", "NO", " "])
async def test_a_script_that_writes_false_means_it(value: str) -> None:
    """`FormData.append("news", false)` sends a text; consent is never read into a no."""
    assert await data(signup, form={"news": value}) == [False, False, []]


async def test_in_json_a_box_is_a_boolean() -> None:
    """There a text of any other kind is no yes."""
    assert await data(signup, json={"news": True, "topics": ["art"]}) == [True, False, ["art"]]
    assert list(await details(signup, json={"news": "newsletter"})) == ["news"]


async def test_a_box_as_a_parameter_of_its_own() -> None:
    """With no default in the signature."""

    @validate
    async def handler(news: FromForm[Checkbox], topics: FromForm[Checkboxes[str]]) -> Result[Any]:
        return ok([news, topics])

    assert await data(handler, form={"news": "on", "topics": "a"}) == [True, ["a"]]
    assert await data(handler, form={"other": "on"}) == [False, []]
    assert (await send(handler, form={"news": ["on", "on"]})).status == 400
