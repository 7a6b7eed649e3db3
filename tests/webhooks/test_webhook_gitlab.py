"""GitLab: the signing token, and the old token that signs nothing."""

from __future__ import annotations

import hmac
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.errors import ConfigurationError
from gatewright.webhooks import Delivery, WebhookRejected, verify_webhook
from gatewright.webhooks.schemes.gitlab import gitlab, gitlab_token
from tests.webhooks.kit import NOW, headers_of, reason_of, recorded

TOKEN = "glhook-secret"
PUSH = b'{"object_kind":"push","ref":"refs/heads/main"}'


async def endpoint() -> None:
    """Handle a delivery."""


def delivered(token: str | bytes, body: bytes = PUSH) -> Delivery:
    """Return *body* with a token beside it."""
    return Delivery(body, [(b"x-gitlab-token", token.encode() if isinstance(token, str) else token)])


def test_the_signing_token_is_standard_webhooks() -> None:
    """Recorded: a key of 32 bytes, and the id is the event's."""
    found = recorded("gitlab-signing-token-ok")
    verified = gitlab().verify(found.delivery, found.secret, found.now)
    assert (verified.scheme, verified.event_id) == ("gitlab", "f5e5f430-f57b-4e6e-9fac-d9128cd7232f")
    assert gitlab().event_type == ("object_kind",)
    assert reason_of(gitlab(), replace(found.delivery, body=PUSH + b" "), found.secret) == "signature_mismatch"
    assert repr(gitlab(tolerance=60)) == "gitlab(tolerance=60)"


def test_a_signing_token_is_never_compared_as_the_old_one() -> None:
    """Who finds X-Gitlab-Token in a capture signs nothing with it."""
    found = recorded("gitlab-signing-token-ok")
    assert reason_of(gitlab(), delivered(found.secret), found.secret) == "signature_missing"
    assert reason_of(gitlab_token(), found.delivery, found.secret) == "signature_missing"


def test_the_old_token_covers_nothing() -> None:
    """Only the token is looked at: any body passes, there is no time and no id, and the guard says what that means."""
    verified = gitlab_token().verify(delivered(TOKEN), TOKEN, NOW)
    assert (verified.covers, verified.signed_at, verified.event_id) == (frozenset(), None, None)
    assert gitlab_token().verify(delivered(TOKEN, b"\xff"), TOKEN, NOW).replay_key != verified.replay_key
    with pytest.raises(ConfigurationError, match="allow_unsigned_body=True"):
        verify_webhook(gitlab_token(), secrets=TOKEN)
    assert verify_webhook(gitlab_token(), secrets=TOKEN, allow_unsigned_body=True)(endpoint)


def test_what_comes_once_more_is_known_again() -> None:
    """The same body is the same delivery, whichever token came with it and whatever unsigned headers say."""
    headers = [*delivered("old").headers, (b"x-gitlab-event-uuid", b"u1"), (b"idempotency-key", b"k1")]
    first = gitlab_token().verify(delivered(TOKEN), [TOKEN, "old"], NOW)
    second = gitlab_token().verify(Delivery(PUSH, headers), [TOKEN, "old"], NOW)
    assert (first.key_index, second.key_index) == (0, 1)
    assert first.replay_key == second.replay_key


@pytest.mark.parametrize(
    "token", ["glhook-Secret", "glhook-secre", "glhook-secret ", "glhook-secret\0", "glhook-secr\xe9t", b"\xff", " "]
)
def test_another_token_is_a_mismatch(token: str | bytes) -> None:
    """Bytes are compared: case, length and other alphabets count, and nothing raises."""
    assert reason_of(gitlab_token(), delivered(token), TOKEN) == "signature_mismatch"


def test_a_token_that_is_missing_empty_or_there_twice_is_refused() -> None:
    """An empty header is none, and never equal to an empty secret."""
    assert reason_of(gitlab_token(), Delivery(PUSH), TOKEN) == "signature_missing"
    assert reason_of(gitlab_token(), delivered(""), ["", TOKEN]) == "signature_missing"
    assert reason_of(gitlab_token(), delivered(" "), [" "]) == "no_secret"
    twice = Delivery(PUSH, [*delivered(TOKEN).headers, *delivered(TOKEN).headers])
    assert reason_of(gitlab_token(), twice, TOKEN) == "malformed"
    for secret in ("", " "):
        with pytest.raises(ConfigurationError, match="is empty"):
            gitlab_token().check(secret)
    gitlab_token().check(TOKEN)


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """compare_digest tells lengths apart, so it never sees the tokens: only their digests, and each of them."""
    compared: list[int] = []
    real = hmac.compare_digest

    def noting(expected: bytes, token: bytes) -> bool:
        compared.extend((len(expected), len(token)))
        return real(expected, token)

    monkeypatch.setattr(hmac, "compare_digest", noting)
    gitlab_token().verify(delivered(TOKEN), ["a", TOKEN, "a much longer token than that"], NOW)
    assert compared == [32] * 6


@given(
    token=st.binary(max_size=40),
    body=st.binary(max_size=40),
    secret=st.text(st.characters(categories=["L", "N"]), min_size=1),
)
def test_only_the_token_itself_passes(token: bytes, body: bytes, secret: str) -> None:
    """For any bytes there is a verdict; and what sign delivers passes, in every alphabet."""
    assert gitlab_token().verify(gitlab_token().sign(body, secret, NOW), secret, NOW).scheme == "gitlab_token"
    try:
        gitlab_token().verify(delivered(token, body), secret, NOW)
    except WebhookRejected:
        return
    assert token == secret.encode()


def test_what_a_sender_looks_like_in_a_log() -> None:
    """A repr is short and stable, and shows no token."""
    assert repr(gitlab_token()) == "gitlab_token()"
    assert gitlab_token() == gitlab_token()
    assert headers_of(gitlab_token().sign(PUSH, TOKEN, NOW)) == {"x-gitlab-token": TOKEN}
