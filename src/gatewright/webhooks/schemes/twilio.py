"""Twilio, which signs its URL and the parameters of a form, or the digest of a body."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import parse_qs, parse_qsl

from gatewright.webhooks.scheme import Covered, Delivery, Reply, WebhookRejected
from gatewright.webhooks.schemes.mac import Mac
from gatewright.webhooks.schemes.signed import Candidate, Signed, SignedScheme
from gatewright.webhooks.secret import Secret

__all__ = ["TwilioScheme", "twilio"]

_SIGNATURE, _SETTINGS, _CONTENT_TYPE = "X-Twilio-Signature", "X-Twilio-Webhooks-Signature-Settings", "Content-Type"
_FORM, _JSON, _DIGEST = "application/x-www-form-urlencoded", "application/json", "bodySHA256"
_SHA1, _SHA256 = Mac("sha1", "base64"), Mac("sha256", "base64")
_ALGORITHMS = {b"HMAC_SHA1": _SHA1, b"HMAC_SHA256": _SHA256}
_MOST_FIELDS = 1000
_NOTHING = Reply(b'<?xml version="1.0" encoding="UTF-8"?><Response/>', "text/xml")

_URL = re.compile(
    r"(?P<host>(?P<scheme>https?)://(?:[^/?#]*@)?(?:\[[^]/?#]*\]|[^:/?#]*))(?P<port>:[0-9]*)?(?P<rest>[/?#].*)?",
    re.IGNORECASE | re.DOTALL,
)


def twilio() -> TwilioScheme:
    """Verify Twilio's `X-Twilio-Signature` (https://www.twilio.com/docs/usage/webhooks/webhooks-security).

    The URL is signed, with the parameters of a form; any other body counts only where the URL has its `bodySHA256`.
    No time is signed, and no event id. A delivery that is signed with a shared key says so
    (https://www.twilio.com/docs/usage/webhooks/webhook-shared-keys); then the key's secret is the one to give.

    Names and values of a form are signed without anything between them: `A=BC` and `AB=C` have one signature.
    """
    return TwilioScheme()


@dataclass(frozen=True, repr=False)
class TwilioScheme(SignedScheme):
    """Verify an HMAC over a URL and the parameters of a form."""

    name = "twilio"
    received = _NOTHING

    def __repr__(self) -> str:
        return "twilio()"

    @property
    def covers(self) -> frozenset[Covered]:
        """Return the parts of a request that the signature covers."""
        return frozenset({"url", "body"})

    @property
    def algorithms(self) -> Sequence[Mac]:
        """Return HMAC-SHA1, and that of shared keys; both take any secret."""
        return (_SHA1, _SHA256)

    def read(self, delivery: Delivery) -> Signed:
        """Return the signature of *delivery*, and what it would be of: its URL with and without the port."""
        signature = delivery.header(_SIGNATURE.lower().encode())
        if signature is None:
            raise WebhookRejected("signature_missing")
        algorithm, parameters = _algorithm(delivery), _parameters(delivery)
        urls = [url.encode("utf-8", "replace") for url in _spellings(delivery.url)]
        return Signed([Candidate(algorithm, url + parameters, [signature]) for url in urls])

    def sign(
        self, body: bytes, secret: Secret, now: float, *, url: str = "", method: str = "POST", event_id: str = ""
    ) -> Delivery:
        """Return *body* as Twilio would deliver it: JSON with its digest in the URL, anything else as a form."""
        headers: dict[str, str] = {}
        if body:
            json = body.lstrip().startswith((b"{", b"["))
            headers[_CONTENT_TYPE] = _JSON if json else _FORM
            if json:
                url += f"{'&' if '?' in url else '?'}{_DIGEST}={sha256(body).hexdigest()}"
        parameters = _joined(body) if headers.get(_CONTENT_TYPE) == _FORM else b""
        headers[_SIGNATURE] = _SHA1.sign(secret, url.encode("utf-8", "replace") + parameters).decode()
        return Delivery.of(body, headers, method=method, url=url)


def _algorithm(delivery: Delivery) -> Mac:
    """Return the algorithm that the settings name; without a name it is the account's own, as in Twilio's library."""
    parts = [part.partition(b"=") for part in (delivery.header(_SETTINGS.lower().encode()) or b"").split(b",")]
    named = [value.strip().upper() for name, _, value in parts if name.strip() == b"algorithm" and value.strip()]
    if len(named) > 1:
        raise WebhookRejected("malformed")
    algorithm = _ALGORITHMS.get(named[0]) if named else _SHA1
    if algorithm is None:
        raise WebhookRejected("no_supported_signature")
    return algorithm


def _parameters(delivery: Delivery) -> bytes:
    """Return what is signed of the body.

    Raises:
        WebhookRejected: for a body of which nothing is signed, or of which the URL has another digest.
    """
    body = delivery.body
    content_type = delivery.header(_CONTENT_TYPE.lower().encode()) or b""
    form = content_type.partition(b";")[0].strip().lower() == _FORM.encode()
    parameters = _joined(body) if form else b""
    digests = parse_qs(delivery.url.partition("?")[2], keep_blank_values=True).get(_DIGEST, [])
    if body and not parameters and not digests:
        raise WebhookRejected("body_not_signed")
    # A form is held to a digest, too: its content type is not signed, so it may be no form at all.
    if digests and set(digests) != {sha256(body).hexdigest()}:
        raise WebhookRejected("body_digest_mismatch")
    return parameters


def _joined(form: bytes) -> bytes:
    """Return the names and values of *form*, sorted, each pair once.

    Raises:
        WebhookRejected: for more fields than Twilio sends; they are read before anybody knows who wrote them.
    """
    if form.count(b"&") >= _MOST_FIELDS:
        raise WebhookRejected("malformed")
    # Latin-1 keeps every byte, and sorts UTF-8 as its characters sort.
    pairs = parse_qsl(form.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    return "".join(name + value for name, value in sorted(set(pairs))).encode("latin-1")


def _spellings(url: str) -> Sequence[str]:
    """Return *url* as it is, without its port, and with the default one: Twilio signs any of them."""
    parts = _URL.fullmatch(url)
    if parts is None:
        return (url,)
    host, rest = parts["host"], parts["rest"] or ""
    spellings = [url, host + rest]
    if not parts["port"]:
        spellings.append(f"{host}:{443 if parts['scheme'].lower() == 'https' else 80}{rest}")
    return tuple(dict.fromkeys(spellings))
