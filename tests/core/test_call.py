"""The call: what came in, what guards leave for others, what goes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message, Scope
from starlette.websockets import WebSocket

from gatewright import Call, Gate, PageParams, Principal
from gatewright._core.call import CALL
from gatewright._core.decorate import guarded_by
from gatewright._core.driver import close
from gatewright._core.guard import Guard
from gatewright._core.outcome import Head
from gatewright._core.phase import Phase
from gatewright.errors import ConfigurationError
from gatewright.testing import EventList, FrozenClock, call, handshake, make_call

GATE = Gate(clock=FrozenClock(), log=EventList(), headers=None)


async def _receive() -> Message:
    return {"type": "http.request", "body": b"abc", "more_body": False}


class Sent(list[Message]):
    """Collect what is sent."""

    async def __call__(self, message: Message) -> None:
        """Keep a message."""
        self.append(message)


def scoped(*headers: tuple[bytes, bytes], gate: Gate = GATE, sent: Sent | None = None, **scope: Any) -> Call:
    """Return a call with these raw headers."""
    whole: dict[str, Any] = {"type": "http", "method": "POST", "scheme": "https", "path": "/", "query_string": b""}
    whole |= {"client": ("203.0.113.7", 1), "headers": list(headers)} | scope
    return Call(gate, whole, _receive, Sent() if sent is None else sent)


# Headers


def test_a_header_that_occurs_once() -> None:
    """It is read by its lower-case name; an empty value is a value."""
    made = scoped((b"a", b"1"), (b"b", b""))
    assert (made.header(b"a"), made.header(b"b"), made.header(b"c")) == (b"1", b"", None)
    assert made.header_values(b"a") == [b"1"]
    assert made.header_values(b"c") == []


def test_a_header_that_occurs_twice_is_none() -> None:
    """A proxy in front may have believed the other one; neither decides anything. Others are not concerned."""
    made = scoped((b"a", b"1"), (b"b", b"2"), (b"a", b"1"))
    assert made.header(b"a") is None
    assert made.header_values(b"a") == [b"1", b"1"]
    assert made.header(b"b") == b"2"


@given(
    st.lists(st.tuples(st.sampled_from([b"a", b"b", b"cookie", b"x-request-id"]), st.binary(max_size=4)), max_size=8)
)
def test_headers_follow_one_rule(headers: list[tuple[bytes, bytes]]) -> None:
    """Exactly one occurrence is read, whatever else there is."""
    made = scoped(*headers)
    for name in (b"a", b"b", b"cookie"):
        values = [value for key, value in headers if key == name]
        assert made.header_values(name) == values
        assert made.header(name) == (values[0] if len(values) == 1 else None)


# Cookies


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"sid=abc", b"abc"),
        (b"sid=", b""),
        (b"a=1; sid=abc; b=2", b"abc"),
        (b"a=1;sid=abc", b"abc"),
        (b" \tsid=abc \t", b"abc"),
        (b"sid=a=b==", b"a=b=="),
        (b'sid="abc"', b'"abc"'),
        (b"sid=a%20b", b"a%20b"),
        (b"xsid=1; sid=abc; sidx=2", b"abc"),
        (b"x=sid=1; sid=abc", b"abc"),
        (b"sid=\xff\xfe", b"\xff\xfe"),
        (b"sid=XXX", b"XXX"),
        (b"a=1; sid=XXX", b"XXX"),
    ],
)
def test_a_cookie_is_its_raw_value(line: bytes, value: bytes) -> None:
    """Nothing is decoded or unquoted; only spaces and tabs around the pair are stripped."""
    assert scoped((b"cookie", line)).cookie(b"sid") == value


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"sid",
        b"sid;",
        b"SID=abc",
        b"xsid=abc",
        b"sidx=abc",
        b"sid =abc",
        b"a=sid=abc",
        b"a=1; b=2",
        b"\xa0sid=abc",
        b"\x0bsid=abc",
        b"a=1; \xc2\xa0sid=abc",
        b"a=1, sid=abc",
    ],
)
def test_what_only_looks_like_the_cookie_is_none(line: bytes) -> None:
    """`\\xa0__Host-sid` is not `__Host-sid`, though a decoded parse strips it: a subdomain could set the former."""
    assert scoped((b"cookie", line)).cookie(b"sid") is None


def test_a_cookie_that_occurs_twice_is_none() -> None:
    """One of them was planted by a sibling domain, and nobody can tell which."""
    assert scoped((b"cookie", b"sid=a; sid=b")).cookie(b"sid") is None
    assert scoped((b"cookie", b"sid=a; sid=a")).cookie(b"sid") is None
    assert scoped((b"cookie", b"sid=a"), (b"cookie", b"sid=b")).cookie(b"sid") is None
    assert scoped().cookie(b"sid") is None


def test_http2_may_split_the_cookies() -> None:
    """One line for each (RFC 9113, section 8.2.3), in any order."""
    for lines in ([b"sid=abc", b"a=1"], [b"a=1", b"sid=abc"], [b"a=1", b"sid=abc; b=2"]):
        made = scoped(*[(b"cookie", line) for line in lines])
        assert made.cookie(b"sid") == b"abc"


def test_another_header_that_is_repeated_does_not_matter() -> None:
    """A line of cookies is read the same whatever stands beside it."""
    assert scoped((b"a", b"1"), (b"a", b"2"), (b"cookie", b"sid=abc; b=2")).cookie(b"sid") == b"abc"


PAIRS = st.lists(
    st.tuples(
        st.sampled_from([b"sid", b"sidx", b"xsid", b"a"]), st.from_regex(rb"[!-:<-~\xa0-\xff =]{0,8}", fullmatch=True)
    ),
    min_size=1,
    max_size=5,
)


@given(PAIRS, st.sampled_from([b"; ", b";", b" ;\t"]), st.booleans())
def test_cookies_follow_one_rule(pairs: Sequence[tuple[bytes, bytes]], separator: bytes, split: bool) -> None:
    """However they are separated or split into lines, the one occurrence is read, and never another."""
    texts = [name + b"=" + value for name, value in pairs]
    lines = [(b"cookie", text) for text in texts] if split else [(b"cookie", separator.join(texts))]
    values = [value.rstrip(b" \t") for name, value in pairs if name == b"sid"]
    assert scoped(*lines).cookie(b"sid") == (values[0] if len(values) == 1 else None)


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_any_bytes_are_cookies_or_none(one: bytes, other: bytes) -> None:
    """No line breaks the reader, and a value never holds the next pair."""
    for made in (scoped((b"cookie", one)), scoped((b"cookie", one), (b"cookie", other))):
        value = made.cookie(b"sid")
        assert value is None or b";" not in value


# Who, what, where


def test_the_request_id_is_the_clients_where_it_is_well_formed() -> None:
    """One, and only one: a repeated header is nobody's."""
    assert scoped((b"x-request-id", b"abc-1")).request_id == "abc-1"
    assert scoped((b"x-request-id", b"a b")).request_id != "a b"
    assert scoped((b"x-request-id", b"a"), (b"x-request-id", b"a")).request_id != "a"


