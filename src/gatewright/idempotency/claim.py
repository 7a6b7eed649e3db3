"""A key while its work is done, and the answer that is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from typing_extensions import Buffer

from gatewright._core.outcome import Outcome, RawHeaders
from gatewright._core.refuse import Rendered
from gatewright._core.storage.contract import Claimed
from gatewright._core.undisturbed import undisturbed
from gatewright.idempotency.answer import NO_ANSWER

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.storage.contract import Records

__all__ = ["Claim", "Recording"]


@dataclass(slots=True)
class Claim:
    """Hold a key until the answer is kept, or the key is released; whichever comes first.

    Neither is stopped by a cancellation, and neither keeps an answer from being sent.

    Args:
        call: the request that does the work.
        records: where the key is claimed.
        name: the record.
        fingerprint: the request's.
        token: what the claim brought.
        lease: seconds for which it was claimed.
        seconds: how long an answer is kept.
    """

    call: Call
    records: Records
    name: str
    fingerprint: str
    token: str
    lease: float
    seconds: float
    settled: bool = False

    async def keep(self, record: bytes) -> None:
        """Keep the answer."""
        self.settled = True
        try:
            if not await undisturbed(self._kept(record)):
                self._lost("warning", "the lease ran out, and somebody else claimed the key")
        except Exception as exc:
            self._lost("error", f"{type(exc).__name__} of the storage")

    async def release(self) -> None:
        """Give the key up, unless that or better was done already."""
        if not self.settled:
            self.settled = True
            await undisturbed(self.records.release(self.name, self.token))

    async def _kept(self, record: bytes) -> bool:
        if await self.records.keep(self.name, self.token, record, self.seconds):
            return True
        # The lease may have run out without anybody coming.
        again = await self.records.claim(self.name, self.fingerprint, self.lease)
        return isinstance(again, Claimed) and await self.records.keep(self.name, again.token, record, self.seconds)

    def _lost(self, level: str, reason: str) -> None:
        self.call.gate.log.event(level, "idempotent_answer_not_kept", request_id=self.call.request_id, reason=reason)


class Recording(Rendered):
    """Send an answer as it streams, and keep it with its last byte; one that breaks off is not kept.

    Args:
        streaming: the answer.
        claim: the key that it belongs to.
        write: makes a record of headers and body.
        most: bytes of body that are held in memory meanwhile; of a larger one only that it was sent is kept.
    """

    def __init__(
        self, streaming: Outcome, claim: Claim, write: Callable[[RawHeaders, bytes], bytes], most: int
    ) -> None:
        super().__init__(streaming)
        if isinstance(streaming.app, Response):
            # A surround further out that collects the body lets this run after it was sent.
            self.background: BackgroundTask | None = streaming.app.background
            streaming.app.background = None
        self._claim = claim
        self._write = write
        self._most = most
        self._head: RawHeaders = []
        self._chunks: list[bytes] = []
        self._size = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""

        async def recorded(message: Message) -> None:
            kind = message["type"]
            if kind == "http.response.start":
                # Now, because the response of a file looks at the file only when it is sent.
                self._head = list(message.get("headers", ()))
            elif kind == "http.response.body":
                await self._take(message.get("body", b""), message.get("more_body", False))
            elif kind == "http.response.pathsend":
                # The server reads the file itself, so nobody else sees what is in it.
                await self._take(await _beginning(message["path"], self._most + 1), False)
            await send(message)

        await super().__call__(scope, receive, recorded)

    async def _take(self, chunk: Buffer, more: bool) -> None:
        if self._claim.settled:
            return
        part = bytes(chunk)
        self._size += len(part)
        if self._size <= self._most:
            self._chunks.append(part)
        else:
            self._chunks.clear()
        if not more:
            # Before it is sent: who has the whole answer may ask again at once.
            whole = self._size <= self._most
            await self._claim.keep(self._write(self._head, b"".join(self._chunks)) if whole else NO_ANSWER)


async def _beginning(path: str, size: int) -> bytes:
    async with await anyio.open_file(path, "rb") as file:
        return await file.read(size)
