"""One document from one address, by what the standard library has."""

from __future__ import annotations

from http.client import HTTPMessage, HTTPResponse
from time import monotonic
from typing import IO
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

import anyio
from anyio import to_thread

__all__ = ["fetch_document"]

_CHUNK = 1 << 16


async def fetch_document(url: str, *, accept: str, timeout: float, max_bytes: int) -> bytes:  # noqa: ASYNC109  # the thread needs it
    """Return the document at *url*, fetched in a thread; redirects are not followed.

    Args:
        url: an address that was looked at: `urllib` opens files, too.
        accept: the media types that are wanted.
        timeout: seconds for all of it.
        max_bytes: how long it may be.

    Raises:
        OSError: where it cannot be had.
        ValueError: where it is too long.
    """
    # A limiter of its own: handlers may have taken all threads, and wait for this one.
    limiter = anyio.CapacityLimiter(1)
    return await to_thread.run_sync(_get, url, accept, timeout, max_bytes, abandon_on_cancel=True, limiter=limiter)


class _NoRedirect(HTTPRedirectHandler):
    """Leave a redirect what it is: an answer other than 200, which is an error."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Return no request."""


def _get(url: str, accept: str, seconds: float, max_bytes: int) -> bytes:
    until = monotonic() + seconds
    body = bytearray()
    with _opened(url, accept, seconds) as answer:
        while chunk := answer.read1(_CHUNK):
            body += chunk
            if len(body) > max_bytes:
                raise ValueError(f"the document has more than {max_bytes} bytes")
            if monotonic() > until:
                raise TimeoutError("the document arrives too slowly")
    return bytes(body)


def _opened(url: str, accept: str, seconds: float) -> HTTPResponse:
    request = Request(url, headers={"Accept": accept, "User-Agent": "gatewright"})  # noqa: S310  # the address was looked at
    try:
        answer: HTTPResponse = build_opener(_NoRedirect).open(request, timeout=seconds)
    except HTTPError as refusal:
        # It is the answer as well, and holds the connection.
        refusal.close()
        raise OSError(f"it answers {refusal.code}") from None
    return answer
