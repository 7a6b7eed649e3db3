"""What a real browser makes of cookies, redirects, forms and its back button."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.browser.conftest import ADA, Elsewhere

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NAME = "__Host-session"


@pytest.fixture(autouse=True)
def _without_cookies(chromium: Any, blog: str) -> None:
    chromium.get("about:blank")
    chromium.execute_cdp_cmd("Network.clearBrowserCookies", {})


def place(chromium: Any) -> str:
    """Return path and query of the page that is shown."""
    parts = urlsplit(chromium.current_url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def until(chromium: Any, true: Callable[[Any], Any]) -> None:
    """Wait until something is true of what is shown; asked a bounded number of times."""
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver.support.wait import WebDriverWait

    # Between two pages the driver has none to ask, and says so in several ways.
    WebDriverWait(chromium, 20, ignored_exceptions=[WebDriverException]).until(true)


def follow(chromium: Any, by: str, value: str) -> None:
    """Click, and wait until the page that it leads to is there."""
    chromium.execute_script("window.before = true")
    chromium.find_element(by, value).click()
    arrived = "return window.before === undefined && document.readyState === 'complete'"
    until(chromium, lambda browser: browser.execute_script(arrived))


def sign_in(chromium: Any, blog: str, password: str = ADA["password"], at: str = "/login") -> None:
    """Fill in the form and send it."""
    chromium.get(blog + at)
    for field, text in (("email", ADA["email"]), ("password", password)):
        box = chromium.find_element("id", field)
        box.clear()
        box.send_keys(text)
    follow(chromium, "id", "sign-in")


def text(chromium: Any) -> str:
    """Return what is to be read."""
    found: str = chromium.find_element("tag name", "body").text
    return found


def test_the_cookie_as_the_browser_sees_it(chromium: Any, blog: str) -> None:
    """`__Host-`, Secure, HttpOnly, SameSite=Lax, for this host and all its paths; scripts see nothing of it."""
    sign_in(chromium, blog)
    (cookie,) = [cookie for cookie in chromium.get_cookies() if cookie["name"] == NAME]
    flags = {key: cookie[key] for key in ("domain", "path", "secure", "httpOnly", "sameSite")}
    assert flags == {"domain": "127.0.0.1", "path": "/", "secure": True, "httpOnly": True, "sameSite": "Lax"}
    assert NAME not in chromium.execute_script("return document.cookie")


def test_in_and_out_and_back(chromium: Any, blog: str) -> None:
    """Who asks for a page is sent to log in, and back to it; after the logout, the back button shows nothing of it."""
    chromium.get(f"{blog}/me")
    assert place(chromium) == "/login?next=/me"
    sign_in(chromium, blog, at=place(chromium))
    assert place(chromium) == "/me" and ADA["name"] in text(chromium)
    (copied,) = [cookie for cookie in chromium.get_cookies() if cookie["name"] == NAME]

    follow(chromium, "id", "sign-out")
    assert place(chromium) == "/login" and not [c for c in chromium.get_cookies() if c["name"] == NAME]
    chromium.back()
    # The browser may bring the page back as it was; then it asks for it anew by itself.
    until(chromium, lambda browser: place(browser).startswith("/login"))
    assert "sign-out" not in chromium.page_source

    again = {"url": blog, "name": NAME, "value": copied["value"], "path": "/", "secure": True}
    chromium.execute_cdp_cmd("Network.setCookie", again)
    chromium.get(f"{blog}/me")
    assert place(chromium) == "/login?next=/me"


def test_a_wrong_password_is_told_on_the_page(chromium: Any, blog: str) -> None:
    """The form again, with one message, and no session."""
    sign_in(chromium, blog, "not this one either")
    assert place(chromium).startswith("/login") and chromium.find_element("id", "sign-in")
    assert not [cookie for cookie in chromium.get_cookies() if cookie["name"] == NAME]


@pytest.mark.parametrize("way_out", ["//evil.example/", "https://evil.example/", "/\\evil.example"])
def test_next_leads_nowhere_else(chromium: Any, blog: str, way_out: str) -> None:
    """An open redirect would be the end of a phisher's link; the browser stays on this host."""
    sign_in(chromium, blog, at=f"/login?next={way_out}")
    assert chromium.current_url.startswith(f"{blog}/") and "evil" not in chromium.current_url


def form(action: str, **fields: str) -> str:
    """Return a page that sends a form by itself."""
    inputs = "".join(f'<input name="{name}" value="{escape(value)}">' for name, value in fields.items())
    return f'<form id="f" method="post" action="{action}">{inputs}<button>go</button></form>'


def send(chromium: Any, elsewhere: Elsewhere, page: str) -> None:
    """Open a page of the other origin, and send its form."""
    chromium.get(elsewhere.serves(page))
    follow(chromium, "tag name", "button")


def test_another_origin_cannot_log_anybody_out(chromium: Any, blog: str, elsewhere: Elsewhere) -> None:
    """Another port is the same site, so that SameSite=Lax sends the cookie along; the check refuses it."""
    sign_in(chromium, blog)
    send(chromium, elsewhere, form(f"{blog}/logout"))
    assert "cross_origin" in text(chromium)
    chromium.get(f"{blog}/me")
    assert place(chromium) == "/me"


def test_another_origin_cannot_log_anybody_in(chromium: Any, blog: str, elsewhere: Elsewhere) -> None:
    """Login CSRF: whoever is logged in as the attacker leaves his secrets with him."""
    page = form(f"{blog}/login", email=ADA["email"], password=ADA["password"])
    send(chromium, elsewhere, page)
    assert not [cookie for cookie in chromium.get_cookies() if cookie["name"] == NAME]
    chromium.get(f"{blog}/me")
    assert place(chromium) == "/login?next=/me"


def test_a_script_of_another_origin_changes_nothing(chromium: Any, blog: str, elsewhere: Elsewhere) -> None:
    """A simple request needs no preflight, and carries the cookie of the same site."""
    sign_in(chromium, blog)
    chromium.get(elsewhere.serves("<p>elsewhere</p>"))
    program = (
        "const done = arguments[arguments.length - 1];"
        f"fetch('{blog}/api/auth/logout', {{method: 'POST', credentials: 'include', mode: 'no-cors'}})"
        ".then(() => done('sent'), error => done(String(error)));"
    )
    # Whether it hears of the answer or not (`Cross-Origin-Resource-Policy`), it was sent.
    assert chromium.execute_async_script(program) in ("sent", "TypeError: Failed to fetch")
    chromium.get(f"{blog}/me")
    assert place(chromium) == "/me"
