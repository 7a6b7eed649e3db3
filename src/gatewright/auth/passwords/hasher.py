"""What a way to hash passwords is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

__all__ = ["Hasher"]


@runtime_checkable
class Hasher(Protocol):
    """One way to hash passwords; give several to `Passwords`, the one for new hashes first.

    A password comes as UTF-8, and is never more than some kilobytes. Methods run in threads, several at the same time.
    None of them raises because of a password or a stored hash, whatever is in it.
    """

    @property
    def name(self) -> str:
        """Return the name of the scheme."""
        ...

    @property
    def work(self) -> int:
        """Return the work of one hash, in a unit of the scheme's own that grows with the time it takes."""
        ...

    def work_of(self, stored: str) -> int:
        """Return the work of comparing with a stored hash; 0 where it is none of this scheme, or too much."""
        ...

    def refusal(self, password: bytes) -> str | None:
        """Return why no hash can be made of *password*, for people; None where one can."""
        ...

    def hash(self, password: bytes) -> str:
        """Return a hash with a new salt."""
        ...

    def matches(self, stored: str, password: bytes) -> bool:
        """Say whether a hash was made of *password*, as fast for yes as for no; asked where `work_of` is not 0."""
        ...

    def is_weaker(self, stored: str) -> bool:
        """Say whether a hash is weaker than a new one would be; asked where `work_of` is not 0."""
        ...

    def spend(self, work: int) -> None:
        """Do so much work and forget the result; none for 0 or less."""
        ...
