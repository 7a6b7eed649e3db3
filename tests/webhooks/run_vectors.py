"""Judge recorded deliveries: python tests/webhooks/run_vectors.py FILE

The file is a list of the form of tests/vectors/webhooks.json. Each wrong verdict is printed, and a last line says how
many there are; the exit code is 1 where there is any, and 2 where the file is no such list.
"""

from __future__ import annotations

import argparse
import json
import sys
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

from gatewright import webhooks
from gatewright.webhooks import ANY_TOPIC, Delivery, Reply, Scheme, WebhookRejected

__all__ = ["PROVIDERS", "Outcome", "complaint", "delivery_of", "main", "outcome_of"]

Vector = Mapping[str, Any]
Make = Callable[..., Scheme]

# Those that are named like their scheme, and those that sign as another one does.
_OWN_NAME = (
    "adyen calendly discord github gitlab hubspot intercom linear mailgun meta openai paddle paypal razorpay sendgrid "
    "shopify slack square standard_webhooks stripe svix twilio typeform workos zoom"
)
PROVIDERS: Mapping[str, Make] = {
    **{name: getattr(webhooks, name) for name in _OWN_NAME.split()},
    # A vector says what is signed, not whose topic it is, nor what else a body may hold.
    "aws_sns": partial(webhooks.aws_sns, ANY_TOPIC, unsigned_members=True),
    "clerk": webhooks.svix,
    "resend": webhooks.svix,
    # Nor what has to be: that is the body, where it does not say otherwise.
    "rfc9421": partial(webhooks.http_message_signatures, components=()),
    "http_message_signatures": partial(webhooks.http_message_signatures, components=()),
}
_VARIANTS: Mapping[tuple[str, str], Make] = {("gitlab", "token"): webhooks.gitlab_token}
# What a scheme is told, by the member of a vector.
_OPTIONS = {
    "webhook_id": "webhook_id",
    "verify_token": "verify_token",
    "alg": "algorithm",
    "require_body": "require_body",
}

_TEXT, _NUMBER = (str,), (int, float)
_MEMBERS: Mapping[str, tuple[type, ...]] = {
    "id": _TEXT,
    "provider": _TEXT,
    "valid": (bool,),
    "secret": (str, list),
    "secret_format": _TEXT,
    "method": _TEXT,
    "url": _TEXT,
    "headers": (dict,),
    "body": _TEXT,
    "body_encoding": _TEXT,
    "now": _NUMBER,
    "tolerance": (*_NUMBER, type(None)),
}


class Malformed(Exception):
    """Say what is wrong with a vector itself."""


@dataclass(frozen=True)
class Outcome:
    """What becomes of a delivery.

    Args:
        status: of the answer.
        reply: the answer, to a delivery that is not refused.
        reason: why it is refused.
    """

    status: int
    reply: Reply | None = None
    reason: str | None = None

    @property
    def valid(self) -> bool:
        """Say whether the sender is believed."""
        return self.reason is None


def complaint(vector: object) -> str | None:
    """Return what is wrong with the verdict on *vector*, or with *vector*; None where nothing is."""
    try:
        known = _checked(vector)
        outcome = outcome_of(known)
    except Malformed as problem:
        return f"expected a vector, got {problem}"
    except Exception as problem:
        # A verifier raises WebhookRejected and nothing else; a scheme takes what a vector says of it.
        return f"expected a verdict, got {type(problem).__name__}: {problem}"
    if outcome.valid != known["valid"]:
        return f"expected {'valid' if known['valid'] else 'refused'}, got {outcome.reason or 'valid'}"
    expected = known.get("expect_response")
    if expected is None or _answers(outcome, expected, known["provider"]):
        return None
    answer = outcome.reply.body if outcome.reply is not None else b""
    return f"expected the answer {expected}, got {outcome.status} {answer!r}"


def outcome_of(vector: Vector) -> Outcome:
    """Return what becomes of the delivery in *vector*, as `verify_webhook` would have it."""
    scheme, secrets, delivery = _scheme(vector), _secrets(vector), delivery_of(vector)
    try:
        reply = scheme.greet(delivery)
        if reply is not None:
            return Outcome(reply.status, reply)
        verified = scheme.verify(delivery, secrets, float(vector["now"]))
    except WebhookRejected as rejected:
        return Outcome(401, reason=rejected.reason)
    try:
        reply = scheme.challenge(delivery, secrets[verified.key_index]) or scheme.received
    except WebhookRejected:
        # The sender is who it says, and asks for what it does not get.
        return Outcome(400)
    return Outcome(reply.status, reply)


def _answers(outcome: Outcome, expected: Mapping[str, Any], provider: str) -> bool:
    """Say whether the sender reads what it expects."""
    status = expected.get("status", outcome.status)
    wanted = [expected[name] for name in ("json", "text") if name in expected]
    if outcome.reason is not None:
        # Which of these a sender is refused with, `on_invalid` says.
        return status in (400, 401, 403) and not wanted
    if status != outcome.status:
        return False
    body = outcome.reply.body if outcome.reply is not None else b""
    return all(_says(body.decode("utf-8", "replace"), value, provider) for value in wanted)


