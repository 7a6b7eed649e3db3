"""The default HTTP client of a sender. The only module that imports httpx."""

from __future__ import annotations

import ssl
from contextlib import suppress

import anyio
import httpx

from gatewright.webhooks.sending.contract import HttpRequest, HttpResponse

__all__ = ["HttpxClient"]

# What is read of a body, so that a receiver sees its answer taken, and for how many seconds.
_MAX_BODY = 1 << 14
_DRAIN_SECONDS = 1.0


class HttpxClient:
    """Send requests to the addresses that were checked, over a connection for each.

    No connection is used twice: httpx takes one that was verified for one name for any other name at the same address.
    And there is no client of httpx around it, so there are no redirects, cookies, proxies or environment variables.

    Args:
        ssl_context: which certificates are believed; by default those of public authorities.
    """

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl = httpx.create_ssl_context(trust_env=False) if ssl_context is None else ssl_context

    async def send(self, request: HttpRequest, /) -> HttpResponse:
        """Return the response's head.

        Raises:
            TimeoutError: where it takes too long.
            Exception: any other, where there is no response; httpx has not mapped each of them in all of its versions.
        """
        try:
            async with httpx.AsyncHTTPTransport(verify=self._ssl) as transport:
                response = await transport.handle_async_request(_outgoing(request))
                await _drain(response)
        except httpx.TimeoutException as slow:
            raise TimeoutError(str(slow)) from slow
        return HttpResponse(response.status_code, dict(response.headers))


def _outgoing(request: HttpRequest) -> httpx.Request:
    endpoint = request.endpoint
    return httpx.Request(
        request.method,
        httpx.URL(
            scheme=endpoint.scheme, host=request.address, port=endpoint.port, raw_path=endpoint.target.encode("ascii")
        ),
        headers={**request.headers, "connection": "close"},
        content=request.body,
        extensions={
            "timeout": httpx.Timeout(request.timeout).as_dict(),
            # The name in the handshake, and the one that the certificate is checked against.
            "sni_hostname": endpoint.host,
        },
    )


async def _drain(response: httpx.Response) -> None:
    """Read a little of the body as it comes; whatever becomes of it, the status has been said."""
    size = 0
    with suppress(Exception), anyio.move_on_after(_DRAIN_SECONDS) as scope:
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if size > _MAX_BODY:
                # Not `break`: it would leave generators for the garbage collector to close, which trio warns of.
                scope.cancel()
