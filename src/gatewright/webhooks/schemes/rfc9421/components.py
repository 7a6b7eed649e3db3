"""What a signature covers, and the bytes that it is of: the signature base (RFC 9421, section 2)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping

from gatewright.webhooks.scheme import Delivery, WebhookRejected
from gatewright.webhooks.schemes.rfc9421.fields import Bare, InnerList, Item, Member, dictionary, serialized
from gatewright.webhooks.schemes.rfc9421.target import Target

__all__ = ["DERIVED", "Message"]

_MOST_COMPONENTS = 64
_PRINTABLE = re.compile(rb"[\t\x20-\x7e]*")
# "sf" asks for the canonical spelling of a field, which only those can give who know its type.
_DICTIONARIES = ("content-digest", "repr-digest", "signature", "signature-input")


class Message:
    """Look up what a signature may cover of a delivery.

    Args:
        delivery: the request; its URL is the public one, where that is known.
    """

    def __init__(self, delivery: Delivery) -> None:
        self.method: str = delivery.method
        self.target: Target = Target(delivery.url)
        self._received: dict[str, list[bytes]] = defaultdict(list)
        for name, value in delivery.headers:
            self._received[name.decode("latin-1")].append(value)
        # What is read is read once, though each of many signatures may ask for it.
        self._lines: dict[str, list[bytes]] = {}
        self._dictionaries: dict[str, dict[str, Member]] = {}

    def base(self, signed: InnerList) -> bytes:
        """Return the signature base of *signed*, the covered components with the signature's parameters.

        Raises:
            WebhookRejected: for components that are not there, are twice there, or are not for requests.
        """
        identities = {(component.value, frozenset(component.parameters.items())) for component in signed.items}
        if len(identities) != len(signed.items) or len(identities) > _MOST_COMPONENTS:
            raise WebhookRejected("malformed")
        lines = [b"%b: %b" % (serialized(component).encode(), self._value(component)) for component in signed.items]
        return b"\n".join([*lines, b'"@signature-params": ' + serialized(signed).encode()])

    def field(self, name: str) -> bytes | None:
        """Return a header's values in one (section 2.1); None where it is absent."""
        lines = self._trimmed(name)
        return b", ".join(lines) if lines else None

    def _value(self, component: Item) -> bytes:
        if not isinstance(component.value, str):
            raise WebhookRejected("malformed")
        take = self._derived if component.value.startswith("@") else self._of_field
        value = take(component.value, component.parameters)
        # A line feed would begin a component of the sender's choice.
        if not _PRINTABLE.fullmatch(value):
            raise WebhookRejected("malformed")
        return value

    def _derived(self, name: str, parameters: Mapping[str, Bare]) -> bytes:
        wanted = parameters.get("name")
        if name == "@query-param" and len(parameters) == 1 and isinstance(wanted, str):
            return _raw(self.target.parameter(wanted))
        if parameters or name not in DERIVED:
            raise WebhookRejected("malformed")
        return _raw(DERIVED[name](self))

    def _of_field(self, name: str, parameters: Mapping[str, Bare]) -> bytes:
        value = self.field(name)
        if value is None:
            raise WebhookRejected("malformed")
        if not parameters:
            return value
        (parameter, said), *others = parameters.items()
        if others:
            raise WebhookRejected("malformed")
        if parameter == "bs" and said is True:
            return ", ".join(serialized(Item(line)) for line in self._trimmed(name)).encode()
        if parameter == "key" and isinstance(said, str) and said in (members := self._dictionary(name, value)):
            return serialized(members[said]).encode()
        if parameter == "sf" and said is True and name in _DICTIONARIES:
            members = self._dictionary(name, value)
            return ", ".join(_member(key, member) for key, member in members.items()).encode()
        raise WebhookRejected("malformed")

    def _trimmed(self, name: str) -> list[bytes]:
        if name not in self._lines:
            self._lines[name] = [_unfolded(line) for line in self._received.get(name, [])]
        return self._lines[name]

    def _dictionary(self, name: str, value: bytes) -> dict[str, Member]:
        if name not in self._dictionaries:
            self._dictionaries[name] = dictionary(value)
        return self._dictionaries[name]


DERIVED: Mapping[str, Callable[[Message], str]] = {
    "@method": lambda message: message.method,
    "@target-uri": lambda message: message.target.uri,
    "@authority": lambda message: message.target.authority,
    "@scheme": lambda message: message.target.scheme,
    "@request-target": lambda message: message.target.request_target,
    "@path": lambda message: message.target.path,
    "@query": lambda message: message.target.query,
}
"""The components of a request that are no headers, except `@query-param`, which takes a name."""


def _member(key: str, member: Member) -> str:
    if isinstance(member, Item) and member.value is True:
        return key + serialized(member).removeprefix("?1")
    return f"{key}={serialized(member)}"


def _unfolded(line: bytes) -> bytes:
    """Return a header's value without whitespace around it, and with a space for each obsolete line fold."""
    first, *folds = line.split(b"\r\n")
    if not all(fold.startswith((b" ", b"\t")) for fold in folds):
        raise WebhookRejected("malformed")
    return b" ".join(part.strip(b" \t") for part in (first, *folds)).strip(b" \t")


def _raw(text: str) -> bytes:
    # What is not ASCII becomes what is not printable.
    return text.encode("utf-8", "surrogatepass")