def _says(text: str, wanted: object, provider: str) -> bool:
    if isinstance(wanted, str) and text == wanted:
        return True
    try:
        said: object = json.loads(text)
    except ValueError:
        said = None
    if provider == "slack":
        # It reads a challenge as text, and in a JSON object, too.
        said, wanted = _challenge(said or text), _challenge(wanted)
    return said is not None and said == wanted


def _challenge(said: object) -> object:
    return said.get("challenge") if isinstance(said, dict) else said


def _checked(vector: object) -> Vector:
    """Return *vector*, whose members are those that a verdict takes.

    Raises:
        Malformed: with what is wrong.
    """
    if not isinstance(vector, dict):
        raise Malformed(f"{type(vector).__name__}, which is no object")
    for name, types in _MEMBERS.items():
        if name not in vector:
            raise Malformed(f"one without {name!r}")
        # To Python, True is a number.
        if not isinstance(vector[name], types) or (isinstance(vector[name], bool) and bool not in types):
            raise Malformed(f"{name!r} of type {type(vector[name]).__name__}")
    for name, value in vector["headers"].items():
        if not all(isinstance(each, str) for each in _each(value)):
            raise Malformed(f"header {name!r} of type {type(value).__name__}")
    if not isinstance(vector.get("expect_response"), (dict, type(None))):
        raise Malformed("an 'expect_response' that is no object")
    return vector


def _scheme(vector: Vector) -> Scheme:
    """Return the scheme of a vector's provider, as strict as the vector says."""
    provider = vector["provider"]
    make = _VARIANTS.get((provider, str(vector.get("scheme")))) or PROVIDERS.get(provider)
    if make is None:
        raise Malformed(f"the unknown provider {provider!r}")
    options = {option: vector[name] for name, option in _OPTIONS.items() if vector.get(name) is not None}
    tolerance = signature(make).parameters.get("tolerance")
    # Without a number, no time is looked at, where that is a choice.
    if tolerance is not None and (vector["tolerance"] is not None or "None" in str(tolerance)):
        options["tolerance"] = vector["tolerance"]
    return make(**options)


def _secrets(vector: Vector) -> Sequence[str | bytes]:
    written = _each(vector["secret"])
    if not written or not all(isinstance(secret, str) for secret in written):
        raise Malformed("a 'secret' that is neither text nor a list of texts")
    if vector["secret_format"] == "base64":
        return [_decoded(secret) for secret in written]
    if vector["secret_format"] not in ("text", "x509-pem", "spki-base64"):
        raise Malformed(f"the unknown secret_format {vector['secret_format']!r}")
    return written


def delivery_of(vector: Vector) -> Delivery:
    """Return the delivery as it was on the wire."""
    if vector["body_encoding"] not in ("utf8", "base64"):
        raise Malformed(f"the unknown body_encoding {vector['body_encoding']!r}")
    body = vector["body"].encode() if vector["body_encoding"] == "utf8" else _decoded(vector["body"])
    headers = [(_raw(name).lower(), _raw(each)) for name, value in vector["headers"].items() for each in _each(value)]
    return Delivery(body, headers, vector["method"], vector["url"])


def _each(value: Any) -> Sequence[Any]:
    """Return every occurrence of a header, or every secret: one may stand by itself."""
    return value if isinstance(value, list) else [value]


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise Malformed("base64 that is none") from None


def _raw(text: str) -> bytes:
    """Return the bytes of what a server decoded as latin-1; other scripts were never on the wire like that."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge a file of vectors, print what is wrong, and return the exit code."""
    parser = argparse.ArgumentParser(description="Judge recorded webhook deliveries.")
    parser.add_argument("file", type=Path, help="a list of the form of tests/vectors/webhooks.json")
    file: Path = parser.parse_args(arguments).file
    try:
        vectors: object = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as unreadable:
        vectors = unreadable
    if not isinstance(vectors, list):
        print(f"{file}: this is no list of vectors: {vectors!s:.200}", file=sys.stderr)
        return 2
    complaints = [(_name(vector, number), complaint(vector)) for number, vector in enumerate(vectors, 1)]
    wrong = [f"{name}: {problem}" for name, problem in complaints if problem is not None]
    for line in wrong:
        # Half a character, in a file of somebody's, is nothing that a terminal could write.
        print(line.encode("ascii", "backslashreplace").decode())
    print(f"{len(vectors)} vectors, {len(wrong)} wrong")
    return 1 if wrong else 0


def _name(vector: object, number: int) -> object:
    return vector.get("id", f"number {number}") if isinstance(vector, dict) else f"number {number}"


if __name__ == "__main__":
    sys.exit(main())
