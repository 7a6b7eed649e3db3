"""What the tour does where browsers go: the same forms without JavaScript, for programs, and for htmx."""

from __future__ import annotations

import re

from tour_checks import (
    Session,
    Visit,
    cookie,
    details,
    header,
    hides,
    limit,
    refused,
    sent_to,
    shows,
    stale,
    status,
)
from tour_http import Reply
from tour_people import ADA, BOB, CLEARED, COOKIE, EVE, FOR_HTMX, FROM_ELSEWHERE, credentials

POST = {"title": "From a form", "text": "Some <b>words</b>."}
WRITTEN = shows("Some &lt;b&gt;words&lt;/b&gt;.")
A_POST = r"/posts/\d+"


def pages(visit: Visit) -> None:
    """Go where browsers go: in, through everything that can be done there, and out."""
    ada = logging_in(visit)
    place = publishing(visit, ada)
    by_programs_and_htmx(visit, ada)
    changing(visit, ada, place)
    looking(visit, ada)
    deleting(visit, ada, place)
    registering(visit)
    logging_out(visit, ada)


def logging_in(visit: Visit) -> Session:
    """Be sent to the form, fail, and get back to where it began."""
    path, new = "/login", "/posts/new"
    visit.step("a program asks for a page", "GET", new, *refused(401, "unauthorized"))
    visit.browse("a browser is sent to the form", "GET", new, *sent_to("/login?next=/posts/new"))
    policy = header("Content-Security-Policy", ".*form-action 'self'.*", "...form-action 'self'...")
    back = shows('name="next" value="/posts/new"')
    visit.browse("the form", "GET", "/login?next=/posts/new", status(200), policy, back)
    given = credentials(ADA)
    for title, number, form in (
        ("a wrong password", 401, given | {"password": BOB["password"]}),
        ("what is locked for programs", 429, given | {"email": "nobody@example.com"}),
    ):
        again = (status(number), limit(30), shows('role="alert"'), shows(form["email"]), hides(form["password"]))
        visit.browse(title, "POST", path, *again, form=form | {"next": new})
    into = (status(422), header("HX-Retarget", "main"), shows(ADA["email"]))
    wrong = given | {"password": BOB["password"]}
    visit.step("a wrong password, by htmx", "POST", path, *into, form=wrong, headers=FOR_HTMX, enveloped=False)
    foreign = refused(403, "cross_origin")
    visit.step("another site logs one in", "POST", path, *foreign, form=given, headers=FROM_ELSEWHERE)
    away = given | {"next": "//evil.example/"}
    visit.browse("no way to elsewhere", "POST", path, *sent_to("/"), form=away)
    known = given | {"next": "/?page=2"}
    reply = visit.browse("the password", "POST", path, *sent_to("/?page=2"), cookie(COOKIE), form=known)
    return Session.begun("ada, in a browser", reply)


def publishing(visit: Visit, ada: Session) -> str:
    """Write a post, wrongly at first; return where it is."""
    path = "/posts/new"
    kept = header("Cache-Control", "no-store")
    reply = visit.browse("an empty form", "GET", path, status(200), shows("_once"), kept, session=ada)
    post = POST | _hidden(reply)
    visit.browse("without a session", "POST", path, status(401), shows("in another tab"), form=post)
    foreign = refused(403, "cross_origin")
    visit.step("from another site", "POST", path, *foreign, form=post, headers=FROM_ELSEWHERE, session=ada)
    bad, wrong = post | {"title": " "}, (status(400), shows('aria-invalid="true"'), WRITTEN, limit(30))
    visit.browse("without a title, the rest stays", "POST", path, *wrong, form=bad, session=ada)
    large = post | {"text": "x" * 100_000}
    visit.browse("a post too large", "POST", path, status(413), form=large, session=ada)
    somewhere = (status(303), header("Location", A_POST, "/posts/<number>"))
    reply = visit.browse("publish", "POST", path, *somewhere, form=post, session=ada)
    place = reply.header("Location")
    again = (*sent_to(place), header("Idempotent-Replayed", "true"))
    visit.browse("the same form again", "POST", path, *again, form=post, session=ada)
    visit.browse("the post", "GET", place, status(200), shows("&lt;b&gt;words&lt;/b&gt;"), hides("Edit"))
    return place


def by_programs_and_htmx(visit: Visit, ada: Session) -> None:
    """Send the same forms as a script does, and as htmx does."""
    path, bad = "/posts/new", POST | {"title": " "}
    wrong = (*refused(400, "validation_failed"), details("title"))
    visit.step("JSON without a title", "POST", path, *wrong, send=bad, session=ada)
    reply = visit.step("JSON", "POST", path, status(200), stale("posts"), send=POST, session=ada)
    gone = (status(204), header("HX-Redirect", "/"), header("HX-Trigger", ".*invalidated:posts.*", "...posts..."))
    delete = f"{reply.json.get('redirect')}/delete"
    visit.step("deleted by htmx", "POST", delete, *gone, headers=FOR_HTMX, session=ada, enveloped=False)
    into = (status(422), header("HX-Retarget", "main"), WRITTEN)
    visit.step("htmx, no title", "POST", path, *into, form=bad, headers=FOR_HTMX, session=ada, enveloped=False)
    there = (status(204), header("HX-Redirect", A_POST, "/posts/<number>"))
    reply = visit.step("htmx", "POST", path, *there, form=POST, headers=FOR_HTMX, session=ada, enveloped=False)
    delete = f"{reply.header('HX-Redirect')}/delete"
    visit.step("deleted by a program", "POST", delete, status(200), stale("posts"), session=ada)


