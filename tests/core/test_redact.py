"""The redactor: no secret comes out, whatever goes in, and it always comes to an end."""

from __future__ import annotations

import json
import math
import sys
from collections import OrderedDict, deque, namedtuple
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import ip_address
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, SecretBytes, SecretStr, ValidationError
from pydantic_core import to_json
from starlette.datastructures import Headers

from gatewright._core.redact import REDACTED, TRUNCATED, UNREADABLE, Redactor
from gatewright.errors import ConfigurationError

MARK = "hunter2hunter2"


class Account(BaseModel):
    name: str = "ada"
    password: str = MARK
    note: SecretStr = SecretStr(MARK)
    raw: SecretBytes = SecretBytes(MARK.encode())
    hidden: str = Field(MARK, repr=False)
    aliased: str = Field(MARK, alias="api-key")
    inner: Account | None = None


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


@dataclass
class Plain:
    name: str
    token: str = MARK
    hidden: str = field(default=MARK, repr=False)


@dataclass(slots=True)
class Slotted:
    name: str
    token: str = MARK


@dataclass
class Mixed(Slotted):
    other: int = 1


class Attribute:
    def __init__(self, name: str, shown: bool = True) -> None:
        self.name, self.repr = name, shown


class Attrs:
    __attrs_attrs__ = (Attribute("name"), Attribute("secret"), Attribute("hidden", False), Attribute("unset"))

    def __init__(self) -> None:
        self.name, self.secret, self.hidden = "ada", MARK, MARK


Pair = namedtuple("Pair", ["name", "cookie"])


class Level(Enum):
    LOW = "low"


class Number(IntEnum):
    ONE = 1


class Text(str):
    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


class Real(float):
    pass


class Evil:
    def __repr__(self) -> str:
        raise RuntimeError(MARK)

    @property
    def __class__(self) -> Any:
        raise RuntimeError(MARK)

    @__class__.setter
    def __class__(self, value: Any) -> None: ...


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError(MARK)


class InvalidToken(Exception):
    pass


