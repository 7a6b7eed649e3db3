"""The browser half of actions, in a real browser: with it a page is nicer, and without it the page does the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl

import pytest
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from tests.browser.driving import Tab
from tests.browser.site import Got, Site, failure, success

pytestmark = [pytest.mark.browser, pytest.mark.slow]


TITLE = '<label>Title <input id="title" name="title" value="a title"></label>'
IT = TITLE + '<button id="it">it</button>'
KEYED = '<input type="hidden" name="_once" id="key" value="k1">' + TITLE
WRONG = {"title": ["Too short", "Too plain"]}


def form(fields: str, said: str = "data-action", action: str = "/act", method: str = "post") -> str:
    """Return a form, with a button."""
    return f'<form method="{method}" action="{action}" {said} id="f">{fields}<button id="go">go</button></form>'


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    """Serve the site, once for all."""
    with Site() as served:
        yield served


class Page(Tab):
    """The tab, on the site's one page, whose events are noted."""

    def __init__(self, chromium: Any, site: Site) -> None:
        super().__init__(chromium, site.origin)
        self.site = site

    def show(self, body: str, script: str = "") -> None:
        """Open the page, with a body, and a script of its own."""
        self.site.page, self.site.script = body, script
        self.open("/page")

    def sends(self, body: str, button: str = "go") -> list[Got]:
        """Send the same form by the script, and by the browser, and return what was posted."""
        for times, scripts in enumerate((True, False), 1):
            self.scripts(run=scripts)
            self.show(body)
            self.click(button)
            self.until(lambda times=times: len(self.site.posted) == times)  # type: ignore[misc]  # bound now
        return self.site.posted

    def js(self, program: str, *arguments: Any) -> Any:
        """Return what a program returns."""
        return self.chromium.execute_script(program, *arguments)

    def heard(self, name: str) -> list[Any]:
        """Return the details of the events of one name."""
        found: list[Any] = self.js("return heard.filter(([name]) => name === arguments[0]).map(each => each[1])", name)
        return found

    def hears(self, name: str, times: int = 1) -> Any:
        """Wait for an event, and return its detail."""
        self.until(lambda: len(self.heard(name)) >= times)
        return self.heard(name)[-1]

    def arrives_at(self, place: str) -> None:
        """Wait for another page."""
        self.until(lambda: self.place == place and self.has_arrived())

    def attribute(self, selector: str, name: str) -> str | None:
        """Return an attribute."""
        found: str | None = self.chromium.find_element("css selector", selector).get_dom_attribute(name)
        return found

    @property
    def message(self) -> Any:
        """Return the place of the message."""
        return self.chromium.find_element("css selector", "#f [data-message]")

    @property
    def focused(self) -> Any:
        """Return what has the focus."""
        return self.chromium.switch_to.active_element


@pytest.fixture
def page(served: Site, chromium: Any) -> Iterator[Page]:
    """Share the browser and the site, and leave nothing in either."""
    chromium.get("about:blank")
    served.reset()
    page = Page(chromium, served)
    yield page
    page.scripts(run=True)
    served.open.set()


def parts(got: Got) -> list[bytes]:
    """Return what was posted, without the boundary, which is drawn by lot."""
    boundary = re.search("boundary=(.*)", got.content_type)
    return got.body.split(boundary[1].encode()) if boundary else [got.body]


# The page does the same


EVERYTHING = (
    '<input type="hidden" name="_once" value="k1"><input name="title" value="Größe &amp; +1">'
    "<textarea name=text>one\n\ntwo%0Athree</textarea><select name=many multiple><option selected>a<option selected>b"
    '</select><input type=checkbox name=ticked checked><input type=checkbox name=not><input name="items[0].name">'
    '<input name=off value=off disabled><input name="action" value="clobbers"><input name="method" value="clobbers">'
    '<input name="elements" value="clobbers"><input name="target" value="clobbers"><input name="enctype">'
    '<input name=empty><button name="save" value="draft" id="other">save</button>'
)


