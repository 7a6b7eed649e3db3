"""The head of a request, as guards read it: byte by byte, and through the gate's trust."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from starlette.types import Scope

from gatewright._core.outcome import RawHeader

if TYPE_CHECKING:
    from gatewright._core.gate import Gate

__all__ = ["Incoming"]

_UNRESOLVED = "(not asked for yet)"


class Incoming:
    """What came in before the body.

    Args:
        gate: the gate whose proxies are trusted.
        scope: the ASGI scope.
    """

    # Defaults on the class: what is not set costs nothing.
    _client: str | None = _UNRESOLVED

    def __init__(self, gate: Gate, scope: Scope) -> None:
        self.gate: Gate = gate
        self.scope: Scope = scope
        self._read_headers(scope["headers"])

    def _read_headers(self, raw: Sequence[RawHeader]) -> None:
        self.headers: dict[bytes, bytes] = dict(raw)
        self._repeats = len(raw) != len(self.headers)

    @property
    def is_websocket(self) -> bool:
        """Say whether this is a websocket's handshake."""
        return bool(self.scope["type"] == "websocket")

    @property
    def is_preflight(self) -> bool:
        """Say whether a browser asks whether it may ask (CORS, in the Fetch standard); such a call carries nobody."""
        asked = b"access-control-request-method" in self.headers and b"origin" in self.headers
        return asked and self.method == "OPTIONS"

    @property
    def method(self) -> str:
        """Return the HTTP method; a handshake is a GET."""
        method: str = self.scope.get("method", "GET")
        return method

    @property
    def path_params(self) -> Mapping[str, Any]:
        """Return what the route found in the path."""
        found: Mapping[str, Any] = self.scope.get("path_params", {})
        return found

    def header(self, name: bytes) -> bytes | None:
        """Return a header that occurs exactly once; None where it is absent or repeated."""
        if self._repeats and len(self.header_values(name)) > 1:
            return None
        return self.headers.get(name)

    def header_values(self, name: bytes) -> list[bytes]:
        """Return every occurrence of a header."""
        return [value for key, value in self.scope["headers"] if key == name]

    def cookie(self, name: bytes) -> bytes | None:
        """Return a cookie's raw value; None where it is absent or occurs more than once.

        Names are compared byte by byte and only spaces and tabs around a pair are stripped: a decoded parse takes
        `\\xa0__Host-session` for `__Host-session`.
        """
        line = self.headers.get(b"cookie")
        if line is None:
            return None
        if line.startswith(name) and b";" not in line and not self._repeats:
            # The common case: one cookie, ours.
            return line[len(name) + 1 :].rstrip(b" \t") if line[len(name) : len(name) + 1] == b"=" else None
        if self._repeats:
            # HTTP/2 may split the header into one line for each cookie (RFC 9113, section 8.2.3).
            line = b"; ".join(self.header_values(b"cookie"))
        prefix = name + b"="
        if prefix not in line:
            return None
        values = [part for pair in line.split(b";") if (part := pair.strip(b" \t")).startswith(prefix)]
        return values[0][len(prefix) :] if len(values) == 1 else None

    @property
    def client(self) -> str | None:
        """Return the client's address through the gate's proxy trust; None where the server gave none."""
        if self._client is _UNRESOLVED:
            self._client = self.gate.proxies.client(self.scope, self.headers)
        return self._client

    @property
    def secure(self) -> bool:
        """Say whether the client came over TLS, as far as the gate trusts what it is told."""
        return self.gate.proxies.secure(self.scope, self.headers)
