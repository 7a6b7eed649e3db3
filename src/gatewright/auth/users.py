"""`request.user` and `request.auth`, for Starlette code that reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.authentication import AuthCredentials, BaseUser, UnauthenticatedUser

from gatewright._core.principal import Principal

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["PrincipalUser", "introduce"]


class PrincipalUser(BaseUser, AuthCredentials):
    """Show a principal as Starlette's user; what it has not itself is asked of `principal.user`.

    It stands for the credentials as well, one object for each call in place of two and a list, because few read them.

    Args:
        principal: who is calling.
    """

    def __init__(self, principal: Principal[Any]) -> None:
        self.principal = principal

    @property
    def is_authenticated(self) -> bool:
        """Say yes."""
        return True

    @property
    def display_name(self) -> str:
        """Return the subject; no other name is known to be one for show."""
        return self.principal.sub

    @property
    def identity(self) -> str:
        """Return the subject."""
        return self.principal.sub

    @property
    def scopes(self) -> list[str]:  # type: ignore[override]  # made when it is read
        """Return what Starlette's `requires` asks for: scopes, and no roles, which are another thing."""
        return ["authenticated", *self.principal.scopes]

    def __getattr__(self, name: str) -> Any:
        if name == "principal":
            # Not there yet, while it is copied or unpickled.
            raise AttributeError(name)
        return getattr(self.principal.user, name)


def introduce(call: Call) -> None:
    """Set `request.user` and `request.auth` to whom the call is known to come from."""
    scope, principal = call.scope, call.principal
    if principal is None:
        scope["user"], scope["auth"] = UnauthenticatedUser(), AuthCredentials()
    else:
        scope["user"] = scope["auth"] = PrincipalUser(principal)
