"""What senders ask before they send: answered once it is verified, and never as an oracle or a mirror."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Route

from gatewright._core.gate import Gate
from gatewright.errors import ConfigurationError
from gatewright.webhooks import Delivery, Reply, Scheme, Verified, WebhookRejected, verify_webhook
from gatewright.webhooks.scheme import RECEIVED
from gatewright.webhooks.schemes.chat import intercom, meta, slack, zoom
from tests.web import Browser
from tests.webhooks.kit import NOW, headers_of

SECRET, TOKEN = "a secret of ours", "meaty hamhock & é"
SUBSCRIBE = {"hub.mode": "subscribe", "hub.verify_token": TOKEN, "hub.challenge": "1158201444"}


@dataclass(frozen=True)
class Stopped:
    """A clock that stands still."""

    def time(self) -> float:
        """Return the one time."""
        return NOW

    def monotonic(self) -> float:
        """Return the one time."""
        return NOW


def client(scheme: Scheme) -> Browser:
    """Return a client of an endpoint that says which event it handled."""

    @verify_webhook(scheme, secrets=["a new one", SECRET])
    async def hook(webhook: Verified) -> dict[str, str]:
        return {"handled": webhook.scheme}

    app = Starlette(routes=[Route("/in", hook, methods=["GET", "POST"])])
    Gate(clock=Stopped()).install(app)
    return Browser(app, "asyncio")


def post(scheme: Scheme, body: object) -> Any:
    """Deliver *body* as the sender would."""
    delivery = scheme.sign(json.dumps(body).encode(), SECRET, NOW)
    return client(scheme).post("/in", content=delivery.body, headers=headers_of(delivery))


def ask(query: Mapping[str, str] | list[tuple[str, str]], method: str = "GET", scheme: Scheme | None = None) -> Any:
    """Return what Meta's question is answered, without a guard around it."""
    delivery = Delivery(b"", (), method, f"https://hooks.example.com/in?{urlencode(query)}")
    return (scheme or meta(verify_token=TOKEN)).greet(delivery)


def failed(query: Mapping[str, str] | list[tuple[str, str]]) -> bool:
    """Say whether Meta's question is refused."""
    with pytest.raises(WebhookRejected) as rejected:
        ask(query)
    return rejected.value.reason == "challenge_failed"


def test_slack_is_told_its_challenge() -> None:
    """The endpoint is ours if it answers what it was asked, as JSON."""
    answer = post(slack(), {"type": "url_verification", "token": "x", "challenge": '3eZ"<é'})
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == {"challenge": '3eZ"<é'}


def test_slack_without_a_challenge_is_refused() -> None:
    """A question without its content has no answer, and is no event."""
    for body in ({"type": "url_verification"}, {"type": "url_verification", "challenge": 7}):
        assert post(slack(), body).status == 400


def test_zoom_is_told_the_hmac_of_its_token() -> None:
    """With the secret that matched, although it is not the first."""
    answer = post(zoom(), {"event": "endpoint.url_validation", "payload": {"plainToken": "qgg8_vlv-Z"}})
    expected = hmac.new(SECRET.encode(), b"qgg8_vlv-Z", hashlib.sha256).hexdigest()
    assert (answer.status, answer.json) == (200, {"plainToken": "qgg8_vlv-Z", "encryptedToken": expected})


@pytest.mark.parametrize(
    "token", ["v0:1760000000:{}", "a.b", "a b", "", "a\n", "١٢", "é", 7, None, ["a"], {"plainToken": "a"}]
)
def test_zooms_question_is_no_signing_oracle(token: object) -> None:
    """What could be a signed delivery is not signed for whoever asks, signed as the question may be."""
    assert post(zoom(), {"event": "endpoint.url_validation", "payload": {"plainToken": token}}).status == 400


def test_zoom_without_a_payload_is_refused() -> None:
    """A question without a token has no answer."""
    assert post(zoom(), {"event": "endpoint.url_validation"}).status == 400


def test_an_unsigned_question_is_not_answered() -> None:
    """Slack and Zoom sign their questions: for anybody else's there is a 401 and nothing more."""
    body = b'{"type":"url_verification","event":"endpoint.url_validation","challenge":"c","payload":{"plainToken":"a"}}'
    for scheme in (slack(), zoom()):
        signed = headers_of(scheme.sign(b"{}", SECRET, NOW))
        answer = client(scheme).post("/in", content=body, headers=signed)
        assert answer.status == 401
        assert "challenge" not in answer.body.decode()
        assert "encryptedToken" not in answer.body.decode()


