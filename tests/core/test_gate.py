"""The gate: what is refused when it is made, what it shows, and the one that is there by default."""

from __future__ import annotations

import gc
import os
from dataclasses import replace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message

from gatewright import Cookie, Gate, HeaderPolicy, with_rate_limit
from gatewright._core.clock import SYSTEM_CLOCK
from gatewright._core.gate import default_gate, forget_default_gate
from gatewright.errors import ConfigurationError
from gatewright.testing import EventList, FrozenClock, call, make_call

KEY = "0123456789abcdef0123456789abcdef"
OLD = "fedcba9876543210fedcba9876543210"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"keys": KEY}, r"write keys=\[key\]"),
        ({"keys": KEY.encode()}, r"write keys=\[key\]"),
        ({"keys": ["short"]}, r"secrets\.token_urlsafe\(32\)"),
        ({"keys": [KEY, ""]}, r"secrets\.token_urlsafe\(32\)"),
        ({"invalid_status": 200}, "write 400 or 422"),
        ({"invalid_status": 500}, "write 400 or 422"),
        ({"body_limit": -1}, "0 or more"),
        ({"storage": "memory"}, "memory://"),
        ({"storage": ""}, "memory://"),
        ({"trusted_proxies": "10.0.0.0/8"}, r"write trusted_proxies=\["),
        ({"trusted_proxies": ["proxy"]}, "write an address"),
        ({"redact": "email"}, r"write redact=\["),
        ({"redact": ["..."]}, 'such as "email"'),
    ],
)
def test_a_mistake_is_told_when_the_gate_is_made(wrong: dict[str, Any], told: str) -> None:
    """At import, with what to write instead; not with the first request, and never silently."""
    with pytest.raises(ConfigurationError, match=told):
        Gate(**wrong)


def test_an_unknown_storage_is_refused_without_its_password() -> None:
    """By the time it is needed at the latest; a URL may hold a secret."""
    with pytest.raises(ConfigurationError, match="memory://") as caught:
        _ = Gate(storage="nosuch://:hunter2@localhost").store
    assert "hunter2" not in str(caught.value)


def test_a_gate_does_not_show_its_secrets() -> None:
    """A repr lands in logs and debuggers."""
    gate = Gate(keys=[KEY, OLD], storage="memory://user:hunter2@localhost")
    assert repr(gate) == "<Gate storage=memory:// keys=2>"


def test_keys_keep_their_order() -> None:
    """The newest signs, all verify; a text is UTF-8."""
    gate = Gate(keys=[KEY, OLD.encode()])
    assert gate.keys == (KEY.encode(), OLD.encode())
    assert gate.require_keys("@with_auth(...)") is gate.keys


def test_a_gate_without_keys_says_who_needs_them() -> None:
    """And how to give it some."""
    with pytest.raises(ConfigurationError, match=r"^@with_auth\(\.\.\.\) signs .* write Gate\(keys="):
        Gate().require_keys("@with_auth(...)")


def test_the_defaults_are_the_safe_ones() -> None:
    """Memory, 1 MiB, 400, every security header, nobody trusted, the system's clock and entropy."""
    gate = Gate()
    assert (gate.storage.url, gate.keys, gate.body_limit, gate.invalid_status) == ("memory://", (), 1024 * 1024, 400)
    assert gate.headers == HeaderPolicy()
    assert gate.proxies.trusted == ()
    assert gate.clock is SYSTEM_CLOCK
    assert gate.entropy is os.urandom
    assert gate.errors.map(ValueError()) is None


def test_two_gates_do_not_meet() -> None:
    """Each has a store, a log and an error mapper of its own, made once."""
    one, two = Gate(), Gate()
    assert one.store is one.store is not two.store
    assert one.log is one.log is not two.log
    assert one.errors is not two.errors


def test_a_body_limit_of_zero_is_a_limit() -> None:
    """An app that takes no bodies may say so."""
    assert make_call(gate=Gate(body_limit=0)).body_limit == 0


