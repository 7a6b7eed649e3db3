"""Forms as a browser writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlencode

__all__ = ["BOUNDARY", "KINDS", "Sent", "in_parts", "urlencoded"]

BOUNDARY = "----WebKitFormBoundaryAZx3"
_Entries = Sequence[tuple[str, str]]


class Sent(NamedTuple):
    """A body, with its type."""

    kind: str
    body: bytes


def urlencoded(*entries: tuple[str, str]) -> Sent:
    """Write a form as `a=1&b=2`."""
    return Sent("application/x-www-form-urlencoded", urlencode(entries).encode())


def in_parts(*entries: tuple[str, str], files: _Entries = (), boundary: str = BOUNDARY) -> Sent:
    """Write a form in parts; of a file, its entry and what is in it."""
    heads = [(f'name="{name}"', value) for name, value in entries]
    heads += [
        (f'name="{name}"; filename="{name}.bin"\r\nContent-Type: application/x-bytes', value) for name, value in files
    ]
    parts = [f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n" for head, value in heads]
    return Sent(f"multipart/form-data; boundary={boundary}", "".join([*parts, f"--{boundary}--\r\n"]).encode())


KINDS = (urlencoded, in_parts)
