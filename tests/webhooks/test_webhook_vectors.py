"""The recorded vectors: what official libraries signed, and what a strict verifier says to it; and who judges that."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.webhooks import Verified, github
from tests.webhooks import run_vectors
from tests.webhooks.kit import headers_of
from tests.webhooks.run_vectors import PROVIDERS, complaint, main, outcome_of

FILE = Path(__file__).parent.parent / "vectors" / "webhooks.json"
VECTORS: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
BY_ID = {vector["id"]: vector for vector in VECTORS}

SENDERS = (
    "stripe github gitlab slack standard_webhooks svix clerk resend openai shopify twilio discord sendgrid paddle "
    "linear zoom square mailgun hubspot paypal aws_sns meta intercom typeform calendly workos adyen razorpay rfc9421 "
    "http_message_signatures"
)


def vector_of(name: str, **changes: Any) -> dict[str, Any]:
    """Return a vector with some members changed, or, where they are `...`, left out."""
    changed = BY_ID[name] | changes
    return {member: value for member, value in changed.items() if value is not ...}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vector(vector: dict[str, Any]) -> None:
    """Accept what is valid, refuse what is not, for the recorded reason, and answer as the sender expects."""
    assert complaint(vector) is None
    assert outcome_of(vector).reason == vector["reason"]


def test_there_is_a_verifier_for_every_sender() -> None:
    """A sender without a vector has no proof, and one without a verifier would be skipped."""
    assert PROVIDERS.keys() == set(SENDERS.split())
    assert {vector["provider"] for vector in VECTORS} == PROVIDERS.keys() - {"resend", "http_message_signatures"}
    assert len(BY_ID) == len(VECTORS) == 124


def test_github_published_vector_is_what_sign_makes() -> None:
    """docs.github.com, "Testing the webhook payload validation"."""
    expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    signed = github().sign(b"Hello, World!", "It's a Secret to Everybody", now=0)
    assert headers_of(signed) == {"x-hub-signature-256": expected}


def test_unsigned_headers_tell_nothing() -> None:
    """Whatever X-GitHub-Delivery and X-GitHub-Event say, replay key and event id are the same."""
    docs, other = (_verified(name) for name in ("github-docs", "github-tampered-delivery-header"))
    assert docs.event_id is None
    assert docs == other


def _verified(name: str) -> Verified:
    vector = BY_ID[name]
    return github().verify(run_vectors.delivery_of(vector), vector["secret"], now=0)


# Who judges


@pytest.mark.parametrize(
    ("vector", "expected"),
    [
        (vector_of("stripe-ok", valid=False), "expected refused, got valid"),
        (vector_of("stripe-expired-301s", valid=True), "expected valid, got timestamp_expired"),
        (vector_of("stripe-ok", provider="nobody"), "expected a vector, got the unknown provider 'nobody'"),
        (vector_of("stripe-ok", now=...), "expected a vector, got one without 'now'"),
        (vector_of("stripe-ok", now="1760000000"), "expected a vector, got 'now' of type str"),
        (vector_of("stripe-ok", now=True), "expected a vector, got 'now' of type bool"),
        (vector_of("stripe-ok", valid=1), "expected a vector, got 'valid' of type int"),
        (vector_of("stripe-ok", headers={"a": 1}), "expected a vector, got header 'a' of type int"),
        (vector_of("stripe-ok", headers=[]), "expected a vector, got 'headers' of type list"),
        (vector_of("stripe-ok", secret=[]), "expected a vector, got a 'secret' that is neither text nor"),
        (vector_of("stripe-ok", secret=[1]), "expected a vector, got a 'secret' that is neither text nor"),
        (vector_of("stripe-ok", secret_format="hex"), "expected a vector, got the unknown secret_format 'hex'"),
        (vector_of("stripe-ok", secret_format="base64"), "expected a vector, got base64 that is none"),
        (vector_of("stripe-ok", body_encoding="hex"), "expected a vector, got the unknown body_encoding 'hex'"),
        (vector_of("stripe-ok", body_encoding="base64"), "expected a vector, got base64 that is none"),
        (vector_of("stripe-ok", expect_response=[]), "expected a vector, got an 'expect_response' that is no object"),
        (vector_of("stripe-ok", tolerance=-1), "expected a verdict, got ConfigurationError: stripe: tolerance=-1"),
        (vector_of("stripe-ok", now=10**400), "expected a verdict, got OverflowError"),
        (vector_of("paypal-ok", webhook_id=...), "expected a verdict, got TypeError"),
        ("stripe-ok", "expected a vector, got str, which is no object"),
        (None, "expected a vector, got NoneType, which is no object"),
    ],
)
def test_a_wrong_verdict_and_a_vector_that_is_none_are_found(vector: object, expected: str) -> None:
    """A verdict that is another, a provider that nobody knows, a member that is missing or of another type."""
    assert str(complaint(vector)).startswith(expected)


PING = "discord-ping-ok"
SLACK = {"type": "url_verification", "challenge": "c4"}


def _slack(expected: dict[str, Any]) -> dict[str, Any]:
    signed = PROVIDERS["slack"]().sign(json.dumps(SLACK).encode(), "slack-secret", 1_760_000_000)
    return {
        **vector_of("stripe-ok", provider="slack", secret="slack-secret", expect_response=expected),
        "headers": headers_of(signed),
        "body": signed.body.decode(),
    }


@pytest.mark.parametrize(
    ("vector", "right"),
    [
        (vector_of(PING, expect_response={"status": 200}), True),
        (vector_of(PING, expect_response={"json": {"type": 1}}), True),
        (vector_of(PING, expect_response={"status": 204}), False),
        (vector_of(PING, expect_response={"status": 200, "json": {"type": 2}}), False),
        (vector_of(PING, expect_response={"status": 200, "text": "1"}), False),
        (vector_of(PING, expect_response={"status": 200, "json": None}), False),
        (vector_of(PING, expect_response={"status": 200, "seen_by": "nobody"}), True),
        (vector_of("discord-missing", expect_response={"status": 200}), False),
        (vector_of("discord-missing", expect_response={"status": 403}), True),
        (vector_of("discord-missing", expect_response={"json": {"type": 1}}), False),
        (vector_of("meta-get-challenge", expect_response={"text": "1158201444"}), True),
        (vector_of("meta-get-challenge", expect_response={"text": "1158201445"}), False),
        (vector_of("meta-get-challenge", verify_token="other", valid=False, expect_response={"status": 401}), True),
        (vector_of("meta-get-challenge", verify_token=..., expect_response=...), False),
        (vector_of("zoom-oracle-token", expect_response={"status": 200}), False),
        (vector_of("stripe-ok", expect_response={"status": 200, "json": {"received": True}}), True),
        (_slack({"status": 200, "text": "c4"}), True),
        (_slack({"status": 200, "json": {"challenge": "c4"}}), True),
        (_slack({"status": 200, "text": "c5"}), False),
        (_slack({"status": 200, "json": {"challenge": "c5"}}), False),
    ],
)
def test_the_answer_is_looked_at(vector: dict[str, Any], right: bool) -> None:
    """Status, text and JSON are those that the sender expects; Slack reads a challenge either way."""
    assert (complaint(vector) is None) is right


@given(
    st.sampled_from(VECTORS),
    st.dictionaries(
        st.sampled_from([*VECTORS[0], "scheme", "alg", "verify_token", "expect_response"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
            max_leaves=5,
        ),
        max_size=2,
    ),
)
def test_nothing_in_a_file_can_stop_the_judge(vector: dict[str, Any], changes: dict[str, Any]) -> None:
    """Whatever a member is, there is a complaint or none."""
    assert isinstance(complaint(vector | changes), (str, type(None)))


def _run(file: Path) -> subprocess.CompletedProcess[str]:
    script = Path(run_vectors.__file__)
    return subprocess.run([sys.executable, script, file], capture_output=True, text=True, check=False, cwd=file.parent)


def test_the_command_judges_a_file(tmp_path: Path) -> None:
    """As a command, from anywhere: a good file is 0, a wrong verdict or vector is printed and makes it 1."""
    good = _run(FILE)
    assert (good.returncode, good.stdout, good.stderr) == (0, "124 vectors, 0 wrong\n", "")
    file = tmp_path / "vectors.json"
    wrong = [
        vector_of("stripe-ok", valid=False),
        vector_of("github-docs", provider="\ud800", id="nobody"),
        BY_ID["stripe-ok"],
        {},
    ]
    file.write_text(json.dumps(wrong))
    bad = _run(file)
    assert (bad.returncode, bad.stderr) == (1, "")
    assert bad.stdout.splitlines() == [
        "stripe-ok: expected refused, got valid",
        "nobody: expected a vector, got the unknown provider '\\ud800'",
        "number 4: expected a vector, got one without 'id'",
        "4 vectors, 3 wrong",
    ]


@pytest.mark.parametrize("wrong", [vector_of("stripe-ok", valid=False), vector_of("stripe-ok", provider="x"), {}, 7])
def test_each_kind_of_wrong_is_enough(wrong: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One wrong vector among good ones makes the exit code 1."""
    file = tmp_path / "vectors.json"
    file.write_text(json.dumps([*VECTORS, wrong]))
    assert main([str(file)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "125 vectors, 1 wrong"


@pytest.mark.parametrize("content", ["", "{}", '"x"', "[", "\ud800", None])
def test_a_file_that_is_no_list_is_another_exit_code(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be judged is no verdict: 2, and a message, also where there is no file."""
    file = tmp_path / "vectors.json"
    if content is not None:
        file.write_bytes(content.encode("utf-8", "surrogatepass"))
    assert main([str(file)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "this is no list of vectors" in captured.err
