"""The blog's forms, filled in by a person: with a script they are sent by it, without scripts by the browser."""

from __future__ import annotations

import re

import pytest
from tour_http import Request, Server

from tests.browser.conftest import ADA
from tests.browser.driving import Tab

pytestmark = [pytest.mark.browser, pytest.mark.slow]

BY_A_SCRIPT, BY_THE_BROWSER = "by a script", "by the browser"
WRITERS = {BY_A_SCRIPT: "ada", BY_THE_BROWSER: "bob"}  # who writes posts may do so only so often


@pytest.fixture(params=WRITERS)
def sent(request: pytest.FixtureRequest, tab: Tab) -> str:
    """Say how forms are sent; the pages are the same."""
    tab.scripts(run=request.param == BY_A_SCRIPT)
    return str(request.param)


@pytest.fixture
def writer(tab: Tab, sent: str, sessions: dict[str, str]) -> Tab:
    """Return a tab of somebody who may write."""
    tab.hold(sessions[WRITERS[sent]])
    return tab


def shows_a_post(tab: Tab) -> bool:
    """Say whether a post is shown."""
    return re.fullmatch(r"/posts/\d+", tab.place) is not None and tab.has_arrived()


def posts_called(tab: Tab, title: str) -> int:
    """Return how many of the newest posts have this title."""
    tab.open("/")
    return tab.links("posts").count(title)


def write(tab: Tab, title: str, text: str = "Some words.") -> None:
    """Write a post, and look at it."""
    tab.open("/posts/new")
    tab.fill(title=title, text=text)
    tab.click("publish")
    tab.until(lambda: shows_a_post(tab))


def test_a_post_with_an_error_is_shown_again_put_right_and_published(writer: Tab, sent: str) -> None:
    """The error stands at its field, what was typed stays; the second time the post is there, and there once."""
    title = f"Put right, {sent}"
    writer.open("/posts/new")
    writer.chromium.execute_script("window.first = true")
    writer.fill(title="   ", text="Some words,\nand <b>some</b> more.")
    writer.click("publish")
    writer.until(lambda: writer.error("title"))
    assert "1 character" in writer.error("title") and writer.error("text") == ""
    assert writer.value("text") == "Some words,\nand <b>some</b> more."
    assert writer.place == "/posts/new"
    # A script leaves the page where it is; without one, it is another with the same in it.
    assert bool(writer.chromium.execute_script("return window.first")) is (sent == BY_A_SCRIPT)

    writer.fill(title=title)
    writer.click("publish")
    writer.until(lambda: shows_a_post(writer))
    assert title in writer.text and "and <b>some</b> more." in writer.text
    assert posts_called(writer, title) == 1


def test_after_the_back_button_nothing_is_published_twice(writer: Tab, sent: str) -> None:
    """Whoever goes back finds no form that was sent: sent again as it is then, it makes no second post."""
    title = f"Once, {sent}"
    write(writer, title)
    writer.chromium.back()
    writer.until(lambda: writer.place == "/posts/new" and writer.has_arrived())
    writer.click("publish")
    writer.chromium.refresh()
    assert posts_called(writer, title) == 1


def test_a_double_click_publishes_once(writer: Tab, sent: str) -> None:
    """Impatience is no second post."""
    from selenium.webdriver import ActionChains

    title = f"Clicked twice, {sent}"
    writer.open("/posts/new")
    writer.fill(title=title, text="Now!")
    ActionChains(writer.chromium).double_click(writer.chromium.find_element("id", "publish")).perform()
    writer.until(lambda: shows_a_post(writer))
    assert title in writer.text
    assert posts_called(writer, title) == 1


