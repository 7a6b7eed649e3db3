"""What a Jinja2 template needs to show a form again: what was entered, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from html import escape
from typing import Final

try:
    from jinja2 import Environment
except ImportError as _missing:  # pragma: no cover  # the tests install Jinja2
    raise ImportError('gatewright.actions.templates needs Jinja2: pip install "gatewright[templates]"') from _missing

from gatewright.actions.browser import INTEGRITY
from gatewright.actions.hidden import Html, hidden_fields
from gatewright.actions.state import ActionState, dotted
from gatewright.errors import ConfigurationError
from gatewright.validation.problems import ROOT

__all__ = ["Field", "action_script", "field", "form_message", "install"]

_VERSION: Final = "".join(filter(str.isalnum, INTEGRITY))[-16:]


def install(env: Environment) -> None:
    """Give templates `hidden_fields`, `form_message`, `field` and `action_script`; for Starlette, `templates.env`.

    ::

        {{ action_script("/gatewright.js") }}
        <form method="post" data-action>
          {{ hidden_fields(call, state) }}
          {{ form_message(state) }}

          {% set title = field(state, "title", default=post.title) %}
          <label for="{{ title.id }}">Title</label>
          <input {{ title.input }} required> {{ title.error }}

          {% set text = field(state, "text") %}
          <label for="{{ text.id }}">Text</label>
          <textarea {{ text.attributes }}>{{ text.text }}</textarea> {{ text.error }}

          {% set size = field(state, "size", default="m") %}
          <select {{ size.attributes }}>
            <option {{ size.option("s") }}>Small</option> <option {{ size.option("m") }}>Medium</option>
          </select> {{ size.error }}

          {% set news = field(state, "news") %}
          <label><input type="checkbox" {{ news.box() }}> Send me news</label> {{ news.error }}
          <button>Save</button>
        </form>

    All that they return is HTML, escaped by them, whether the environment escapes by itself or not.

    Raises:
        ConfigurationError: for anything but an environment, and for one that has something else under such a name.
    """
    if not isinstance(env, Environment):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        raise ConfigurationError(f"install({type(env).__name__}): write install(templates.env), Jinja2's Environment")
    known: dict[str, object] = env.globals  # pyright: ignore[reportAssignmentType]  # inferred from Jinja2's own names
    for helper in (action_script, field, form_message, hidden_fields):
        name = helper.__name__
        if known.setdefault(name, helper) is not helper:
            raise ConfigurationError(f"install(env): {name!r} is something else in this environment; rename that")


def action_script(src: object, *, nonce: str | None = None) -> Html:
    """Return the `<script>` that loads the browser half, and only what was shipped with this version.

    Args:
        src: where `browser_script` is served, such as `"/gatewright.js"` or `url_for("browser_script")`.
        nonce: that of the page's Content-Security-Policy, where it has one.
    """
    # Another version is another address: a browser that kept the old one must not take it for this.
    address = f"{src}?{_VERSION}"
    return Html(f"<script {_attributes(type='module', src=address, integrity=INTEGRITY, nonce=nonce)}></script>")


def form_message(state: ActionState) -> Html:
    """Return the place of what is wrong with the form as a whole, which is there, hidden, where nothing is."""
    texts = dict.fromkeys(filter(None, (state.message, state.error(ROOT))))
    return _place("p", " ".join(texts), data_message="", role="alert", tabindex="-1")


def field(state: ActionState, name: str, default: str | bool | Collection[str] = "", *, prefix: str = "") -> Field:
    """Return what a form shows of one of its fields.

    Args:
        state: what came of the last attempt.
        name: the field's own, such as `"title"` or `"items[0].name"`.
        default: what it shows before there was an attempt; True for a box that is ticked, several texts for a field
            that takes several.
        prefix: what its ids begin with, where a page has two forms with a field of this name.
    """
    # Ids are listed with spaces between them.
    return Field(state, name, default, "-".join(f"{prefix}{dotted(name)}".split()))


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form, as HTML; made by `field(state, "title")`.

    Attributes:
        state: what came of the last attempt.
        name: the field's own.
        default: what it shows before.
        place: what its ids begin with.
    """

    state: ActionState
    name: str
    default: str | bool | Collection[str]
    place: str

    @property
    def id(self) -> Html:
        """The id, for a `<label for>`."""
        return Html(escape(self.place))

    @property
    def value(self) -> Html:
        """What was entered, or the default."""
        return Html(escape(self._entered))

    @property
    def text(self) -> Html:
        """The value, for between `<textarea>` and `</textarea>`: browsers drop a line break that comes first."""
        return Html(f"\n{self.value}")

    @property
    def attributes(self) -> Html:
        """The id, the name and, for screen readers, whether something is wrong, and where that is told."""
        return _attributes(id=self.place, **self._common)

    @property
    def input(self) -> Html:
        """The attributes and the value, for an `<input>` to type in."""
        return _attributes(id=self.place, value=self._entered, **self._common)

    def box(self, value: str | None = None) -> Html:
        """Return what an `<input type="checkbox">` or `type="radio"` needs; it is ticked where it was.

        Args:
            value: what the box stands for, where there are several of the name; each has a label around it, and no id.
        """
        ticked = self._chosen("on" if value is None else value)
        return _attributes(id=self.place if value is None else None, value=value, checked=ticked, **self._common)

    def option(self, value: str) -> Html:
        """Return what an `<option>` needs; it is selected where it was."""
        return _attributes(value=value, selected=self._chosen(value))

    @property
    def error(self) -> Html:
        """The place of what is wrong with the field, which is there, hidden, where nothing is."""
        return _place("span", self._wrong, id=f"{self.place}-error", data_error=dotted(self.name))

    @property
    def _entered(self) -> str:
        return self.state.value(self.name, self.default if isinstance(self.default, str) else "")

    @property
    def _wrong(self) -> str:
        return self.state.error(self.name)

    @property
    def _common(self) -> dict[str, str | None]:
        invalid = "true" if self._wrong else None
        return {"name": self.name, "aria_invalid": invalid, "aria_describedby": f"{self.place}-error"}

    def _chosen(self, value: str) -> bool:
        default = self.default
        if isinstance(default, bool):
            return self.state.checked(self.name, value, default)
        return self.state.checked(self.name, value, value == default if isinstance(default, str) else value in default)


def _place(tag: str, text: str, **attributes: str) -> Html:
    return Html(f"<{tag} {_attributes(**attributes, hidden=not text)}>{escape(text)}</{tag}>")


def _attributes(**values: str | bool | None) -> Html:
    """Return attributes; True is one without a value, False and None are none."""
    return Html(
        " ".join(_attribute(name.replace("_", "-"), value) for name, value in values.items() if _is_said(value))
    )


def _is_said(value: str | bool | None) -> bool:
    return value is not None and value is not False


def _attribute(name: str, value: str | bool | None) -> str:
    return f'{name}="{escape(value)}"' if isinstance(value, str) else name
