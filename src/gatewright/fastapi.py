"""Guards on FastAPI routes, before the body is read and before a dependency opens anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

try:
    from fastapi import Depends
    from fastapi.routing import APIRoute
except ImportError as _missing:  # pragma: no cover  # the tests install FastAPI
    raise ImportError('gatewright.fastapi needs FastAPI: pip install "gatewright[fastapi]"') from _missing
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from gatewright._core.call import CALL, Call
from gatewright._core.document import document, document_optional
from gatewright._core.function import state_of
from gatewright._core.install import GuardsFirst
from gatewright._core.methods import check_methods
from gatewright._core.principal import Principal
from gatewright.auth.authenticator import Authenticator
from gatewright.auth.with_auth import with_auth
from gatewright.errors import Unauthorized

__all__ = ["CurrentPrincipal", "GuardedRoute", "current_principal", "principal_of"]


class GuardedRoute(APIRoute):
    """Run an endpoint's guards before FastAPI reads the body; write `APIRouter(route_class=GuardedRoute)`.

    Holds under `include_router`, where FastAPI does not reach a wrapped `route.app`.

    Raises:
        ConfigurationError: for a combination of decorators that cannot work.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        state = state_of(endpoint)
        self.guards: GuardsFirst | None = None if state is None else GuardsFirst(self, state, super().handle, self.path)
        if state is not None:
            check_methods(state.pipeline, self.methods, path)
            document(self, state.handler)
        document_optional(self)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the route, behind its guards where there are any."""
        if self.guards is None:
            await super().handle(scope, receive, send)
        else:
            await self.guards(scope, receive, send)


def current_principal(connection: HTTPConnection) -> Principal[Any]:
    """Return who is calling, for a dependency of your own.

    Raises:
        Unauthorized: where no guard of this request knows.
    """
    call: Call | None = connection.scope.get(CALL)
    if call is None or call.principal is None:
        raise Unauthorized
    return call.principal


def principal_of(*authenticators: Authenticator, optional: bool = False) -> Callable[..., Any]:
    """Return a dependency that does what `with_auth` does: `Annotated[Principal, Depends(principal_of(session))]`.

    The same authenticators, refusals and challenges, by the gate in front or else the default one; the same schemes in
    the OpenAPI document. FastAPI resolves it after it has read the body; `with_auth` on a guarded route comes before.

    Args:
        authenticators: the ways to prove who one is, such as `SessionCookie()` and `BearerToken(lookup)`.
        optional: let callers without any credential pass, with None for a principal.

    Raises:
        ConfigurationError: for no authenticator, two of the same name, or none with a challenge.
    """
    return with_auth(*authenticators, optional=optional)(_perhaps_known if optional else _known)


async def _known(principal: Principal[Any]) -> Principal[Any]:
    return principal


async def _perhaps_known(principal: Principal[Any] | None) -> Principal[Any] | None:
    return principal


CurrentPrincipal = Annotated[Principal[Any], Depends(current_principal)]