def test_a_form_sent_while_it_is_being_sent_publishes_once(tab: Tab, server: Server, sessions: dict[str, str]) -> None:
    """Both requests are at the server at the same time: one of them publishes, and what it published is shown."""
    from selenium.webdriver import ActionChains

    title = "Sent twice"
    tab.scripts(run=False)
    tab.hold(sessions["bob"])
    tab.open("/posts/new")
    tab.fill(title=title, text="Now!")
    assert server.send(Request("GET", "/test/close")).body == b"closed"
    # In one go, since the driver waits for a page that is on its way.
    button = tab.chromium.find_element("id", "publish")
    ActionChains(tab.chromium).click(button).pause(1).click().perform()
    tab.until(lambda: shows_a_post(tab))
    assert server.send(Request("GET", "/test/state")).body == b"open"
    assert title in tab.text
    assert posts_called(tab, title) == 1


def test_a_post_is_changed(writer: Tab, sent: str) -> None:
    """The form has what the post is; a change that will not do is shown as it was typed, and one that will is made."""
    title = f"To be changed, {sent}"
    write(writer, title, "Before.")
    post = writer.place
    writer.open(f"{post}/edit")
    assert (writer.value("title"), writer.value("text")) == (title, "Before.")
    writer.fill(title=" ", text="After.")
    writer.click("publish")
    writer.until(lambda: writer.error("title"))
    assert writer.value("text") == "After."
    writer.fill(title=f"{title} again")
    writer.click("publish")
    writer.until(lambda: writer.place == post and writer.has_arrived())
    assert f"{title} again" in writer.text and "After." in writer.text and "Before." not in writer.text


def test_a_post_is_deleted(writer: Tab, sent: str) -> None:
    """One button; then the list, without it."""
    title = f"To be deleted, {sent}"
    write(writer, title)
    assert posts_called(writer, title) == 1
    writer.chromium.back()
    writer.until(lambda: shows_a_post(writer))
    writer.click("delete")
    writer.until(lambda: writer.place == "/" and writer.has_arrived())
    assert title not in writer.links("posts")


def test_what_is_written_survives_the_end_of_the_session(writer: Tab, sent: str, sessions: dict[str, str]) -> None:
    """The page says what happened; after a login in another tab, what was written is sent once more."""
    title = f"Longer than a session, {sent}"
    writer.open("/posts/new")
    writer.fill(title=title, text="It took its time.")
    writer.forget()
    writer.click("publish")
    writer.until(lambda: writer.message)
    writer.hold(sessions[WRITERS[sent]])
    if sent == BY_A_SCRIPT:
        assert (writer.value("title"), writer.value("text")) == (title, "It took its time.")
        writer.click("publish")
    else:
        assert "another tab" in writer.message
        writer.chromium.refresh()
    writer.until(lambda: shows_a_post(writer))
    assert "It took its time." in writer.text
    assert posts_called(writer, title) == 1


def test_a_wrong_password_keeps_the_address_and_nothing_else(tab: Tab, sent: str) -> None:
    """One message for everything that can be wrong; no session; the address stays, the password does not."""
    tab.open("/login")
    tab.fill(email=ADA["email"], password="not this one either")
    tab.click("log-in")
    tab.until(lambda: tab.message)
    assert tab.message == "The name or the password is wrong"
    assert tab.value("email") == ADA["email"] and tab.session is None
    assert "not this one either" not in tab.chromium.page_source
    if sent == BY_THE_BROWSER:
        assert tab.value("password") == ""
    tab.fill(password=ADA["password"])
    tab.click("log-in")
    tab.until(lambda: tab.place == "/" and tab.has_arrived())
    assert tab.session is not None


def test_an_account_is_made(tab: Tab, sent: str) -> None:
    """What the database says of an address is shown at its field, as what validation says is."""
    name = "dora" if sent == BY_A_SCRIPT else "emil"
    tab.open("/register")
    tab.fill(name=name, email=ADA["email"], password="a long enough passphrase")
    tab.click("register")
    tab.until(lambda: tab.error("email"))
    assert tab.error("email") == "There is an account with this email address"
    assert tab.value("name") == name
    tab.fill(email=f"{name}@example.com", password="a long enough passphrase")
    tab.click("register")
    tab.until(lambda: tab.place == "/" and tab.has_arrived())
    assert tab.session is not None
