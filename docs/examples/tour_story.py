"""What the tour does: every behaviour of the blog, step by step, each with what has to come back."""

from __future__ import annotations

import secrets

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
from tour_pages import pages
from tour_people import ADA, ADMIN, BOB, CLEARED, COOKIE, FROM_ELSEWHERE, credentials


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
    passwords(visit, bob_id)
    pages(visit)
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
    bad, problem = {"name": "a b", "email": "nowhere"}, refused(400, "validation_failed")
    visit.step("bad input, all told", "POST", path, *problem, details(*bad), send=ADA | bad)
    for title, password in {"a short password": "a short one", "one's own address": "ada+example.com"}.items():
        weak = BOB | {"email": "ada@example.com", "password": password}
        visit.step(f"{title} for a password", "POST", path, *problem, details("password"), send=weak)
    foreign = refused(403, "cross_origin")
    visit.step("from another site", "POST", path, *foreign, send=BOB, headers=FROM_ELSEWHERE)
    bob = visit.step("register another", "POST", path, status(201), data(name="bob"), send=BOB)
    return str(ada.data.get("id")), str(bob.data.get("id"))


def sessions(visit: Visit) -> None:
    """Log in, and guess until that is too often."""
    path, wrong = "/api/auth/login", refused(401, "login_failed")
    challenge = header("WWW-Authenticate", 'Session realm="api"')
    for title, given in {
        "wrong password": ADA | {"password": BOB["password"]},
        "unknown account": BOB | {"email": "nobody@example.com"},
    }.items():
        visit.step(title, "POST", path, *wrong, challenge, send=credentials(given))
    foreign = refused(403, "cross_origin")
    visit.step("from another site", "POST", path, *foreign, send=credentials(ADA), headers=FROM_ELSEWHERE)
    for whose, given in {"ada": ADA, "bob": BOB, "admin": ADMIN}.items():
        reply = visit.step(f"log in: {whose}", "POST", path, status(200), cookie(COOKIE), send=credentials(given))
        visit.sessions[whose] = Session.begun(whose, reply)
    guess = credentials(BOB | {"email": "nobody@example.com"})
    for title in ("second", "third", "fourth", "fifth"):
        visit.step(f"the {title} wrong password", "POST", path, *wrong, limit(30), send=guess)
    wait = header("Retry-After", r"\d+", "<seconds>")
    visit.step("locked, though there is no such account", "POST", path, *refused(429, "locked_out"), wait, send=guess)
    visit.step("other accounts are not", "POST", path, status(200), cookie(COOKIE), send=credentials(ADA))


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
    foreign = refused(403, "cross_origin")
    visit.step("from another site", "POST", path, *foreign, send=post, headers=FROM_ELSEWHERE, session=ada)
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
    """Change and delete posts; everybody can read them, so that a stranger is told that they are there."""
    path, (ada, bob, admin) = f"/api/posts/{post_id}", (visit.sessions[whose] for whose in ("ada", "bob", "admin"))
    changes, forbidden = {"title": "Hello again"}, refused(403, "forbidden")
    visit.step("change without a session", "PATCH", path, *refused(401, "unauthorized"), send=changes)
    visit.step("change another's post", "PATCH", path, *forbidden, send=changes, session=bob)
    visit.step("not as administrator either", "PATCH", path, *forbidden, send=changes, session=admin)
    none: tuple[Check, ...] = refused(404, "not_found")
    visit.step("change a post that is not there", "PATCH", "/api/posts/999", *none, send=changes, session=bob)
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
    visit.step("it is gone", "GET", path, *none)
    spam = {"title": "Buy", "text": "Now."}
    reply = visit.step("another's post", "POST", "/api/posts", status(201), send=spam, session=bob)
    path = f"/api/posts/{reply.data.get('id')}"
    visit.step("delete it, as administrator", "DELETE", path, status(204), session=admin)


