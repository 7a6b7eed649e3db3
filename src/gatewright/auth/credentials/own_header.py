"""A header that carries a credential and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gatewright.auth.authenticator import ABSENT, Absent, Rejected
from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["OwnHeader"]

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

_REPEATED = Rejected("invalid_request", "more than one header of that name")


class OwnHeader:
    """Find the one value of a header that has a name of its own.

    Args:
        who: the authenticator that reads it, for messages.
        name: the header's name.

    Raises:
        ConfigurationError: for a name that is none, or one of a header that carries credentials of another kind.
    """

    __slots__ = ("_name", "name")

    def __init__(self, who: object, name: str) -> None:
        kind = type(who).__name__
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f'{kind}(header={name!r}): write a header\'s name, such as "X-API-Key"')
        if name.lower() in ("authorization", "proxy-authorization"):
            raise ConfigurationError(f"{kind}(header={name!r}): there the value wants a scheme; use BearerToken")
        if name.lower() == "cookie":
            raise ConfigurationError(f"{kind}(header={name!r}): browsers send it by themselves; use SessionCookie")
        self.name: str = name
        self._name = name.lower().encode("ascii")

    def of(self, call: Call) -> bytes | Absent | Rejected:
        """Return the value in *call*; an empty one is absent, and of two neither is taken."""
        value = call.headers.get(self._name)
        if value is None:
            return ABSENT
        if call.header(self._name) is None:
            return _REPEATED
        return value or ABSENT

    @property
    def security_scheme(self) -> Mapping[str, object]:
        """Return how OpenAPI describes the header."""
        return {"type": "apiKey", "in": "header", "name": self.name}
