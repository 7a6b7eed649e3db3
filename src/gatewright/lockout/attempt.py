"""One attempt at an account, from the payment to the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import ClassVar, Self

from gatewright._core.call import Call
from gatewright._core.callers import by_address
from gatewright._core.storage.contract import Change
from gatewright.errors import TooManyRequests
from gatewright.lockout.tally import Entry, Tally, answer, locked, refusal

__all__ = ["Attempt", "Attempts"]


class Attempts:
    """Begin attempts of one client at accounts: `async with attempts(body.email) as attempt:`.

    Args:
        tally: what is counted.
        call: the client's call.
    """

    __injected_by__: ClassVar[str] = "@lockout(...)"

    def __init__(self, tally: Tally, call: Call) -> None:
        self._tally = tally
        self._call = call

    def __call__(self, account: str) -> Attempt:
        """Return an attempt at *account*, whether there is one or not; it begins with `async with`.

        Raises:
            ConfigurationError: where the client has no address.
        """
        self._tally.check(self._call.gate.store)
        return Attempt(self._call, self._tally.entries(account, by_address(self._call)))


class Attempt:
    """An attempt at an account: it counts as a failure from its beginning, until it is known to be none.

    So of many attempts at the same time no more are let in than may fail. One that ends without a word has failed, and
    so has one that ends with an error of 4xx. Where it ends with anything else, a fault of the server or a
    cancellation, nobody has learned whether the guess was right, and it counts for nothing.
    """

    def __init__(self, call: Call, entries: Sequence[Entry]) -> None:
        self._call = call
        self._store = call.gate.store
        self._entries = entries
        self._paid: list[Change] = []

    async def __aenter__(self) -> Self:
        """Begin.

        Raises:
            TooManyRequests: while the client is locked out; that costs nothing.
        """
        charges = [charge for _, charge in self._entries]
        standings = await answer(self._store.hit(charges))
        pairs = list(zip(charges, standings, strict=True))
        if all(standing[0] or bucket.shadow for (bucket, _, _), standing in pairs):
            self._paid = [(bucket, who, -cost, mark) for (bucket, who, cost), (allowed, _, _, mark) in pairs if allowed]
        over = locked(self._entries, standings, 1 if self._paid else 0)
        if over:
            await self._give_back()
            raise refusal(self._call, over)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End, as a failure where nobody said otherwise."""
        if exc is None or self._is_failure(exc):
            await self.fail()
        else:
            await self._give_back()

    async def fail(self) -> None:
        """Say that it failed; the first word counts."""
        self._paid = []

    async def succeed(self) -> None:
        """Say that it did not fail, which also forgets the failures at this account from this network.

        Those of the network stay: it could have an account of its own. The first word counts.
        """
        if self._paid:
            await self._give_back()
            own = [charge for of, charge in self._entries if of == "account+network"]
            await answer(self._store.forget(own))

    async def _give_back(self) -> None:
        paid, self._paid = self._paid, []
        if paid:
            await answer(self._store.adjust(paid))

    def _is_failure(self, exc: BaseException) -> bool:
        """Say whether the client is answered 4xx for it, by what the gate maps too; a further limit is no verdict."""
        error = self._call.gate.errors.map(exc) if isinstance(exc, Exception) else None
        return error is not None and error.status_code < 500 and error.status_code != TooManyRequests.status
