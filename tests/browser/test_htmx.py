"""The blog's forms, sent by htmx, of both versions that people use: the handlers are the same, and do not know."""

from __future__ import annotations

import pytest

from tests.browser.conftest import CAROL
from tests.browser.driving import Tab
from tests.browser.test_forms_in_a_browser import posts_called, shows_a_post

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(params=[2, 4])
def major(request: pytest.FixtureRequest) -> int:
    """Return a version of htmx."""
    return int(request.param)


def open_form(tab: Tab, major: int, form: str) -> None:
    """Have htmx fetch one of the blog's pages, and wait for its form."""
    tab.open(f"/test/htmx-{major}?form={form}")
    assert tab.chromium.execute_script("return htmx.version").startswith(str(major))
    tab.until(lambda: tab.chromium.find_element("css selector", "main form"))
    tab.chromium.execute_script("window.first = true; sessionStorage.clear()")


def is_still_there(tab: Tab) -> bool:
    """Say whether it is the page that was opened, with another form in the place of the first."""
    asked = "return window.first && !!document.getElementById('beside') && document.querySelectorAll('main').length"
    return bool(tab.chromium.execute_script(asked) == 1)


def test_a_post_with_an_error_is_put_right_and_published(tab: Tab, major: int, sessions: dict[str, str]) -> None:
    """A failure comes into the page that is there, with what was typed; a success leads to another page."""
    title = f"By htmx {major}"
    tab.hold(sessions["carol"])
    open_form(tab, major, "/posts/new")
    tab.fill(title="   ", text="Some words.")
    tab.click("publish")
    tab.until(lambda: tab.error("title"))
    assert "1 character" in tab.error("title") and tab.value("text") == "Some words."
    assert is_still_there(tab)
    tab.fill(title=title)
    tab.click("publish")
    tab.until(lambda: shows_a_post(tab))
    assert title in tab.text and not is_still_there(tab)
    assert tab.chromium.execute_script("return sessionStorage.getItem('heard')") == "posts"
    assert posts_called(tab, title) == 1

    tab.chromium.find_element("link text", title).click()
    tab.until(lambda: shows_a_post(tab))
    open_form(tab, major, tab.place)
    tab.click("delete")
    tab.until(lambda: tab.place == "/" and tab.has_arrived())
    assert title not in tab.links("posts")


def test_a_double_click_publishes_once(tab: Tab, major: int, sessions: dict[str, str]) -> None:
    """Whatever htmx makes of the second one."""
    from selenium.webdriver import ActionChains

    title = f"Clicked twice, by htmx {major}"
    tab.hold(sessions["carol"])
    open_form(tab, major, "/posts/new")
    tab.fill(title=title, text="Now!")
    ActionChains(tab.chromium).double_click(tab.chromium.find_element("id", "publish")).perform()
    tab.until(lambda: shows_a_post(tab))
    assert posts_called(tab, title) == 1


def test_a_wrong_password_then_the_right_one(tab: Tab, major: int) -> None:
    """The address stays, the password does not; the session's cookie comes with the answer that says where to go."""
    open_form(tab, major, "/login")
    tab.fill(email=CAROL["email"], password="not this one either")
    tab.click("log-in")
    tab.until(lambda: tab.message)
    assert (tab.value("email"), tab.value("password")) == (CAROL["email"], "")
    assert is_still_there(tab) and tab.session is None
    tab.fill(password=CAROL["password"])
    tab.click("log-in")
    tab.until(lambda: tab.place == "/" and tab.has_arrived())
    assert tab.session is not None