def test_client_and_scheme_go_through_the_gates_trust() -> None:
    """What a proxy says counts only where the gate trusts it."""
    headers = [(b"x-forwarded-for", b"198.51.100.9"), (b"x-forwarded-proto", b"http")]
    trusting = Gate(trusted_proxies=["203.0.113.0/24"], log=EventList())
    assert (scoped(*headers).client, scoped(*headers).secure) == ("203.0.113.7", True)
    made = scoped(*headers, gate=trusting)
    assert (made.client, made.client, made.secure) == ("198.51.100.9", "198.51.100.9", False)


def test_a_server_may_not_know_the_client() -> None:
    """A unix socket has no address."""
    assert scoped(client=None).client is None


def test_a_handshake_is_a_get() -> None:
    """A websocket's scope has no method."""
    made = Call(GATE, {"type": "websocket", "headers": []}, _receive, Sent())
    assert (made.method, made.is_websocket) == ("GET", True)
    assert repr(made).startswith("<Call websocket no route ")
    assert isinstance(made.connection, WebSocket)
    assert (scoped().method, scoped().is_websocket) == ("POST", False)


def test_a_call_shows_its_route_and_never_its_path() -> None:
    """A path may hold what nobody should read; the template does not."""
    made = scoped((b"x-request-id", b"id-1"), path="/reset/hunter2")
    made.route = "/reset/{token}"
    assert repr(made) == "<Call POST /reset/{token} id-1>"


# What guards leave


