"""Request bodies: read at most once, under a cap, whatever their length says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive

from gatewright import Call, Gate, limit_body
from gatewright._core.body import capped, declared_length, read, replay
from gatewright.errors import ApiError, BadRequest, PayloadTooLarge
from gatewright.testing import Disconnect, EventList, Reply, call, chunked, disconnecting, make_call

pytestmark = pytest.mark.anyio

CAP = 10
GONE: Message = {"type": "http.disconnect"}


def part(body: bytes, more: bool = False) -> Message:
    """Return one message of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


class Wire:
    """A `receive` that gives messages one after another, and remembers how many it gave."""

    def __init__(self, *messages: Message) -> None:
        self.messages = messages
        self.given = 0

    async def __call__(self) -> Message:
        """Give the next message."""
        self.given += 1
        return self.messages[self.given - 1]


# The declared length


@pytest.mark.parametrize(("value", "length"), [(None, None), (b"0", 0), (b"10", 10), (b"010", 10)])
def test_a_length_within_the_cap_passes(value: bytes | None, length: int | None) -> None:
    """The cap itself is within."""
    assert declared_length(value, CAP, {}) == length


def test_a_length_over_the_cap_is_refused() -> None:
    """At once, and the connection is given up: nobody will read what follows."""
    with pytest.raises(PayloadTooLarge) as caught:
        declared_length(b"11", CAP, {})
    assert caught.value.headers == {"Connection": "close"}


@pytest.mark.parametrize(
    "value",
    [b"", b" ", b"-1", b"+1", b"1.0", b"1e3", b"0x1", b"5, 5", b"1_0", b" 1", b"\xb2", "١".encode(), b"9" * 5000],
)
def test_a_length_that_is_no_number_is_malformed(value: bytes) -> None:
    """Also one that Python's `int` would take, or would refuse for its thousands of digits (RFC 9110, section 8.6)."""
    with pytest.raises(BadRequest, match="Content-Length is not a number"):
        declared_length(value, CAP, {})


@given(st.binary(max_size=30) | st.from_regex(rb"[0-9+\-_. ]{0,25}", fullmatch=True))
def test_any_length_passes_or_is_refused(value: bytes) -> None:
    """No bytes lead to another kind of exception, or past the cap."""
    try:
        length = declared_length(value, CAP, {})
    except ApiError as exc:
        assert (exc.status_code, exc.message) in [
            (400, "Content-Length is not a number"),
            (413, PayloadTooLarge().message),
        ]
    else:
        assert length is not None
        assert 0 <= length <= CAP


# Reading


async def test_a_body_in_one_message() -> None:
    """As most of them come."""
    assert await read(Wire(part(b"x" * CAP)), CAP, {}) == b"x" * CAP


async def test_a_body_in_pieces() -> None:
    """Empty ones are pieces too."""
    wire = Wire(part(b"ab", more=True), part(b"", more=True), part(b"cd", more=True), part(b""))
    assert await read(wire, CAP, {}) == b"abcd"


async def test_what_a_message_leaves_out_is_empty() -> None:
    """ASGI lets a server leave `body` and `more_body` out."""
    assert await read(Wire({"type": "http.request"}), CAP, {}) == b""
    assert await read(Wire({"type": "http.request", "more_body": True}, {"type": "http.request"}), CAP, {}) == b""


async def test_a_body_over_the_cap_is_refused() -> None:
    """Whether it comes in one piece or in many."""
    with pytest.raises(PayloadTooLarge) as caught:
        await read(Wire(part(b"x" * 11)), CAP, {})
    assert caught.value.headers == {"Connection": "close"}
    with pytest.raises(PayloadTooLarge) as caught:
        await read(Wire(part(b"x" * 10, more=True), part(b"x")), CAP, {})
    assert caught.value.headers == {"Connection": "close"}


async def test_reading_stops_at_the_cap() -> None:
    """What comes after it is left on the wire."""
    wire = Wire(*[part(b"xxxx", more=True)] * 1000)
    with pytest.raises(PayloadTooLarge):
        await read(wire, CAP, {})
    assert wire.given == 3


@pytest.mark.parametrize("before", [[], [part(b"a", more=True)], [part(b"a", more=True), part(b"b", more=True)]])
async def test_a_client_that_leaves_has_sent_no_body(before: list[Message]) -> None:
    """Half a body is not a body."""
    with pytest.raises(ClientDisconnect):
        await read(Wire(*before, GONE), CAP, {})


@given(st.lists(st.binary(max_size=6), max_size=6), st.integers(0, 20))
def test_any_pieces_make_the_body_or_a_refusal(pieces: Sequence[bytes], cap: int) -> None:
    """How a body is cut makes no difference to what is read."""
    whole = b"".join(pieces)
    messages = [part(piece, more=True) for piece in pieces] + [part(b"")]

    async def main() -> None:
        if len(whole) > cap:
            with pytest.raises(PayloadTooLarge):
                await read(Wire(*messages), cap, {})
        else:
            assert await read(Wire(*messages), cap, {}) == whole

    anyio.run(main)


# Giving it again


async def test_a_body_is_replayed_once_and_then_the_wire_speaks() -> None:
    """A body that came for ever made a stream that listens for a disconnect spin."""
    receive = replay(b"abc", Wire(GONE))
    assert await receive() == part(b"abc")
    assert await receive() == GONE


