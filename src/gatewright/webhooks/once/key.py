"""What makes two deliveries one: the endpoint, the sender, whose event it is, and the event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal, cast

from gatewright.webhooks.scheme import Verified

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright.webhooks.secret import Secret

__all__ = ["Owner", "digest", "event_of", "place"]


@dataclass(frozen=True, slots=True)
class Owner:
    """Say whose event a delivery brings, so that nobody suppresses another's by being first with its id.

    Args:
        kind: how the owner is known: there is but one, the tenant has a name, or the secret stands for it.
        name: which one.
    """

    kind: Literal["endpoint", "tenant", "secret"] = "endpoint"
    name: str = ""

    @classmethod
    def by(cls, secret: Secret) -> Owner:
        """Return the owner of a secret; another secret is another owner, even where it is the same one's next."""
        return cls("secret", digest(secret))


def place(call: Call, handler: str | None, scope: str | None) -> tuple[object, ...]:
    """Return what a delivery is handled once by.

    That is the path, in which the parameters are named and not spelled: whoever captured a delivery would send it to
    another one. In front of a whole app nobody knows yet what further parameters there are; there the path counts.

    Args:
        call: the delivery's.
        handler: the name of the function; None for a whole app.
        scope: a name that its author gave, which says all.
    """
    if scope is not None:
        return "scope", scope
    return "path", handler, _template(call.scope["path"], call.path_params)


def _template(path: str, params: Mapping[str, object]) -> str:
    """Return *path* with the names of parameters in place of their values.

    A mount knows no more of its own path than a router of its prefix, so there is no template to look at.
    """
    rest = path + "/"
    # From the end, where the last one stands: a value may be what a part before it is called.
    for name, value in reversed(list(params.items())):
        rest = _named(rest, f"{{{name}}}", value)
    return rest


def _named(path: str, name: str, value: object) -> str:
    """Return *path* with *name* in place of the last part that was read as *value*."""
    if isinstance(value, str):
        before, found, after = path.rpartition(f"/{value}/")
        return f"{before}/{name}/{after}" if found else path
    parts = path.split("/")
    for at in reversed(range(len(parts))):
        if _is_read_as(parts[at], value):
            return "/".join([*parts[:at], name, *parts[at + 1 :]])
    return path


def _is_read_as(part: str, value: object) -> bool:
    # A number has several spellings, and so has a UUID: each is the same parameter.
    make = cast("Callable[[str], object]", type(value))
    try:
        return make(part) == value
    except Exception:
        return False


def event_of(verified: Verified, *, parted: bool) -> tuple[str, str, str]:
    """Return the event: its signed id, which stays when it is signed anew; without one, the signed bytes.

    Args:
        verified: what is known of the delivery.
        parted: whether the signed bytes are read in one way only. Otherwise the same ones, cut elsewhere, have another
            id or none, and only the bytes are what they were.
    """
    if verified.event_id is not None and parted:
        return verified.scheme, "id", verified.event_id
    return verified.scheme, "bytes", verified.replay_key


def digest(*parts: object) -> str:
    """Return a name of one size, which does not tell what it names."""
    # A repr, so that no two tuples make one name.
    return blake2b(repr(parts).encode(), digest_size=32).hexdigest()
