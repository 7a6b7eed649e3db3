"""`action(once=True)`: a form does once what it says, whatever somebody clicks, and every page begins a new one."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from gatewright import ActionState, Call, FromForm, Gate, Redirect, Result, action, err, hidden_fields, redirect
from gatewright._core.storage.opening import Storage
from gatewright.testing import EventList, Reply, call, make_call
from tests.actions.kit import BROWSER, HTMX, PROGRAM
from tests.actions.test_hidden import Inputs
from tests.forms import KINDS

pytestmark = pytest.mark.anyio


async def page(call: Call, state: ActionState) -> str:
    """Show the form, and nothing else."""
    return hidden_fields(call, state)


class Shop:
    """A form that orders something; what is out of stock is refused."""

    def __init__(self, **gate: Any) -> None:
        self.gate = Gate(log=EventList(), **gate)
        self.orders: list[str] = []
        self.entered = anyio.Event()
        self.leave = anyio.Event()
        self.leave.set()

        @action(page=page, once=True)
        async def order(item: FromForm[str]) -> Result[None] | Redirect:
            self.entered.set()
            await self.leave.wait()
            if item == "gold":
                return err("We have none", status=422)
            self.orders.append(item)
            return redirect(f"/orders/{len(self.orders)}")

        self.order = order

    def opened(self) -> dict[str, str]:
        """Return what the page of a GET brings along."""
        return Inputs(hidden_fields(make_call(gate=self.gate))).values

    async def send(
        self, hidden: dict[str, str], item: str, *, client: dict[str, str] = BROWSER, write: Any = KINDS[0]
    ) -> Reply:
        """Send the form."""
        sent = write(*hidden.items(), ("item", item))
        headers = {**client, "content-type": sent.kind}
        return await call(self.order, method="POST", headers=headers, data=sent.body, gate=self.gate)


def _place(reply: Reply) -> tuple[int, str | None]:
    return reply.status, reply.headers.get("location")


async def _double_click(shop: Shop, **more: Any) -> list[Reply]:
    hidden, replies = shop.opened(), list[Reply]()
    shop.leave = anyio.Event()

    async def click() -> None:
        replies.append(await shop.send(hidden, "tea", **more))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(click)
            await shop.entered.wait()
            tasks.start_soon(click)
            await anyio.wait_all_tasks_blocked()
            shop.leave.set()
    return replies


@pytest.mark.parametrize("write", KINDS)
async def test_a_double_click_orders_once(write: Any) -> None:
    """The browser shows what the second was told: that is where the one order is, and no refusal."""
    shop = Shop()
    replies = await _double_click(shop, write=write)
    assert [_place(reply) for reply in replies] == [(303, "/orders/1")] * 2
    assert shop.orders == ["tea"]


@pytest.mark.redis
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_double_click_orders_once_on_redis(redis_url: str, prefix: str) -> None:
    """The same, where the records lie elsewhere."""
    shop = Shop(storage=Storage(redis_url, prefix=prefix, deadline=10))
    assert [_place(reply) for reply in await _double_click(shop)] == [(303, "/orders/1")] * 2
    assert shop.orders == ["tea"]
    await shop.gate.close()


async def test_a_double_click_in_htmx_orders_once() -> None:
    """It is led to the order in its own way."""
    shop = Shop()
    replies = await _double_click(shop, client=HTMX)
    assert [reply.headers["hx-redirect"] for reply in replies] == ["/orders/1"] * 2
    assert shop.orders == ["tea"]


async def test_one_click_and_a_reload_are_told_to_each_in_their_way() -> None:
    """What is kept is what was done; how it is said is the client's choice each time."""
    shop = Shop()
    hidden = shop.opened()
    assert _place(await shop.send(hidden, "tea")) == (303, "/orders/1")
    assert (await shop.send(hidden, "tea", client=HTMX)).headers["hx-redirect"] == "/orders/1"
    assert (await shop.send(hidden, "tea", client=PROGRAM)).json["redirect"] == "/orders/1"
    assert shop.orders == ["tea"]


async def test_back_and_send_something_else_shows_the_form_again_with_a_new_key() -> None:
    """The page of before has the old key: nothing is done and it says so; sending it once more does it."""
    shop = Shop()
    hidden = shop.opened()
    await shop.send(hidden, "tea")
    again = await shop.send(hidden, "coffee")
    assert again.status == 422
    assert shop.orders == ["tea"]
    fresh = Inputs(again.body.decode()).values
    assert fresh["_once"] != hidden["_once"]
    assert _place(await shop.send(fresh, "coffee")) == (303, "/orders/2")
    assert shop.orders == ["tea", "coffee"]


async def test_what_was_refused_is_sent_corrected_under_a_new_key() -> None:
    """A refusal is final for its key; the page that says so has the next one, on a repeat of it too."""
    shop = Shop()
    hidden = shop.opened()
    pages = [await shop.send(hidden, "gold") for _ in range(2)]
    assert [reply.status for reply in pages] == [422, 422]
    keys = [Inputs(reply.body.decode()).values["_once"] for reply in pages]
    assert len({hidden["_once"], *keys}) == 3
    assert _place(await shop.send({"_once": keys[1]}, "tea")) == (303, "/orders/1")


async def test_a_field_that_is_wrong_uses_no_key() -> None:
    """Nothing was begun, so the page may even keep the one that it had."""
    shop = Shop()
    hidden = shop.opened()
    sent = KINDS[0](*hidden.items())
    headers = {**BROWSER, "content-type": sent.kind}
    reply = await call(shop.order, method="POST", headers=headers, data=sent.body, gate=shop.gate)
    assert reply.status == 400
    assert _place(await shop.send(hidden, "tea")) == (303, "/orders/1")


async def test_a_form_without_a_key_is_done_each_time() -> None:
    """A page that forgot `hidden_fields` works as before."""
    shop = Shop()
    assert [_place(await shop.send({}, "tea")) for _ in range(2)] == [(303, "/orders/1"), (303, "/orders/2")]
