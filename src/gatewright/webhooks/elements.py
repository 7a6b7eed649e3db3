"""How a header lists several elements."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Elements"]


@dataclass(frozen=True, slots=True)
class Elements:
    """Say how a header lists its elements: `t=1760000000,v1=aa,v1=bb`.

    Elements of any other name are ignored, so that a sender may add some; the names here are the only ones believed.

    Args:
        signature: the name of a signature; there may be several while the sender rolls its secret.
        timestamp: the name of the time; None where it is not in this header.
        separator: what stands between elements; spaces around an element do not count.
        assign: what stands between a name and its value.
    """

    signature: str
    timestamp: str | None = None
    separator: str = ","
    assign: str = "="

    def read(self, header: bytes) -> tuple[list[bytes], list[bytes]]:
        """Return the signatures and the timestamps of *header*."""
        separator, assign = self.separator.encode(), self.assign.encode()
        parts = [part.strip(b" \t").partition(assign) for part in header.split(separator)]
        signature, timestamp = self.signature.encode(), (self.timestamp or "").encode()
        signatures = [value for name, _, value in parts if name == signature]
        return signatures, [value for name, _, value in parts if name == timestamp and timestamp]

    def write(self, signature: str, timestamp: str) -> str:
        """Return the header with which a sender lists one signature."""
        pairs = [(self.timestamp, timestamp)] if self.timestamp is not None else []
        return self.separator.join(
            f"{name}{self.assign}{value}" for name, value in [*pairs, (self.signature, signature)]
        )
