"""A form has its key in an entry, since a browser that sends it by itself writes no headers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from gatewright import ConfigurationError, FromForm, Gate, Redirect, Result, ok, redirect, validate
from gatewright._core.storage.opening import Storage
from gatewright.idempotency import idempotent
from gatewright.testing import EventList, Reply, call
from tests.forms import BOUNDARY, KINDS, Sent, in_parts, urlencoded
from tests.idempotency.kit import KEY, Shop, replayed, short

pytestmark = pytest.mark.anyio

ONCE = ("_once", "8e03978e-40d5-43e8-bc93-6894a57f9324")
TEA = ("item", "tea")


def _orders(shop: Shop, **settings: Any) -> Any:
    @idempotent(field="_once", **settings)
    @validate
    async def create_order(item: FromForm[str]) -> Redirect:
        shop.done.append(item)
        return redirect(f"/orders/{len(shop.done)}")

    return create_order


async def _send(shop: Shop, target: Any, sent: Sent, **headers: str) -> Reply:
    return await shop.post(target, headers={"content-type": sent.kind, **headers}, data=sent.body)


@pytest.mark.parametrize("write", KINDS)
async def test_a_form_that_is_sent_twice_does_once_what_it_says(write: Any) -> None:
    """Both are led to the one thing that was made; the next filling has another key, and makes another."""
    shop = Shop()
    orders = _orders(shop)
    replies = [await _send(shop, orders, write(ONCE, TEA)) for _ in range(2)]
    assert [(reply.status, reply.headers["location"]) for reply in replies] == [(303, "/orders/1")] * 2
    assert [replayed(reply) for reply in replies] == [False, True]
    again = await _send(shop, orders, write(("_once", "another"), TEA))
    assert again.headers["location"] == "/orders/2"
    assert shop.done == ["tea", "tea"]


async def test_a_browser_draws_a_boundary_each_time() -> None:
    """The second click writes the same form in other bytes."""
    shop = Shop()
    orders = _orders(shop)
    first, second = [await _send(shop, orders, in_parts(ONCE, TEA, boundary=drawn)) for drawn in ("abc", "xyz")]
    assert (first.headers["location"], replayed(second)) == ("/orders/1", True)


@pytest.mark.parametrize("write", KINDS)
async def test_back_and_send_something_else_is_another_request(write: Any) -> None:
    """The page that the back button brings has the old key; what it says then was not done, and nobody is told so."""
    shop = Shop()
    orders = _orders(shop)
    await _send(shop, orders, write(ONCE, TEA))
    reply = await _send(shop, orders, write(ONCE, ("item", "coffee")))
    assert short(reply) == (422, "idempotency_key_reused")
    assert reply.json["error"] == (
        "This form was sent before, with other content; send it once more if that is what you want"
    )
    assert shop.done == ["tea"]


async def test_a_program_is_told_of_its_header() -> None:
    """In the words of the header, where that was the key."""
    shop = Shop()
    orders = _orders(shop)
    for item in ("tea", "coffee"):
        reply = await _send(shop, orders, urlencoded(("item", item)), **KEY)
    assert reply.json["error"] == "This Idempotency-Key was used for another request"


async def test_the_header_wins() -> None:
    """Who writes it knows what he does; the entry is then a part of the form like any other."""
    shop = Shop()
    orders = _orders(shop)
    first = await _send(shop, orders, urlencoded(ONCE, TEA), **KEY)
    assert first.headers["location"] == "/orders/1"
    assert replayed(await _send(shop, orders, urlencoded(ONCE, TEA), **KEY))
    # The entry's key was not used.
    assert not replayed(await _send(shop, orders, urlencoded(ONCE, TEA)))
    # Nor is a broken one in the way.
    assert (await _send(shop, orders, urlencoded(ONCE, ONCE, TEA), **{"Idempotency-Key": "other"})).status == 303


async def test_both_spellings_of_both_are_one_key() -> None:
    """Quoted or plain, in the header or in the form: who sends a form again as a program is a retry of it."""
    shop = Shop()

    @idempotent(field="_once")
    async def handler(request: Request) -> Result[int]:
        shop.done.append(1)
        return ok(len(shop.done))

    await _send(shop, handler, urlencoded(("_once", "k")))
    for sent, headers in ((urlencoded(("_once", "k")), {}), (urlencoded(("_once", "k")), KEY)):
        assert replayed(await _send(shop, handler, sent, **headers))
    quoted = await _send(shop, handler, urlencoded(("_once", '"k"')))
    assert short(quoted) == (422, "idempotency_key_reused")  # the same key, and not the same body


@pytest.mark.parametrize("write", KINDS)
@pytest.mark.parametrize(
    "entries",
    [
        (ONCE, ONCE),
        (ONCE, ("_once", "")),
        (("_once", ""),),
        (("_once", "a b"),),
        (("_once", "é"),),
        (("_once", "ké"),),
        (("_once", "k" * 256),),
        (("_once", "a\x00"),),
    ],
)
async def test_what_is_no_key_is_refused(write: Any, entries: Any) -> None:
    """As in the header: a second one too, even the same, because nobody can say which was meant."""
    shop = Shop()
    reply = await _send(shop, _orders(shop), write(*entries, TEA))
    assert short(reply) == (400, "idempotency_key_malformed")
    assert shop.done == []


@pytest.mark.parametrize(
    "sent", [urlencoded(TEA), in_parts(TEA), in_parts(TEA, files=[ONCE])], ids=["urlencoded", "in parts", "a file"]
)
async def test_a_form_without_the_entry_has_no_key(sent: Sent) -> None:
    """It is done each time; or refused, where a key is required."""
    shop = Shop()

    @idempotent(field="_once")
    async def handler(request: Request) -> Result[int]:
        shop.done.append(1)
        return ok(len(shop.done))

    assert [(await _send(shop, handler, sent)).json["data"] for _ in range(2)] == [1, 2]
    reply = await _send(shop, _orders(shop, required=True), urlencoded(TEA))
    assert short(reply) == (400, "idempotency_key_missing")


async def test_the_entry_says_nothing_where_no_field_was_named() -> None:
    """It may mean something else there."""
    shop = Shop()

    @idempotent()
    async def handler(request: Request) -> Result[int]:
        shop.done.append(1)
        return ok(len(shop.done))

    assert [(await _send(shop, handler, urlencoded(ONCE))).json["data"] for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("sent", [Sent("application/json", b'{"_once": "k"}'), Sent("text/plain", b"_once=k")])
async def test_only_forms_have_entries(sent: Sent) -> None:
    """Anything else has its key in the header."""
    shop = Shop()

    @idempotent(field="_once")
    async def handler(request: Request) -> Result[int]:
        shop.done.append(1)
        return ok(len(shop.done))

    assert [(await _send(shop, handler, sent)).json["data"] for _ in range(2)] == [1, 2]


async def test_a_form_that_nobody_can_read_is_not_taken_for_one_without_a_key() -> None:
    """Its work might be done twice."""
    shop = Shop()

    @idempotent(field="_once")
    async def handler(request: Request) -> Result[int]:
        shop.done.append(1)
        return ok(len(shop.done))

    for broken in (in_parts(ONCE)._replace(body=in_parts(ONCE).body[:-8]), urlencoded(*[TEA] * 1001)):
        assert short(await _send(shop, handler, broken)) == (400, "malformed_form")
    assert shop.done == []


PARTS = st.lists(
    st.sampled_from(
        [
            f"--{BOUNDARY}".encode(),
            f"--{BOUNDARY}--".encode(),
            b"\r\n",
            b'Content-Disposition: form-data; name="_once"',
            b'; filename="\xff"',
            b"; name*=utf-16''_once",
            b"\x00",
            b"k",
        ]
    )
    | st.binary(max_size=10),
    max_size=16,
).map(b"".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(body=PARTS | st.builds(lambda inside: in_parts(ONCE, TEA).body.replace(b"tea", inside), PARTS))
async def test_hostile_bytes_are_a_form_or_refused(body: bytes, anyio_backend_name: str) -> None:
    """200 or 400, whatever is sent: never 5xx, with nothing of it in the answer, and the handler has what was sent."""
    gate = Gate(log=EventList())

    @idempotent(field="_once")
    async def handler(request: Request) -> Result[int]:
        return ok(len(await request.body()))

    reply = await call(handler, method="POST", headers={"content-type": in_parts().kind}, data=body, gate=gate)
    if reply.status == 200:
        assert reply.json["data"] == len(body)
    else:
        assert short(reply) in [(400, "malformed_form"), (400, "idempotency_key_malformed")]


@pytest.mark.redis
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_another_process_knows_the_form(redis_url: str, prefix: str) -> None:
    """A second click may come to another worker."""
    shops = [Shop(storage=Storage(redis_url, prefix=prefix)) for _ in range(2)]
    replies = [await _send(shop, _orders(shop), in_parts(ONCE, TEA)) for shop in shops]
    assert [(reply.status, reply.headers["location"]) for reply in replies] == [(303, "/orders/1")] * 2
    assert [shop.done for shop in shops] == [["tea"], []]
    for shop in shops:
        await shop.gate.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"field": ""}, r'idempotent\(field=""\): write a name'),
        ({"wait": -0.1}, r"idempotent\(wait=-0.1\): write seconds, or 0 to answer at once"),
        ({"wait": float("nan")}, r"idempotent\(wait=nan\)"),
        ({"wait": float("inf")}, r"idempotent\(wait=inf\)"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings: dict[str, Any], message: str) -> None:
    """With what to write instead."""
    with pytest.raises(ConfigurationError, match=message):
        idempotent(**settings)


def test_both_show_in_the_pipeline() -> None:
    """As they were written."""
    assert repr(_orders(Shop(), wait=5.0).pipeline).endswith("REPLAY idempotent(field='_once', wait=5.0)")
