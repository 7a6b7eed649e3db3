"""What templates are given: what was entered and what is wrong with it, as HTML that is nothing but that."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment
from starlette.templating import Jinja2Templates

from gatewright.actions.browser import INTEGRITY
from gatewright.actions.state import ActionState
from gatewright.actions.templates import action_script, field, form_message, install
from gatewright.errors import ConfigurationError
from gatewright.testing import make_call

FAILED = ActionState({"title": "typed", "tags": ["a", "b"]}, {"title": ["Too short"]}, "Check it", "invalid_input", 422)
# Python's own reader of HTML keeps names and values of attributes apart as browsers do.
Element = tuple[str, dict[str, "str | None"]]


class Reader(HTMLParser):
    """Read elements and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data


def rendered(template: str, *, autoescape: bool = True, **values: object) -> str:
    """Return what becomes of a template."""
    env = Environment(autoescape=autoescape)  # both, on purpose
    install(env)
    return env.from_string(template).render(values)


def element(template: str, state: ActionState, *, autoescape: bool = True, **values: object) -> dict[str, str | None]:
    """Return the attributes of the one element that a template makes."""
    ((_, attributes),) = Reader(rendered(template, autoescape=autoescape, state=state, **values)).elements
    return attributes


def test_a_first_page_shows_the_defaults() -> None:
    """Nothing is wrong, and the places for what may be are there, hidden, under the names that the script looks for."""
    state = ActionState()
    shown = element("<input {{ field(state, 'title', default='Untitled').input }}>", state)
    assert shown == {"id": "title", "value": "Untitled", "name": "title", "aria-describedby": "title-error"}
    assert element("{{ field(state, 'title').error }}", state) == {
        "id": "title-error",
        "data-error": "title",
        "hidden": None,
    }
    assert element("{{ form_message(state) }}", state) == {
        "data-message": "",
        "role": "alert",
        "tabindex": "-1",
        "hidden": None,
    }


def test_after_a_failure_the_page_shows_what_was_entered_and_what_is_wrong() -> None:
    """The default of another time counts no more; screen readers are told, and where."""
    title = field(FAILED, "title", default="Untitled")
    assert title.value == "typed" and title.text == "\ntyped"
    assert title.attributes == 'id="title" name="title" aria-invalid="true" aria-describedby="title-error"'
    assert title.error == '<span id="title-error" data-error="title">Too short</span>'
    assert form_message(FAILED) == '<p data-message="" role="alert" tabindex="-1">Check it</p>'


def test_the_form_as_a_whole_has_its_errors_in_the_message() -> None:
    """As the script shows them; once, where both say the same."""
    both = ActionState(errors={"_root": ["One of them"]}, message="Check it")
    assert ">Check it One of them</p>" in form_message(both)
    assert ">Same</p>" in form_message(ActionState(errors={"_root": ["Same"]}, message="Same"))


def test_boxes_and_options_are_as_they_were() -> None:
    """A box that was unticked stays so, whatever the default: a form does not send it."""
    template = "<input type='checkbox' {{ field(state, 'news', default=true).box() }}>"
    assert "checked" in element(template, ActionState())
    assert element(template, FAILED) == {
        "type": "checkbox",
        "id": "news",
        "name": "news",
        "aria-describedby": "news-error",
    }
    assert "checked" in element(template, ActionState({"news": "on"}, message="x"))

    for default, state, chosen in (
        ("b", ActionState(), ["b"]),
        (["a", "c"], ActionState(), ["a", "c"]),
        (True, ActionState(), ["a", "b", "c"]),
        ("", ActionState(), []),
        ("c", FAILED, ["a", "b"]),
    ):
        tags = field(state, "tags", default)
        assert [value for value in "abc" if "selected" in tags.option(value)] == chosen
        assert [value for value in "abc" if "checked" in tags.box(value)] == chosen
    # Several boxes of one name would have one id.
    assert field(ActionState(), "tags").box("a") == 'value="a" name="tags" aria-describedby="tags-error"'
    assert field(ActionState(), "size", ["m"]).value == ""


@pytest.mark.parametrize("name", ["items[0].name", "items.0.name", "items[0][name]"])
def test_a_nested_name_is_one_path_however_it_is_written(name: str) -> None:
    """The field keeps its name; its place has the path by which errors are told."""
    state = ActionState({name: "x"}, {"items.0.name": ["Too long"]}, "Check it")
    entry = field(state, name)
    assert element("<input {{ entry.input }}>", state, entry=entry) == {
        "id": "items.0.name",
        "value": "x",
        "name": name,
        "aria-invalid": "true",
        "aria-describedby": "items.0.name-error",
    }
    assert 'data-error="items.0.name"' in entry.error and "Too long" in entry.error


def test_two_forms_on_a_page_have_ids_of_their_own() -> None:
    """The path stays: the script looks for it within its form. An id has no space, which would make it two."""
    entry = field(FAILED, "title", prefix="edit \tpost-")
    assert entry.id == "edit-post-title" and 'id="edit-post-title-error" data-error="title"' in entry.error
    assert 'aria-describedby="edit-post-title-error"' in entry.input


