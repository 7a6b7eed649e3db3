"""What an authenticator is, and the three things that it may say of a call."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, runtime_checkable

from gatewright._core.principal import Principal
from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.gate import Gate
    from gatewright.auth.answers import Unknown

__all__ = [
    "ABSENT",
    "Absent",
    "Authenticator",
    "BoundAuthenticator",
    "Identified",
    "Rejected",
    "Verdict",
    "challenge_of",
    "with_parameters",
]

_REALM = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")


class Absent(Enum):
    """Say that a call carries no credential of this kind; there is one such value, `ABSENT`."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return self.name


ABSENT: Final = Absent.ABSENT


@dataclass(frozen=True, slots=True)
class Rejected:
    """Say that a call carries a credential that proves nothing; no other authenticator is asked then.

    Args:
        code: what the client is told (RFC 6750, section 3.1): "invalid_token" is a 401, "invalid_request" a 400.
        reason: why, for the log only; never the credential itself.
        superseded: whether the client may have got another one since, so that it is not told to forget what it has.
    """

    code: Literal["invalid_token", "invalid_request"]
    reason: str
    superseded: bool = False


Verdict = Principal[Any] | Absent | Rejected


class BoundAuthenticator(Protocol):
    """An authenticator that has what it needs of its gate."""

    def authenticate(self, call: Call) -> Verdict | Awaitable[Verdict]:
        """Say who is calling: a `Principal`, `ABSENT`, or `Rejected`. A plain function, or an `async def`."""
        ...


@runtime_checkable
class Authenticator(Protocol):
    """One way for a caller to prove who they are. Give it to `with_auth`; compared by identity.

    One that needs nothing of the gate implements `authenticate` itself and returns itself from `bind`.
    """

    @property
    def name(self) -> str:
        """Return what tells it apart from the others of one `with_auth`, in messages and logs."""
        ...

    @property
    def header(self) -> str:
        """Return the request header that carries the credential; answers vary by it."""
        ...

    @property
    def ambient(self) -> bool:
        """Say whether a browser attaches the credential by itself, so that another site can have it sent."""
        ...

    def challenge(self) -> str | None:
        """Return the challenge of a 401 (RFC 9110, section 11.6.1), without what went wrong."""
        ...

    def bind(self, gate: Gate) -> BoundAuthenticator:
        """Take from *gate* what each call will need; the same object for the same gate."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Identified:
    """What `with_auth` leaves on a call for the guards after it; ask with `call.get(Identified)`.

    Args:
        authenticator: the one that knew the caller; None where a call without credentials was let pass.
        bound: the same, bound.
        unknown: makes a later 401 of this call.
    """

    authenticator: Authenticator | None
    bound: BoundAuthenticator | None
    unknown: Unknown

    @property
    def challenge(self) -> str:
        """Return what a later 401 of this call has to carry."""
        return self.unknown.challenge


def challenge_of(scheme: str, realm: str) -> str:
    """Return a challenge, after a look at the realm.

    Raises:
        ConfigurationError: for a realm that a quoted string cannot carry as it is.
    """
    if not _REALM.fullmatch(realm):
        raise ConfigurationError(f"realm={realm!r}: write printable ASCII without quotes and backslashes")
    return f'{scheme} realm="{realm}"'


def with_parameters(challenge: str, **parameters: str) -> str:
    """Return *challenge* with further parameters."""
    more = ", ".join(f'{name}="{value}"' for name, value in parameters.items())
    return f"{challenge}, {more}" if " " in challenge else f"{challenge} {more}"
