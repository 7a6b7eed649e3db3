"""`hidden_fields`: what a form brings back for the guards, fresh on every page, and nothing that breaks out of it."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment
from starlette.responses import HTMLResponse

from gatewright import ActionState, Call, FromQuery, Gate, Principal, hidden_fields, validate
from gatewright._core.hidden import HIDDEN
from gatewright.actions.hidden import _input
from gatewright.auth.cross_origin.token import SessionTokens
from gatewright.idempotency.key import key_of
from gatewright.testing import EventList, make_call
from gatewright.testing import call as send
from tests.forms import urlencoded

KEY = bytes(range(32))
ADA: Principal = Principal("ada", "session", sid="s1")

pytestmark = pytest.mark.anyio


class Inputs(HTMLParser):
    """The inputs of a page, as a browser finds them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[dict[str, str | None]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.tags.append(tag)
        self.attributes.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        """Refuse what is no tag."""
        raise AssertionError(data)

    @property
    def values(self) -> dict[str, str]:
        """Return what they send."""
        assert set(self.tags) <= {"input"}
        assert all(set(each) == {"type", "name", "value"} and each["type"] == "hidden" for each in self.attributes)
        return {str(each["name"]): str(each["value"]) for each in self.attributes}


def _call(principal: Principal | None = None, keys: tuple[bytes, ...] = (KEY,)) -> Call:
    return make_call(principal=principal, gate=Gate(keys=keys, log=EventList()))


def test_every_page_has_a_key_of_its_own() -> None:
    """Of 128 bits: the form that is shown again after a failure is another filling, and must not be the old request."""
    call = _call()
    keys = {Inputs(hidden_fields(call)).values["_once"] for _ in range(100)}
    assert len(keys) == 100
    assert {len(key) for key in keys} == {22}


@pytest.mark.parametrize("own", [None, "private, max-age=1"])
async def test_no_cache_stores_the_page(own: str | None) -> None:
    """Or all who are shown it would send one key; what the handler itself says of it stays."""

    @validate
    async def page(call: Call, name: FromQuery[str] = "") -> HTMLResponse:
        return HTMLResponse(hidden_fields(call) + hidden_fields(call), headers=own and {"Cache-Control": own})

    reply = await send(page, gate=Gate(log=EventList()))
    assert [value for name, value in reply.raw_headers if name == b"cache-control"] == [(own or "no-store").encode()]


def test_the_key_is_the_gates_chance() -> None:
    """So that tests can repeat it."""
    asked: list[int] = []

    def entropy(size: int) -> bytes:
        asked.append(size)
        return b"\xff" * size

    call = make_call(gate=Gate(entropy=entropy, log=EventList()))
    asked.clear()
    assert Inputs(hidden_fields(call)).values == {"_once": "_" * 21 + "w"}
    assert asked == [16]


@settings(deadline=None)
@given(st.binary(min_size=16, max_size=16))
async def test_any_key_is_one_that_is_taken(drawn: bytes) -> None:
    """Whatever chance brings: what the page sends is read as it was written."""
    made = make_call(gate=Gate(entropy=lambda size: drawn[:size].ljust(size, b"x"), log=EventList()))
    once = Inputs(hidden_fields(made)).values["_once"]
    sent = urlencoded(("_once", once))
    assert await key_of(make_call(method="POST", headers={"content-type": sent.kind}, data=sent.body), "_once") == once


def test_a_session_has_a_token() -> None:
    """It is the session's."""
    values = Inputs(hidden_fields(_call(ADA))).values
    assert set(values) == {"_once", "csrf_token"}
    assert SessionTokens([KEY]).fits(values["csrf_token"].encode(), "s1")


@pytest.mark.parametrize(
    ("principal", "keys"), [(None, (KEY,)), (Principal("ada", "bearer"), (KEY,)), (ADA, ())], ids=str
)
def test_where_there_is_no_token_to_give_the_page_is_shown_all_the_same(
    principal: Principal | None, keys: tuple[bytes, ...]
) -> None:
    """Nobody known, no session, no keys: a form to log in with, and a gate that was never given any."""
    assert set(Inputs(hidden_fields(_call(principal, keys))).values) == {"_once"}


def test_no_handler_asked_for_the_last_attempt() -> None:
    """Then nothing is said of it, failed or not."""
    for state in (None, ActionState(), ActionState(message="No", code="no", status=422)):
        assert set(Inputs(hidden_fields(_call(), state)).values) == {"_once"}


def test_an_entry_cannot_break_out_of_its_input() -> None:
    """None of those above could; so this is asked of what writes them."""
    entry = ("a\"b'<&>", '"><script>alert(1)</script>')
    assert Inputs(_input(entry)).values == dict([entry])


def test_a_template_takes_it_as_html() -> None:
    """Jinja2 escapes what is only text."""
    template = Environment(autoescape=True).from_string("<form>{{ hidden }}</form>")
    hidden = hidden_fields(_call(ADA))
    assert template.render(hidden=hidden) == f"<form>{hidden}</form>"
    assert "&lt;input" in template.render(hidden=hidden + "")


def test_all_that_it_writes_is_known_to_be_hidden() -> None:
    """Or a model that forbids extras would refuse its own page, and a page would show it again."""
    assert set(Inputs(hidden_fields(_call(ADA))).values) <= HIDDEN
