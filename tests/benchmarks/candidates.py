"""Who takes part."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec

from tests.benchmarks import bare, by_hand, ours, with_fastapi
from tests.benchmarks.method import Setup
from tests.benchmarks.wire import serving
from tests.benchmarks.work import PLENTY, Stack

__all__ = ["BARE", "HARDENED", "INSTALLED", "PLAIN", "SLOWAPI", "creating", "missing"]

BARE, INSTALLED = "bare Starlette", "gatewright, installed"
SLOWAPI = "FastAPI + slowapi, plain ASGI middleware"

PLAIN: dict[str, Stack] = {
    "(the harness alone)": bare.nothing,
    BARE: bare.starlette,
    "bare FastAPI": with_fastapi.fastapi,
}
"""Those that harden nothing."""

HARDENED: dict[str, Stack] = {
    INSTALLED: ours.installed,
    "gatewright, `GuardedRoute`": ours.guarded_route,
    "gatewright, nothing installed": ours.function_driver,
    "gatewright on FastAPI, `GuardedRoute`": ours.fastapi_guarded_route,
    "by hand, same dependencies": by_hand.by_hand,
    SLOWAPI: with_fastapi.slowapi_without_base,
    'FastAPI + slowapi, `@app.middleware("http")`': with_fastapi.slowapi,
}
"""Those that do the hardened POST."""


def missing(name: str) -> str | None:
    """Return the package that a candidate needs and that is not installed."""
    return "slowapi" if "slowapi" in name and find_spec("slowapi") is None else None


def creating(stack: Stack, *, new_sessions: bool = False) -> Setup:
    """Return the work of POSTs that succeed."""
    return partial(serving, partial(stack, PLENTY), 201, new_sessions=new_sessions)
