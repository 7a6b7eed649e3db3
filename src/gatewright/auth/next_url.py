"""Where to go after the login: a place on this host, and nowhere else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["next_of", "safe_next"]

# One slash and then none: "//host" is another host, and browsers read a backslash as a slash and drop tabs and line
# breaks (WHATWG URL). So: printable ASCII, which is what they send, without backslash.
_PLACE = re.compile(r"/(?!/)[!-\[\]-~]{0,2000}")
_KEPT = "/-._~!$&'()*+,;=:@"


def safe_next(raw: str | None, default: str = "/") -> str:
    """Return *raw* where it is a path on this host, and *default* where it could lead anywhere else.

    Args:
        raw: what came in the query, decoded.
        default: a path of yours.
    """
    return raw if isinstance(raw, str) and _PLACE.fullmatch(raw) else default


def next_of(call: Call) -> str:
    """Return path and query of a call as a browser would ask for them again."""
    path = quote(call.scope["path"], safe=_KEPT, errors="surrogatepass")
    query: bytes = call.scope.get("query_string", b"")
    asked = f"{path}?{query.decode('latin-1')}" if query else path
    return safe_next(asked)
