"""What the guards of one request share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, cast

from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from gatewright._core import body
from gatewright._core.headers import HeaderPolicy, dress
from gatewright._core.incoming import Incoming
from gatewright._core.outcome import Finisher, Head, RawHeader, RawHeaders
from gatewright._core.refuse import refuse
from gatewright._core.stale import tell_stale
from gatewright.errors import ApiError, ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.gate import Gate
    from gatewright._core.guard import Guard
    from gatewright._core.log import Logger
    from gatewright._core.principal import Principal
    from gatewright._core.security import SecurityEvent
    from gatewright._core.threads import Errand, LeftBehind

__all__ = ["CALL", "Afterthought", "Call"]

CALL = "gatewright.call"
"""The key under which the call of a request lies in its ASGI scope."""

Afterthought = Callable[[], Awaitable[None] | None]
T = TypeVar("T")


class Weighs(Protocol):
    """What stands between the wire and whoever reads a body."""

    async def weigh(self) -> None:
        """Overrule the answer, where the body is one that had to be refused."""
        ...


class Call(Incoming):
    """One request on its way through the gate.

    Attributes:
        gate: the nearest gate.
        headers: the request headers by lower-case name; of repeated ones, the last.
        scope: the ASGI scope, as the innermost driver got it.
        principal: who is calling, once a guard knows.
        route: the route's template, never the concrete path; None where no route matched.
        request_id: this request's id, taken over from the client where it is well formed.
        security: what happened to the security of the app; see `_core/security`.
        status: the status that was sent, once it was.
        body_limit: how many bytes of body may be read.
        header_policy: the security headers of the answer; None sends none.
        weighs: weighs a body that nobody read, before an answer begins that does not refuse.
        overruled_by: what is wrong with the request, and so the answer, whatever the handler makes of it.
        cut_off: whether another answer was on its way, and was stopped.
        wants_refusal: whether somebody renders refusals in another way.
        refused_with: the refusal that was rendered last, for who does.
        failed: whether the work did, although the answer that is shown may have a status below 400.
        stale: what was said to be out of date, with the gate under which it was.
        left_behind: where plain handlers are kept that go on after their time; None where none may.
        abandoned: the plain handler of this call that does.
    """

    __injected_by__: ClassVar[str] = "every guard"

    # Defaults on the class: most calls need few of these, and what is not set costs nothing.
    principal: Principal[Any] | None = None
    provided: dict[Hashable, Any] | None = None
    notes: dict[str, Any] | None = None
    guards: Mapping[str, str] | None = None
    finishers: list[Finisher] | None = None
    afterthoughts: list[Afterthought] | None = None
    acted: tuple[Guard, ...] = ()
    weighs: Weighs | None = None
    overruled_by: ApiError | None = None
    cut_off: bool = False
    failed: bool = False
    wants_refusal: bool = False
    refused_with: ApiError | None = None
    left_behind: LeftBehind | None = None
    abandoned: Errand | None = None
    entered: object = None
    route: str | None = None
    security: tuple[SecurityEvent, ...] = ()
    status: int | None = None
    _body: bytes | None = None
    _handed: Receive | None = None
    _connection: Request | WebSocket | None = None
    _log: Logger | None = None

    def __init__(self, gate: Gate, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        super().__init__(gate, scope)
        self.body_limit: int = gate.body_limit
        self.header_policy: HeaderPolicy | None = gate.headers
        self.arguments: dict[str, Any] = {}
        self.added: RawHeaders = []
        self.stale: dict[str, Gate] = {}
        self.started_at: float = gate.clock.monotonic()
        self.request_id: str = gate.request_id(self.header(b"x-request-id"))

    def __repr__(self) -> str:
        return f"<Call {self.scope.get('method', self.scope['type'])} {self.route or 'no route'} {self.request_id}>"

    # What came in, after its head

    async def body(self) -> bytes:
        """Return the body, read at most once.

        Raises:
            PayloadTooLarge: for more than `body_limit` bytes, before the first is read where the length is declared.
            ClientDisconnect: when the client leaves before the end.
        """
        if self._body is None:
            body.declared_length(self.header(b"content-length"), self.body_limit, self.scope)
            receive, self._receive = self._receive, body.broken_off
            self._body = await body.read(receive, self.body_limit, self.scope)
            self._receive = receive
        return self._body

    @property
    def body_was_read(self) -> bool:
        """Say whether the body is in memory."""
        return self._body is not None

    def receive(self) -> Receive:
        """Return the `receive` for what comes next: the body replayed once if it was read, the original otherwise."""
        if self._body is None:
            return self._receive
        self._handed = body.replay(self._body, self._receive)
        return self._handed

    @property
    def connection(self) -> Request | WebSocket:
        """Return the Starlette connection that handlers get, built when first asked for."""
        if self._connection is None:
            receive = self.receive()
            if self.is_websocket:
                self._connection = WebSocket(self.scope, receive, self._send)
            else:
                self._connection = Request(self.scope, body.capped(receive, self.body_limit, self.scope), self._send)
        return self._connection

    def join(self, scope: Scope, receive: Receive) -> None:
        """Go on with the scope and the body of an inner driver; what stands between may have changed both."""
        if scope is not self.scope:
            if scope["headers"] is not self.scope["headers"]:
                self._read_headers(scope["headers"])
            self.scope = scope
            self._connection = None
        if receive is not self._receive and receive is not self._handed:
            self._receive = receive
            self._body = None
            self._connection = None

    def adopt(self, connection: Request | WebSocket) -> None:
        """Go on with the connection that a framework built for a decorated function."""
        self.join(connection.scope, connection.receive)
        if self.route is None:
            self.route = getattr(self.scope.get("route"), "path", None)
        if isinstance(connection, WebSocket):
            # It keeps the state of the handshake, so the handler needs this very object.
            self._connection = connection
        elif self._body is None:
            # Another decorator may have read it; Starlette keeps it here, and `receive` is exhausted.
            self._body = getattr(connection, "_body", None)

    def forward(self, send: Send) -> None:
        """Send to *send* from now on."""
        self._send = send

    # What guards leave for others

    def provide(self, key: Hashable, value: object) -> None:
        """Offer *value* to whoever asks for *key*."""
        if self.provided is None:
            self.provided = {}
        self.provided[key] = value

    def get(self, key: type[T]) -> T:
        """Return what a guard provided.

        Raises:
            ConfigurationError: where no guard did.
        """
        known: dict[Any, Any] = self.provided or {}
        if key not in known:
            raise ConfigurationError(f"no guard of this call provides {key.__name__}")
        return cast(T, known[key])

    def add_header(self, name: bytes, value: bytes) -> None:
        """Add a response header, whatever the answer will be; one that the answer has itself wins."""
        self.added.append((name, value))

    def on_head(self, finisher: Finisher) -> None:
        """Leave a finisher: told the response's head just before it is sent, last left first."""
        if self.finishers is None:
            self.finishers = []
        self.finishers.append(finisher)

    def afterwards(self, afterthought: Afterthought) -> None:
        """Leave something to run after the last byte, a disconnect or a cancellation; last left first."""
        if self.afterthoughts is None:
            self.afterthoughts = []
        self.afterthoughts.append(afterthought)

    def invalidate(self, *names: str) -> None:
        """Say what this call makes stale: tags or paths, such as `"posts"` and `"/posts"`.

        They are told to the gate's `on_invalidate`, to htmx in `HX-Trigger`, and in the envelope: where the call
        succeeds, after what encloses its handler has committed, and before the head of its answer leaves.
        """
        for name in names:
            self.stale[name] = self.gate

    def mark(self) -> Callable[[], None]:
        """Return what takes back all that is done to the answer from here on, for whoever lets it be made anew.

        What was left to run afterwards runs, and what was noted for the log stays: it happened.
        """
        added, stale, arguments = self.added.copy(), self.stale.copy(), self.arguments.copy()
        finishers, provided = copy(self.finishers), copy(self.provided)
        policy, acted = self.header_policy, self.acted

        def take_back() -> None:
            self.added, self.stale, self.arguments = added.copy(), stale.copy(), arguments.copy()
            self.finishers, self.provided = copy(finishers), copy(provided)
            self.header_policy, self.acted, self.failed = policy, acted, False
            # Its stream may have been read to its end; the next one has the body again.
            self._connection = None

        return take_back

    def note(self, **fields: object) -> None:
        """Add fields to this request's log event; redacted like everything there."""
        if self.notes is None:
            self.notes = {}
        self.notes.update(fields)

    @property
    def log(self) -> Logger:
        """Return a logger bound to this request; what it is given is redacted."""
        if self._log is None:
            self._log = self.gate.log.bind(request_id=self.request_id)
        return self._log

    # What goes out

    @property
    def started(self) -> bool:
        """Say whether the head of an answer was sent."""
        return self.status is not None

    async def send(self, message: Message) -> None:
        """Send *message*; the head gets every header that guards and gate add."""
        if self.weighs is not None and self.status is None and message.get("status", 400) < 400:
            await self.weighs.weigh()
        if self.overruled_by is not None and self.status is None:
            self._cut_off(message)
        if self.stale and self.status is None and message.get("status", 400) < 400:
            await tell_stale(self, message)
        kind = message["type"]
        if kind == "http.response.start" or kind == "websocket.http.response.start":
            message["headers"] = self.finish(message["status"], message.get("headers", ()))
            message["status"] = self.status
        elif self.status is None:
            self.status = {"websocket.accept": 101, "websocket.close": 403}.get(kind)
        await self._send(message)

    def _cut_off(self, message: Message) -> None:
        """Let nothing out but what says the same as the refusal; whoever sends is told that nobody listens."""
        if self.overruled_by is not None and message.get("status") != self.overruled_by.status_code:
            self.cut_off = True
            # What a server raises for a client that has left: an app stops, and a transaction rolls back.
            raise ConnectionAbortedError("the request was refused, so this answer has nowhere to go")

    async def conclude(self, send: Send) -> None:
        """Send the refusal that overrules every answer, where no answer has begun."""
        error, self.overruled_by, self.cut_off = self.overruled_by, None, False
        if error is not None and not self.started:
            outcome = await refuse(error, self)
            await outcome.send(self.scope, self._receive, send)

    def finish(self, status: int, headers: Iterable[RawHeader]) -> RawHeaders:
        """Return the headers of an answer with all that belongs to it, and remember its status."""
        self.status = status
        # The specification wants lower case, and not every app keeps to it; without it, one of theirs were not seen.
        finished = [(name.lower(), value) for name, value in headers]
        if self.finishers is not None:
            head = Head(status, finished)
            for finisher in reversed(self.finishers):
                finisher(head)
            self.status, finished = head.status, head.headers
        dress(finished, self.added, self.request_id, self.header_policy, self.secure)
        return finished

    def report(self, gate: Gate) -> None:
        """Write the one log event of this request to the log of *gate*."""
        fields: dict[str, Any] = {
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "duration_ms": round((gate.clock.monotonic() - self.started_at) * 1000, 3),
            "request_id": self.request_id,
            "client": self.client,
        }
        if self.principal is not None:
            fields["principal"] = self.principal.sub
        if self.guards:
            fields["guards"] = self.guards
        if self.notes is not None:
            fields |= self.notes
        gate.log.access(fields, self.security)
