"""What the tour does: every behaviour of the blog, step by step, each with what has to come back."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from tour_checks import (
    Check,
    Session,
    Visit,
    body,
    cookie,
    data,
    details,
    fields,
    header,
    items,
    limit,
    refused,
    status,
)

ADMIN = {"email": "admin@example.com", "password": "an admin's long password"}
ADA = {"name": "ada", "email": "ada@example.com", "password": "a long password of ada"}
BOB = {"name": "bob", "email": "bob@example.com", "password": "a long password of bob"}
COOKIE = "Path=/; Max-Age=86400; Secure; HttpOnly; SameSite=Lax"


def environment(database: str) -> dict[str, str]:
    """Return settings for a blog to be visited; its secrets are fixed, so that sessions survive a restart."""
    return {
        "BLOG_DATABASE": database,
        "BLOG_SECRET_KEY": secrets.token_urlsafe(32),
        "BLOG_STRIPE_SECRET": f"whsec_{secrets.token_urlsafe(32)}",
        "BLOG_ADMIN_EMAIL": ADMIN["email"],
        "BLOG_ADMIN_PASSWORD": ADMIN["password"],
    }


# The story


def tell(visit: Visit) -> None:
    """Visit everything."""
    ada_id, bob_id = accounts(visit)
    sessions(visit)
    post_id = publishing(visit)
    reading(visit, post_id)
    owning(visit, post_id)
    users(visit, ada_id, bob_id)
    webhooks(visit, ada_id)
    if visit.wrapped:
        whole_app(visit)
    restarting(visit, ada_id)
    leaving(visit, ada_id)


def accounts(visit: Visit) -> tuple[str, str]:
    """Register; return the ids of two users."""
    path = "/api/auth/register"
    ada = visit.step("register", "POST", path, status(201), fields("id", "is_supporter", "name"), limit(10), send=ADA)
    taken = refused(409, "conflict")
    visit.step("the address is taken", "POST", path, *taken, details("email"), send=ADA | {"name": "ada2"})
    visit.step("the name is taken", "POST", path, *taken, details("name"), send=ADA | {"email": "2@example.com"})
    bad = {"name": "a b", "email": "nowhere", "password": "short"}
    visit.step("bad input, all told", "POST", path, *refused(400, "validation_failed"), details(*bad), send=bad)
    bob = visit.step("register another", "POST", path, status(201), data(name="bob"), send=BOB)
    return str(ada.data.get("id")), str(bob.data.get("id"))


def sessions(visit: Visit) -> None:
    """Log in, and guess until that is too often."""
    path, wrong = "/api/auth/login", refused(401, "wrong_credentials")
    challenge = header("WWW-Authenticate", 'Session realm="api"')
    for title, given in {
        "wrong password": ADA | {"password": BOB["password"]},
        "unknown account": BOB | {"email": "nobody@example.com"},
    }.items():
        visit.step(title, "POST", path, *wrong, challenge, send=_credentials(given))
    for whose, given in {"ada": ADA, "bob": BOB, "admin": ADMIN}.items():
        reply = visit.step(f"log in: {whose}", "POST", path, status(200), cookie(COOKIE), send=_credentials(given))
        visit.sessions[whose] = Session.begun(whose, reply)
    guess = _credentials(BOB | {"email": "nobody@example.com"})
    for title in ("second", "third", "fourth", "fifth"):
        visit.step(f"the {title} wrong password", "POST", path, *wrong, limit(30), send=guess)
    wait = header("Retry-After", r"\d+", "<seconds>")
    visit.step("locked, though there is no such account", "POST", path, *refused(429, "locked_out"), wait, send=guess)
    visit.step("other accounts are not", "POST", path, status(200), cookie(COOKIE), send=_credentials(ADA))


def _credentials(of: Mapping[str, str]) -> dict[str, str]:
    return {"email": of["email"], "password": of["password"]}


def publishing(visit: Visit) -> int:
    """Create posts."""
    path, ada, post = "/api/posts", visit.sessions["ada"], {"title": "Hello", "text": "The first post."}
    visit.step(
        "post without a session",
        "POST",
        path,
        *refused(401, "unauthorized"),
        header("WWW-Authenticate", 'Session realm="api"'),
        send=post,
    )
    forged = Session("a forger", ada.value[:-4] + ("aaaa" if not ada.value.endswith("aaaa") else "bbbb"))
    visit.step("a forged session", "POST", path, *refused(401, "invalid_token"), send=post, session=forged)
    key = {"Idempotency-Key": secrets.token_hex(8)}
    hello = (status(201), data(title="Hello"))
    reply = visit.step("post", "POST", path, *hello, limit(30), send=post, headers=key, session=ada)
    same = (*hello, data(id=reply.data.get("id")), header("Idempotent-Replayed", "true"))
    visit.step("the same again, after a lost answer", "POST", path, *same, send=post, headers=key, session=ada)
    reused = refused(422, "idempotency_key_reused")
    other = post | {"title": "Another"}
    visit.step("another post under the same key", "POST", path, *reused, send=other, headers=key, session=ada)
    bad = refused(400, "validation_failed")
    visit.step("a post without a title", "POST", path, *bad, details("title"), send={"text": "?"}, session=ada)
    visit.step(
        "no JSON",
        "POST",
        path,
        *bad,
        details("_root"),
        raw=b"{",
        headers={"Content-Type": "application/json"},
        session=ada,
    )
    visit.step(
        "another content type",
        "POST",
        path,
        *refused(415, "unsupported_media_type"),
        header("Accept", "application/json"),
        raw=b"title=Hello",
        headers={"Content-Type": "text/plain"},
        session=ada,
    )
    large = {"title": "Hello", "text": "x" * 100_000}
    visit.step("a post too large", "POST", path, *refused(413, "payload_too_large"), send=large, session=ada)
    for title in ("Again", "And again"):
        visit.step("post more", "POST", path, status(201), send=post | {"title": title}, session=ada)
    return int(reply.data.get("id", 0))


def reading(visit: Visit, post_id: int) -> None:
    """Read posts, and what is not there."""
    path, bad = "/api/posts", refused(400, "validation_failed")
    first, second = items(2, page=1, limit=2, total=3, totalPages=2), items(1, page=2, limit=2, total=3, totalPages=2)
    following = header("Link", r'.*<[^>]*page=2[^>]*>; rel="next".*', '...rel="next"')
    visit.step("a page", "GET", f"{path}?limit=2", status(200), first, following)
    visit.step("the next page", "GET", f"{path}?limit=2&page=2", status(200), second)
    clamped = items(3, page=1, limit=50, total=3, totalPages=1)
    visit.step("a limit too high is clamped", "GET", f"{path}?limit=1000", status(200), clamped)
    visit.step("visitors may read less often", "GET", path, status(200), limit(60))
    visit.step("than users", "GET", path, status(200), limit(600), session=visit.sessions["ada"])
    if not visit.wrapped:
        unlimited = header("RateLimit-Policy", "", "(none)")
        visit.step("and administrators", "GET", path, status(200), unlimited, session=visit.sessions["admin"])
    visit.step("no such page", "GET", f"{path}?page=0", *bad, details("page"))
    visit.step("read", "GET", f"{path}/{post_id}", status(200), data(id=post_id, title="Hello"))
    visit.step("no number", "GET", f"{path}/first", *bad, details("post_id"))
    missing: tuple[Check, ...] = refused(404, "not_found")
    visit.step("no such post", "GET", f"{path}/999", *missing)
    problem = header("Content-Type", "application/problem[+]json", "application/problem+json")
    accept = {"Accept": "application/problem+json"}
    visit.step("problem details", "GET", f"{path}/999", *missing, problem, headers=accept, enveloped=False)
    # Of a wrapped app, the errors that its framework makes itself are not ours to render.
    wrong: tuple[Check, ...] = refused(405, "method_not_allowed")
    if visit.wrapped:
        missing, wrong = (status(404), limit(1000)), (status(405), limit(1000))
    visit.step("no such path", "GET", "/api/nowhere", *missing, enveloped=not visit.wrapped)
    visit.step("no such method", "PUT", "/api/posts", *wrong, enveloped=not visit.wrapped)


def owning(visit: Visit, post_id: int) -> None:
    """Change and delete posts."""
    path, ada, bob = f"/api/posts/{post_id}", visit.sessions["ada"], visit.sessions["bob"]
    changes, forbidden = {"title": "Hello again"}, refused(403, "forbidden")
    visit.step("change without a session", "PATCH", path, *refused(401, "unauthorized"), send=changes)
    visit.step("change another's post", "PATCH", path, *forbidden, send=changes, session=bob)
    visit.step(
        "change one's own",
        "PATCH",
        path,
        status(200),
        data(title="Hello again", text="The first post."),
        send=changes,
        session=ada,
    )
    large = {"text": "x" * 100_000}
    visit.step("a change too large", "PATCH", path, *refused(413, "payload_too_large"), send=large, session=ada)
    visit.step("delete without a session", "DELETE", path, *refused(401, "unauthorized"))
    visit.step("delete another's post", "DELETE", path, *forbidden, session=bob)
    visit.step("delete one's own", "DELETE", path, status(204), session=ada)
    visit.step("it is gone", "GET", path, *refused(404, "not_found"))


def users(visit: Visit, ada_id: str, bob_id: str) -> None:
    """Look at accounts, change them and delete one."""
    ada, bob, admin = (visit.sessions[whose] for whose in ("ada", "bob", "admin"))
    forbidden, of_ada, of_bob = refused(403, "forbidden"), f"/api/users/{ada_id}", f"/api/users/{bob_id}"
    visit.step("all users, without a session", "GET", "/api/users", *refused(401, "unauthorized"))
    visit.step("all users, as anybody", "GET", "/api/users", *forbidden, session=ada)
    page = items(3, page=1, limit=10, total=3, totalPages=1)
    visit.step("all users, as administrator", "GET", "/api/users", status(200), page, session=admin)
    visit.step("a user, without a session", "GET", of_ada, *refused(401, "unauthorized"))
    shown = fields("id", "is_supporter", "name")
    visit.step("a user, without address and hash", "GET", of_ada, status(200), shown, session=bob)
    visit.step("no such user", "GET", "/api/users/nobody", *refused(404, "not_found"), session=ada)
    visit.step("rename another", "PATCH", of_ada, *forbidden, send={"name": "bobs"}, session=bob)
    taken = refused(409, "conflict")
    visit.step("rename oneself, taken", "PATCH", of_ada, *taken, details("name"), send={"name": "bob"}, session=ada)
    lovelace = {"name": "lovelace"}
    visit.step("rename oneself", "PATCH", of_ada, status(200), data(**lovelace), send=lovelace, session=ada)
    visit.step("delete another", "DELETE", of_bob, *forbidden, session=ada)
    visit.step("delete another, as administrator", "DELETE", of_bob, status(204), session=admin)
    visit.step("a session without an account", "GET", of_ada, *refused(401, "invalid_token"), session=bob)


def webhooks(visit: Visit, ada_id: str) -> None:
    """Deliver what Stripe's own library signed, and what it did not."""
    ada, of_ada = visit.sessions["ada"], f"/api/users/{ada_id}"
    paid = {
        "id": "evt_1",
        "type": "checkout.session.completed",
        "data": {"object": {"client_reference_id": ada_id}},
    }
    forged = refused(401, "invalid_signature")
    visit.stripe("a forged delivery", paid, *forged, secret="whsec_somebody_elses")
    visit.stripe("a delivery replayed after an hour", paid, *forged, age=3600)
    visit.step("nothing happened", "GET", of_ada, status(200), data(is_supporter=False), session=ada)
    visit.stripe("a signed delivery", paid, status(200))
    visit.step("it was handled", "GET", of_ada, status(200), data(is_supporter=True), session=ada)
    stopped = paid | {
        "type": "customer.subscription.deleted",
        "data": {"object": {"metadata": {"user_id": ada_id}}},
    }
    visit.stripe("one of another type", stopped, status(200))
    visit.step("it was handled too", "GET", of_ada, status(200), data(is_supporter=False), session=ada)
    other = paid | {"type": "invoice.created"}
    visit.stripe("one of a type nobody waits for", other, status(200), body(received=True), enveloped=False)