def test_intercoms_ping_reaches_no_handler() -> None:
    """It asks whether anybody is there; the answer is that it was received."""
    assert post(intercom(), {"type": "notification_event", "topic": "ping"}).body == RECEIVED.body
    assert "handled" in post(intercom(), {"topic": "conversation.user.created"}).body.decode()


@pytest.mark.parametrize("scheme", [slack(), zoom(), intercom(), meta()], ids=lambda scheme: scheme.name)
@given(body=st.binary(max_size=60) | st.sampled_from([b"[]", b'{"type":{}}', b'{"event":["endpoint.url_validation"]}']))
def test_an_event_is_no_question(scheme: Scheme, body: bytes) -> None:
    """Whatever else a sender signs, JSON or not, is for the handler."""
    assert scheme.challenge(Delivery(body), SECRET) is None


def test_an_event_reaches_the_handler() -> None:
    """Each of them, next to the questions."""
    for scheme in (slack(), zoom(), meta(verify_token=TOKEN)):
        assert scheme.name in post(scheme, {"type": "event_callback", "event": "meeting.started"}).body.decode()


def test_meta_is_told_its_challenge_as_text() -> None:
    """The GET request with the token that we gave to Meta is answered, and nothing but the challenge is in it."""
    answer = client(meta(verify_token=TOKEN)).get(f"/in?{urlencode(SUBSCRIBE)}")
    assert (answer.status, answer.body.decode()) == (200, "1158201444")
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("token", ["", "meaty", TOKEN + "x", TOKEN.upper(), "a\0"])
def test_another_token_subscribes_nobody(token: str) -> None:
    """Anybody may send a GET request; only Meta knows the token."""
    assert failed(SUBSCRIBE | {"hub.verify_token": token})
    answer = client(meta(verify_token=TOKEN)).get("/in?hub.mode=subscribe&hub.verify_token=x&hub.challenge=1")
    assert answer.status == 401


@pytest.mark.parametrize("missing", ["hub.verify_token", "hub.challenge"])
def test_half_a_question_is_refused(missing: str) -> None:
    """Without its token or its challenge, it is nobody's; with two of them, two readers could differ."""
    half = {name: value for name, value in SUBSCRIBE.items() if name != missing}
    assert failed(half)
    assert failed([*SUBSCRIBE.items(), (missing, SUBSCRIBE[missing])])


@pytest.mark.parametrize("challenge", ["", "<b>", "a b", "a&b", "a\r\nb", '"', "é", "\0", "1" * 257])
def test_a_challenge_is_no_page_of_anybodys(challenge: str) -> None:
    """What is echoed is short and plain, so that no browser takes it for markup, whoever knows the token."""
    assert failed(SUBSCRIBE | {"hub.challenge": challenge})


@given(st.from_regex(r"[A-Za-z0-9._~+/=:-]{1,256}", fullmatch=True))
def test_any_plain_challenge_is_echoed(challenge: str) -> None:
    """To the byte, for every form that such a challenge has had."""
    assert ask(SUBSCRIBE | {"hub.challenge": challenge}) == Reply(challenge.encode(), "text/plain")


def test_only_a_subscription_is_greeted() -> None:
    """Another method or mode is no question; and without a token of ours nothing is answered at all."""
    assert ask(SUBSCRIBE, "POST") is None
    assert ask(SUBSCRIBE | {"hub.mode": "unsubscribe"}) is None
    assert ask({}) is None
    assert ask(SUBSCRIBE, scheme=meta()) is None
    assert client(meta()).get(f"/in?{urlencode(SUBSCRIBE)}").status == 401


@given(st.text(max_size=80))
@example("\ud800")
def test_greeting_is_total(query: str) -> None:
    """Whatever stands in the query, there is an answer, a refusal, or nothing."""
    delivery = Delivery(b"", (), "GET", f"/in?hub.mode=subscribe&hub.verify_token={query}")
    with pytest.raises(WebhookRejected):
        meta(verify_token=TOKEN).greet(delivery)
    assert meta(verify_token=TOKEN).greet(Delivery(b"", (), "GET", query)) is None


@pytest.mark.parametrize("token", ["", " "])
def test_an_empty_token_is_refused_at_once(token: str) -> None:
    """Where its variable is missing, anybody could subscribe."""
    with pytest.raises(ConfigurationError, match="verify_token"):
        meta(verify_token=token)


def test_the_token_is_never_shown() -> None:
    """A scheme is shown in errors and logs; its token is as good as a secret."""
    assert "meaty" not in repr(meta(verify_token=TOKEN))
    assert "meaty" not in repr(meta(verify_token=TOKEN).greets)