class Endless(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        number = 0
        while True:
            yield f"k{number}x"
            number += 1

    def __len__(self) -> int:
        raise RuntimeError


def clean() -> Redactor:
    return Redactor()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (-7, -7),
        (1.5, 1.5),
        ("ok", "ok"),
        (Number.ONE, 1),
        (Real(1.5), 1.5),
        (Level.LOW, "low"),
        (Text("a\n"), "a\\n"),
        (b"token=abc", "token=[redacted]"),
        (bytearray(b"\xff"), "\\xff"),
        (memoryview(b"ok"), "ok"),
        ({"password": MARK, "n": 1}, {"password": REDACTED, "n": 1}),
        ({"password": None, "token": True, "pin": 1234}, {"password": None, "token": True, "pin": REDACTED}),
        (OrderedDict(a=[{"Api-Key": [MARK]}]), {"a": [{"Api-Key": REDACTED}]}),
        ({b"cookie": b"a=b"}, {"cookie": REDACTED}),
        ({1: 2, (3, 4): 5, "a\nb": 6}, {"1": 2, "[3, 4]": 5, "a\\nb": 6}),
        (Headers({"authorization": MARK, "host": "x"}), {"authorization": REDACTED, "host": "x"}),
        ([(b"cookie", b"a=b"), (b"host", b"x")], [["cookie", REDACTED], ["host", "x"]]),
        (("password", MARK), ["password", REDACTED]),
        (["password", "email"], ["password", "email"]),
        ((1, 2), [1, 2]),
        ({"ok"}, ["ok"]),
        (deque([1]), [1]),
        ([4111111111111111, 4111111111111112, 10**13], [REDACTED, 4111111111111112, 10**13]),
        (2**300, TRUNCATED),
        (SecretStr(MARK), REDACTED),
        (Plain("ada"), {"name": "ada", "token": REDACTED, "hidden": REDACTED}),
        (Slotted("ada"), {"name": "ada", "token": REDACTED}),
        (Mixed("ada"), {"other": 1, "name": "ada", "token": REDACTED}),
        (Attrs(), {"name": "ada", "secret": REDACTED, "hidden": REDACTED}),
        (Pair("ada", MARK), {"name": "ada", "cookie": REDACTED}),
        (Open.model_validate({"token": MARK, "n": 1}), {"token": REDACTED, "n": 1}),
        (SimpleNamespace(token=MARK), "namespace(token=[redacted])"),
        (ValueError({"token": MARK}, 1), "ValueError: {'token': '[redacted]'}, 1"),
        (InvalidToken("expired"), f"{__name__}.InvalidToken: expired"),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (timedelta(1), "datetime.timedelta(days=1)"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Decimal("1.5"), "1.5"),
        (PurePosixPath("/a"), "/a"),
        (ip_address("::1"), "::1"),
        (Evil(), UNREADABLE),
        ([Evil(), 1], [UNREADABLE, 1]),
        ({"loc": ["password"], "input": MARK}, {"loc": ["password"], "input": REDACTED}),
        ({"input": "shown"}, {"input": "shown"}),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_value_comes_out_as_json_without_secrets(value: object, shown: object) -> None:
    """Every kind of value has one form, made of what JSON knows, and its secrets are marks."""
    assert clean().value(value) == shown


def test_a_model_is_shown_by_its_fields() -> None:
    """Secret by name, by type, by alias, or hidden by `repr=False`; at any depth."""
    account = Account.model_validate({"api-key": MARK, "inner": {"api-key": MARK, "name": "bob"}})
    fields = {"name": "ada"} | dict.fromkeys(("password", "note", "raw", "hidden", "aliased"), REDACTED)
    assert clean().value(account) == {**fields, "inner": {**fields, "name": "bob", "inner": None}}


def test_a_field_that_was_never_set_is_left_out() -> None:
    """A half-built slotted dataclass has fields without values; asking for them must not fail."""
    assert clean().value(Slotted.__new__(Slotted)) == {}


def test_an_attribute_that_would_be_loaded_is_not_asked_for() -> None:
    """An ORM's attribute queries the database when it is read; the log shows only what is there."""

    @dataclass
    class Lazy:
        name: str

    entity = Lazy.__new__(Lazy)
    Lazy.name = property(lambda self: pytest.fail("was asked for"))  # type: ignore[assignment]
    assert clean().value(entity) == {}


def test_paths_reach_into_nested_values() -> None:
    """A name with a dot is a path: through mappings, lists, models and lines of text."""
    redactor = Redactor(["user.email", "inner.name"])
    account = Account.model_validate({"api-key": "", "inner": {"api-key": ""}})
    value = {"user": [{"e-mail": "a@b"}, {"n": 1}], "email": "shown", "account": account}
    shown = redactor.value(value)
    assert shown["user"] == [{"e-mail": REDACTED}, {"n": 1}]
    assert shown["email"] == "shown"
    assert shown["account"]["name"] == "ada"
    assert shown["account"]["inner"]["name"] == REDACTED
    assert redactor.fields({"user.email": "a@b", "email": "shown"}) == {"user.email": REDACTED, "email": "shown"}


def test_bad_names_are_refused() -> None:
    """What cannot be a name is refused when the redactor is made."""
    with pytest.raises(ConfigurationError, match="write redact="):
        Redactor("email")


def test_cycles_depth_and_size_end_in_a_mark() -> None:
    """A value that contains itself, nests for ever or is huge gives a finite line."""
    cycle: dict[str, Any] = {}
    cycle["me"] = [cycle]
    assert clean().value(cycle) == {"me": ["[cycle]"]}
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    shown = json.dumps(clean().value(deep))
    assert TRUNCATED in shown
    assert len(shown) < 100
    assert clean().value([0] * 1000) == [0] * 128 + [TRUNCATED]
    wide = clean().value(dict.fromkeys(map(str, range(1000)), 0))
    assert len(wide) == 129
    assert wide[TRUNCATED] == TRUNCATED
    assert clean().value([["x" * 3000] * 100] * 100)[-1] == TRUNCATED
    assert len(to_json(clean().value([[["x y" * 1000] * 100] * 100] * 100))) < 200_000
    assert clean().value({str(key): ["x y" * 1000] for key in range(100)})[TRUNCATED] == TRUNCATED
    assert len(clean().value(Endless())) == 129
    assert len(clean().value(b"x" * 10**6)) < 5000
    while deep:
        deep = deep.pop()


def test_the_same_value_twice_is_no_cycle() -> None:
    """Only what contains itself is one."""
    shared = {"n": 1}
    assert clean().value([shared, shared]) == [{"n": 1}, {"n": 1}]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.binary() | st.integers(), inner) | st.tuples(inner, inner)
    ),
    max_leaves=20,
)
ANYTHING = st.one_of(
    JSON,
    st.builds(Plain, st.text()),
    st.builds(ValueError, JSON),
    st.sampled_from([Mute(), Evil, object, len, Level, Text("x"), math.nan, math.inf, 10**5000, ..., NotImplemented]),
    st.datetimes(),
    st.decimals(),
    st.uuids(),
    st.complex_numbers(),
    st.builds(lambda value: (value for _ in ()), st.none()),
)