def test_the_script_is_loaded_as_what_was_shipped() -> None:
    """By a module script with its integrity, at an address that is another with every version."""
    attributes = element('{{ action_script("/gatewright.js", nonce=nonce) }}', FAILED, nonce="n1")
    assert attributes.pop("src", "").startswith("/gatewright.js?")  # type: ignore[union-attr]  # it has a value
    assert attributes == {"type": "module", "integrity": INTEGRITY, "nonce": "n1"}
    assert "nonce" not in action_script("/x.js")


@pytest.mark.parametrize("autoescape", [True, False])
def test_the_example_of_the_docstring_is_a_form(autoescape: bool) -> None:
    """As it stands there, in an environment that escapes, and in one that does not: the very same page."""
    doc = inspect.getdoc(install) or ""
    template = textwrap.dedent(doc.partition("::\n")[2].partition("All that they return")[0])
    state = ActionState({"title": "<i>", "size": "s"}, {"text": ["<Needed>"]}, "Check & mend")
    html = rendered(template, autoescape=autoescape, state=state, call=make_call(), post={"title": "old"})
    page = Reader(html)
    by_name = {attributes.get("name"): attributes for _, attributes in page.elements}
    assert by_name["title"]["value"] == "<i>" and by_name["text"]["aria-invalid"] == "true"
    assert "_once" in by_name and "Check & mend" in page.text and "<Needed>" in page.text
    assert "i" not in {tag for tag, _ in page.elements} and "needed" not in {tag for tag, _ in page.elements}


TEXTS = st.text(max_size=40) | st.sampled_from(
    ['"><script>alert(1)</script>', "' onfocus=alert(1) autofocus='", "</textarea><img src=x>", "&lt;b&gt;", "a b\n\tc"]
)
EVERYTHING = (
    "<form>{{ form_message(state) }}{% set f = field(state, name, default, prefix=prefix) %}"
    '<label for="{{ f.id }}"></label><input {{ f.input }}><select {{ f.attributes }}><option {{ f.option(text) }}>'
    '</select><input type="radio" {{ f.box(text) }}><input type="checkbox" {{ f.box() }}>{{ f.error }}'
    "{{ action_script(text, nonce=text) }}<textarea>{{ f.text }}</textarea><u>{{ f.value }}</u></form>"
)
TAGS = ["form", "p", "label", "input", "select", "option", "input", "input", "span", "script", "textarea", "u"]
ATTRIBUTES = {"for", "id", "name", "value", "type", "checked", "selected", "hidden", "role", "tabindex", "src", "nonce",
              "integrity", "data-error", "data-message", "aria-invalid", "aria-describedby"}  # fmt: skip


@pytest.mark.parametrize("autoescape", [True, False])
@given(name=TEXTS, text=TEXTS, prefix=TEXTS, default=TEXTS | st.booleans() | st.lists(TEXTS, max_size=3))
def test_whatever_was_entered_is_text(
    autoescape: bool, name: str, text: str, prefix: str, default: str | bool | list[str]
) -> None:
    """No value, error, message, name or default becomes an element or an attribute, escaping environment or not."""
    state = ActionState({name: text}, {name: [text], "_root": [text]}, text)
    values = {"state": state, "name": name, "text": text, "prefix": prefix, "default": default}
    elements = Reader(rendered(EVERYTHING, autoescape=autoescape, **values)).elements
    assert [tag for tag, _ in elements] == TAGS
    assert {attribute for _, attributes in elements for attribute in attributes} <= ATTRIBUTES
    (shown,) = (attributes for tag, attributes in elements if tag == "input" and "type" not in attributes)
    assert shown["value"] == text and shown["name"] == name


@pytest.mark.parametrize("used", ["error", "input", "attributes", "value", "text", "id"])
def test_what_is_html_already_is_not_escaped_again(used: str) -> None:
    """Nor is it unescaped where an environment does nothing: both show the same."""
    state = ActionState({"x": "<&>"}, {"x": ["<&>"]}, "m")
    shown = [rendered(f"{{{{ field(state, 'x').{used} }}}}", autoescape=each, state=state) for each in (True, False)]
    assert shown[0] == shown[1] == str(getattr(field(state, "x"), used)) and "&amp;lt;" not in shown[0]


def test_starlettes_templates_take_the_helpers() -> None:
    """Their environment, once or twice."""
    templates = Jinja2Templates(env=Environment(autoescape=True))
    install(templates.env)
    install(templates.env)
    assert {"action_script", "field", "form_message", "hidden_fields"} <= templates.env.globals.keys()


def _taken() -> Environment:
    env = Environment(autoescape=True)
    env.globals["field"] = "mine"
    return env


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            lambda: Jinja2Templates(env=Environment(autoescape=True)),
            r"install\(Jinja2Templates\): write .*templates.env",
        ),
        (_taken, "'field' is something else in this environment"),
    ],
)
def test_what_cannot_be_installed_is_refused(wrong: Callable[[], Environment], said: str) -> None:
    """With what to write instead; a name that the author uses stays his."""
    with pytest.raises(ConfigurationError, match=said):
        install(wrong())
