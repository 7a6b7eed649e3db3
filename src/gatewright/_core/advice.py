"""Mistakes of a set-up that only show in production: each said once, in words that say what to write."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from starlette.types import Scope

from gatewright._core.storage.line import Report

__all__ = ["Advice", "workers"]

_SERVERS = ("uvicorn", "gunicorn", "hypercorn", "granian", "fastapi")
_FLAGS = ("--workers", "-w")


class Advice:
    """Warn in the log, once for each mistake.

    Args:
        report: writes to the log.
    """

    __slots__ = ("_given", "_report")

    def __init__(self, report: Report) -> None:
        self._given: set[str] = set()
        self._report = report

    def about_workers(self, storage: str) -> None:
        """Warn where several processes each count for themselves."""
        number = workers(sys.argv, os.environ)
        if number > 1:
            self._give(
                "several_workers",
                f"{number} workers count each for themselves in {storage}://, so a caller gets {number} times each "
                'limit; write Gate(storage="redis://..."), and Storage(..., local_share=...) for when it is down',
                workers=number,
            )

    def about_address(self, scope: Scope) -> None:
        """Warn where `X-Forwarded-For` came, and nobody was named whose word is taken for it."""
        if "forwarded" in self._given:
            return
        peer, port = scope.get("client") or (None, None)
        if port == 0:
            # uvicorn's --proxy-headers, on by default, leaves this port behind.
            text = (
                f"the server took the client's address {peer} from X-Forwarded-For before the app saw it; make sure "
                "that it believes your proxies alone (uvicorn: --forwarded-allow-ips), or start it with "
                "--no-proxy-headers and write Gate(trusted_proxies=[...])"
            )
        else:
            text = (
                f"X-Forwarded-For came from {peer}, and no proxy is trusted: if that is your proxy, all its clients "
                f'are counted as one; write Gate(trusted_proxies=["{peer}"]) or the network that it is in'
            )
        self._give("forwarded", text, peer=peer)

    def about_no_address(self, who: str) -> None:
        """Warn where the server tells no address, so that nobody can be charged for guessing."""
        self._give(
            "no_address",
            f"{who}: the server gives no client address, as behind a Unix socket, so a 401 is charged to nobody; "
            'write Gate(trusted_proxies=["unix"]) and let the proxy in front send X-Forwarded-For',
        )

    def about_logout(self, who: str) -> None:
        """Warn where somebody logged out and a copy of the cookie goes on being good (ASVS 5.0, 7.4.1)."""
        self._give(
            "logout",
            f"{who}: a session was ended, and nothing remembers that, so a copy of its cookie stays valid until it "
            "expires; write SessionCookie(revoker=Revoker())",
        )

    def _give(self, about: str, text: str, **fields: object) -> None:
        if about not in self._given:
            self._given.add(about)
            self._report("warning", "advice", about=about, advice=text, **fields)


def workers(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Return how many worker processes a server was told to start, as far as its command line or its environment says.

    Args:
        arguments: the command line, as `sys.argv`.
        environment: `WEB_CONCURRENCY` is read by uvicorn, gunicorn and hypercorn.
    """
    told = environment.get("WEB_CONCURRENCY", "")
    if arguments and any(server in arguments[0] for server in _SERVERS):
        for at, argument in enumerate(arguments):
            flag, equals, value = argument.partition("=")
            if flag in _FLAGS:
                told = value if equals else "".join(arguments[at + 1 : at + 2])
    return int(told) if told.isascii() and told.isdigit() else 1