@pytest.mark.parametrize("enctype", ["", 'enctype="multipart/form-data"'])
@pytest.mark.parametrize("button", ["go", "other"])
def test_the_script_sends_what_the_browser_sends(page: Page, enctype: str, button: str) -> None:
    """Byte for byte: line ends, the button that was pressed, and fields by the names of a form's own properties."""
    by_script, by_browser = page.sends(form(EVERYTHING, f"data-action {enctype}"), button)
    assert parts(by_script) == parts(by_browser)
    assert by_script.content_type.partition(";")[0] == by_browser.content_type.partition(";")[0]
    assert (b"draft" in by_script.body) is (button == "other")
    assert (by_script.accept, by_browser.accept[:9]) == ("application/json", "text/html")


def test_a_button_may_send_the_form_elsewhere_and_otherwise(page: Page) -> None:
    """formaction and formenctype of the pressed button count, as they do for the browser."""
    page.show(form(TITLE + '<button id="b" formaction="/b?x=1#y" formenctype="multipart/form-data">b</button>'))
    page.click("b")
    page.hears("success")
    (got,) = page.site.posted
    assert got.target == "/b?x=1" and got.content_type.startswith("multipart/form-data") and b"a title" in got.body


@pytest.mark.parametrize(
    "body",
    [
        form(TITLE + '<button id="it" formmethod="get">get</button>'),
        form(IT, method="get"),
        form(IT, ""),
        form(IT, 'data-action target="frame"') + "<iframe name=frame></iframe>",
        form(IT, action="http://localhost:PORT/act"),
    ],
    ids=["formmethod", "method", "not marked", "target", "another origin"],
)
def test_what_is_no_action_is_left_to_the_browser(page: Page, body: str) -> None:
    """A search form, one that nobody marked, and one that leads elsewhere work as they did."""
    page.site.headers = {}
    page.show(body.replace("PORT", str(page.site.port)))
    page.click("it")
    sent = "/act?title=a+title"
    page.until(lambda: page.site.posted or page.place == sent)
    assert all(got.accept.startswith("text/html") for got in page.site.posted)


def test_another_script_that_takes_the_form_keeps_it(page: Page) -> None:
    """htmx, or a question whether that is meant: who prevents the submission, has it."""
    page.show(form(TITLE), "document.addEventListener('submit', (event) => event.preventDefault());")
    page.click("go")
    assert page.heard("submit") == [] and page.attribute("#f", "aria-busy") is None


# Waiting


def test_while_it_waits_nothing_is_sent_again(page: Page) -> None:
    """Busy for screen readers, its buttons disabled; what comes nevertheless is dropped. Then all is as it was."""
    from selenium.webdriver import ActionChains

    page.site.open.clear()
    page.show(form(TITLE + '<button id="off" disabled>off</button>'))
    ActionChains(page.chromium).double_click(page.chromium.find_element("id", "go")).perform()
    page.until(lambda: page.attribute("#f", "aria-busy") == "true")
    assert page.attribute("#go", "disabled") == "true"
    page.js("f.requestSubmit()")
    page.site.open.set()
    page.hears("success")
    assert page.attribute("#f", "aria-busy") == "false" and page.attribute("#go", "disabled") is None
    assert page.attribute("#off", "disabled") == "true"
    assert len(page.site.posted) == 1


def test_what_succeeded_waits_until_the_page_is_left(page: Page) -> None:
    """Between the answer and the next page, a click would do it again."""
    again = "addEventListener('action:success', () => setTimeout(() => { f.requestSubmit(); fetch('/asked', POST) }));"
    page.site.answer = success(redirect="/slow")
    page.show(form(TITLE), f"const POST = {{method: 'POST'}}; {again}")
    page.site.open_pages.clear()
    # While the browser waits for a page, its driver waits, too.
    asked = Thread(target=page.site.opens_pages_after, args=["/asked"])
    asked.start()
    page.click("go")
    page.arrives_at("/slow")
    asked.join()
    assert [got.target for got in page.site.posted] == ["/act", "/asked"]


