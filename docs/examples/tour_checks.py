"""The words that the tour's story is told in: what has to come back, and steps that compare."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlencode

from stripe import WebhookSignature
from tour_http import Reply, Request

SESSION = "__Host-session"
FOR_A_PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}


class Blog(Protocol):
    """A blog that the tour can visit: a server, or an app in this process."""

    def send(self, request: Request) -> Reply:
        """Return the reply to *request*."""
        ...

    def restart(self) -> None:
        """Stop the blog, and start it on the same database."""
        ...


# Expectations


@dataclass(frozen=True)
class Check:
    """Expect a text of a reply: this one, or one that fits a pattern."""

    expected: str
    read: Callable[[Reply], str]
    pattern: str | None = None

    def holds(self, reply: Reply) -> bool:
        """Say whether *reply* is as expected."""
        found = self.read(reply)
        return found == self.expected if self.pattern is None else re.fullmatch(self.pattern, found) is not None


def status(number: int) -> Check:
    """Expect a status."""
    return Check(str(number), lambda reply: str(reply.status))


def code(text: str) -> Check:
    """Expect an error's code."""
    return Check(text, lambda reply: str(reply.json.get("code", "no code")))


def refused(number: int, text: str) -> tuple[Check, Check]:
    """Expect an error."""
    return status(number), code(text)


def details(*paths: str) -> Check:
    """Expect messages about these fields, and no others."""
    return Check(_listed("details", paths), lambda reply: _listed("details", reply.json.get("details") or ()))


def fields(*names: str) -> Check:
    """Expect an object with these fields, and no others."""
    return Check(_listed("fields", names), lambda reply: _listed("fields", reply.data))


def data(**values: object) -> Check:
    """Expect these values in the object that comes back."""
    return Check(json.dumps(values), lambda reply: json.dumps({name: reply.data.get(name) for name in values}))


def items(count: int, **pagination: int) -> Check:
    """Expect a page."""

    def read(reply: Reply) -> str:
        return f"{len(reply.json.get('data') or ())} items, {json.dumps(reply.json.get('pagination'))}"

    return Check(f"{count} items, {json.dumps(pagination)}", read)


def body(**values: object) -> Check:
    """Expect this JSON object, without an envelope."""
    return Check(json.dumps(values), lambda reply: json.dumps(reply.json))


def header(name: str, pattern: str, shown: str | None = None) -> Check:
    """Expect a header that fits *pattern*; *shown* is how people read it."""
    expected = f"{name}: {pattern if shown is None else shown}"
    return Check(expected, lambda reply: f"{name}: {reply.header(name)}", f"{re.escape(name)}: {pattern}")


def sent_to(place: str) -> tuple[Check, Check]:
    """Expect to be sent to another page."""
    return status(303), header("Location", re.escape(place), place)


def shows(text: str) -> Check:
    """Expect a page with this in it."""
    return Check(text, lambda reply: text if text.encode() in reply.body else "another page")


def hides(text: str) -> Check:
    """Expect a page without this in it."""
    return Check(f"not {text}", lambda reply: f"{'' if text.encode() in reply.body else 'not '}{text}")


def stale(*names: str) -> Check:
    """Expect the envelope to say what is out of date now."""
    return Check(_listed("stale", names), lambda reply: _listed("stale", reply.json.get("invalidated") or ()))


def limit(amount: int) -> Check:
    """Expect the announcement of so many requests per minute, among the limits of the app."""
    return header("RateLimit-Policy", rf'(?:.*, )?"[^"]+";q={amount};w=60(?:, .*)?', f"...;q={amount};w=60")


def cookie(attributes: str, value: str = "[^;]+") -> Check:
    """Expect the session's cookie."""
    shown = f"{SESSION}={'...' if value else ''}; {attributes}"
    return header("Set-Cookie", f"{SESSION}={value}; {attributes}", shown)


def _listed(what: str, names: Collection[str]) -> str:
    return f"{what}: {', '.join(sorted(names)) or 'none'}"


