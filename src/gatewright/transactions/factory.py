"""What a transaction is made with: the session factory that an app has, told from what is often given in its place."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from gatewright.errors import ConfigurationError

__all__ = ["Session", "SessionFactory", "check_factory", "opened"]

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_STEPS = ("commit", "rollback", "close")
_SESSIONS = "sessions = async_sessionmaker(engine)"
_WRITE = f"write transactional(sessions), with {_SESSIONS}"


class Session(Protocol):
    """Work with a database that is kept or dropped as a whole; each step may be async."""

    def commit(self) -> object:
        """Keep what was done."""
        ...

    def rollback(self) -> object:
        """Drop what was done."""
        ...

    def close(self) -> object:
        """Give the connection back."""
        ...


SessionFactory = Callable[[], Session | Awaitable[Session]]


def check_factory(factory: Any) -> None:
    """Refuse what makes no sessions.

    Raises:
        ConfigurationError: with what to write instead.
    """
    mistaken = _mistaken(factory)
    if mistaken is not None:
        raise ConfigurationError(f"transactional({type(factory).__name__}): {mistaken}")


def _mistaken(factory: Any) -> str | None:
    """Say what is wrong, and what to write."""
    if hasattr(factory, "connect") and hasattr(factory, "begin"):
        return f"an engine makes connections; {_WRITE}"
    if hasattr(factory, "registry") and hasattr(factory, "remove"):
        return f"a scoped session is shared by whoever runs in its scope; {_WRITE}"
    if _has_steps(factory) and (not callable(factory) or _is_sqlalchemys(factory)):
        return f"a session serves one request, so each needs its own; {_WRITE}"
    if not callable(factory):
        return f"that makes no sessions; {_WRITE}"
    if getattr(factory, "__name__", None) == "begin" and inspect.ismethod(factory):
        return "begin() commits by itself; leave it out, as in transactional(sessions)"
    function = inspect.unwrap(factory)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return f"a dependency that yields decides by itself what is kept; {_WRITE}"
    if inspect.isfunction(function) and _is_handler(function):
        return f"that is a handler; above it, write @transactional(sessions), with {_SESSIONS}"
    return None


def _is_handler(function: Callable[..., object]) -> bool:
    """Say whether it wants arguments, which a maker of sessions does not, or returns what a handler does."""
    signature = inspect.signature(function)
    wanted = [one for one in signature.parameters.values() if one.default is one.empty and one.kind not in _VARIADIC]
    return bool(wanted) or "Result" in str(signature.return_annotation)


def _has_steps(made: object) -> bool:
    return all(callable(getattr(made, step, None)) for step in _STEPS)


def _is_sqlalchemys(factory: object) -> bool:
    """Say whether it is SQLAlchemy's own class of sessions, which knows no engine."""
    return isinstance(factory, type) and factory.__module__.startswith("sqlalchemy.")


async def opened(factory: SessionFactory) -> Session:
    """Return a new session.

    Raises:
        ConfigurationError: for something else that the factory returned.
    """
    made = factory()
    session = await made if inspect.isawaitable(made) else made
    if not _has_steps(session):
        raise ConfigurationError(
            f"transactional(): the factory returned a {type(session).__name__}, which is no session; "
            f"one has {', '.join(f'{step}()' for step in _STEPS)}"
        )
    return session