def test_what_is_led_to_a_download_can_be_used_again(page: Page) -> None:
    """A file is saved, and the page is not left; nothing tells that, so that it takes some seconds."""
    page.chromium.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "deny"})
    page.site.answer = success(redirect="/file?download")
    faster = "const later = setTimeout; window.setTimeout = (what, ms, ...more) => later(what, ms / 50, ...more);"
    page.show(form(TITLE), faster)
    page.click("go")
    page.hears("success")
    page.until(lambda: page.attribute("#go", "disabled") is None)
    assert page.attribute("#f", "aria-busy") == "false" and page.place == "/page"


def test_back_from_where_it_led_the_form_can_be_used_again(page: Page) -> None:
    """Browsers bring a page back as it was left; as it was left, its buttons were disabled."""
    page.site.answer = success(redirect="/posts/1")
    page.show(form(KEYED))
    page.js("window.same = true")
    page.fill(title="typed")
    page.click("go")
    page.arrives_at("/posts/1")
    page.chromium.back()
    page.until(lambda: page.place == "/page" and page.js("return document.readyState") == "complete")
    assert page.js("return [window.same, window.persisted]") == [True, True], "the browser did not keep the page"
    assert page.attribute("#f", "aria-busy") == "false" and page.attribute("#go", "disabled") is None
    assert page.value("title") == "typed" and page.value("key") == "k1"
    page.click("go")
    page.arrives_at("/posts/1")
    assert len(page.site.posted) == 2


def test_back_to_a_page_that_is_fetched_anew_nothing_is_filled_in(page: Page) -> None:
    """It has another key: what browsers remember of the fields would be done again."""
    page.site.headers["Cache-Control"] = "no-store"
    page.site.answer = success(redirect="/posts/1")
    page.show(form(KEYED))
    page.fill(title="typed")
    page.click("go")
    page.arrives_at("/posts/1")
    # After that, the browser keeps no page that was not to be stored.
    page.chromium.add_cookie({"name": "any", "value": "other"})
    page.chromium.back()
    page.until(lambda: page.place == "/page" and page.has_arrived())
    assert page.js("return window.persisted") is False, "the browser kept the page"
    assert page.value("title") == "a title"


# Errors


def test_errors_stand_at_their_fields(page: Page) -> None:
    """Marked, and described by what is made for them beside what describes them; the first has the focus."""
    page.site.answer = failure(details={"items.0.name": ["Too long"], **WRONG, "tags.1": ["Unknown"]})
    fields = (
        '<input name="fine" id="fine"><input name="items[0].name" id="item"><span id="hint">In words</span>'
        '<label id="label">Title <input name="title" id="title" aria-describedby="hint"></label>'
        '<input name="tags" id="t0"><input name="tags" id="t1">'
    )
    page.show(form(fields))
    page.click("go")
    page.hears("error")
    assert page.error("item") == "Too long" and page.error("title") == "In words Too short; Too plain"
    assert page.error("t0") == page.error("t1") == "Unknown" and page.error("fine") == ""
    assert page.focused.get_dom_attribute("id") == "item"
    assert page.message.text == "Check your input" and page.message.get_dom_attribute("role") == "alert"
    # Inside a label, an error would be part of the field's name.
    assert page.js("return label.textContent.trim() === 'Title' && label.nextSibling.dataset.error === 'title'")
    assert page.js("return t1.nextSibling.dataset.error === 'tags'")


