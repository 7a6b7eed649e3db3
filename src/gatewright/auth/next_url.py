"""Where to go after the login: a place on this host, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from gatewright.redirect import is_place

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["next_of", "safe_next"]

_KEPT = "/-._~!$&'()*+,;=:@"


def safe_next(raw: str | None, default: str = "/") -> str:
    """Return *raw* where it is a path on this host, and *default* where it could lead anywhere else.

    Args:
        raw: what came in the query, decoded.
        default: a path of yours.
    """
    return raw if raw is not None and is_place(raw) else default


def next_of(call: Call) -> str:
    """Return path and query of a call as a browser would ask for them again."""
    path = quote(call.scope["path"], safe=_KEPT, errors="surrogatepass")
    query: bytes = call.scope.get("query_string", b"")
    asked = f"{path}?{query.decode('latin-1')}" if query else path
    return safe_next(asked)
