"""An ASGI app that somebody else wrote, and that knows nothing of us."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter, make_asgi_app

from gatewright import BearerToken, Gate, Principal, compose, with_auth, with_rate_limit
from gatewright.testing import EventList, FrozenClock, call

pytestmark = pytest.mark.anyio


async def test_the_metrics_of_prometheus_behind_a_gate() -> None:
    """Unmodified, it is limited, authenticated, dressed and logged; its own answer passes as it is."""
    registry = CollectorRegistry()
    Counter("visits", "Visits", registry=registry).inc()
    guards = compose(
        with_auth(BearerToken(lambda token: Principal("scraper", "bearer") if token == "good" else None)),
        with_rate_limit("2/minute"),
    )
    events = EventList()
    app = Gate(log=events, clock=FrozenClock()).wrap(guards(make_asgi_app(registry)))
    good = {"Authorization": "Bearer good"}
    assert (await call(app, path="/metrics")).status == 401
    reply = await call(app, path="/metrics", headers=good)
    assert reply.status == 200
    assert b"visits_total 1.0" in reply.body
    assert reply.headers["content-type"].startswith("text/plain")
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert (await call(app, path="/metrics", headers=good)).status == 429
    assert [event["status"] for event in events] == [401, 200, 429]