def test_what_a_guard_provides_another_gets() -> None:
    """By its type; the last one provided counts."""
    made = scoped()
    made.provide(PageParams, PageParams(1, 10, 0))
    made.provide(PageParams, PageParams(2, 10, 10))
    assert made.get(PageParams).page == 2


@pytest.mark.parametrize("something_else", [True, False])
def test_what_nobody_provided_is_a_mistake(something_else: bool) -> None:
    """It is told by name."""
    made = scoped()
    if something_else:
        made.provide(int, 1)
    with pytest.raises(ConfigurationError, match="provides PageParams"):
        made.get(PageParams)


def test_the_log_of_a_call_is_bound_to_it() -> None:
    """Every event of a handler carries the request's id; the logger is the same one each time."""
    events = EventList()
    made = scoped((b"x-request-id", b"id-1"), gate=Gate(log=events))
    made.log.info("paid", amount=3)
    assert made.log is made.log
    assert events == [{"event": "paid", "level": "info", "request_id": "id-1", "amount": 3}]


# What goes out


def test_finishers_see_the_head_last_left_first() -> None:
    """Each may change the status and the headers; the inner one, left last, is told first."""
    made = scoped()
    seen: list[tuple[str, int]] = []

    def outer(head: Head) -> None:
        seen.append(("outer", head.status))
        head.headers.append((b"b", b"2"))

    def inner(head: Head) -> None:
        seen.append(("inner", head.status))
        head.status = 202
        head.headers = [(b"a", b"1")]

    made.on_head(outer)
    made.on_head(inner)
    headers = made.finish(200, [(b"x", b"0")])
    assert seen == [("inner", 200), ("outer", 202)]
    assert made.status == 202
    assert headers[:2] == [(b"a", b"1"), (b"b", b"2")]


def test_an_added_header_is_there_and_the_inner_one_wins() -> None:
    """Whoever is nearer to the handler knows more; the answer's own is nearest."""
    made = scoped()
    made.add_header(b"a", b"outer")
    made.add_header(b"a", b"inner")
    made.add_header(b"b", b"guard")
    headers = made.finish(200, ((b"b", b"own"),))
    assert [pair for pair in headers if pair[0] in (b"a", b"b")] == [(b"b", b"own"), (b"a", b"inner")]


def test_the_answers_headers_are_not_changed_in_place() -> None:
    """A response that an app keeps and sends again does not collect headers."""
    own = [(b"a", b"1")]
    scoped().finish(200, own)
    assert own == [(b"a", b"1")]


@pytest.mark.anyio
async def test_a_status_that_a_finisher_changed_is_the_one_that_is_sent() -> None:
    """Log, head and wire agree."""
    sent = Sent()
    made = scoped(sent=sent)
    made.on_head(lambda head: setattr(head, "status", 418))
    await made.send({"type": "http.response.start", "status": 200})
    assert made.status == 418
    assert sent[0]["status"] == 418


@pytest.mark.anyio
async def test_a_head_without_headers_is_dressed_too() -> None:
    """ASGI lets an app leave them out; what is no head passes as it is."""
    sent = Sent()
    made = scoped((b"x-request-id", b"id-1"), sent=sent)
    assert not made.started
    await made.send({"type": "http.response.start", "status": 204})
    await made.send({"type": "http.response.body"})
    assert made.started
    assert sent == [
        {"type": "http.response.start", "status": 204, "headers": [(b"x-request-id", b"id-1")]},
        {"type": "http.response.body"},
    ]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("messages", "status"),
    [
        ([], None),
        (["websocket.accept"], 101),
        (["websocket.accept", "websocket.send"], 101),
        (["websocket.accept", "websocket.close"], 101),
        (["websocket.close"], 403),
    ],
)
async def test_the_status_of_a_websocket(messages: list[str], status: int | None) -> None:
    """Accepted is 101, whatever it is closed with later; closed before is what the server makes of it: 403."""
    made = Call(GATE, {"type": "websocket", "headers": []}, _receive, Sent())
    for kind in messages:
        await made.send({"type": kind})
    assert made.status == status
    assert made.started is (status is not None)