def changing(visit: Visit, ada: Session, place: str) -> None:
    """Change a post, wrongly at first; not another's."""
    path, bob = f"{place}/edit", visit.sessions["bob"]
    changed = POST | {"title": "Changed"}
    visit.browse("a form with what is there", "GET", path, status(200), shows(POST["title"]), session=ada)
    visit.step("another's post", "GET", path, *refused(403, "forbidden"), session=bob)
    visit.step("no change to another's", "POST", path, *refused(403, "forbidden"), form=changed, session=bob)
    visit.step("nor without a session", "POST", path, *refused(401, "unauthorized"), form=changed)
    bad = changed | {"text": ""}
    wrong = (status(400), shows('value="Changed"'), shows('aria-invalid="true"'))
    visit.browse("without a text, the rest stays", "POST", path, *wrong, form=bad, session=ada)
    into = (status(422), header("HX-Retarget", "main"), shows('value="Changed"'))
    visit.step("the same by htmx", "POST", path, *into, form=bad, headers=FOR_HTMX, session=ada, enveloped=False)
    large = changed | {"text": "x" * 100_000}
    visit.browse("a change too large", "POST", path, status(413), form=large, session=ada)
    visit.browse("change it", "POST", path, *sent_to(place), form=changed, session=ada)
    visit.step("the same as JSON", "POST", path, status(200), stale("posts"), send=changed, session=ada)
    visit.browse("it is changed", "GET", place, status(200), shows("Changed"), shows("Edit"), session=ada)


def looking(visit: Visit, ada: Session) -> None:
    """Look at the list, page by page, as a visitor and as somebody."""
    older, newer = shows("/?page=2&amp;limit=2"), shows("/?page=1&amp;limit=2")
    visit.browse("the list", "GET", "/?limit=2", status(200), shows("Changed"), older, shows("Log in"))
    visit.browse("its next page", "GET", "/?limit=2&page=2", status(200), newer, hides("Changed"))
    visit.browse("for who is logged in", "GET", "/", status(200), shows("Log out"), session=ada)
    visit.step("no such post", "GET", "/posts/999", *refused(404, "not_found"))
    script = (status(200), header("Content-Type", "text/javascript.*", "text/javascript"))
    visit.browse("the script", "GET", "/gatewright.js", *script)


def deleting(visit: Visit, ada: Session, place: str) -> None:
    """Delete a post; not another's, unless one is an administrator."""
    path, bob = f"{place}/delete", visit.sessions["bob"]
    visit.step("not another's", "POST", path, *refused(403, "forbidden"), session=bob)
    visit.step("nor without a session", "POST", path, *refused(401, "unauthorized"))
    visit.browse("delete one's own", "POST", path, *sent_to("/"), session=ada)
    visit.step("it is gone", "GET", place, *refused(404, "not_found"))


def registering(visit: Visit) -> None:
    """Make an account, and be logged in."""
    path = "/register"
    visit.browse("the form", "GET", path, status(200), shows('autocomplete="new-password"'))
    taken = EVE | {"email": ADA["email"]}
    wrong = (status(409), limit(10), shows("There is an account with this email address"), hides(EVE["password"]))
    visit.browse("the address is taken", "POST", path, *wrong, form=taken)
    into = (status(422), header("HX-Retarget", "main"), shows(EVE["name"]))
    visit.step("the same by htmx", "POST", path, *into, form=taken, headers=FOR_HTMX, enveloped=False)
    foreign = refused(403, "cross_origin")
    visit.step("from another site", "POST", path, *foreign, form=EVE, headers=FROM_ELSEWHERE)
    visit.browse("register", "POST", path, *sent_to("/"), cookie(COOKIE), form=EVE)


def logging_out(visit: Visit, ada: Session) -> None:
    """Log out, and be out."""
    path, inside = "/logout", (status(200), shows("Log out"))
    foreign = refused(403, "cross_origin")
    visit.step("another site logs one out", "POST", path, *foreign, headers=FROM_ELSEWHERE, session=ada)
    visit.browse("which it did not", "GET", "/posts/new", *inside, session=ada)
    visit.browse("log out", "POST", path, *sent_to("/login"), cookie(CLEARED, value=""), session=ada)
    lost = sent_to("/login?next=/posts/new")
    visit.browse("a copy of the cookie is void", "GET", "/posts/new", *lost, session=ada)


def _hidden(reply: Reply) -> dict[str, str]:
    """Return what a form has that nobody fills in."""
    fields = re.finditer(r'<input type="hidden" name="(\w+)" value="([^"]*)">', reply.body.decode())
    return {field[1]: field[2] for field in fields}