def test_entropy_makes_the_ids() -> None:
    """A test may make them repeatable."""
    gate = Gate(entropy=lambda size: b"\x01" * size)
    assert make_call(gate=gate).request_id == "01" * 16


def test_a_response_of_ones_own_gets_a_signed_cookie() -> None:
    """A handler that builds its response sets cookies through the gate; those that are there stay."""
    gate = Gate(keys=[KEY])
    response = Response()
    response.set_cookie("a", "b")
    gate.set_cookie(response, Cookie("sid", "abc"))
    cookies = [value for name, value in response.raw_headers if name == b"set-cookie"]
    assert len(cookies) == 2
    assert cookies[1] == b"sid=abc; Path=/; Secure; HttpOnly; SameSite=Lax"


def test_the_default_gate_is_one() -> None:
    """Memory storage, no keys; every handler that no gate was installed for shares it."""
    assert default_gate() is default_gate()
    assert (default_gate().keys, default_gate().storage.url) == ((), "memory://")


def test_the_default_gate_can_be_forgotten() -> None:
    """A test starts without the counters of the one before."""
    before = default_gate()
    forget_default_gate()
    assert default_gate() is not before


async def plain(request: Request) -> Response:
    """Answer."""
    return PlainTextResponse("hello")


@pytest.mark.anyio
@pytest.mark.parametrize("wraps", [False, True])
async def test_a_gate_stands_in_front_of_an_app(wraps: bool) -> None:
    """Installed or wrapped around: every answer is dressed and logged, a 404 comes in the envelope."""
    events = EventList()
    gate = Gate(log=events, clock=FrozenClock())
    app: Any = Starlette(routes=[Route("/", plain)])
    if wraps:
        app = gate.wrap(app)
    else:
        gate.install(app)
    reply = await call(app)
    assert (reply.body, reply.headers["x-content-type-options"]) == (b"hello", "nosniff")
    assert "x-request-id" in reply.headers
    assert [event["status"] for event in events] == [200]
    if not wraps:
        assert (await call(app, path="/nowhere")).json["code"] == "not_found"


@pytest.mark.anyio
async def test_a_gate_may_send_no_security_headers() -> None:
    """Where something in front does."""
    reply = await call(Gate(headers=None, log=EventList()).wrap(Starlette(routes=[Route("/", plain)])))
    assert "x-content-type-options" not in reply.headers


async def _lived(app: ASGIApp) -> list[str]:
    """Let an app start and stop; return what it said."""
    asked = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    said: list[str] = []

    async def receive() -> Message:
        return next(asked)

    async def send(message: Message) -> None:
        said.append(message["type"])

    await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
    return said


@pytest.mark.anyio
async def test_an_app_s_lifespan_closes_its_gate() -> None:
    """The storage's connections end with the app; an app with guards and no gate of its own closes nobody's."""
    closed: list[str] = []

    async def close() -> None:
        closed.append("closed")

    gate = Gate()
    vars(gate)["backend"] = replace(gate.backend, close=close)
    complete = ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert await _lived(with_rate_limit("5/minute")(Starlette())) == complete
    assert closed == []
    assert await _lived(gate.wrap(Starlette())) == complete
    assert closed == ["closed"]
    await Gate().close()  # one that was never asked anything has nothing to close


def test_a_storage_that_outlives_its_gate_has_nobody_to_tell() -> None:
    """What it learns then is of use to nobody, and no reason to fail."""
    log = EventList()
    gate = Gate(storage="redis://127.0.0.1:1", log=log)
    report: Any = gate.backend.store._line._report  # type: ignore[attr-defined]  # what the storage was given
    report("info", "storage_up", storage="redis")
    del gate
    gc.collect()
    report("error", "storage_down", storage="redis")
    assert [event["event"] for event in log] == ["storage_up"]
