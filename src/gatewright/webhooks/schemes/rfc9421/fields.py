"""Structured fields (RFC 9651): the part of them that message signatures are written in.

The parser is our own, although http-sf is a good one: signatures need one spelling for each value, and a general parser
has to take the last of two equal keys, and base64 with stray bits. Decimals, dates and display strings are refused,
because nothing here has any.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

from gatewright.webhooks.scheme import WebhookRejected

__all__ = ["Bare", "InnerList", "Item", "Member", "Token", "dictionary", "item", "serialized"]


@dataclass(frozen=True, slots=True)
class Token:
    """Tell a token from a string: `gzip` from `"gzip"`."""

    text: str


Bare = bool | int | str | bytes | Token
"""A value without its parameters."""


@dataclass(frozen=True, slots=True)
class Item:
    """Hold a value and its parameters, in their order."""

    value: Bare
    parameters: Mapping[str, Bare] = field(default_factory=dict[str, Bare])


@dataclass(frozen=True, slots=True)
class InnerList:
    """Hold items, and the parameters of them all."""

    items: tuple[Item, ...]
    parameters: Mapping[str, Bare] = field(default_factory=dict[str, Bare])


Member = Item | InnerList

_SPACES = re.compile(rb" *")
_OPTIONAL_WHITESPACE = re.compile(rb"[ \t]*")
_KEY = re.compile(rb"[a-z*][a-z0-9_\-.*]*")
_BOOLEAN = re.compile(rb"\?[01]")
_INTEGER = re.compile(rb"-?[0-9]{1,15}")
_STRING = re.compile(rb'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"')
_TOKEN = re.compile(rb"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*")
_BYTES = re.compile(rb":[A-Za-z0-9+/=]*:")
_ESCAPED = re.compile(r"\\(.)")


def dictionary(raw: bytes) -> dict[str, Member]:
    """Return the members of a dictionary, of which there may be none.

    Raises:
        WebhookRejected: for anything else, and for two members of one name.
    """
    reader = _Reader(raw.strip(b" "))
    members: dict[str, Member] = {}
    while not reader.done:
        key = reader.key()
        if key in members:
            raise WebhookRejected("malformed")
        members[key] = reader.member() if reader.skip(b"=") else Item(True, reader.parameters())
        reader.next_member()
    return members


def item(raw: bytes) -> Item:
    """Return the one item in *raw*.

    Raises:
        WebhookRejected: for anything else.
    """
    reader = _Reader(raw.strip(b" "))
    found = reader.item()
    if not reader.done:
        raise WebhookRejected("malformed")
    return found


def serialized(member: Member) -> str:
    """Return the one spelling of *member* (section 4.1)."""
    if isinstance(member, InnerList):
        value = f"({' '.join(map(serialized, member.items))})"
    else:
        value = _serialized(member.value)
    return value + "".join(
        f";{key}" if bare is True else f";{key}={_serialized(bare)}" for key, bare in member.parameters.items()
    )


def _serialized(bare: Bare) -> str:
    if isinstance(bare, bool):
        return f"?{bare:d}"
    if isinstance(bare, int):
        return str(bare)
    if isinstance(bare, bytes):
        return f":{b64encode(bare).decode()}:"
    if isinstance(bare, Token):
        return bare.text
    return '"' + bare.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Reader:
    """Read a field from left to right, in time that grows with its length alone."""

    __slots__ = ("_at", "_raw")

    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = raw, 0

    @property
    def done(self) -> bool:
        return self._at == len(self._raw)

    def skip(self, text: bytes) -> bool:
        """Step over *text*; say whether it stood here."""
        if not self._raw.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def key(self) -> str:
        return self._taken(_KEY).decode("ascii")

    def member(self) -> Member:
        return self._inner_list() if self.skip(b"(") else self.item()

    def item(self) -> Item:
        return Item(self._bare(), self.parameters())

    def parameters(self) -> dict[str, Bare]:
        found: dict[str, Bare] = {}
        while self.skip(b";"):
            self._taken(_SPACES)
            key = self.key()
            if key in found:
                raise WebhookRejected("malformed")
            found[key] = self._bare() if self.skip(b"=") else True
        return found

    def next_member(self) -> None:
        """Step over a comma, after which there has to be another member; at the end there is none."""
        self._taken(_OPTIONAL_WHITESPACE)
        if self.done:
            return
        comma = self.skip(b",")
        self._taken(_OPTIONAL_WHITESPACE)
        if not comma or self.done:
            raise WebhookRejected("malformed")

    def _inner_list(self) -> InnerList:
        items: list[Item] = []
        spaced = True
        while True:
            spaced = bool(self._taken(_SPACES)) or spaced
            if self.skip(b")"):
                return InnerList(tuple(items), self.parameters())
            if not spaced:
                raise WebhookRejected("malformed")
            items.append(self.item())
            spaced = False

    def _bare(self) -> Bare:
        first = self._raw[self._at : self._at + 1]
        if first == b'"':
            return _ESCAPED.sub(r"\1", self._taken(_STRING)[1:-1].decode("ascii"))
        if first == b":":
            return _from_base64(self._taken(_BYTES)[1:-1])
        if first == b"?":
            return self._taken(_BOOLEAN) == b"?1"
        if first.isdigit() or first == b"-":
            return int(self._taken(_INTEGER))
        return Token(self._taken(_TOKEN).decode("ascii"))

    def _taken(self, pattern: re.Pattern[bytes]) -> bytes:
        found = pattern.match(self._raw, self._at)
        if found is None:
            raise WebhookRejected("malformed")
        self._at = found.end()
        return found.group()


def _from_base64(text: bytes) -> bytes:
    try:
        raw = b64decode(text, validate=True)
    except ValueError:
        raise WebhookRejected("malformed") from None
    # A decoder ignores the bits that padding leaves over.
    if b64encode(raw) != text:
        raise WebhookRejected("malformed")
    return raw