@pytest.mark.anyio
async def test_a_denial_is_dressed_like_any_answer() -> None:
    """The refusal of a handshake has the request id and a status of its own."""
    sent = Sent()
    made = Call(GATE, {"type": "websocket", "headers": [(b"x-request-id", b"id-1")]}, _receive, sent)
    await made.send({"type": "websocket.http.response.start", "status": 401, "headers": []})
    await made.send({"type": "websocket.http.response.body", "body": b""})
    assert made.status == 401
    assert sent[0]["headers"] == [(b"x-request-id", b"id-1")]


@pytest.mark.anyio
async def test_a_call_sends_where_it_is_told() -> None:
    """The function driver learns late where the answer goes."""
    late = Sent()
    made = scoped()
    made.forward(late)
    await made.send({"type": "http.response.body"})
    assert late == [{"type": "http.response.body"}]


@pytest.mark.anyio
async def test_afterthoughts_run_last_left_first() -> None:
    """May be async; one that fails is logged and does not stop the others. Then the one event is written."""
    events = EventList()
    made = scoped(gate=Gate(log=events, clock=FrozenClock()))
    done: list[str] = []

    async def slowly() -> None:
        done.append("async")

    def badly() -> None:
        raise ZeroDivisionError

    made.afterwards(lambda: done.append("first"))
    made.afterwards(badly)
    made.afterwards(slowly)
    await close(made)
    assert done == ["async", "first"]
    assert [event["event"] for event in events] == ["unhandled_exception", "request"]


@pytest.mark.anyio
async def test_a_call_is_let_go_when_it_ends() -> None:
    """Scope and call hold each other; without this each request would wait for the garbage collector."""
    made = scoped()
    made.scope[CALL] = made
    await close(made)
    assert CALL not in made.scope


def test_the_event_of_a_request() -> None:
    """Route template, status, duration, id, client: what every request has; the rest where there is some."""
    events, clock = EventList(), FrozenClock()
    gate = Gate(log=events, clock=clock)
    made = scoped((b"x-request-id", b"id-1"), gate=gate)
    clock.advance(0.0125)
    made.report(gate)
    made.status, made.route = 200, "/posts"
    made.principal = Principal("u1")
    made.guards = {"with_auth": "passed"}
    made.note(error="not_found", password="hunter2")
    made.note(page=2)
    made.report(gate)
    plain = {"event": "request", "level": "info", "method": "POST", "duration_ms": 12.5, "request_id": "id-1"}
    plain |= {"client": "203.0.113.7"}
    assert events[0] == plain | {"route": None, "status": None}
    assert events[1].pop("password") != "hunter2"
    assert events[1] == plain | {
        "route": "/posts",
        "status": 200,
        "principal": "u1",
        "guards": {"with_auth": "passed"},
        "error": "not_found",
        "page": 2,
    }


# Joining an inner driver


@pytest.mark.anyio
async def test_the_connection_is_built_once() -> None:
    """Everyone who asks shares one Request; it reads the body that was read already."""
    made = scoped()
    assert await made.body() == b"abc"
    connection = made.connection
    assert connection is made.connection
    assert isinstance(connection, Request)
    assert await connection.body() == b"abc"


def test_an_unread_body_is_left_to_the_server() -> None:
    """Nothing is put between a handler and the wire that need not be there."""
    assert scoped().receive() is _receive


@pytest.mark.anyio
async def test_joining_with_the_same_wire_keeps_what_was_read() -> None:
    """Original or replayed: both are ours."""
    made = scoped()
    made.join(made.scope, _receive)
    assert await made.body() == b"abc"
    connection = made.connection
    made.join(made.scope, made.receive())
    assert made.body_was_read
    made.join(made.scope, _receive)
    assert made.connection is connection


@pytest.mark.anyio
async def test_joining_with_another_wire_reads_anew() -> None:
    """A middleware between may have decompressed the body."""
    made = scoped()
    assert await made.body() == b"abc"
    first = made.connection

    async def other() -> Message:
        return {"type": "http.request", "body": b"other", "more_body": False}

    made.join(made.scope, other)
    assert not made.body_was_read
    assert await made.body() == b"other"
    assert made.connection is not first


def test_joining_with_another_scope_goes_on_with_that_scope() -> None:
    """A router that copies the scope adds path parameters; a handler's Request has them, whoever built one before."""
    made = scoped()
    assert made.connection.path_params == {}
    inner = {**made.scope, "path_params": {"id": "1"}}
    made.join(inner, _receive)
    assert made.scope is inner
    assert made.connection.path_params == {"id": "1"}


