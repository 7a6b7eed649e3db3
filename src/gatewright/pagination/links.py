"""The `Link` header of a page (RFC 8288)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import quote

from gatewright.pagination.query import decoded

__all__ = ["link_header"]

# RFC 3986, section 3.4, and the percent sign of what is encoded already; all else could end the reference, or more.
_SAFE = "%!$&'()*+,;=:@/?-._~"
# Proxies keep a response's head in one buffer, often of 4 KiB, and answer 502 for a longer one.
_ROOM = 3_072


def link_header(query: bytes, ours: Collection[bytes], relations: Mapping[str, str]) -> bytes | None:
    """Return the value of `Link`.

    A reference is the query alone: RFC 3986, section 5.2.2, resolves it against the address that the client used,
    which a server behind proxies and prefixes can only guess. Every other parameter is kept as it was sent.

    Args:
        query: as it was sent.
        ours: the names of the parameters that say which page is meant.
        relations: by relation, these parameters for that page.

    Returns:
        None where there is nothing to link to, and where the header would be so long that it would not pass a proxy.
    """
    if not relations or len(query) > _ROOM:
        return None
    kept = [pair for pair in query.split(b"&") if pair and decoded(pair.partition(b"=")[0]) not in ours]
    stem = "".join(f"{quote(pair, safe=_SAFE)}&" for pair in kept)
    link = ", ".join(f'<?{stem}{page}>; rel="{relation}"' for relation, page in relations.items())
    return link.encode("ascii") if len(link) <= _ROOM else None