def _is_json(value: object) -> bool:
    if type(value) is dict:
        return all(type(key) is str and key.isprintable() and _is_json(item) for key, item in value.items())
    if type(value) is list:
        return all(map(_is_json, value))
    return type(value) in (int, float, bool, type(None)) or (type(value) is str and value.isprintable())


@given(st.lists(ANYTHING, max_size=3) | ANYTHING)
def test_it_never_raises_and_only_json_comes_out(value: object) -> None:
    """For every object there is a finite, printable answer made of exact built-in types."""
    shown = clean().value(value)
    assert _is_json(shown)
    to_json(shown, inf_nan_mode="null")


HELD = st.recursive(
    st.sampled_from([MARK, [MARK], {"a": MARK}, MARK.encode(), SecretStr(MARK), ValueError(MARK)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
NAMES = st.sampled_from(["password", "X-Api-Key", "stripeSecretKey", "refresh_token", "Set-Cookie", "user.ssn"])
HOLDERS = st.recursive(
    st.dictionaries(NAMES, HELD, min_size=1)
    | st.builds(Plain, st.text(max_size=5))
    | st.builds(Slotted, st.text(max_size=5))
    | st.builds(lambda: Account.model_validate({"api-key": MARK}))
    | st.builds(lambda name: [(name.encode(), MARK.encode())], NAMES)
    | st.builds(lambda name: f"/x?a=b&{name}={MARK}&c=d", NAMES)
    | st.builds(lambda name: json.dumps({"x": [{name: MARK}]}).encode(), NAMES)
    | st.builds(SimpleNamespace, password=HELD)
    | st.just(f"postgres://app:{MARK}@db/x"),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, min_size=1, max_size=3)
        | st.tuples(inner, inner)
        | st.builds(lambda value: ValueError("failed", value), inner)
        | st.builds(lambda value: Plain(value), inner)
    ),
    max_leaves=8,
)


@given(HOLDERS)
def test_no_secret_under_a_secret_name_survives(value: object) -> None:
    """Wherever a secret name stands, in a value, a text or an exception, what it holds does not come out."""
    assert MARK.encode() not in to_json(clean().value(value))


@given(st.dictionaries(st.text(max_size=5) | NAMES, ANYTHING | HOLDERS, max_size=5))
def test_the_fast_way_and_the_slow_way_agree(fields: dict[str, Any]) -> None:
    """What was once found to be harmless is not looked at again, and yet the outcome is the same."""
    redactor = clean()
    first = to_json(redactor.value(fields), inf_nan_mode="null")
    for _ in range(3):
        assert to_json(redactor.fields(fields), inf_nan_mode="null") == first


def test_flat_harmless_fields_come_back_untouched() -> None:
    """The access event of a request costs a look, not a copy."""
    redactor = clean()
    fields = {
        "method": "POST",
        "status": 200,
        "ms": 1.5,
        "route": "/posts/{id}",
        "client": "10.0.0.1",
        "user": None,
        "id": "0f" * 16,
    }
    assert redactor.fields(fields) == fields
    assert redactor.fields(fields) is fields


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("4111111111111111", REDACTED),
        (4111111111111111, REDACTED),
        (-4111111111111111, REDACTED),
        (-5, -5),
        ("AKIAIOSFODNN7EXAMPLE", REDACTED),
        ("eyJhbGciOiJIUzI1NiJ9", REDACTED),
        ("sk_live_abcdefgh", REDACTED),
        ("a\nb", "a\\nb"),
        ("a" * 5000, "a" * 3584 + "[5000 characters]"),
        ([1], [1]),
    ],
)
def test_the_fast_way_lets_nothing_through(value: object, shown: object) -> None:
    """A value that may be a secret leaves the fast way, even under a name that is known to be harmless."""
    redactor = clean()
    redactor.fields({"x": 1})
    assert redactor.fields({"x": value}) == {"x": shown}


