"""What a real browser makes of cookies, redirects and its back button, and of what other origins make it send."""

from __future__ import annotations

from html import escape

import pytest

from tests.browser.conftest import ADA, Elsewhere
from tests.browser.driving import Tab

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EMAIL, PASSWORD = ADA["email"], ADA["password"]


def test_the_cookie_as_the_browser_sees_it(tab: Tab) -> None:
    """`__Host-`, Secure, HttpOnly, SameSite=Lax, for this host and all its paths; scripts see nothing of it."""
    tab.sign_in(EMAIL, PASSWORD)
    flags = {key: tab.session[key] for key in ("domain", "path", "secure", "httpOnly", "sameSite")}
    assert flags == {"domain": "127.0.0.1", "path": "/", "secure": True, "httpOnly": True, "sameSite": "Lax"}
    assert "session" not in tab.chromium.execute_script("return document.cookie")


def test_in_and_out_and_back(tab: Tab) -> None:
    """Who asks for a page is sent to log in, and back to it; after the logout, the back button shows nothing of it."""
    tab.open("/posts/new")
    assert tab.place == "/login?next=/posts/new"
    tab.sign_in(EMAIL, PASSWORD, at=tab.place)
    assert tab.place == "/posts/new" and "Log out" in tab.text
    copied = tab.session["value"]

    tab.follow("log-out")
    assert tab.place == "/login" and tab.session is None
    tab.chromium.back()
    # The browser may bring the page back as it was; then it asks for it anew by itself.
    tab.until(lambda: tab.place.startswith("/login"))
    assert "log-out" not in tab.chromium.page_source

    tab.hold(copied)
    tab.open("/posts/new")
    assert tab.place == "/login?next=/posts/new"


@pytest.mark.parametrize("way_out", ["//evil.example/", "https://evil.example/", "/\\evil.example"])
def test_next_leads_nowhere_else(tab: Tab, way_out: str) -> None:
    """An open redirect would be the end of a phisher's link; the browser stays on this host."""
    tab.sign_in(EMAIL, PASSWORD, at=f"/login?next={way_out}")
    assert tab.place == "/" and tab.session is not None


def form(action: str, **fields: str) -> str:
    """Return a page that sends a form by itself."""
    inputs = "".join(f'<input name="{name}" value="{escape(value)}">' for name, value in fields.items())
    return f'<form method="post" action="{action}">{inputs}<button id="go">go</button></form>'


def send(tab: Tab, elsewhere: Elsewhere, page: str) -> None:
    """Open a page of the other origin, and send its form."""
    tab.chromium.get(elsewhere.serves(page))
    tab.follow("go")


def is_logged_in(tab: Tab) -> bool:
    """Say whether the browser may go where one has to be logged in."""
    tab.open("/posts/new")
    return tab.place == "/posts/new"


def test_another_origin_cannot_log_anybody_out(
    tab: Tab, blog: str, elsewhere: Elsewhere, sessions: dict[str, str]
) -> None:
    """Another port is the same site, so that SameSite=Lax sends the cookie along; the check refuses it."""
    tab.hold(sessions["ada"])
    send(tab, elsewhere, form(f"{blog}/logout"))
    assert "has to come from this site's own pages" in tab.text
    assert is_logged_in(tab)


def test_another_origin_cannot_log_anybody_in(tab: Tab, blog: str, elsewhere: Elsewhere) -> None:
    """Login CSRF: whoever is logged in as the attacker leaves his secrets with him."""
    send(tab, elsewhere, form(f"{blog}/login", email=EMAIL, password=PASSWORD))
    assert tab.session is None
    assert not is_logged_in(tab)


def test_another_origin_cannot_write_a_post(
    tab: Tab, blog: str, elsewhere: Elsewhere, sessions: dict[str, str]
) -> None:
    """Nobody has to say so for a form: an action judges where it comes from by itself."""
    tab.hold(sessions["ada"])
    send(tab, elsewhere, form(f"{blog}/posts/new", title="Not by Ada", text="But in her name."))
    tab.open("/")
    assert "Not by Ada" not in tab.text


def test_a_script_of_another_origin_changes_nothing(
    tab: Tab, blog: str, elsewhere: Elsewhere, sessions: dict[str, str]
) -> None:
    """A simple request needs no preflight, and carries the cookie of the same site."""
    tab.hold(sessions["ada"])
    tab.chromium.get(elsewhere.serves("<p>elsewhere</p>"))
    program = (
        "const done = arguments[arguments.length - 1];"
        f"fetch('{blog}/api/auth/logout', {{method: 'POST', credentials: 'include', mode: 'no-cors'}})"
        ".then(() => done('sent'), error => done(String(error)));"
    )
    # Whether it hears of the answer or not (`Cross-Origin-Resource-Policy`), it was sent.
    assert tab.chromium.execute_async_script(program) in ("sent", "TypeError: Failed to fetch")
    assert is_logged_in(tab)
