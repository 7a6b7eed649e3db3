"""strict=: which sources have to give values of the type itself."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict

from gatewright.errors import ConfigurationError
from gatewright.result import Result, ok
from gatewright.validation import (
    Checkbox,
    FromBody,
    FromCookie,
    FromForm,
    FromHeader,
    FromInput,
    FromPath,
    FromQuery,
    validate,
)
from tests.validation.kit import data, details, send

pytestmark = pytest.mark.anyio

SPELLING = ["Write this as JSON does"]


class Row(BaseModel):
    count: int = 0


class Everything(BaseModel):
    n: int = 0
    ratio: float = 0
    price: Decimal = Decimal(0)
    ok: bool = False
    day: date | None = None
    when: datetime | None = None
    at: time | None = None
    lasts: timedelta | None = None
    ident: UUID | None = None
    text: str = ""
    either: int | str = 0
    level: Literal["1", "2"] = "1"
    box: Checkbox = False
    rows: list[Row] = []
    ns: list[int] = []


async def _form(form: FromForm[Everything]) -> Result[Any]:
    return ok(form.model_dump(mode="json", exclude_unset=True))


async def _json(body: FromBody[Everything]) -> Result[Any]:
    return ok(body.model_dump(mode="json", exclude_unset=True))


strict, lax = validate(strict=True)(_form), validate(_form)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("n", "0"),
        ("n", "-17"),
        ("n", "9" * 300),
        ("ratio", "1.5"),
        ("ratio", "-0.5e-3"),
        ("ratio", "7"),
        ("price", "10.00"),
        ("ok", "true"),
        ("ok", "false"),
        ("day", "2026-01-31"),
        ("when", "2026-01-31T10:00:00Z"),
        ("at", "10:00"),
        ("lasts", "P1D"),
        ("ident", "123e4567-e89b-12d3-a456-426614174000"),
        ("text", " 1_0 "),
        ("either", " 1_0 "),
        ("level", "2"),
        ("box", "yes"),
    ],
)
async def test_a_strict_form_takes_what_json_would_write(name: str, text: str) -> None:
    """One spelling for each value; a text is a text."""
    assert name in await data(strict, form={name: text})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("n", " 1"),
        ("n", "+1"),
        ("n", "1.0"),
        ("n", "01"),
        ("n", "1_000"),
        ("ratio", "nan"),
        ("ratio", "inf"),
        ("ratio", ".5"),
        ("price", " 1"),
        ("ok", "yes"),
        ("ok", "1"),
        ("ok", "True"),
        ("day", "1767139200"),
        ("when", "1767139200"),
        ("when", "-1767139200.5"),
        ("ident", "123E4567-E89B-12D3-A456-426614174000"),
        ("ident", "123e4567e89b12d3a456426614174000"),
        ("ns", "01"),
        ("rows.0.count", "1_0"),
    ],
)
async def test_a_strict_form_refuses_a_second_spelling(name: str, text: str) -> None:
    """What a filter, a cache and a database compare as texts has one."""
    found = await details(strict, form={name: text})
    path = "ns.0" if name == "ns" else name
    assert found == {path: SPELLING}
    assert await data(lax, form={name: text})


async def test_what_is_wrong_altogether_is_said_once() -> None:
    """By pydantic."""
    found = await details(strict, form={"n": "x", "rows.4.count": "y", "ratio": " 1"})
    assert {path: len(texts) for path, texts in found.items()} == {"n": 1, "rows.4.count": 1, "ratio": 1}
    assert found["ratio"] == SPELLING


async def test_strict_json_takes_no_text_for_a_number() -> None:
    """Pydantic's strict mode for JSON: dates and UUIDs are texts there, numbers and booleans are not."""
    handler = validate(strict=["body"])(_json)
    good = {"n": 1, "ratio": 1, "day": "2026-01-31", "ident": "123e4567-e89b-12d3-a456-426614174000", "box": True}
    assert set(await data(handler, json=good)) == set(good)
    assert set(await details(handler, json={"n": "1", "ok": "true", "box": "on"})) == {"n", "ok", "box"}
    assert await data(validate(_json), json={"n": "1"}) == {"n": 1}


async def test_each_source_is_strict_by_itself() -> None:
    """A query that programs write, and a cookie that nobody knows the age of."""

    async def handler(
        body: FromBody[int],
        q: FromQuery[int] = 0,
        p: FromPath[int] = 0,
        x_n: FromHeader[int] = 0,
        c: FromCookie[int] = 0,
    ) -> Result[Any]:
        return ok([body, q, p, x_n, c])

    request: dict[str, Any] = {
        "json": "1",
        "query": "q=01",
        "path_params": {"p": "01"},
        "headers": {"x-n": "01"},
        "cookies": {"c": "01"},
    }
    paths = {"body": "_root", "query": "q", "path": "p", "header": "x-n", "cookie": "c"}
    assert await data(validate(handler), **request) == [1, 1, 1, 1, 1]
    for source, path in paths.items():
        assert list(await details(validate(strict=[source])(handler), **request)) == [path]
    assert set(await details(validate(strict=True)(handler), **request)) == set(paths.values())
    assert await data(validate(strict={"form"})(handler), **request) == [1, 1, 1, 1, 1]
    # A convertor of the route has read it already.
    assert await data(validate(strict=["path"])(handler), **{**request, "path_params": {"p": 7}}) == [1, 1, 7, 1, 1]


async def test_an_input_is_strict_either_way() -> None:
    """As JSON and as a form."""

    @validate(strict=["input"])
    async def handler(body: FromInput[Row]) -> Result[Any]:
        return ok(body.count)

    assert await data(handler, json={"count": 1}) == await data(handler, form={"count": "1"}) == 1
    assert list(await details(handler, json={"count": "1"})) == ["count"]
    assert list(await details(handler, form={"count": "01"})) == ["count"]


class StrictModel(BaseModel):
    model_config = ConfigDict(strict=True)

    n: int
    day: date


async def test_a_strict_model_can_be_read_from_texts() -> None:
    """A form has nothing but texts: pydantic's strict mode would refuse every request there could be."""

    @validate
    async def handler(body: FromInput[StrictModel]) -> Result[Any]:
        return ok([body.n, body.day])

    assert await data(handler, form={"n": "1", "day": "2026-01-31"}) == [1, "2026-01-31"]
    assert list(await details(handler, json={"n": "1", "day": "2026-01-31"})) == ["n"]


@pytest.mark.parametrize("strict", ["body", ["bodies"], ["body", 3], 1, None, ("json",)])
def test_other_sources_are_refused(strict: Any) -> None:
    """When decorating; the message lists those that there are."""
    with pytest.raises(ConfigurationError, match="write True, or a list of sources among body, form, input"):
        validate(strict=strict)


async def test_a_guard_with_a_list_of_sources_is_served() -> None:
    """The list is read, not hashed."""
    assert (await send(validate(strict=["query", "form"])(_form), form={"n": "1"})).status == 200
