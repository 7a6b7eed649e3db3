"""Pages from templates, and what browsers may do with them."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from gatewright import ActionState, Call
from gatewright.actions.templates import install

__all__ = ["render"]

# Browsers keep pages for their back button, "no-store" or not. After a logout these are not to be seen again.
RELOAD = "onpageshow = event => { if (event.persisted) location.reload() }"
RELOAD_HASH = b64encode(sha256(RELOAD.encode()).digest()).decode()
HEADERS = {
    # Our script, which may ask this host; that line above; no styles, no pictures, and forms that go nowhere else.
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'self' 'sha256-{RELOAD_HASH}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
}

templates = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
install(templates)


def render(call: Call, template: str, state: ActionState | None = None, **values: object) -> Response:
    """Return a page; its links and buttons are those for who is calling."""
    about = {"call": call, "here": call.scope["path"], "principal": call.principal, "state": state, "reload": RELOAD}
    return HTMLResponse(templates.get_template(template).render(about, **values), headers=HEADERS)