def test_errors_stand_where_the_page_has_a_place_for_them(page: Page) -> None:
    """What is made once is used again, and what the page has is used first."""
    page.site.answer = failure(details={**WRONG, "items": ["Too few"], "count": ["Wrong"]})
    places = '<p data-message class="own"></p><b data-error="title" id="e" hidden></b><i data-error="items" id="i"></i>'
    page.show(form(TITLE + places + '<input name="count" id="count">'))
    for times in (1, 2):
        page.click("go")
        page.hears("error", times)
        assert page.error("title") == "Too short; Too plain" and page.attribute("#title", "aria-describedby") == "e"
        assert page.message.get_dom_attribute("class") == "own"
        assert page.chromium.find_element("id", "i").text == "Too few" and page.error("count") == "Wrong"
        assert page.js("return document.querySelectorAll('[data-error], [data-message]').length") == 4


def test_errors_without_a_field_are_in_the_message(page: Page) -> None:
    """Of the form as a whole, of what the form does not have, and of what nobody sees; then the message is focused."""
    page.site.answer = failure(details={"_root": ["One of them"], "": ["Odd"], "key": ["No"], "constructor": ["No"]})
    page.show(form('<input type="hidden" name="key"><input id="plain">'))
    page.click("go")
    page.hears("error")
    assert page.message.text == "Check your input One of them Odd No No"
    assert page.focused == page.message and page.error("plain") == ""


def test_an_error_is_text(page: Page) -> None:
    """Whatever it says, nothing of it becomes part of the page."""
    evil = "<img src=x onerror=alert(1)>"
    page.site.answer = failure(error=evil, details={"title": [evil], evil: [evil], '"]': [evil]})
    page.show(form(TITLE))
    page.click("go")
    page.hears("error")
    assert page.error("title") == evil and page.message.text == " ".join([evil] * 3)
    assert page.js("return document.images.length") == 0


def test_the_next_time_old_errors_are_gone(page: Page) -> None:
    """From the moment at which it is sent again, also those that the page came with."""
    page.site.answer = failure(details=WRONG)
    old = '<input name="old" id="old" aria-invalid="true" aria-describedby="o"><i id="o" data-error="old">Old</i>'
    page.show(form(TITLE + old))
    page.click("go")
    page.hears("error")
    assert page.attribute("#old", "aria-invalid") is None and page.chromium.find_element("id", "o").text == ""
    page.site.open.clear()
    page.click("go")
    assert page.attribute("#title", "aria-invalid") is None and not page.message.is_displayed()
    page.site.answer = success()
    page.site.open.set()
    page.hears("success")
    assert page.error("title") == "" and page.value("title") == "a title"


# Keys


@pytest.mark.parametrize(
    ("answer", "renewed"),
    [
        (failure(422), True),
        (failure(403), True),
        (success(), True),
        (failure(409), False),
        (failure(503), False),
        (HTMLResponse("<h1>Bad gateway</h1>", 502), False),
    ],
    ids=["422", "403", "200", "409", "503", "502"],
)
def test_what_was_answered_has_a_new_key(page: Page, answer: Response, renewed: bool) -> None:
    """Under the old one the answer would come again; where nobody knows what was done, it is asked for once more."""
    page.site.answer = answer
    page.show(form(KEYED))
    page.click("go")
    page.until(lambda: page.heard("error") or page.heard("success"))
    page.until(lambda: page.attribute("#f", "aria-busy") == "false")
    key = page.value("key")
    assert (key != "k1") is renewed
    assert not renewed or re.fullmatch(r"\d+(-\d+){3}", key)


def test_without_an_answer_nothing_is_lost(page: Page) -> None:
    """The server is gone: the page stays, with what was typed, and sends it again under the same key."""
    page.show(form(KEYED, 'data-action data-failed="Keine Verbindung"'))
    page.fill(title="typed")
    page.site.stop()
    try:
        page.click("go")
        assert page.hears("error")["status"] == 0
    finally:
        page.site.start()
    assert page.message.text == "Keine Verbindung" and page.focused == page.message
    assert page.value("title") == "typed" and page.value("key") == "k1"
    page.click("go")
    page.hears("success")
    assert parse_qsl(page.site.posted[-1].body.decode()) == [("_once", "k1"), ("title", "typed")]