def test_what_is_remembered_is_bounded_and_never_a_secret() -> None:
    """Names and texts come from the network; the memory of them is finite and holds no secret."""
    redactor = clean()
    for number in range(5000):
        redactor.fields(
            {f"name {number}": f"text {number}", "password": f"hidden{number}", f"x{number}": f"sig={number}"}
        )
    redactor.fields({"n" * 1000: 1})
    assert len(redactor._clean) <= 1024
    assert len(redactor._harmless) <= 1024
    assert not any("hidden" in text or "sig=" in text for text in redactor._clean)
    assert "password" not in redactor._harmless


def test_ids_do_not_crowd_out_what_comes_back() -> None:
    """A request id is seen once; remembering each would push out the routes."""
    redactor = clean()
    redactor.text("/posts/{id}")
    for number in range(5000):
        redactor.text(f"{number:032x}")
    assert redactor._clean == {"/posts/{id}"}


def test_texts_under_names_that_are_ours() -> None:
    """A guard may be called `session`; its outcome is shown, and still looked through."""
    assert clean().texts({"session": "passed", "x": "token=a"}) == {"session": "passed", "x": "token=[redacted]"}


def test_almost_no_stack_is_left() -> None:
    """Logging a RecursionError happens at the end of the stack; even there nothing raises."""
    redactor = clean()
    seen: list[dict[str, Any]] = []

    def dive() -> None:
        try:
            seen.append(redactor.fields({"n": [1]}))
            dive()
        except RecursionError:
            pass

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len_of_stack() + 60)
    try:
        dive()
    finally:
        sys.setrecursionlimit(limit)
    assert {"fields": UNREADABLE} in seen
    assert all(isinstance(shown, dict) for shown in seen)


def len_of_stack() -> int:
    frame, length = sys._getframe(), 0
    while frame.f_back is not None:
        frame, length = frame.f_back, length + 1
    return length


def raised(exc: BaseException) -> BaseException:
    try:
        raise exc
    except BaseException as caught:
        return caught


def test_an_exception_has_type_message_and_frames() -> None:
    """File, line and function: no source line, no local, both of which hold secrets (langflow#15147)."""
    password = MARK
    shown = clean().exception(raised(ValueError(f"no user\nfor token={password}")))
    assert shown["type"] == "ValueError"
    assert shown["message"] == "no user\\nfor token=[redacted]"
    assert [frame.split("/")[-1].split(":")[0] for frame in shown["frames"]] == ["test_redact.py"]
    assert shown["frames"][0].endswith(" raised")
    assert MARK not in json.dumps(shown)


