"""What it costs to believe a webhook: a Stripe event of 2 kB, verified, read and dispatched."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import count as counting
from time import process_time, time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gatewright import Gate
from gatewright.starlette import GuardedRoute
from gatewright.webhooks import Event, WebhookRouter, stripe, verify_webhook
from tests.benchmarks.method import Effort, Setup, Work, measure
from tests.benchmarks.table import Table, micro, ratio
from tests.benchmarks.wire import Exchange, Headers, running, working

__all__ = ["APPS", "BODY", "delivered", "sent_by_stripe", "table"]

_PATH, _SECRET = "/hooks/stripe", "whsec_" + "b" * 32
_RECEIVED = {"received": True}


class Paid(BaseModel):
    """An invoice was paid."""

    id: str
    type: Literal["invoice.paid"]
    created: int
    data: dict[str, Any]


class Voided(BaseModel):
    """An invoice was voided."""

    id: str
    type: Literal["invoice.voided"]
    created: int
    data: dict[str, Any]


_EVENT: TypeAdapter[Paid | Voided] = TypeAdapter(Annotated[Paid | Voided, Field(discriminator="type")])


def _event(number: int) -> bytes:
    """Return an event as Stripe writes one, of 2 kB."""
    line = {"id": "il_1", "amount": 4999, "currency": "eur", "description": "One month of the blog", "quantity": 1}
    invoice = {"id": "in_1", "object": "invoice", "status": "paid", "customer": "cus_1", "lines": [line] * 19}
    event = {"id": f"evt_{number}", "object": "event", "type": "invoice.paid", "created": 1760000000}
    return to_json({**event, "data": {"object": invoice}})


BODY = _event(0)


def sent_by_stripe(body: bytes) -> Headers:
    """Return the headers that Stripe delivers *body* with, now."""
    signed = stripe().sign(body, _SECRET, time())
    sent = [(b"host", b"api.example"), (b"content-type", b"application/json")]
    return [*sent, (b"content-length", b"%d" % len(body)), *signed.headers]


async def paid(event: Paid) -> None:
    """Do nothing about it."""


async def _dispatched(event: Paid | Voided) -> Response:
    if isinstance(event, Paid):
        await paid(event)
    return JSONResponse(_RECEIVED)


def _unverified() -> ASGIApp:
    """Believe anybody."""

    async def hook(request: Request) -> Response:
        return await _dispatched(_EVENT.validate_json(await request.body()))

    return Starlette(routes=[Route(_PATH, hook, methods=["POST"])])


def _by_stripe() -> ASGIApp:
    """Verify with Stripe's own library, and read the same models."""
    from stripe import SignatureVerificationError, WebhookSignature

    async def hook(request: Request) -> Response:
        body = await request.body()
        try:
            WebhookSignature.verify_header(body.decode(), request.headers["stripe-signature"], _SECRET, 300)
        except SignatureVerificationError:
            return JSONResponse({"error": "signature"}, 400)
        return await _dispatched(_EVENT.validate_json(body))

    return Starlette(routes=[Route(_PATH, hook, methods=["POST"])])


def _by_construct_event() -> ASGIApp:
    """Verify and read as Stripe's documentation has it."""
    from stripe import SignatureVerificationError, Webhook

    async def hook(request: Request) -> Response:
        try:
            event = Webhook.construct_event(await request.body(), request.headers["stripe-signature"], _SECRET)
        except (ValueError, SignatureVerificationError):
            return JSONResponse({"error": "signature"}, 400)
        if event.type == "invoice.paid":
            await paid(event)  # type: ignore[arg-type]  # Stripe's own class of events
        return JSONResponse(_RECEIVED)

    return Starlette(routes=[Route(_PATH, hook, methods=["POST"])])


def _ours(*, installed: bool = True, once: bool = False) -> ASGIApp:
    """Verify, read and dispatch with one decorator."""

    @verify_webhook(stripe(), secrets=_SECRET, once=once)
    async def hook(event: Event[Paid | Voided]) -> Response:
        return await _dispatched(event)

    return _served(hook, installed)


