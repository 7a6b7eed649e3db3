"""A session before its answer is sent: facts that were checked, and not yet a token."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pydantic_core import PydanticSerializationError, to_json

from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from gatewright._core.gate import Gate
    from gatewright.auth.session.bound import BoundSession

__all__ = ["Facts", "PendingSession", "facts_of"]

Facts = Mapping[str, object]


class _Binds(Protocol):
    @property
    def max_age(self) -> int: ...
    def bind(self, gate: Gate) -> BoundSession: ...


@dataclass(frozen=True, slots=True)
class PendingSession:
    """A session that begins when the answer is sent, with the keys, the clock and the entropy of its gate."""

    session: _Binds = field(repr=False)
    facts: Facts

    def settle(self, gate: Gate) -> str:
        """Return the value of the cookie."""
        return self.session.bind(gate).records.write(self.facts, self.session.max_age)


def facts_of(
    sub: str,
    *,
    roles: Collection[str] = (),
    scopes: Collection[str] = (),
    tenant: str | None = None,
    auth_at: float | None = None,
    data: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """Return what a session is to say, without what goes without saying.

    Raises:
        ConfigurationError: for a subject that is not a str or is empty, for a str in place of several names, and for
            data that JSON cannot say.
    """
    if not isinstance(sub, str) or not sub:  # pyright: ignore[reportUnnecessaryIsInstance]  # `user.id` is often an int
        raise ConfigurationError(f"create_session({sub!r}): the subject is a str, and not empty; write str(user.id)")
    facts: dict[str, object] = {"sub": sub, "tenant": tenant, "auth_at": auth_at, "data": data}
    for what, names in (("roles", roles), ("scopes", scopes)):
        if isinstance(names, str):
            raise ConfigurationError(f"create_session({what}={names!r}): write {what}=[{names!r}]")
        facts[what] = sorted(set(names)) or None
    try:
        to_json(data)
    except PydanticSerializationError as bad:
        raise ConfigurationError(f"create_session(data=...): {bad}; it travels as JSON") from None
    return {fact: value for fact, value in facts.items() if value is not None}
