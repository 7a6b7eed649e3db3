"""Registering, logging in and logging out."""

from __future__ import annotations

from starlette.responses import Response

from blog import accounts
from blog.db import Database, sessions
from blog.gate import session
from blog.pages.html import render
from blog.schemas import LoginForm, Registration
from gatewright import (
    ActionState,
    Call,
    FromInput,
    FromQuery,
    Redirect,
    action,
    public,
    redirect,
    transactional,
    validate,
    with_rate_limit,
)

HOME = "/"


def account_form(call: Call, state: ActionState) -> Response:
    """Show the form of a new account."""
    return render(call, "register.html", state)


@public
async def new_account(call: Call) -> Response:
    """Show an empty form."""
    return account_form(call, ActionState())


@public
@action(page=account_form, target="main")
@with_rate_limit("10/minute")
@transactional(sessions)
async def register(form: FromInput[Registration], call: Call, db: Database) -> Redirect:
    """Make an account, and begin its first session."""
    known = await accounts.login.sign_in(call, await accounts.register(db, form))
    return redirect(HOME, cookies=known.cookies)


def login_form(call: Call, state: ActionState) -> Response:
    """Show the form to log in with."""
    return render(call, "login.html", state)


@public
@validate
async def login(call: Call, next: FromQuery[str] = HOME) -> Response:  # noqa: A002  # the parameter's name
    """Show the form; it keeps where to go then."""
    return login_form(call, ActionState(values={"next": next}))


@public
@action(page=login_form, target="main")
@with_rate_limit("30/minute")
async def log_in(form: FromInput[LoginForm], call: Call) -> Redirect:
    """Begin a session and go on, on this host and nowhere else."""
    known = await accounts.login.attempt(call, form.email, form.password.get_secret_value())
    return redirect(form.next, otherwise=HOME, cookies=known.cookies)


@public
@action
async def log_out(call: Call) -> Redirect:
    """End the session, if there is one that still counts; in any case the browser forgets it."""
    return redirect("/login", cookies=[await session.end_session(call)])
