"""Do the candidates do the same work? Asked before anything is timed."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from tests.benchmarks.wire import Exchange, Headers, forged, headers_of, signed
from tests.benchmarks.work import BODY, ONCE, PATH, PLENTY, SECURITY, USERS, Served, Stack

__all__ = ["shortcomings"]

_OFFERED = "from-the.client_1"
_BAD_BODIES = (b'{"text": "no title"}', b"{not JSON", b"[]", b"")


def shortcomings(stack: Stack, *, hardened: bool) -> list[str]:
    """Return what a candidate leaves out of the work; one that hardens nothing has to answer the same data."""
    with _heard() as lines:
        check = _Check(stack, lines)
        asyncio.run(check.everything() if hardened else check.data())
        return check.found


@contextmanager
def _heard() -> Generator[io.BytesIO, None, None]:
    """Keep what is written to stderr."""
    lines = io.BytesIO()
    with redirect_stderr(io.TextIOWrapper(lines, write_through=True)) as stream:
        yield lines
        stream.detach()


class _Check:
    """One candidate, and what was found missing.

    Args:
        stack: makes the candidate.
        lines: what it writes to stderr.
    """

    def __init__(self, stack: Stack, lines: io.BytesIO) -> None:
        self.stack = stack
        self.lines = lines
        self.found: list[str] = []

    async def data(self) -> None:
        """Ask once."""
        served = self.stack(PLENTY)
        exchange = await Exchange(BODY).run(served.app, 0, headers_of(signed(served, USERS[0])))
        self.found += _missing_in_body(exchange, (201,), USERS[0])

    async def everything(self) -> None:
        """Ask for each answer that there is."""
        await self._created(self.stack(PLENTY))
        await self._refused(self.stack(PLENTY))
        await self._limited(self.stack(ONCE))

    async def _created(self, served: Served) -> None:
        echoed = await self._ask(served, USERS[0], 201, also=[(b"x-request-id", _OFFERED.encode())])
        made = [await self._ask(served, USERS[0], 201) for _ in range(2)]
        self._want(echoed.header(b"x-request-id") == _OFFERED, "201: request id not taken over")
        ids = {answer.header(b"x-request-id") for answer in made}
        self._want(len(ids - {""}) == 2, "201: no request id of its own")

    async def _refused(self, served: Served) -> None:
        await self._ask(served, USERS[0], 401, cookie=_no_cookie)
        await self._ask(served, USERS[0], 401, cookie=forged)
        for body in _BAD_BODIES:
            await self._ask(served, USERS[0], 400, 422, body=body)

    async def _limited(self, served: Served) -> None:
        # Strangers, because candidates without a gate of their own count in the same place.
        first, other = f"user-{token_hex(8)}", f"user-{token_hex(8)}"
        await self._ask(served, first, 201)
        limited = await self._ask(served, first, 429)
        self._want(limited.header(b"retry-after").isdigit(), "429: no Retry-After")
        await self._ask(served, other, 201)

    async def _ask(
        self,
        served: Served,
        user: str,
        *statuses: int,
        cookie: Callable[[Served, str], bytes | None] = signed,
        body: bytes = BODY,
        also: Headers = [],  # noqa: B006  # not changed
    ) -> _Answer:
        self.lines.seek(0)
        self.lines.truncate()
        exchange = Exchange(body)
        try:
            await exchange.run(served.app, 0, [*headers_of(cookie(served, user), body), *also])
        except Exception as exc:
            self.found.append(f"raised {type(exc).__name__}")
        answer = _Answer(exchange, self.lines.getvalue())
        self.found += answer.missing(statuses, user)
        return answer

    def _want(self, there: bool, otherwise: str) -> None:
        if not there:
            self.found.append(otherwise)


@dataclass
class _Answer:
    """One answer of a hardened endpoint, with what it wrote to the log."""

    exchange: Exchange
    logged: bytes

    def header(self, name: bytes) -> str:
        """Return a header, "" where it is not there exactly once."""
        values = [value for key, value in self.exchange.headers if key.lower() == name]
        return values[0].decode() if len(values) == 1 else ""

    def missing(self, statuses: tuple[int, ...], user: str) -> Iterator[str]:
        """Say what is missing in the answer to *user*."""
        status = self.exchange.status
        yield from _missing_in_body(self.exchange, statuses, user)
        for name, value in SECURITY:
            if self.header(name) != value.decode():
                yield f"{status}: {name.decode()}"
        if status in (201, 429) and not (self.header(b"ratelimit") or self.header(b"x-ratelimit-remaining")):
            yield f"{status}: no rate limit header"
        if status == 401 and not self.header(b"www-authenticate"):
            yield "401: no challenge"
        yield from self._missing_in_log(user if status in (201, 429) else None)

    def _missing_in_log(self, user: str | None) -> Iterator[str]:
        status, lines = self.exchange.status, self.logged.splitlines()
        if len(lines) != 1:
            yield f"{status}: {len(lines)} log lines"
            return
        event: dict[str, Any] = json.loads(lines[0])
        wanted = {"method": "POST", "route": PATH, "status": status, "client": "10.0.0.1"}
        wanted["request_id"] = self.header(b"x-request-id")
        if user is not None:
            wanted["principal"] = user
        different = [name for name, value in wanted.items() if event.get(name) != value]
        different += [name for name in ("duration_ms", "timestamp", "level") if name not in event]
        if different:
            yield f"{status}: {', '.join(different)} in the log line {event}"


def _no_cookie(served: Served, user: str) -> None:
    """Sign nobody in."""


def _missing_in_body(exchange: Exchange, statuses: tuple[int, ...], user: str) -> Iterator[str]:
    """Say what is wrong with status and envelope, which all candidates have."""
    if exchange.status not in statuses:
        yield f"status {exchange.status} where {statuses} was due"
    try:
        envelope: dict[str, Any] = json.loads(exchange.body)
    except ValueError:
        yield f"{exchange.status}: no JSON"
        return
    if exchange.status >= 400:
        if envelope.get("success") is not False or not {"error", "code", "request_id"} <= envelope.keys():
            yield f"{exchange.status}: {envelope}"
    elif envelope != {"success": True, "data": {"id": 1, "title": json.loads(BODY)["title"], "author": user}}:
        yield f"{exchange.status}: {envelope}"
