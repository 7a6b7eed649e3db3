"""Guards on single routes of a Starlette app, without installing a gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.routing import Route
from starlette.types import ASGIApp

from gatewright._core.endpoint import Endpoint
from gatewright._core.function import state_of
from gatewright._core.methods import check_methods
from gatewright._core.pipeline import Host

__all__ = ["GuardedRoute"]


class GuardedRoute(Route):
    """Serve a guarded endpoint through the ASGI driver; anything else as `Route` does.

    Args:
        path: as for `starlette.routing.Route`, and so are the keyword arguments.
        endpoint: a decorated function, or anything that `Route` takes.

    Raises:
        ConfigurationError: for a combination of decorators that cannot work.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        state = state_of(endpoint)
        if state is None:
            return
        check_methods(state.pipeline, self.methods, path)
        if options.get("middleware") or options.get("max_body_size") is not None:
            # They have to stay around the handler, which guards itself then.
            state.plans(Host.FUNCTION).check()
        else:
            self.app: ASGIApp = Endpoint(state, route=self.path)
