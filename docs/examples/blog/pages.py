"""Three small pages, for browsers: a form to log in with, who one is, and a button to log out."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape

from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from blog import accounts, users
from blog.db import User
from blog.gate import gate, session
from blog.schemas import LoginForm
from gatewright import (
    ApiError,
    Call,
    Cookie,
    FromForm,
    FromQuery,
    Principal,
    TooManyRequests,
    cross_origin,
    public,
    validate,
    with_auth,
    with_rate_limit,
)
from gatewright.auth import LoginFailed, safe_next

HOME = "/me"
# Browsers keep pages for their back button, "no-store" or not. After a logout this one is not to be seen again.
RELOAD = "onpageshow = event => { if (event.persisted) location.reload() }"
RELOAD_HASH = b64encode(sha256(RELOAD.encode()).digest()).decode()
HEADERS = {
    # One script, no styles, no pictures, and forms that go nowhere else.
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'sha256-{RELOAD_HASH}'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
}


@public
@validate
async def login_page(next: FromQuery[str | None] = None) -> Response:  # noqa: A002  # the parameter's name
    """Show the form."""
    return login_form(next)


@public
@with_rate_limit("30/minute")
@validate
async def log_in(form: FromForm[LoginForm], call: Call) -> Response:
    """Begin a session and go on, or show the form again."""
    try:
        known = await accounts.login.attempt(call, form.email, form.password.get_secret_value())
    except (LoginFailed, TooManyRequests) as refusal:
        return login_form(form.next, form.email, refusal)
    return to(safe_next(form.next, HOME), *known.cookies)


@with_auth(session)
async def me(principal: Principal[User]) -> Response:
    """Greet whoever has a session; a browser without one is sent to the form, and from there back."""
    return page(
        "You",
        f"<p>Hello, {escape(users.of(principal).name)}.</p>"
        '<form method="post" action="/logout"><button id="sign-out">Sign out</button></form>'
        f"<script>{RELOAD}</script>",
    )


@public
@cross_origin()
async def log_out(call: Call) -> Response:
    """End the session, if there is one that still counts; in any case the browser forgets it."""
    return to("/login", await session.end_session(call))


def login_form(next_place: str | None, email: str = "", refusal: ApiError | None = None) -> Response:
    """Return the form, with the reason why it is shown again."""
    message = f'<p id="message" role="alert">{escape(refusal.message)}</p>' if refusal else ""
    form = page(
        "Sign in",
        f"{message}"
        '<form method="post" action="/login">'
        f'<input type="hidden" name="next" value="{escape(safe_next(next_place, HOME))}">'
        '<p><label for="email">Email</label> <input id="email" name="email" type="email" autocomplete="username"'
        f' value="{escape(email)}" required></p>'
        '<p><label for="password">Password</label> <input id="password" name="password" type="password"'
        ' autocomplete="current-password" required></p>'
        '<button id="sign-in">Sign in</button></form>',
    )
    if refusal:
        form.status_code = refusal.status_code
        form.headers.update(refusal.headers or {})
    return form


def page(title: str, body: str) -> Response:
    """Return a page; what is put into *body* was escaped there."""
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<h1>{escape(title)}</h1>{body}</html>",
        headers=HEADERS,
    )


def to(place: str, *cookies: Cookie) -> Response:
    """Send the browser somewhere on this host, with a GET."""
    response = RedirectResponse(place, status_code=303, headers={"Cache-Control": "no-store"})
    for cookie in cookies:
        gate.set_cookie(response, cookie)
    return response


routes: list[BaseRoute] = [
    Route("/login", login_page),
    Route("/login", log_in, methods=["POST"]),
    Route("/me", me),
    Route("/logout", log_out, methods=["POST"]),
]
