"""Cursors: values come back as they were, and nothing that was not signed for this list comes back at all."""

from __future__ import annotations

import enum
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json, to_json

from gatewright._core.tokens import TokenError, TokenSigner
from gatewright.errors import ConfigurationError
from gatewright.pagination.query import list_of
from gatewright.pagination.token import _PURPOSE, _SCHEMA, Cursors
from gatewright.pagination.values import pack, unpack

KEY = bytes(range(32))
_OURS = frozenset({b"limit", b"after", b"before"})

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.datetimes(),
    st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45, seconds=1))])),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.decimals(),
    st.uuids(),
    st.binary(max_size=40),
)


def _same(value: Any) -> tuple[Any, ...]:
    """Tell apart what is equal and not the same: 1.0 and 1, 1.10 and 1.1, one moment in two zones, zeros, NaN."""
    zone = value.utcoffset() if isinstance(value, datetime) else None
    return type(value), repr(value) if isinstance(value, (float, Decimal)) else value, zone


@given(st.lists(values, max_size=4))
def test_values_come_back_as_they_were(position: list[Any]) -> None:
    """To the microsecond, the zone and the last digit."""
    if any(isinstance(value, Decimal) and value.is_snan() for value in position):
        return
    back = Cursors([KEY]).read(
        Cursors([KEY]).sign("list", position, backward=False).encode(), "list", backward=False, size=len(position)
    )
    assert [_same(value) for value in back] == [_same(value) for value in position]
    assert [_same(value) for value in unpack(from_json(to_json(pack(position))))] == [
        _same(value) for value in position
    ]


def test_what_looks_alike_stays_apart() -> None:
    """A text that reads like a date is a text; True is not 1."""
    position = ("2026-01-01", date(2026, 1, 1), True, 1, 1.0, Decimal("1.10"), time(1, 2, 3, 4), -math.inf, b"\xff", "")
    assert [_same(value) for value in unpack(pack(position))] == [_same(value) for value in position]


class Color(enum.Enum):
    """An enumeration."""

    RED = "red"


class Size(enum.IntEnum):
    """One that is a number, too."""

    S = 1


class Name(enum.StrEnum):
    """And one that is a text."""

    ADA = "ada"


@pytest.mark.parametrize("value", [Color.RED, Size.S, Name.ADA, object(), [1], {"a": 1}, 1j, "\ud800"])
def test_a_value_that_would_not_come_back_is_refused(value: Any) -> None:
    """In words that do not quote it."""
    with pytest.raises(ConfigurationError, match=f"cannot hold a value of {type(value).__name__}"):
        pack([value])


@pytest.mark.parametrize(
    "value",
    [[["nothing", "x"]], [["decimal", "x"]], [["uuid", 5]], [["datetime"]], [[]], [["bytes", "é"]], [[["x"], 1]]],
)
def test_what_was_not_packed_is_a_value_error(value: Any) -> None:
    """And nothing else, whatever is wrong with it."""
    with pytest.raises(ValueError, match="not a position"):
        unpack(value)


def _list(query: bytes = b"", path: str = "/posts", order: tuple[str, ...] = ("-a", "id")) -> str:
    return list_of({"query_string": query, "path": path}, order, _OURS)


@pytest.mark.parametrize(
    "query", [b"tag=a&tag=b&q=x+y", b"q=x%20y&tag=b&tag=a", b"&&tag=b&%74ag=a&limit=3&q=x+y&after=x&before=y"]
)
def test_the_same_filters_are_the_same_list(query: bytes) -> None:
    """In any order and any spelling, whatever the page."""
    assert _list(query) == _list(b"tag=a&tag=b&q=x y")


