"""Where a page stands among the others: its facts for the envelope, and a `Link` header (RFC 8288)."""

from __future__ import annotations

from urllib.parse import quote, unquote_to_bytes

from starlette.types import Scope

from gatewright.result import PageParams

__all__ = ["decoded", "link_header", "page_facts"]

_OURS = frozenset({b"page", b"limit"})
# RFC 3986, section 3.4, and the percent sign of what is encoded already; all else could end the reference, or more.
_SAFE = "%!$&'()*+,;=:@/?-._~"
# Proxies keep a response's head in one buffer, often of 4 KiB, and answer 502 for a longer one.
_ROOM = 3_072


def decoded(text: bytes) -> bytes:
    """Undo the form encoding of a query's name or value."""
    return unquote_to_bytes(text.replace(b"+", b" ")) if b"%" in text or b"+" in text else text


def page_facts(params: PageParams, total: int) -> dict[str, int]:
    """Return the envelope's `pagination`; with no rows there are no pages."""
    return {"page": params.page, "limit": params.limit, "total": total, "totalPages": _pages(params, total)}


def link_header(scope: Scope, params: PageParams, total: int) -> bytes | None:
    """Return the value of `Link`: first, prev, next and last, as far as they exist.

    A reference is the query alone: RFC 3986, section 5.2.2, resolves it against the address that the client used,
    which a server behind proxies and prefixes can only guess. Every other parameter is kept as it was sent.

    Past the end, prev is the last page: a client that walks back reaches rows at once. next never leads there, and
    never repeats a page, so a client that walks forward comes to an end.

    Returns:
        None where there are no pages, and where the query is so long that the header would not pass a proxy.
    """
    last = _pages(params, total)
    if last == 0:
        return None
    sent: bytes = scope.get("query_string", b"")
    kept = [pair for pair in sent.split(b"&") if pair and decoded(pair.partition(b"=")[0]) not in _OURS]
    stem = "".join(f"{quote(pair, safe=_SAFE)}&" for pair in kept)
    pages = {"first": 1, "prev": min(params.page - 1, last), "next": params.page + 1, "last": last}
    link = ", ".join(
        f'<?{stem}page={page}&limit={params.limit}>; rel="{relation}"'
        for relation, page in pages.items()
        if 1 <= page <= last
    )
    return link.encode("ascii") if len(link) <= _ROOM else None


def _pages(params: PageParams, total: int) -> int:
    return -(-total // params.limit)
