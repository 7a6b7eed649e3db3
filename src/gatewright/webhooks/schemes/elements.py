"""How a header lists several elements."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

__all__ = ["Elements"]


@dataclass(frozen=True)
class Elements:
    """Say how a header lists its elements: `t=1760000000,v1=aa,v1=bb`.

    Elements of any other name are ignored, so that a sender may add some; the names here are the only ones believed.

    Args:
        signature: the name of a signature; there may be several while the sender rolls its secret.
        timestamp: the name of the time; None where it is not in this header.
        separator: what stands between elements, as the sender writes it; spaces around an element do not count.
        assign: what stands between a name and its value.
    """

    signature: str
    timestamp: str | None = None
    separator: str = ","
    assign: str = "="

    def read(self, header: bytes) -> tuple[list[bytes], list[bytes]]:
        """Return the signatures and the timestamps of *header*."""
        separator, assign, signature, timestamp = self._encoded
        signatures: list[bytes] = []
        times: list[bytes] = []
        for part in header.split(separator):
            name, _, value = part.strip(b" \t").partition(assign)
            if name == signature:
                signatures.append(value)
            elif name == timestamp:
                times.append(value)
        return signatures, times

    def write(self, signature: str, timestamp: str) -> str:
        """Return the header with which a sender lists one signature."""
        pairs = [(self.timestamp, timestamp)] if self.timestamp is not None else []
        return self.separator.join(
            f"{name}{self.assign}{value}" for name, value in [*pairs, (self.signature, signature)]
        )

    @cached_property
    def _encoded(self) -> tuple[bytes, bytes, bytes, bytes | None]:
        timestamp = None if self.timestamp is None else self.timestamp.encode()
        separator = self.separator.strip() or self.separator
        return separator.encode(), self.assign.encode(), self.signature.encode(), timestamp