def whole_app(visit: Visit) -> None:
    """See what stands in front of the whole app, where something does."""
    visit.step("the app's own limit", "GET", "/api/posts", status(200), limit(1000))
    large = ADA | {"name": "x" * 200_000}
    path = "/api/auth/register"
    visit.step("the app's own cap", "POST", path, *refused(413, "payload_too_large"), send=large)


def restarting(visit: Visit, ada_id: str) -> None:
    """Start the blog again on the same database; sessions hold, because they are signed with the same key."""
    visit.blog.restart()
    old, of_ada = visit.sessions["ada"], f"/api/users/{ada_id}"
    visit.step("after a restart: the old session", "GET", of_ada, status(200), data(name="lovelace"), session=old)
    visit.step("the posts", "GET", "/api/posts", status(200), items(2, page=1, limit=10, total=2, totalPages=1))
    path = "/api/auth/login"
    reply = visit.step("the old account", "POST", path, status(200), cookie(COOKIE), send=_credentials(ADA))
    visit.sessions["new"] = Session.begun("ada again", reply)


def leaving(visit: Visit, ada_id: str) -> None:
    """Log out, and delete the account."""
    path, ada, new, of_ada = "/api/auth/logout", visit.sessions["ada"], visit.sessions["new"], f"/api/users/{ada_id}"
    visit.step("log out without a session", "POST", path, *refused(401, "unauthorized"))
    cleared = cookie("Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax", value="")
    visit.step("log out", "POST", path, status(204), cleared, session=ada)
    visit.step("delete one's own account", "DELETE", of_ada, status(204), session=new)
    visit.step("and its posts", "GET", "/api/posts", status(200), items(0, page=1, limit=10, total=0, totalPages=0))