@pytest.mark.parametrize(
    "other",
    [
        _list(b"tag=a&tag=b&tag=b"),
        _list(b"tag=a"),
        _list(b"tag=ab"),
        _list(b"tag=a&tag=b&x="),
        _list(b"tag=a&b=tag"),
        _list(b"tagtag=ab"),
        _list(b"tag=a&tag=b", path="/users"),
        _list(b"tag=a&tag=b", order=("a", "id")),
        _list(b"tag=a&tag=b", order=("-a", "id", "b")),
        _list(b"tag=a&tag=b", order=("-a nulls first", "id")),
        list_of({"path": "/posts"}, ("-a", "id"), _OURS),
    ],
)
def test_other_filters_another_path_or_order_are_another_list(other: str) -> None:
    """Each repeated parameter counts; lengths keep names and values apart."""
    assert other != _list(b"tag=a&tag=b")


@given(st.text(), st.binary())
def test_any_path_and_query_make_a_list(path: str, query: bytes) -> None:
    """Always of the same length, whatever a client sends."""
    assert len(_list(query, path)) == 32


def _sign(**changed: Any) -> bytes:
    signer: TokenSigner[Any] = TokenSigner([KEY], _PURPOSE, _SCHEMA)
    return signer.sign({"v": 1, "list": "here", "back": False, "at": [1, 2]} | changed).encode()


def _read(cursor: bytes) -> tuple[object, ...]:
    return Cursors([KEY]).read(cursor, "here", backward=False, size=2)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"list": "there"}, "another path, order or filter"),
        ({"back": True}, "the other direction"),
        ({"at": [1]}, "not a position in this order"),
        ({"at": [1, 2, 3]}, "not a position in this order"),
        ({"at": [1, ["uuid", "x"]]}, "not a position of this version"),
        ({"v": 2}, "not a record of this version"),
        ({"more": 1}, "not a record of this version"),
        ({"at": None}, "not a record of this version"),
        ({"back": "false"}, "not a record of this version"),
    ],
)
def test_a_cursor_for_something_else_is_refused(changed: dict[str, Any], why: str) -> None:
    """Even though it is signed."""
    assert _read(_sign()) == (1, 2)
    assert _read(_sign(at=[])) == ()
    with pytest.raises(TokenError, match=why):
        _read(_sign(**changed))


def test_keys_roll() -> None:
    """An older key still counts, one that is gone does not."""
    old, new = bytes(range(32, 64)), bytes(range(64, 96))
    cursor = Cursors([old]).sign("list", (1,), backward=False).encode()
    assert Cursors([new, old]).read(cursor, "list", backward=False, size=1) == (1,)
    with pytest.raises(TokenError, match="not signed"):
        Cursors([new]).read(cursor, "list", backward=False, size=1)


def test_a_cursor_is_short_and_can_be_written_into_an_address() -> None:
    """No padding, nothing to be encoded; about 150 characters for a time and a number."""
    cursor = Cursors([KEY]).sign("x" * 22, (datetime.now(UTC), 123_456), backward=True)
    assert len(cursor) < 200
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


def test_a_position_too_long_for_an_address_is_refused() -> None:
    """When it is made, and not when the client comes back with half of it."""
    with pytest.raises(ConfigurationError, match="order by something shorter"):
        Cursors([KEY]).sign("list", ("x" * 8_000,), backward=False)


@given(st.binary(max_size=200) | st.text().map(str.encode), st.integers(0, 3))
def test_anything_else_is_a_token_error(cursor: bytes, size: int) -> None:
    """fastapi-pagination #936, #1496 and PR #2044, fastmcp #5070: forged cursors that were a 500."""
    with pytest.raises(TokenError):
        Cursors([KEY]).read(cursor, "here", backward=False, size=size)


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_cursor_with_any_byte_changed_is_a_token_error(at: int, change: int) -> None:
    """One bit is enough; every spelling but one is refused."""
    cursor = bytearray(_sign())
    cursor[at % len(cursor)] ^= change
    with pytest.raises(TokenError):
        _read(bytes(cursor))


def test_uuids_of_drivers_come_back_as_the_standards() -> None:
    """asyncpg has a class of its own."""

    class Theirs(UUID):
        pass

    (back,) = unpack(pack([Theirs(int=5)]))
    assert (type(back), back) == (UUID, UUID(int=5))
