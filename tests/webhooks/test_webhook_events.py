"""Events: read from verified bytes, told apart by their type, never echoed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, Discriminator, Field, Tag
from typing_extensions import TypedDict

from gatewright._core.handler import Handler
from gatewright.errors import ConfigurationError, InvalidInput
from gatewright.webhooks import Event, EventMarker, Verified
from gatewright.webhooks.events import EventReader, UnknownEvent


class Paid(BaseModel):
    type: Literal["invoice.paid"]
    amount: float = 0


class Voided(BaseModel):
    type: Literal["invoice.voided", "invoice.deleted"]


@dataclass
class Opened:
    type: Literal["opened"]


class Closed(TypedDict):
    type: Literal["closed"]


class Pushed(BaseModel):
    kind: Literal["push"] = Field(alias="event")


class Starred(BaseModel):
    kind: Literal["star"] = Field(alias="event")


class Card(BaseModel):
    kind: Literal["card"]
    type: Literal["a"] = "a"


class Wire(BaseModel):
    kind: Literal["wire"]
    type: Literal["b"] = "b"


class Charged(BaseModel):
    type: Literal["charged"]
    by: Card | Wire = Field(discriminator="kind")


class Untagged(BaseModel):
    name: str


class Unfinished(BaseModel):
    type: Literal["unfinished"]
    later: NeverDefined  # type: ignore[name-defined]  # noqa: F821  # that is the point


class Unreadable:
    """A class that pydantic knows nothing of."""


def reader(handler: Callable[..., object]) -> EventReader:
    """Return what reads *handler*'s event."""
    made = EventReader.of(Handler.read(handler), None)
    assert made is not None
    return made


async def of_union(event: Event[Paid | Voided]) -> None:
    """Ask for one of two models."""


async def of_one(event: Event[Paid]) -> None:
    """Ask for one model."""


async def of_mixed(event: Event[Paid | Opened | Closed]) -> None:
    """Ask for one of three kinds of models."""


async def of_kinds(event: Annotated[Pushed | Starred, EventMarker("kind")]) -> None:
    """Ask for a union with another tag."""


async def of_alias(event: Annotated[Pushed, EventMarker("event")]) -> None:
    """Ask for a model whose tag is an alias."""


async def of_own(event: Event[Annotated[Pushed | Starred, Field(discriminator="kind")]]) -> None:
    """Ask for a union that is discriminated already."""


async def of_chosen(event: Event[Annotated[Card | Wire, Field(discriminator="kind")]]) -> None:
    """Ask for a union that could be told apart by `type`, but is not."""


async def of_nested(event: Event[Charged | Voided]) -> None:
    """Ask for a model with a union inside."""


def _kind(value: Any) -> str:
    return "paid" if isinstance(value, dict) and "amount" in value else "dict"


async def of_callable(
    event: Event[Annotated[Annotated[Paid, Tag("paid")] | Annotated[Untagged, Tag("dict")], Discriminator(_kind)]],
) -> None:
    """Ask for a union with a function that tells it apart."""


async def of_untagged(event: Event[Paid | Untagged]) -> None:
    """Ask for a union without a common tag."""


async def of_anything(event: Event[dict[str, object]]) -> None:
    """Ask for any object."""


READERS = [
    of_union,
    of_one,
    of_mixed,
    of_kinds,
    of_alias,
    of_own,
    of_chosen,
    of_nested,
    of_callable,
    of_untagged,
    of_anything,
]


def refusal(handler: Callable[..., object], body: bytes) -> InvalidInput:
    """Return the refusal of *body*."""
    with pytest.raises(InvalidInput) as raised:
        reader(handler).read(body)
    return raised.value


def ignored(handler: Callable[..., object], body: bytes) -> str:
    """Return the type that *handler* does not take."""
    with pytest.raises(UnknownEvent) as raised:
        reader(handler).read(body)
    return raised.value.event_type


def test_a_union_is_told_apart_by_its_type() -> None:
    """Models, dataclasses and typed dicts with a Literal `type` need no Field(discriminator=...)."""
    assert reader(of_union).read(b'{"type":"invoice.paid","amount":1}') == Paid(type="invoice.paid", amount=1)
    assert isinstance(reader(of_union).read(b'{"type":"invoice.deleted"}'), Voided)
    assert reader(of_mixed).read(b'{"type":"opened"}') == Opened("opened")
    assert reader(of_mixed).read(b'{"type":"closed"}') == {"type": "closed"}
    assert reader(of_union).parameter == "event"


def test_only_the_errors_of_the_right_model_are_told() -> None:
    """Discriminated, a bad field is one error of one model, not one for each model of the union."""
    assert refusal(of_union, b'{"type":"invoice.paid","amount":"x"}').reason == (
        "event: invoice.paid.amount float_parsing"
    )


def test_the_tag_may_have_another_name() -> None:
    """EventMarker names the field; a union that is discriminated already keeps its own way."""
    for handler in (of_kinds, of_own):
        assert isinstance(reader(handler).read(b'{"event":"star"}'), Starred)
        assert ignored(handler, b'{"event":"fork"}') == "fork"
    assert isinstance(reader(of_callable).read(b'{"type":"invoice.paid","amount":1}'), Paid)
    assert reader(of_callable).read(b'{"name":"x"}') == Untagged(name="x")