def test_a_page_in_place_of_an_answer_is_no_success(page: Page) -> None:
    """A proxy's error page, a handler that is no action: the form says so, and keeps what was typed."""
    page.site.answer = HTMLResponse("<h1>Well</h1>")
    page.show(form(KEYED, action="/act#there"))
    page.fill(title="typed")
    page.click("go")
    page.hears("error")
    assert page.message.text == "This could not be sent. Please try again." and page.value("title") == "typed"


def test_an_empty_answer_is_a_success(page: Page) -> None:
    """204 has nothing to say but that."""
    page.site.answer = Response(status_code=204)
    page.show(form(TITLE))
    page.click("go")
    assert page.hears("success") == {"status": 204}


# Places


def test_who_is_sent_to_a_page_goes_there(page: Page) -> None:
    """A session that ended: the server redirects to the login, and the browser shows it."""
    page.show(form(TITLE, action="/moved#there"))
    page.click("go")
    page.arrives_at("/elsewhere?from=/page")


@pytest.mark.parametrize("place", ["javascript:void(ran.push(1))", "Java\tscript:void(ran.push(1))"])
def test_a_script_is_no_place_to_go_to(page: Page, place: str) -> None:
    """`location.assign` runs it, with all that the page may do."""
    page.site.answer = success(redirect=place)
    # The page's policy stops it as well, and says so: it must not even be tried.
    page.show(form(TITLE), "window.ran = []; addEventListener('securitypolicyviolation', () => ran.push('tried'))")
    page.click("go")
    page.hears("success")
    page.js("return new Promise((done) => setTimeout(done))")
    assert page.js("return window.ran") == []
    assert page.place == "/page"


def test_a_place_in_the_same_page_is_loaded_anew(page: Page) -> None:
    """Otherwise what was done, such as a comment below a post, would not be there."""
    page.site.answer = success(redirect="/page#comments")
    page.show(form(TITLE))
    for _ in range(2):
        page.js("window.before = true")
        page.click("go")
        page.until(page.has_arrived)
        assert page.chromium.current_url == f"{page.origin}/page#comments"
        assert page.attribute("#f", "aria-busy") is None
    assert len(page.site.posted) == 2


def test_the_page_may_go_on_by_itself(page: Page) -> None:
    """Who prevents `action:success` stays; the form can be used again."""
    page.site.answer = success(redirect="/posts/1", invalidated=["posts", "/posts"], data={"id": 1})
    page.show(form(TITLE), "addEventListener('action:success', (event) => event.preventDefault());")
    page.click("go")
    assert page.hears("success")["data"] == {"id": 1}
    assert page.heard("invalidated") == [["posts", "/posts"]]
    assert page.place == "/page" and page.attribute("#go", "disabled") is None


# Optimism


OPTIMIST = """
window.undone = [];
addEventListener("action:submit", ({ target: form, detail: { data, optimistic } }) => {
  for (const text of [data.get("title"), "again"])
    optimistic(() => {
      list.append(text, ",");
      return () => { list.lastChild.remove(); list.lastChild.remove(); undone.push(text); };
    });
  optimistic(() => { form.remove(); return () => document.body.append(form); });
});
"""


def test_optimism_is_rolled_back(page: Page) -> None:
    """Shown at once, though the form itself be gone by that; taken back, in reverse, when it fails."""
    page.site.open.clear()
    page.site.answer = failure(409, error="Taken")
    page.show('<p id="list"></p>' + form(TITLE), OPTIMIST)
    page.click("go")
    page.until(lambda: "a title,again," in page.text)
    assert page.js("return document.forms.length") == 0
    page.site.open.set()
    assert page.hears("error")["error"] == "Taken"
    assert page.js("return list.textContent") == "" and page.message.text == "Taken"
    assert page.js("return undone") == ["again", "a title"]


def test_optimism_that_was_right_stays(page: Page) -> None:
    """And the page hears of it, though the form be gone."""
    page.show('<p id="list"></p>' + form(TITLE), OPTIMIST)
    page.click("go")
    page.hears("success")
    assert page.js("return list.textContent") == "a title,again," and page.js("return document.forms.length") == 0


