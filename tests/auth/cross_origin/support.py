"""What a browser sends from where, and handlers that only see what was let pass."""

from __future__ import annotations

from typing import Any

from gatewright import BearerToken, Gate, Ok, Principal, SessionCookie, ok
from gatewright._core.call import Call
from gatewright.errors import Forbidden
from gatewright.testing import EventList, FrozenClock, Handshake, Reply, enter, make_call

KEY = b"the key of these tests, long enough to be one"
OLDER_KEY = b"the key that these tests had before, also long"

session: SessionCookie = SessionCookie()
bearer = BearerToken(lambda token: Principal(token, "bearer"))

OWN = {"sec-fetch-site": "same-origin", "origin": "https://testserver"}
EVIL = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
APP = {"sec-fetch-site": "same-site", "origin": "https://app.example"}
EVIL_ORIGIN = {"origin": "https://evil.example"}
BEARER = {"authorization": "Bearer ada"}
NOTHING: dict[str, str] = {}

REFUSED = (403, "cross_origin")


def make_gate(log: EventList | None = None, **more: Any) -> Gate:
    return Gate(keys=[KEY], clock=FrozenClock(), log=EventList() if log is None else log, **more)


def cookies(gate: Gate, sub: str = "ada") -> dict[str, str]:
    """Return what a browser keeps after a login."""
    name, _, value = session.create_session(sub).header(gate).decode().partition(";")[0].partition("=")
    return {name: value}


def answer(reply: Reply) -> tuple[int, str | None]:
    """Return the status and the code of an answer."""
    return reply.status, None if reply.status < 400 else reply.json["code"]


def refused(reached: Handshake) -> bool:
    """Say whether a handshake was refused before it was accepted, as it should be."""
    return not reached.accepted and (reached.status, reached.code) in ((403, None), (None, 1008))


async def judged(decorator: Any, headers: dict[str, str], gate: Gate | None = None, method: str = "POST") -> str | None:
    """Return why a call was refused by one decorator; None where it passed."""
    return await judged_call(decorator, make_call(method=method, headers=headers, gate=gate or make_gate()))


async def judged_call(decorator: Any, call: Call) -> str | None:
    try:
        assert await enter(decorator, call) is None
    except Forbidden as forbidden:
        assert (forbidden.status_code, forbidden.code) == REFUSED
        return forbidden.reason
    return None


async def done(principal: Principal | None) -> Ok[str]:
    return ok("done")
