"""Whether a mount led somewhere, which looks at how a path begins, or a route, which looks at all of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.routing import BaseRoute, Host, Match, Mount
from starlette.types import ASGIApp, Scope

__all__ = ["is_below_mount"]


def is_below_mount(scope: Scope, app: ASGIApp) -> bool:
    """Say whether *app* was mounted, and the path goes on below its own.

    A scope does not tell a mount from a route inside of one, so the routers are asked once more which way they went.
    """
    rest = scope["path"].removeprefix(scope.get("root_path", ""))
    if rest in ("", "/") or "app_root_path" not in scope:
        return False
    seen = {**scope, "root_path": scope["app_root_path"]}
    routes: Sequence[BaseRoute] = scope["router"].routes
    while (mount := _mount(routes, seen)) is not None:
        inner = _inner(mount)
        if inner is app:
            return True
        routes = getattr(inner, "routes", ())
    return False


def _mount(routes: Sequence[BaseRoute], seen: dict[str, Any]) -> Mount | Host | None:
    """Return the mount that goes first, and go on with its scope; None where a route does, or nothing."""
    for route in routes:
        match, scope = route.matches(seen)
        if match is Match.FULL:
            seen.update(scope)
            return route if isinstance(route, (Mount, Host)) else None
    return None


def _inner(mount: Mount | Host) -> Any:
    """Return what was mounted, without what was put in front of it."""
    inner: Any = getattr(mount, "_base_app", mount.app)
    while not hasattr(inner, "routes") and hasattr(inner, "app"):
        inner = inner.app
    return inner
