"""What a caller who is not known is told: a challenge, or the way to the login page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable
from urllib.parse import quote

from gatewright._core.accept import welcomes_pages
from gatewright.auth.next_url import next_of, safe_next
from gatewright.cookie import Cookie
from gatewright.errors import ConfigurationError, Unauthorized

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.gate import Gate
    from gatewright.auth.authenticator import Authenticator

__all__ = ["ForBrowsers", "LoginRequired", "Unknown", "check_login_page", "navigates"]


@runtime_checkable
class ForBrowsers(Protocol):
    """An authenticator whose credential browsers keep: it knows how they get one, and how they lose it."""

    @property
    def login_page(self) -> str | None:
        """Return where they get one."""
        ...

    def forget(self) -> Cookie:
        """Return a cookie that takes the place of one that is not valid."""
        ...


class LoginRequired(Unauthorized):
    """Send a browser to the login page, with the way back (303, and no envelope: nobody would read it).

    Args:
        call: the call that cannot be answered.
        login_page: where the browser is sent.
        others: as for `ApiError`.
    """

    def __init__(self, call: Call, login_page: str, **others: Any) -> None:
        super().__init__(**others)
        separator = "&" if "?" in login_page else "?"
        location = f"{login_page}{separator}next={quote(next_of(call), safe='/')}"
        self.status_code = 303
        self.headers: dict[str, str] = {**(self.headers or {}), "Location": location}


class Unknown:
    """Make the answer for a caller who is not known.

    Args:
        authenticators: the ways to prove who one is.
        gate: whose answers they are.
    """

    def __init__(self, authenticators: Sequence[Authenticator], gate: Gate) -> None:
        self.challenge: str = ", ".join(filter(None, (one.challenge() for one in authenticators)))
        # Now, because a forged credential must not cost more than it has to.
        kept = [one for one in authenticators if isinstance(one, ForBrowsers)]
        self._forgotten = {id(one): one.forget().header(gate).decode("ascii") for one in kept}
        self._login_page: str | None = next(filter(None, (one.login_page for one in kept)), None)

    @property
    def vary(self) -> Sequence[str]:
        """Return the request headers that this answer varies by, beside those that carry credentials."""
        return () if self._login_page is None else ("Accept", "Sec-Fetch-Mode")

    def refusal(
        self, call: Call, challenge: str | None = None, rejected_by: object = None, **facts: str
    ) -> Unauthorized:
        """Return a 401 with a challenge or, for a browser that asks for a page, the way to the login page.

        Args:
            call: the call.
            challenge: by default what a caller without any credential is told.
            rejected_by: who rejected a credential; a browser is told to forget it, or it would send it for ever.
            facts: as for `ApiError`.
        """
        headers = {"WWW-Authenticate": self.challenge if challenge is None else challenge}
        forgotten = self._forgotten.get(id(rejected_by))
        if forgotten is not None:
            headers["Set-Cookie"] = forgotten
        more: dict[str, Any] = {"headers": headers, **facts}
        page = self._login_page
        # Not from the login page to itself, where that is guarded by mistake: it would never end.
        if page is not None and call.scope["path"] != page.partition("?")[0] and navigates(call):
            return LoginRequired(call, page, **more)
        if facts:
            more["message"] = "The credential is not valid"
        return Unauthorized(**more)


def navigates(call: Call) -> bool:
    """Say whether a browser asks for a page to show, and not a script of one for data."""
    if call.is_websocket or call.method not in ("GET", "HEAD"):
        return False
    return welcomes_pages(call.headers.get(b"accept")) and call.headers.get(b"sec-fetch-mode") in (None, b"navigate")


def check_login_page(page: str | None) -> None:
    """Refuse a login page that is no path on this host.

    Raises:
        ConfigurationError: with what to write instead.
    """
    if page is not None and (safe_next(page, "(none)") != page or "#" in page):
        raise ConfigurationError(f'login_page={page!r}: write a path on this host, such as "/login"')
