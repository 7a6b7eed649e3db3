"""One endpoint for all events of a sender, each of which goes to the function that takes its type."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from inspect import Signature
from typing import Any, ClassVar, Literal, TypeVar, cast, overload

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gatewright._core.call import Call
from gatewright._core.decorate import guarded_by
from gatewright._core.endpoint import Endpoint
from gatewright._core.function import STATE, Guarded, GuardedFunction
from gatewright._core.handler import PRIVATE
from gatewright._core.operation import Turn
from gatewright._core.pipeline import Pipeline
from gatewright._core.refuse import Rendered
from gatewright.errors import ConfigurationError, NotFound
from gatewright.result import Err
from gatewright.webhooks.answers import response
from gatewright.webhooks.certificates import Fetch, fetch_https
from gatewright.webhooks.dispatch import Dispatch, Dispatched, Takers
from gatewright.webhooks.guard import SecretsOf, verify_webhook
from gatewright.webhooks.mounted import is_below_mount
from gatewright.webhooks.once.contract import DeliveryStore, Once
from gatewright.webhooks.scheme import Path, Scheme
from gatewright.webhooks.secret import Secrets
from gatewright.webhooks.taker import Taker, Terms

__all__ = ["WebhookRouter"]

F = TypeVar("F", bound=Callable[..., object])


class WebhookRouter:
    """Verify what a sender delivers, and call the function that takes events of its type.

    ::

        hooks = WebhookRouter(stripe(), secrets="whsec_...")

        @hooks.on("invoice.paid")
        async def paid(event: InvoicePaid) -> None: ...

        @hooks.on("customer.*")
        async def customer(event: Created | Deleted, webhook: Verified) -> None: ...

        routes = [Route("/hooks", hooks, methods=["POST"])]

    It is an endpoint of Starlette and a path operation of FastAPI, `app.post("/hooks")(hooks)`, and an ASGI app:
    mounted it serves its own path and none below. Other decorators go around it, `with_rate_limit("5/second")(hooks)`;
    for a path operation, around `hooks.endpoint`.

    A type is only ever read from the body. An event that nobody takes is logged and answered, so that the sender stops,
    and never claimed by *once*; one that does not fit its function's annotation is refused, 400 or the gate's 422.

    Args:
        scheme: as for `verify_webhook`, and so are the arguments up to *fetch*.
        event_type: where the body says what happened, for a scheme that does not know: a member at the top, or the
            path to one.
        name: what its function is called, by routes and by *once*; on one path, behind two hosts, give each router one.

    Attributes:
        endpoint: the same as a decorated function, to put decorators around.
        pipeline: its guards, in the order in which they run.

    Raises:
        ConfigurationError: what `verify_webhook` refuses, and a scheme whose body does not say what happened.
    """

    # How older versions of FastAPI tell an object whose call has to be awaited.
    _is_coroutine: ClassVar[object] = getattr(asyncio.coroutines, "_is_coroutine", None)

    def __init__(
        self,
        scheme: Scheme,
        *,
        secrets: Secrets | SecretsOf | None = None,
        once: bool | Once | DeliveryStore = False,
        public_url: str | None = None,
        on_invalid: Literal[400, 401] = 401,
        allow_unsigned_body: bool = False,
        fetch: Fetch = fetch_https,
        event_type: str | Path | None = None,
        name: str = "",
    ) -> None:
        verify = verify_webhook(
            scheme,
            secrets=secrets,
            once=once,
            public_url=public_url,
            on_invalid=on_invalid,
            allow_unsigned_body=allow_unsigned_body,
            fetch=fetch,
        )
        path = _path(scheme, event_type)
        self._takers = Takers()
        dispatch = _dispatch(scheme, name or f"{scheme.name}_webhooks")
        self.endpoint: Guarded[[Call], Awaitable[Response]] = guarded_by(Dispatch(scheme, path, self._takers))(
            verify(dispatch)
        )
        self.pipeline: Pipeline = self.endpoint.pipeline
        self._terms = Terms(path, frozenset(key for guard in self.pipeline.guards for key in guard.provides))
        self._stand_for(dispatch)

    def _stand_for(self, dispatch: Callable[[Call], Awaitable[Response]]) -> None:
        """Be what a decorated function is to frameworks, gates and audits: they look at these."""
        self._function = GuardedFunction(dispatch, self.pipeline)
        self._function.wrapper = self
        setattr(self, STATE, self._function)
        self.__signature__: Signature = self._function.operation.signature
        self.__name__: str = self.endpoint.handler.__name__
        self.__doc__ = self.endpoint.handler.__doc__
        self._app = _OwnPath(self, self._function)

    def __repr__(self) -> str:
        return f"<WebhookRouter {self.pipeline!r}>"

    @overload
    def on(self, function: F, /) -> F: ...
    @overload
    def on(self, /, *names: str) -> Callable[[F], F]: ...
    def on(self, /, *names: Any) -> Any:
        """Let a function take events of these names, or, `invoice.*`, of all that begin so.

        An exact name comes before the longest beginning, and that before `default`. Without names, they are those
        that the annotation of the event says: the `Literal` of the model, or of each model of a union.

        The event goes to the parameter that nobody else fills, annotated with a model, a union of models, a
        `TypedDict` or `dict[str, Any]`. The function may ask for `Verified`, `Claim`, `Call`, `Logger` and `Request`,
        too; a plain one runs in a thread. It returns None for what the sender wants to read, a `Result`, or a
        `Response`. It stays what it is, so a test calls it.

        Raises:
            ConfigurationError: for a parameter that nobody fills, a name that another function has, and a name whose
                events the annotation never takes.
        """
        if len(names) == 1 and not isinstance(names[0], str):
            return self._register(names[0], ())

        def register(function: F) -> F:
            return self._register(function, names)

        return register

    def _register(self, function: F, names: Sequence[str]) -> F:
        self._takers.add(Taker(function, self._terms, names))
        return function

    def default(self, function: F) -> F:
        """Let a function take the events that nobody else takes, also those that say no type.

        Raises:
            ConfigurationError: for a second one, and as in `on`.
        """
        self._takers.set_default(Taker(function, self._terms))
        return function

    # A server that looks for factories calls an app without arguments, and takes whatever that returns for the app.
    @overload
    async def __call__(self, scope: Scope, receive: Receive, send: Send, /) -> None: ...
    @overload
    async def __call__(self, gatewright_turn: object, **more: Any) -> Response: ...
    async def __call__(
        self, gatewright_turn: Any, receive: Receive | None = None, send: Send | None = None, **more: Any
    ) -> Any:
        """Serve a connection (ASGI), a request, or what FastAPI prepared."""
        if receive is None or send is None:
            if isinstance(gatewright_turn, Turn):
                more[PRIVATE] = gatewright_turn
                return await self._function.serve((), more)
            return await self._function.serve((gatewright_turn,), more)
        scope: Scope = gatewright_turn
        if scope["type"] == "lifespan":
            return await _nothing_to_start(receive, send)
        return await self._app(scope, receive, send)


class _OwnPath(Endpoint):
    """Serve the path that leads to a router, and nothing below it: a captured delivery has no other place to go."""

    def __init__(self, router: ASGIApp, function: GuardedFunction) -> None:
        super().__init__(function)
        self._router = router

    async def _answer(self, call: Call, send: Send) -> None:
        if call.is_websocket or is_below_mount(call.scope, self._router):
            raise NotFound
        if call.route is None:
            call.route = getattr(call.scope.get("route"), "path", None)
        await super()._answer(call, send)


async def _nothing_to_start(receive: Receive, send: Send) -> None:
    for moment in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{moment}.complete"})


def _path(scheme: Scheme, event_type: str | Path | None) -> Path:
    path = (event_type,) if isinstance(event_type, str) else event_type or scheme.event_type
    if not path or not all(path):
        raise ConfigurationError(
            f"WebhookRouter({scheme!r}): where does the body say what happened? Write event_type, such as "
            '("action",); a header may say it too, but nobody signed that'
        )
    return tuple(path)


def _dispatch(scheme: Scheme, name: str) -> Callable[[Call], Awaitable[Response]]:
    async def dispatch(call: Call) -> Response:
        taker, event = call.get(Dispatched)
        result = await taker.take(call, event)
        if result is None:
            return response(scheme.received)
        if isinstance(result, (Err, Response)):
            # An `Err` goes on as it is: FastAPI's dependencies with `yield` roll back for it.
            return cast("Response", result)
        return Rendered(taker.render(result, call))

    dispatch.__name__ = dispatch.__qualname__ = name
    dispatch.__doc__ = f"Take what {scheme.name} delivers."
    return dispatch
