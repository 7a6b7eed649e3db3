"""What ends sessions before their time: the part that authenticators see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.gate import Gate

__all__ = ["BoundRevoker", "Revokes", "check_revoker"]


class BoundRevoker(Protocol):
    """A revoker that knows where its gate keeps what was ended."""

    async def is_revoked(self, sid: str | None, sub: str, issued_at: float) -> bool:
        """Say whether a credential is over, though its time is not."""
        ...

    async def end(self, sid: str, sub: str, seconds: float) -> None:
        """End one credential; it has *seconds* left, and is forgotten after them."""
        ...

    async def end_all(self, sub: str, *, keep: str | None = None) -> None:
        """End every credential of a subject that was issued before now, but that with the id *keep*."""
        ...


@runtime_checkable
class Revokes(Protocol):
    """Something that ends sessions: a `Revoker`, or one of your own."""

    @property
    def max_age(self) -> float:
        """Return for how many seconds it remembers at the longest."""
        ...

    def bind(self, gate: Gate) -> BoundRevoker:
        """Take the storage and the clock of *gate*; the same object for the same gate."""
        ...


def check_revoker(who: str, revoker: object, max_age: float = 0) -> None:
    """Refuse what is no revoker, and one that forgets what is ended while that would still live.

    Args:
        who: who was given it.
        revoker: what was given; None is fine.
        max_age: how long what it ends may live, in seconds.

    Raises:
        ConfigurationError: with what to write instead.
    """
    if revoker is None:
        return
    # A class has the methods of its instances, so it passes for one.
    if isinstance(revoker, type) or not isinstance(revoker, Revokes):
        raise ConfigurationError(f"{who}(revoker={revoker!r}): write revoker=Revoker()")
    if revoker.max_age < max_age:
        raise ConfigurationError(
            f"{who}(max_age={max_age}): its revoker forgets before that; write Revoker(max_age={max_age})"
        )
