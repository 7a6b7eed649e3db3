"""A worker that takes one delivery, says so, and then works until somebody kills it.

`python -m tests.webhooks.once.crash URL NAME WHEN`; WHEN is "work", which is before anything is written, or "inside",
in a transaction that has done everything but end.
"""

from __future__ import annotations

import asyncio
import sys

from tests.webhooks.once.kit import Place, Worker


async def _hang() -> None:
    print("at work", flush=True)
    await asyncio.Event().wait()


async def _crash(url: str, name: str, when: str) -> None:
    place = Place(url, name, joined=when == "inside")
    worker = Worker(place)
    setattr(worker, when, _hang)
    await worker.take(place.delivery())


if __name__ == "__main__":
    asyncio.run(_crash(*sys.argv[1:]))
