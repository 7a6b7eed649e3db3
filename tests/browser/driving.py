"""What a person does with a browser: look, type, click, wait; with scripts or without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from tour_http import Reply

SESSION = "__Host-session"


class Tab:
    """The browser's tab, on one site.

    Args:
        chromium: the driver.
        origin: where the site is, such as `http://127.0.0.1:8000`.
    """

    def __init__(self, chromium: Any, origin: str) -> None:
        self.chromium = chromium
        self.origin = origin

    # What is to be seen

    @property
    def place(self) -> str:
        """Return path and query of the page that is shown."""
        parts = urlsplit(self.chromium.current_url)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    @property
    def text(self) -> str:
        """Return what is to be read."""
        found: str = self.chromium.find_element("tag name", "body").text
        return found

    def value(self, field: str) -> str:
        """Return what is in a field."""
        found: str = self.chromium.find_element("id", field).get_property("value")
        return found

    def error(self, field: str) -> str:
        """Return what the page says of a field, to eyes and to screen readers alike; "" where nothing is wrong."""
        box = self.chromium.find_element("id", field)
        if box.get_dom_attribute("aria-invalid") != "true":
            return ""
        ids = (box.get_dom_attribute("aria-describedby") or "").split()
        return " ".join(self.chromium.find_element("id", one).text for one in ids)

    @property
    def message(self) -> str:
        """Return what the page tells whoever sent a form."""
        found: str = self.chromium.find_element("css selector", "main [role=alert]").text
        return found

    def links(self, under: str) -> list[str]:
        """Return the texts of the links under an element."""
        return [link.text for link in self.chromium.find_elements("css selector", f"#{under} a")]

    # What is done

    def open(self, path: str) -> None:
        """Go somewhere on the site."""
        self.chromium.get(self.origin + path)

    def fill(self, **texts: str) -> None:
        """Type into fields, in place of what is there."""
        for field, text in texts.items():
            box = self.chromium.find_element("id", field)
            box.clear()
            box.send_keys(text)

    def click(self, button: str) -> None:
        """Click, and wait for nothing."""
        self.chromium.find_element("id", button).click()

    def follow(self, button: str) -> None:
        """Click, and wait until the page that it leads to is there."""
        self.chromium.execute_script("window.before = true")
        self.click(button)
        self.until(self.has_arrived)

    def has_arrived(self) -> bool:
        """Say whether another page is there, and whole."""
        asked = "return window.before === undefined && document.readyState === 'complete'"
        return bool(self.chromium.execute_script(asked))

    def until(self, true: Callable[[], object]) -> None:
        """Wait until something is true of what is shown; asked a bounded number of times."""
        from selenium.common.exceptions import WebDriverException
        from selenium.webdriver.support.wait import WebDriverWait

        # Between two pages the driver has none to ask, and says so in several ways.
        wait = WebDriverWait(self.chromium, 20, poll_frequency=0.05, ignored_exceptions=[WebDriverException])
        wait.until(lambda _: true())

    # Who is there

    @property
    def session(self) -> Any:
        """Return the session's cookie as the browser has it; None where it has none."""
        kept = [cookie for cookie in self.chromium.get_cookies() if cookie["name"] == SESSION]
        return kept[0] if kept else None

    def hold(self, session: str) -> None:
        """Give the browser the cookie of a session."""
        cookie = {"url": self.origin, "name": SESSION, "value": session, "path": "/", "secure": True}
        self.chromium.execute_cdp_cmd("Network.setCookie", cookie)

    def forget(self) -> None:
        """Have the browser forget every cookie."""
        self.chromium.execute_cdp_cmd("Network.clearBrowserCookies", {})

    def sign_in(self, email: str, password: str, at: str = "/login") -> None:
        """Fill in the form and send it."""
        self.open(at)
        self.fill(email=email, password=password)
        self.follow("log-in")

    def scripts(self, run: bool) -> None:
        """Let pages run scripts, or not; the driver's own always run."""
        self.chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not run})


def session_of(reply: Reply) -> str:
    """Return the session that a login began."""
    return reply.header("Set-Cookie").partition(";")[0].removeprefix(f"{SESSION}=")