def test_an_exception_says_its_arguments_not_its_str() -> None:
    """SQLAlchemy and drivers write the statement's parameters into `str()`."""

    class StatementError(Exception):
        def __str__(self) -> str:
            return f"{self.args[0]} [parameters: ('{MARK}',)]"

    class Bare(Exception):
        def __str__(self) -> str:
            return "token=abc"

    shown = clean().exception(StatementError("failed", {"password": MARK}, "x"))
    assert shown["message"] == "failed, {'password': '[redacted]'}, x"
    assert shown["type"].endswith(
        "test_redact.test_an_exception_says_its_arguments_not_its_str.<locals>.StatementError"
    )
    assert clean().exception(Bare())["message"] == "token=[redacted]"


def test_an_exception_whose_str_raises_keeps_its_frames() -> None:
    """What can be told is told."""

    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    shown = clean().exception(raised(Silent()))
    assert shown["message"] == UNREADABLE
    assert shown["frames"]


def test_a_validation_error_does_not_echo_its_input() -> None:
    """Pydantic's `str()` shows what was submitted."""
    with pytest.raises(ValidationError) as caught:
        Account.model_validate({"name": [MARK], "api-key": 1})
    shown = clean().exception(caught.value)
    assert shown["message"] == "string_type at name; string_type at api-key"
    assert MARK not in json.dumps(shown)


def test_causes_contexts_groups_and_notes() -> None:
    """What led to an exception is shown; `from None` is respected; nothing is shown twice."""
    cause = KeyError("k")
    outer = ValueError("v")
    outer.__cause__ = cause
    outer.add_note("token=abc")
    cause.__context__ = OSError(2, "gone")
    shown = clean().exception(ExceptionGroup("several", [outer, outer, TypeError("t")]))
    assert [part["message"] for part in shown["exceptions"]] == ["v", "t"]
    assert shown["exceptions"][0]["notes"] == ["token=[redacted]"]
    assert shown["exceptions"][0]["cause"]["message"] == "k"
    assert shown["exceptions"][0]["cause"]["context"]["message"] == "2, gone"
    cause.__suppress_context__ = True
    assert "context" not in clean().exception(cause)
    cause.__context__ = None
    cause.__cause__ = cause
    assert "cause" not in clean().exception(cause)


def test_a_chain_of_exceptions_is_finite() -> None:
    """A retry loop may leave thousands of contexts."""
    last = ValueError("0")
    for number in range(1, 1000):
        following = ValueError(str(number))
        following.__context__ = last
        last = following
    assert json.dumps(clean().exception(last)).count("message") == 16


def test_a_deep_traceback_is_cut_in_the_middle() -> None:
    """Where it began and where it broke; not the thousand frames between."""

    def down(depth: int) -> None:
        if not depth:
            raise ValueError("bottom")
        down(depth - 1)

    with pytest.raises(ValueError, match="bottom") as caught:
        down(200)
    frames = clean().exception(caught.value)["frames"]
    assert len(frames) == 33
    assert frames[8] == TRUNCATED


def test_an_exception_may_be_its_own_argument() -> None:
    """Twice, even: the number of ways through such a knot doubles with each step."""
    knot = ValueError()
    knot.args = (knot, [knot], "end")
    assert clean().value(knot) == "ValueError: [cycle], ['[cycle]'], end"
    assert clean().exception(knot)["message"].endswith("end")


def test_an_exception_that_cannot_be_read() -> None:
    """Its own attributes may raise."""

    class Broken(Exception):
        @property
        def __cause__(self) -> Any:
            raise RuntimeError

        @__cause__.setter
        def __cause__(self, value: Any) -> None: ...

    assert clean().exception(Broken()) == {"type": UNREADABLE, "message": UNREADABLE, "frames": []}
