"""The URL that was called, as a signature names its parts (RFC 9421, sections 2.2.2 to 2.2.8)."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote, unquote_to_bytes

from gatewright.webhooks.scheme import WebhookRejected

__all__ = ["Target"]

# Not urlsplit: it drops what it takes for a slip, such as a line feed, and raises for a bracket.
_URL = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.\-]*)://(?:[^/?#]*@)?([^/?#@]+)(?=[/?]|\Z))?([^?#]*)(?:\?([^#]*))?")
_DEFAULT_PORT = {"http": ":80", "https": ":443"}


@dataclass(frozen=True)
class Target:
    """Take a URL apart; without an origin, path and query are all that is known of it.

    Args:
        url: with its origin, where the public URL is known.
    """

    url: str

    @property
    def uri(self) -> str:
        """Return `@target-uri`."""
        scheme, authority = self._origin
        return f"{scheme}://{authority}{self.request_target}"

    @property
    def scheme(self) -> str:
        """Return `@scheme`."""
        return self._origin[0].lower()

    @property
    def authority(self) -> str:
        """Return `@authority`: the host in lower case, without the port that goes without saying."""
        host = self._origin[1].lower()
        return host.removesuffix(_DEFAULT_PORT.get(self.scheme, ":")).removesuffix(":")

    @property
    def request_target(self) -> str:
        """Return `@request-target`, as HTTP/1.1 sends it to an origin server."""
        return self.path + ("" if self._parts[3] is None else self.query)

    @property
    def path(self) -> str:
        """Return `@path`."""
        return self._parts[2] or "/"

    @property
    def query(self) -> str:
        """Return `@query`: with its question mark, even where there is nothing after it."""
        return f"?{self._parts[3] or ''}"

    def parameter(self, name: str) -> str:
        """Return `@query-param`, encoded anew.

        Raises:
            WebhookRejected: for one that is not there once.
        """
        values = self._parameters.get(name, [])
        if len(values) != 1:
            raise WebhookRejected("malformed")
        return values[0]

    @cached_property
    def _parameters(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for pair in filter(None, self.query[1:].split("&")):
            name, _, value = pair.partition("=")
            found[_encoded(name)].append(_encoded(value))
        return dict(found)

    @property
    def _origin(self) -> tuple[str, str]:
        scheme, authority, _, _ = self._parts
        if not scheme or not authority:
            # The Host header is anybody's word; what nobody configured cannot be under a signature that is believed.
            raise WebhookRejected("no_supported_signature")
        return scheme, authority

    @cached_property
    def _parts(self) -> tuple[str | None, str | None, str, str | None]:
        found = _URL.fullmatch(self.url)
        if found is None:
            raise WebhookRejected("malformed")
        return found[1], found[2], found[3], found[4]


def _encoded(text: str) -> str:
    """Return what an HTML form sends, with `%20` for a space; in bytes, so that no two values become one."""
    raw = unquote_to_bytes(text.replace("+", " ").encode("utf-8", "surrogatepass"))
    return quote(raw, safe="*").replace("~", "%7E")