def _routed(*, once: bool = False) -> ASGIApp:
    """Verify, read and dispatch with a router."""
    hooks = WebhookRouter(stripe(), secrets=_SECRET, once=once)
    hooks.on("invoice.paid")(paid)
    return _served(hooks.endpoint)


def _served(endpoint: Callable[..., Any], installed: bool = True) -> ASGIApp:
    app = Starlette(routes=[(Route if installed else GuardedRoute)(_PATH, endpoint, methods=["POST"])])
    if installed:
        Gate().install(app)
    return app


@dataclass(frozen=True)
class Candidate:
    """A way to take a webhook.

    Args:
        make: makes its app.
        each_its_own: whether every delivery is another event, which is what `once=` is about.
    """

    make: Callable[[], ASGIApp]
    each_its_own: bool = False


_UNVERIFIED, _THEIRS = "Starlette, not verified", "Starlette, stripe-python's `verify_header`, the same models"
_ALL = {
    _UNVERIFIED: Candidate(_unverified),
    _THEIRS: Candidate(_by_stripe),
    "Starlette, stripe-python's `construct_event`": Candidate(_by_construct_event),
    "gatewright, `verify_webhook`": Candidate(_ours),
    "gatewright, `GuardedRoute`, `verify_webhook`": Candidate(partial(_ours, installed=False)),
    "gatewright, `WebhookRouter`": Candidate(_routed),
    "gatewright, `verify_webhook(once=True)`": Candidate(partial(_ours, once=True), each_its_own=True),
}
APPS = {name: one for name, one in _ALL.items() if "stripe-python" not in name or find_spec("stripe") is not None}
"""Who takes part; without Stripe's library, nobody who needs it."""

_HMAC = "HMAC-SHA256 of the body alone"
_COLUMNS = ("2 kB event of Stripe", "min µs", "median µs", "÷ stripe-python, min", "÷ stripe-python, median")
_NOTE = (
    "A POST is verified, read into one of two pydantic models by its type, and answered. The rows of gatewright have "
    "security headers, a request id and a log line in them, which those of Starlette have not. "
    "With `once=True` every delivery is another event, kept in memory for four days. "
    "The last row is what no verifier can do without."
)


def table(effort: Effort) -> Table:
    """Measure every way to take a webhook."""
    setups: dict[str, Setup] = {name: partial(_delivering, one) for name, one in APPS.items()}
    figures = measure({**setups, _HMAC: _alone}, effort)
    base = figures[_THEIRS if _THEIRS in figures else _UNVERIFIED]
    rows = [
        (
            name,
            micro(own.minimum),
            micro(own.median),
            ratio(own.minimum, base.minimum),
            ratio(own.median, base.median),
        )
        for name, own in figures.items()
    ]
    return Table("Webhooks", _COLUMNS, rows, _NOTE)


def delivered(app: ASGIApp, body: bytes, headers: Headers) -> Coroutine[Any, Any, Exchange]:
    """Deliver *body* to *app*."""
    return Exchange(body, "POST", _PATH).run(app, 0, headers)


@contextmanager
def _delivering(one: Candidate) -> Generator[Work, None, None]:
    with running() as runner:
        app, numbers = one.make(), counting()
        # Signed before the clock starts; the headers carry the number of the event for `ask`.
        bodies: dict[int, bytes] = {}

        def headers(user: int) -> Headers:
            number = next(numbers) if one.each_its_own else 0
            body = bodies.setdefault(number, _event(number))
            return [*sent_by_stripe(body), (b"x-number", b"%d" % number)]

        def ask(user: int, sent: Headers) -> Coroutine[Any, Any, Exchange]:
            return delivered(app, bodies[int(sent[-1][1])], sent)

        yield working(runner, ask, 200, headers)


@contextmanager
def _alone() -> Generator[Work, None, None]:
    key, message = _SECRET.encode(), b"1760000000." + BODY

    def work(count: int) -> float:
        started = process_time()
        for _ in range(count):
            hmac.compare_digest(hmac.digest(key, message, "sha256").hex(), "0" * 64)
        return (process_time() - started) / count

    yield work
