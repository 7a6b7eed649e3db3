"""Where a request comes from, by what its browser says of it: bytes in, a finding out."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Final, NamedTuple

from gatewright._core.origins import is_served, parse_origin

__all__ = ["ASKED_FOR", "MISSING", "Finding", "judge"]

_OWN = (b"same-origin", b"none")
_OTHERS = {b"same-site": "another origin of this site", b"cross-site": "another site"}


class Finding(NamedTuple):
    """What was found out.

    Attributes:
        passes: whether the request may go on.
        reason: why, for the log.
        origin: the origin that sent it, where there is one to name.
    """

    passes: bool
    reason: str
    origin: str | None = None


ASKED_FOR: Final = Finding(True, "from this origin, or from no page at all")
MISSING: Final = Finding(False, "neither Sec-Fetch-Site nor Origin")
_REPEATED = Finding(False, "Origin more than once")
_NULL = Finding(False, "from an origin without a name (null)")
_MALFORMED = Finding(False, "Origin malformed")


def judge(
    sites: Sequence[bytes], origins: Sequence[bytes], hosts: Sequence[bytes], secure: bool, trusted: Container[str]
) -> Finding:
    """Say where a request comes from, after `http.CrossOriginProtection` of Go 1.25.

    Stricter than that in three things: a header that is there but empty is not absent, a repeated one is refused, and
    over TLS a plain-http origin is another origin.

    Args:
        sites: every `Sec-Fetch-Site` header (W3C Fetch Metadata, section 2.4).
        origins: every `Origin` header (RFC 6454, section 7).
        hosts: every `Host` header.
        secure: whether the request is known to have come over TLS.
        trusted: other origins that may send requests.
    """
    if not sites and not origins:
        return MISSING
    if len(sites) == 1 and sites[0] in _OWN:
        return ASKED_FOR
    if not origins:
        return Finding(False, _site(sites))
    if len(origins) > 1:
        return _REPEATED
    origin = parse_origin(origins[0])
    if origin is None:
        return _NULL if origins[0] == b"null" else _MALFORMED
    name = str(origin)
    if name in trusted:
        return Finding(True, "from a trusted origin", name)
    if sites:
        return Finding(False, _site(sites), name)
    if len(hosts) != 1:
        return Finding(False, "Host more than once" if hosts else "no Host", name)
    served = is_served(origin, hosts[0], secure)
    return ASKED_FOR if served else Finding(False, "from another origin", name)


def _site(sites: Sequence[bytes]) -> str:
    known = _OTHERS.get(sites[0]) if len(sites) == 1 else None
    return "Sec-Fetch-Site with a value that it does not have" if known is None else f"from {known}"