def _improper(reply: Reply, enveloped: bool) -> list[str]:
    """Return what is wrong with a reply whatever it answers: every one has an id, the headers, and the envelope."""
    request_id = reply.header("X-Request-ID")
    wrong = [] if request_id else ["no X-Request-ID"]
    if "default-src 'none'" not in reply.header("Content-Security-Policy"):
        wrong.append("no Content-Security-Policy")
    if reply.header("X-Content-Type-Options") != "nosniff":
        wrong.append("no nosniff")
    if b"argon2" in reply.body or b"password_hash" in reply.body:
        wrong.append("a password's hash")
    if not enveloped or (reply.status == 204 and not reply.body):
        return wrong
    envelope = reply.json
    if envelope.get("success") is not (reply.status < 400):
        wrong.append("no envelope")
    elif reply.status >= 400 and (envelope.get("request_id") != request_id or not envelope.get("error")):
        wrong.append("no error or no request_id in the envelope")
    return wrong


# The visit


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    title: str
    sent: str
    expected: str
    came_back: str
    ok: bool


@dataclass(frozen=True)
class Session:
    """A session's cookie, and whose it is."""

    whose: str
    value: str

    @classmethod
    def begun(cls, whose: str, reply: Reply) -> Session:
        """Take the cookie that a login set."""
        return cls(whose, reply.header("Set-Cookie").partition(";")[0].removeprefix(f"{SESSION}="))


@dataclass
class Visit:
    """Take the steps of the story.

    Args:
        blog: what is visited.
        show: takes each row as soon as it is known.
        stripe_secret: what Stripe signs with.
        wrapped: whether the blog is an app behind a gate that knows nothing of it.
    """

    blog: Blog
    show: Callable[[Row], object]
    stripe_secret: str
    wrapped: bool = False
    sessions: dict[str, Session] = field(default_factory=dict[str, Session])

    def step(
        self,
        title: str,
        method: str,
        path: str,
        *checks: Check,
        send: Mapping[str, object] | None = None,
        form: Mapping[str, str] | None = None,
        raw: bytes = b"",
        headers: Mapping[str, str] | None = None,
        session: Session | None = None,
        enveloped: bool = True,
    ) -> Reply:
        """Send one request and compare.

        Args:
            title: what the step shows.
            method: the method.
            path: the path.
            checks: what has to come back.
            send: an object to send as JSON.
            form: what to send as a form.
            raw: a body to send as it is.
            headers: further headers.
            session: whose session's cookie to send; no client would, because it is marked Secure and this is HTTP.
            enveloped: whether the reply has to be in the envelope.
        """
        sent = {} if session is None else {"Cookie": f"{SESSION}={session.value}"}
        content = raw
        if send is not None:
            sent["Content-Type"], content = "application/json", json.dumps(send).encode()
        elif form is not None:
            sent["Content-Type"], content = "application/x-www-form-urlencoded", urlencode(form).encode()
        reply = self.blog.send(Request(method, path, sent | dict(headers or {}), content))
        wrong = _improper(reply, enveloped)
        self.show(
            Row(
                title,
                f"{method} {path}" + (f" as {session.whose}" if session else "") + _summary(send or form, raw, headers),
                " · ".join(check.expected for check in checks),
                " · ".join([check.read(reply) for check in checks] + wrong),
                not wrong and all(check.holds(reply) for check in checks),
            )
        )
        return reply

    def browse(
        self,
        title: str,
        method: str,
        path: str,
        *checks: Check,
        form: Mapping[str, str] | None = None,
        session: Session | None = None,
    ) -> Reply:
        """Send one request as a browser does that shows what it gets, and compare."""
        return self.step(title, method, path, *checks, form=form, headers=FOR_A_PAGE, session=session, enveloped=False)

    def stripe(
        self, title: str, event: object, *checks: Check, age: int = 0, secret: str = "", enveloped: bool = True
    ) -> None:
        """Deliver an event, signed by Stripe's own library."""
        payload = json.dumps(event)
        signature = WebhookSignature.generate_signature_header(  # pyright: ignore[reportUnknownMemberType]  # Stripe's
            payload, secret or self.stripe_secret, timestamp=int(time.time()) - age
        )
        headers = {"Content-Type": "application/json", "Stripe-Signature": signature}
        path = "/api/webhooks/stripe"
        self.step(title, "POST", path, *checks, raw=payload.encode(), headers=headers, enveloped=enveloped)


def _summary(send: Mapping[str, object] | None, raw: bytes, headers: Mapping[str, str] | None) -> str:
    """Return in a few words what else was sent; no secrets."""
    words = [] if send is None else [f"{{{', '.join(send)}}}"]
    words += [raw.decode("ascii") if len(raw) < 20 else f"{len(raw)} bytes"] if raw else []
    words += [name if name == "Stripe-Signature" else f"{name}: {value}" for name, value in (headers or {}).items()]
    return "".join(f", {word}" for word in words)
