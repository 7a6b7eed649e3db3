"""Methods that change nothing, and what must not be reached by them."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from gatewright.errors import ConfigurationError, MethodNotAllowed

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.pipeline import Pipeline

__all__ = ["SAFE_METHODS", "check_methods", "refuse_safe"]

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, section 9.2.1), and that other sites may well use: a link is a GET.

TRACE is one too; browsers send none, and servers answer none.
"""


def check_methods(pipeline: Pipeline, methods: Collection[str] | None, where: str) -> None:
    """Refuse a route that would let a safe method reach what changes something.

    Raises:
        ConfigurationError: with what to write instead.
    """
    safe = sorted(SAFE_METHODS.intersection(methods or ()))
    changing = [guard for guard in pipeline.guards if guard.changes]
    if safe and changing:
        raise ConfigurationError(
            f"{where}: {changing[0].name} changes something, and this route serves {', '.join(safe)}; "
            'write methods=["POST"], and another handler for what is only shown'
        )


def refuse_safe(call: Call) -> None:
    """Refuse a call whose method is safe; not a browser that only asks whether it may ask.

    Raises:
        MethodNotAllowed: for one; with `Allow` (RFC 9110, section 15.5.6).
    """
    if call.method in SAFE_METHODS and not call.is_preflight:
        raise MethodNotAllowed(headers={"Allow": "POST"})