def test_a_union_keeps_its_own_discriminator() -> None:
    """Where the author chose a field, `type` is a field like others, and a wrong one does not fit."""
    body = b'{"kind":"card","type":"other"}'
    assert refusal(of_chosen, body).reason == "event: card.type literal_error"
    assert ignored(of_chosen, b'{"kind":"other","type":"a"}') == "other"


def test_only_the_events_own_type_can_be_unknown() -> None:
    """An unknown tag further inside is a known event that does not fit; answered with 200 it would be lost."""
    assert refusal(of_nested, b'{"type":"charged","by":{"kind":"cash"}}').reason == (
        "event: charged.by union_tag_invalid"
    )


def test_a_union_without_a_common_tag_is_pydantics_business() -> None:
    """Where types cannot be told apart, the first that fits is taken, and what fits none is refused."""
    assert reader(of_untagged).read(b'{"name":"x"}') == Untagged(name="x")
    assert refusal(of_untagged, b'{"type":"other"}').code == "validation_failed"
    assert reader(of_anything).read(b'{"a":[1]}') == {"a": [1]}


@pytest.mark.parametrize("handler", [of_union, of_one, of_mixed])
def test_an_event_of_another_type_is_not_an_error(handler: Callable[..., object]) -> None:
    """Senders add types; one that the handler does not take is unknown, not invalid."""
    assert ignored(handler, b'{"type":"invoice.sent","amount":"x"}') == "invoice.sent"
    assert ignored(of_alias, b'{"event":"fork"}') == "fork"


def test_an_unknown_type_is_cut_short_for_the_log() -> None:
    """A type is a word; a megabyte of it is not written down."""
    assert ignored(of_union, b'{"type":"%b"}' % (b"x" * 10_000)) == "x" * 100


def test_an_event_without_a_type_does_not_fit() -> None:
    """An event that says no type is not of another type: answered with 200 it would be lost."""
    assert refusal(of_union, b"{}").reason == "event: body union_tag_not_found"
    assert refusal(of_alias, b'{"event":{"kind":"push"}}').reason == "event: event literal_error"


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_json_has_no_nan(constant: str) -> None:
    """Pydantic reads NaN into a float; RFC 8259 does not have it. In a string the words are words."""
    refused = refusal(of_union, b'{"type":"invoice.paid","amount":%b}' % constant.encode())
    assert refused.reason == "event: not JSON"
    assert reader(of_anything).read(b'{"note":"%b"}' % constant.encode()) == {"note": constant}


def test_nothing_of_the_event_comes_back() -> None:
    """Neither the answer nor its reason for the log has a value of the event, and the reason is short."""
    body = b'{"type":"invoice.paid","amount":"4242-secret"}'
    refused = refusal(of_union, body)
    assert (refused.status_code, refused.code, dict(refused.details)) == (400, "validation_failed", {})
    assert "4242" not in f"{refused.message}{refused.reason}{refused.__context__!r}"

    async def of_many(event: Event[list[int]]) -> None:
        """Ask for numbers."""

    assert str(refusal(of_many, b'["x","x","x","x","x","x","x"]').reason).count("int_parsing") == 5


@given(st.sampled_from(READERS), st.binary(max_size=80) | st.from_regex(rb'\{"type":.{0,40}\}', fullmatch=True))
@example(of_union, b"[" * 100_000)
@example(of_union, b'{"type":' * 100_000)
@example(of_one, b'{"type":"invoice.paid","amount":%b}' % (b"9" * 5000))
@example(of_union, b'{"type":"\\ud800"}')
@example(of_union, b'{"type":"\xff"}')
@example(of_union, b'{"type":{"a":1}}')
@example(of_anything, b"NaN")
def test_reading_is_total(handler: Callable[..., object], body: bytes) -> None:
    """Any bytes are an event, an unknown event or an invalid one."""
    with suppress(InvalidInput, UnknownEvent):
        reader(handler).read(body)


def test_a_handler_without_an_event_has_no_reader() -> None:
    """Verified alone reads nothing."""

    async def handler(webhook: Verified) -> None:
        """Ask for the signature's word only."""

    assert EventReader.of(Handler.read(handler), None) is None


def test_what_cannot_be_read_is_refused_when_sealed() -> None:
    """Two events, a class that pydantic cannot read, a model that is not finished: said before the first delivery."""

    async def two(paid: Event[Paid], voided: Event[Voided]) -> None:
        """Ask twice."""

    async def unreadable(event: Event[Unreadable]) -> None:
        """Ask for what pydantic cannot make."""

    async def unfinished(event: Event[Unfinished]) -> None:
        """Ask for what is not defined."""

    with pytest.raises(ConfigurationError, match="paid and voided ask for one body"):
        reader(two)
    for handler in (unreadable, unfinished):
        with pytest.raises(ConfigurationError, match="event: pydantic cannot read"):
            reader(handler)


@pytest.mark.parametrize(
    ("path", "tag"), [(("event_type",), "event_type"), (("event", "type"), "type"), (None, "type")]
)
def test_models_are_told_apart_where_the_sender_says_what_happened(path: tuple[str, ...] | None, tag: str) -> None:
    """Paddle's `event_type` as well as Stripe's `type`; where it stands deeper, or nowhere, it is `type`."""
    made, marked = EventReader.of(Handler.read(of_one), path), EventReader.of(Handler.read(of_kinds), path)
    assert made is not None and marked is not None
    assert (made.tag, marked.tag) == (tag, "kind")