async def test_a_capped_wire_counts_while_a_handler_reads() -> None:
    """A handler that streams the body itself is under the cap too."""
    receive = capped(Wire(part(b"xxxxx", more=True), part(b"xxxxx", more=True), part(b"x")), CAP, {})
    assert await receive() == part(b"xxxxx", more=True)
    assert await receive() == part(b"xxxxx", more=True)
    with pytest.raises(PayloadTooLarge):
        await receive()


async def test_a_capped_wire_hands_on_what_is_no_body() -> None:
    """A disconnect weighs nothing; a message without a body neither."""
    receive = capped(Wire({"type": "http.request"}, GONE), 0, {})
    assert await receive() == {"type": "http.request"}
    assert await receive() == GONE


# On a call


def headers(*lengths: bytes) -> list[tuple[str, str]]:
    """Return a request's headers with these lengths."""
    return [("Content-Length", length.decode("latin-1")) for length in lengths]


async def test_a_call_reads_its_body_once() -> None:
    """Everyone who asks gets the same bytes, and the handler gets them once more."""
    made = make_call(data=b"abc")
    assert not made.body_was_read
    assert await made.body() is await made.body()
    assert made.body_was_read
    assert await Request(made.scope, made.receive()).body() == b"abc"


async def test_an_empty_body_is_read_once_too() -> None:
    """Nothing is something that was read."""
    made = make_call()
    assert await made.body() == b""
    assert made.body_was_read
    assert await made.body() == b""


async def test_a_body_that_says_that_it_is_too_long_is_not_read() -> None:
    """Not a byte is taken off the wire."""
    wire = cut(3)
    made = capped_call(wire, b"11")
    with pytest.raises(PayloadTooLarge):
        await made.body()
    assert wire.given == 0


def cut(*sizes: int) -> Wire:
    """Return the wire on which a body comes in pieces of these sizes."""
    return Wire(*[part(b"x" * size, more=True) for size in sizes], part(b""), GONE)


def capped_call(wire: Wire, *lengths: bytes) -> Call:
    """Return a call with a body of at most ten bytes."""
    made = make_call(headers=headers(*lengths), gate=Gate(body_limit=CAP, log=EventList()))
    made.join(made.scope, wire)
    return made


@pytest.mark.parametrize("lengths", [(b"1",), (), (b"1", b"1"), (b"1", b"99")])
async def test_a_length_that_lies_buys_nothing(lengths: tuple[bytes, ...]) -> None:
    """Too short, absent, or there twice: the cap counts what really comes."""
    with pytest.raises(PayloadTooLarge):
        await capped_call(cut(4, 4, 3), *lengths).body()
    assert await capped_call(cut(4, 4, 2), *lengths).body() == b"x" * 10


async def test_a_refused_body_stays_refused() -> None:
    """Whoever asks again does not get the rest of it for the whole."""
    made = capped_call(cut(12, 5))
    for _ in range(2):
        with pytest.raises((PayloadTooLarge, ClientDisconnect)):
            await made.body()


# Through a handler


async def serve(**request: Any) -> Reply:
    """Send a request to a handler that reads the body itself."""

    @limit_body(CAP)
    async def handler(request: Request) -> str:
        return (await request.body()).decode()

    return await call(handler, gate=Gate(log=EventList()), **request)


async def test_a_handler_reads_under_the_cap() -> None:
    """Its own `request.body()` is refused like ours, as 413 and not as a fault."""
    assert (await serve(data=chunked(b"x" * 10, 3))).json["data"] == "x" * 10
    reply = await serve(data=chunked(b"x" * 1000, 3))
    assert (reply.status, reply.json["code"], reply.headers["connection"]) == (413, "payload_too_large", "close")
    assert reply.consumed < 20


@pytest.mark.parametrize(("length", "status"), [(b"11", 413), (b"abc", 400), (b"-1", 400), (b"", 400)])
async def test_a_length_is_checked_before_the_handler_runs(length: bytes, status: int) -> None:
    """Garbage is the client's fault, and nothing of it comes back."""
    reply = await serve(data=b"x", headers=headers(length))
    assert reply.status == status
    assert not reply.json["success"]


async def test_a_client_that_leaves_half_way_is_no_fault_of_ours() -> None:
    """The log has no unhandled exception for it, whoever was reading."""
    events = EventList()

    @limit_body(100)
    async def handler(request: Request) -> str:
        return (await request.body()).decode()

    reply = await call(handler, data=disconnecting(b"half"), gate=Gate(log=events))
    assert (reply.status, reply.json["code"]) == (400, "client_disconnected")
    assert [event["event"] for event in events] == ["request"]


async def test_the_tools_that_cut_bodies_cut_them() -> None:
    """`chunked` gives every byte, `disconnecting` leaves."""
    assert [piece async for piece in chunked(b"abcde", 2)] == [b"ab", b"cd", b"e"]
    with pytest.raises(Disconnect):
        [piece async for piece in disconnecting(b"abc")]


def listening(receive: Receive) -> Receive:
    """Stand for a middleware that wraps `receive`."""

    async def listened() -> Message:
        return await receive()

    return listened


async def test_a_middleware_between_two_readers_is_heard() -> None:
    """What wraps `receive` inside may have changed the body, so it is read anew through it."""
    made = make_call(data=b"abc")
    assert await made.body() == b"abc"
    made.join(made.scope, Wire(part(b"other")))
    assert not made.body_was_read
    assert await made.body() == b"other"


async def test_a_middleware_that_changes_nothing_changes_nothing() -> None:
    """The replayed body comes through a wrapper as it would without."""
    made = make_call(data=b"abc")
    await made.body()
    made.join(made.scope, listening(made.receive()))
    assert await made.body() == b"abc"