def test_who_cancels_sends_nothing(page: Page) -> None:
    """Not by the script, nor by the browser; what was shown already is taken back."""
    cancel = "addEventListener('action:submit', (event) => event.preventDefault());"
    page.show('<p id="list"></p>' + form(TITLE), OPTIMIST + cancel)
    page.click("go")
    assert page.heard("submit") and page.js("return list.textContent") == ""
    assert page.place == "/page" and page.attribute("#f", "aria-busy") is None
    assert page.site.posted == []


# Files


def test_the_progress_of_an_upload_is_shown(page: Page, tmp_path: Path) -> None:
    """While the server reads; what is sent is what the browser sends, with the file."""
    size = 24_000_000
    (tmp_path / "big.bin").write_bytes(b"\0" * size)
    page.site.open.clear()
    page.show(form('<input type="file" name="file" id="file"><progress data-progress id="bar" hidden></progress>'))
    page.chromium.find_element("id", "file").send_keys(str(tmp_path / "big.bin"))
    page.click("go")
    page.until(lambda: page.js("return !bar.hidden && bar.value > 0 && bar.value < bar.max"))
    before = page.heard("progress")[-1]
    assert 0 < before["loaded"] < before["total"] and before["total"] > size
    page.site.open.set()
    page.hears("success")
    assert page.heard("progress")[-1]["loaded"] == before["total"] == len(page.site.posted[0].body)
    assert page.js("return bar.hidden && bar.value === 0")
    assert page.site.posted[0].content_type.startswith("multipart/form-data")
    assert b'filename="big.bin"' in page.site.posted[0].body[:1000]


def test_no_file_is_sent_as_browsers_send_none(page: Page) -> None:
    """An empty part; never the words "[object File]"."""
    body = form('<input type="file" name="x">', 'data-action enctype="multipart/form-data"')
    by_script, by_browser = page.sends(body)
    assert parts(by_script) == parts(by_browser)


# The page's policy


def test_a_strict_policy_is_kept(page: Page) -> None:
    """Nothing inline, nothing evaluated, no markup from text: even trusted types have nothing to say."""
    page.site.headers["Content-Security-Policy"] += "; require-trusted-types-for 'script'; trusted-types 'none'"
    page.site.answer = failure(details=WRONG)
    page.show(form(TITLE))
    page.click("go")
    page.hears("error")
    assert page.error("title") == "Too short; Too plain" and page.heard("violation") == []


def test_the_policy_may_name_the_script_by_what_it_is(page: Page) -> None:
    """`INTEGRITY` in `script-src`: this script, wherever it comes from, and no other."""
    page.site.headers["Content-Security-Policy"] = f"script-src '{page.site.integrity}' 'self'; connect-src 'self'"
    page.show(form(TITLE))
    page.click("go")
    page.hears("success")


def test_a_script_that_was_changed_on_its_way_does_not_run(page: Page) -> None:
    """Then the form works as forms do."""
    page.site.integrity = "sha384-" + "A" * 64
    page.site.answer = PlainTextResponse("done")
    page.show(form(TITLE))
    page.click("go")
    page.arrives_at("/act")
    assert page.text == "done" and page.site.posted[0].accept.startswith("text/html")


# Whoever fills a form with a keyboard


def test_the_keyboard_does_it_all(page: Page) -> None:
    """Enter in a field sends the form; the error is focused; after a success the focus is where it was."""
    from selenium.webdriver.common.keys import Keys

    page.site.answer = failure(details=WRONG)
    page.show(form('<input id="first">' + TITLE))
    page.chromium.find_element("id", "first").send_keys(Keys.ENTER)
    page.hears("error")
    assert page.focused.get_dom_attribute("id") == "title"
    page.site.answer = success()
    button = page.chromium.find_element("id", "go")
    button.send_keys(Keys.ENTER)
    page.hears("success")
    assert page.focused == button