def test_joining_with_other_headers_reads_those() -> None:
    """What stands between may have changed them; all the ways to ask for a header agree."""
    made = scoped((b"a", b"1"), (b"cookie", b"sid=1"))
    made.join({**made.scope, "headers": [(b"a", b"2"), (b"cookie", b"sid=2"), (b"b", b"3"), (b"b", b"4")]}, _receive)
    assert made.header_values(b"a") == [b"2"]
    assert made.header(b"a") == b"2"
    assert made.cookie(b"sid") == b"2"
    assert made.header(b"b") is None


@pytest.mark.anyio
async def test_a_frameworks_connection_is_adopted() -> None:
    """Its route's template, and the body that a foreign decorator read before, which is not on the wire any more."""
    made = scoped()

    class Route:
        path: ClassVar[str] = "/posts/{id}"

    request = Request({**made.scope, "route": Route()}, _receive)
    await request.body()
    made.adopt(request)
    assert made.route == "/posts/{id}"
    assert made.body_was_read
    assert await made.body() == b"abc"
    made.route = "/mounted"
    made.adopt(request)
    assert made.route == "/mounted"


@pytest.mark.anyio
async def test_a_body_that_was_read_is_not_taken_from_a_framework_again() -> None:
    """What we have is what we keep."""
    made = scoped()
    assert await made.body() == b"abc"
    made.adopt(Request(made.scope, made.receive()))
    assert made.route is None
    assert made.body_was_read
    assert await made.body() == b"abc"


def test_a_frameworks_websocket_is_adopted_itself() -> None:
    """It keeps the state of the handshake, so the handler needs this very object."""
    scope: Scope = {"type": "websocket", "headers": []}
    made = Call(GATE, scope, _receive, Sent())
    websocket = WebSocket(scope, _receive, Sent())
    made.adopt(websocket)
    assert made.connection is websocket


# All of it together


@dataclass(frozen=True)
class Leaves(Guard):
    """Leave one of everything."""

    name = "leaves"
    phase = Phase.ADMIT

    def enter(self, call: Call) -> None:
        """Leave them."""
        call.add_header(b"x-left", b"header")
        call.on_head(lambda head: head.headers.append((b"x-status", b"%d" % head.status)))
        call.note(left="note")


@pytest.mark.anyio
@pytest.mark.parametrize("fails", [False, True])
async def test_what_guards_leave_is_on_every_answer(fails: bool) -> None:
    """Also on the one for a fault."""
    events = EventList()

    @guarded_by(Leaves())
    async def handler() -> int:
        return 1 // (not fails)

    reply = await call(handler, gate=Gate(log=events))
    assert (reply.headers["x-left"], reply.headers["x-status"]) == ("header", str(reply.status))
    assert reply.status == (500 if fails else 200)
    assert events[-1]["left"] == "note"


@pytest.mark.anyio
@pytest.mark.parametrize(("accepts", "status"), [(True, 101), (False, 403)])
async def test_the_log_knows_how_a_handshake_ended(accepts: bool, status: int) -> None:
    """One event for a websocket as for a request."""
    events = EventList()

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        if accepts:
            await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})

    await handshake(app, gate=Gate(log=events))
    assert [(event["method"], event["status"]) for event in events] == [("GET", status)]


def test_a_made_up_call_is_a_call() -> None:
    """`make_call` gives what a driver would."""
    made = make_call(headers={"A": "1"}, cookies={"sid": "abc"}, principal=Principal("u1"))
    assert (made.header(b"a"), made.cookie(b"sid")) == (b"1", b"abc")
    assert made.principal is not None


@pytest.mark.parametrize(
    ("method", "headers", "preflight"),
    [
        ("OPTIONS", {"origin": "https://a.example", "access-control-request-method": "PUT"}, True),
        ("OPTIONS", {"origin": "https://a.example"}, False),
        ("OPTIONS", {"access-control-request-method": "PUT"}, False),
        ("POST", {"origin": "https://a.example", "access-control-request-method": "PUT"}, False),
    ],
)
def test_a_preflight_is_told_by_what_browsers_send(method: str, headers: dict[str, str], preflight: bool) -> None:
    """All three parts: a form that sets the headers is none, and neither is any other OPTIONS."""
    assert make_call(method=method, headers=headers).is_preflight is preflight