def passwords(visit: Visit, bob_id: str) -> None:
    """Change a password, and be logged out everywhere else."""
    path, bob, of_bob = "/api/auth/password", visit.sessions["bob"], f"/api/users/{bob_id}"
    log_in, over = "/api/auth/login", refused(401, "invalid_token")
    reply = visit.step("log in on a phone", "POST", log_in, status(200), cookie(COOKIE), send=credentials(BOB))
    phone = Session.begun("bob's phone", reply)
    change = {"current": BOB["password"], "new": "another long password"}
    wrong, problem = refused(401, "login_failed"), refused(400, "validation_failed")
    visit.step("change without a session", "POST", path, *refused(401, "unauthorized"), send=change)
    guess = change | {"current": ADA["password"]}
    visit.step("the present password is wrong", "POST", path, *wrong, send=guess, session=bob)
    weak = change | {"new": "bob@example.com"}
    visit.step("the new one is weak", "POST", path, *problem, details("new"), send=weak, session=bob)
    reply = visit.step("change one's password", "POST", path, status(204), cookie(COOKIE), send=change, session=bob)
    visit.sessions["bob"] = Session.begun("bob again", reply)
    visit.step("the phone is logged out", "GET", of_bob, *over, session=phone)
    visit.step("the cookie of before is void", "GET", of_bob, *over, session=bob)
    visit.step("the new one is good", "GET", of_bob, status(200), session=visit.sessions["bob"])
    visit.step("the old password is not", "POST", log_in, *wrong, send=credentials(BOB))


def users(visit: Visit, ada_id: str, bob_id: str) -> None:
    """Look at accounts, change them and delete one."""
    ada, bob, admin = (visit.sessions[whose] for whose in ("ada", "bob", "admin"))
    forbidden, of_ada, of_bob = refused(403, "forbidden"), f"/api/users/{ada_id}", f"/api/users/{bob_id}"
    visit.step("all users, without a session", "GET", "/api/users", *refused(401, "unauthorized"))
    visit.step("all users, as anybody", "GET", "/api/users", *forbidden, session=ada)
    page = items(4, page=1, limit=10, total=4, totalPages=1)
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
    robert = {"name": "robert"}
    visit.step("as administrator", "PATCH", of_bob, status(200), data(**robert), send=robert, session=admin)
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
        "id": "evt_2",
        "type": "customer.subscription.deleted",
        "data": {"object": {"metadata": {"user_id": ada_id}}},
    }
    visit.stripe("one of another type", stopped, status(200))
    visit.step("it was handled too", "GET", of_ada, status(200), data(is_supporter=False), session=ada)
    visit.stripe("the first one again", paid, status(200), body(received=True), enveloped=False)
    visit.step("it was not handled twice", "GET", of_ada, status(200), data(is_supporter=False), session=ada)
    other = paid | {"id": "evt_3", "type": "invoice.created"}
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
    reply = visit.step("the old account", "POST", path, status(200), cookie(COOKIE), send=credentials(ADA))
    visit.sessions["new"] = Session.begun("ada again", reply)


def leaving(visit: Visit, ada_id: str) -> None:
    """Log out, and delete the account."""
    path, ada, new, of_ada = "/api/auth/logout", visit.sessions["ada"], visit.sessions["new"], f"/api/users/{ada_id}"
    visit.step("log out without a session", "POST", path, *refused(401, "unauthorized"))
    foreign = refused(403, "cross_origin")
    visit.step("from another site", "POST", path, *foreign, headers=FROM_ELSEWHERE, session=ada)
    visit.step("log out", "POST", path, status(204), cookie(CLEARED, value=""), session=ada)
    visit.step("a copy of the cookie is void", "GET", of_ada, *refused(401, "invalid_token"), session=ada)
    visit.step("delete one's own account", "DELETE", of_ada, status(204), session=new)
    visit.step("and its posts", "GET", "/api/posts", status(200), items(0, page=1, limit=10, total=0, totalPages=0))
