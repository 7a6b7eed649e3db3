"""Names and texts: what is taken for a secret, what is not, and what it costs."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright._core.names import Names
from gatewright._core.scrub import REDACTED, neutral, scrub
from gatewright.errors import ConfigurationError

NAMES = Names()
MARK = "hunter2hunter2"


@pytest.mark.parametrize(
    "name",
    [
        "password", "PASSWORD", "new_password", "dbpassword", "password_2", "password_hash", "newPasswordConfirmation",
        "api_key", "X-API-Key", "apiKey", "APIKey", "stripe_secret_key", "stripeSecretKey", "stripeAPIKey",
        "token", "tokens", "access_token", "accesstoken", "csrf_token", "X-CSRFToken", "authorization",
        "Proxy-Authorization", "Set-Cookie", "cookies", "session", "session_id", "private_key", "credit_card",
        "creditCardNumber", "user_ssn", "userSSN", "headers.authorization", "user[password]", "user%5Bpassword%5D",
        "Pa\u017f\u017fword", "x" * 500 + "_password",
    ],
)  # fmt: skip
def test_a_name_is_secret_by_its_last_words(name: str) -> None:
    """Case, marks, humps and a number make no difference; the last words decide."""
    assert NAMES.secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "status", "route", "method", "request_id", "client", "principal", "author", "max_tokens", "prompt_tokens",
        "token_type", "password_changed_at", "idempotency_key", "lesson", "bypass", "compass", "discard", "keyboard",
        "", "_", "1", "...", "email",
    ],
)  # fmt: skip
def test_other_names_are_not_secret(name: str) -> None:
    """A log that hides everything is no log."""
    assert not NAMES.secret(name)


def test_further_names_and_paths() -> None:
    """A name without a dot is secret everywhere, one with a dot only inside the names before it."""
    names = Names(["E-Mail", "user.phone", "a.b.c"])
    assert names.secret("email")
    assert names.secret("user_email")
    assert not names.secret("phone")
    assert names.secret("Phone", ("body", "user"))
    assert names.secret("user.phone")
    assert names.secret("user[phone]")
    assert not names.secret("phone", ("owner",))
    assert names.secret("c", ("a", "b"))
    assert not names.secret("c", ("b",))


@pytest.mark.parametrize("names", ["email", [""], ["ok", "._."]])
def test_names_that_are_none_are_refused(names: list[str] | str) -> None:
    """A str for a list would hide every letter, an empty name nothing: both are refused at once."""
    with pytest.raises(ConfigurationError, match="redact="):
        Names(names)


def test_the_memory_of_names_is_bounded() -> None:
    """Names come from the network, too: what is remembered of them is finite."""
    names = Names()
    for number in range(10_000):
        assert not names.secret(f"n{number}x")
    assert len(names._known) <= 4096
    names.secret("x" * 1000)
    assert "x" * 1000 not in names._known


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/cb?token=abc&page=2", "/cb?token=[redacted]&page=2"),
        ("https://x/cb#access_token=abc", "https://x/cb#access_token=[redacted]"),
        ("next=https%3A%2F%2Fx%3Ftoken%3Dabc%2Bd%26page%3D2", "next=https%3A%2F%2Fx%3Ftoken%3D[redacted]%26page%3D2"),
        ("page%3D2", "page%3D2"),
        ("user[password]=x&page=2", "user[password]=[redacted]&page=2"),
        ("user%5Bpassword%5D=x&page=2", "user%5Bpassword%5D=[redacted]&page=2"),
        ('{"password": "a\\"b c", "n": 1}', '{"password": [redacted], "n": 1}'),
        ('{"password":"abc","n":1}', '{"password":[redacted],"n":1}'),
        ('{\\"password\\": \\"a b\\", \\"n\\": 1}', '{\\"password\\": [redacted], \\"n\\": 1}'),
        ('{"url":"https://x?token=abc","b":1}', '{"url":"https://x?token=[redacted]","b":1}'),
        ("{'tokens': ['a', 'b]'], 'k': 2}", "{'tokens': [redacted], 'k': 2}"),
        ("{'password': {'x': {'y': 1}, 'z': 's'}}", "{'password': [redacted]}"),
        ("User(name='x', password=Password('a b'), n=1)", "User(name='x', password=[redacted], n=1)"),
        ("User(password=b'a b')", "User(password=[redacted])"),
        ("User(password=ab)", "User(password=[redacted])"),
        ("password=<Secret: a b> then", "password=[redacted] then"),
        ("password=hunt(er)2x then", "password=[redacted] then"),
        ("password=ab)cd, n=1", "password=[redacted], n=1"),
        ("password=ab,cd n=1", "password=[redacted] n=1"),
        ("password=(a, b", "password=[redacted]"),
        ("password='a b", "password=[redacted]"),
        ('password="a\\', "password=[redacted]"),
        ("password=", "password="),
        ("password: ", "password: "),
        ("Key (ssn)=(123-45-6789) exists", "Key (ssn)=[redacted] exists"),
        ("secret => abc", "secret => [redacted]"),
        ("Cookie: a=b; c=d\r\nHost: x", "Cookie: [redacted]\\r\\nHost: x"),
        ('Authorization: Digest username="x", response="y"', "Authorization: [redacted]"),
        ("Authorization=Basic YTpi", "Authorization=[redacted]"),
        ("sent Bearer abcdef-ghi now", "sent Bearer [redacted] now"),
        ("sent Basic YTpi now", "sent Basic [redacted] now"),
        ("postgres://app:pw@db:5432/x", "postgres://app:[redacted]@db:5432/x"),
        ("redis://:p@ss@db/0", "redis://:[redacted]@db/0"),
        ("postgres://app:p/s#s@db/x", "postgres://app:[redacted]@db/x"),
        ("https://abcdefghijabcdefghijabcdef@github.com/x", "https://[redacted]@github.com/x"),
        ("x eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_ y", "x [redacted] y"),
        ("sk_live_abcdefgh rk_test_abcdefgh", "[redacted] [redacted]"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "[redacted]"),
        (f"key ck_live_{'a1' * 8}a_{'b2' * 24}b twice", "key ck_live_[redacted] twice"),
        ("ghp_abcdefgh12 AKIAIOSFODNN7EXAMPLE", "[redacted] [redacted]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nab\n-----END RSA PRIVATE KEY----- end", "[redacted] end"),
        ("-----BEGIN PRIVATE KEY-----\nab", "[redacted]"),
        ("card 4111111111111111.", "card [redacted]."),
        ("4111 1111 1111 1111 12/26", "[redacted] 12/26"),
        ("4242 4242 4242 4242 4242", "[redacted] 4242"),
        ("12 3782-822463-10005 4111-1111-1111-1111", "12 [redacted] [redacted]"),
    ],
)  # fmt: skip
def test_secrets_leave_a_text(text: str, shown: str) -> None:
    """Whatever the notation, the value goes and what surrounds it stays."""
    assert scrub(text, NAMES) == shown


@pytest.mark.parametrize(
    "text",
    [
        "GET /posts/{id} 200", "2001:db8::1", "2024-01-02 03:04:05.123456", "20240102030405", "1735689600000000000",
        "basic information", "Bearer authentication", "http://h:8080/p?e=a@b.c", "postgres://app@db/x",
        "4111111111111112", "41111111111111111111", "0.4111111111111111", "a4111111111111111", "sk-SK",
        "12 34 56 78 90 12 34", "4111 1111 1111 1112 0000 0000",
        "41 11 11 11 11 11 11 11", "retry: 3", "x=1&y=2", "", "[redacted]", "ünïcode → 猫",
    ],
)  # fmt: skip
def test_other_texts_are_left_alone(text: str) -> None:
    """Addresses, dates, ids and prose stay what they are."""
    assert scrub(text, NAMES) == text


@pytest.mark.parametrize(
    "secret", ["eyJ" + "a" * 40, "password=" + "a" * 40, "postgres://u:" + "a" * 40 + "@h", "4111 1111 1111 1111"]
)
@pytest.mark.parametrize("shift", range(0, 60, 5))
def test_a_cut_leaves_no_half_of_a_secret(secret: str, shift: int) -> None:
    """A long text is cut; the half of a secret before the cut, which nothing would recognise, goes with it."""
    shown = scrub("x " * 2017 + "y" * shift + " " + secret + " " + "z " * 4000, NAMES)
    assert "aaaa" not in shown
    assert "4111" not in shown
    assert shown.endswith(" characters]")
    assert len(shown) < 4200


def test_a_long_text_without_a_space_is_cut() -> None:
    """There may be no word to cut before."""
    assert scrub("x" * 10_000, NAMES).startswith("x" * 3000)


@given(st.text())
def test_no_control_character_comes_out(text: str) -> None:
    """Line ends, terminal escapes, lone surrogates and marks of direction are escaped, so no line can be forged."""
    for shown in (neutral(text), scrub(text, NAMES)):
        assert shown.isprintable()
        shown.encode("utf-8")


def test_uvicorn_cve_2020_7694_terminal_escapes_in_the_log() -> None:
    """A request line with CR, LF and ANSI escapes wrote into the operator's terminal."""
    assert neutral("/\r\n\x1b[31mroot\x9b\u2028\u202e\ud800") == "/\\r\\n\\x1b[31mroot\\x9b\\u2028\\u202e\\ud800"


SECRETS = st.recursive(
    st.just(MARK),
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, min_size=1),
)
KEYS = st.sampled_from(["x", "it's", 'a"b', "y z"])
STRUCTURES = st.recursive(
    st.fixed_dictionaries({"password": SECRETS, "n": st.integers(0, 99)}),
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(KEYS, inner, min_size=1),
    max_leaves=6,
)


@given(STRUCTURES)
def test_no_secret_survives_in_a_structure_that_was_rendered(structure: object) -> None:
    """JSON, JSON in JSON, and `repr` are read with their nesting: the secret goes wherever it stands."""
    for text in (json.dumps(structure), json.dumps(json.dumps(structure)), repr(structure), f"error: {structure!r}"):
        assert MARK not in scrub(text, NAMES)


@given(st.text(alphabet="ab=:\"'()[]{}<>\\,;& /@%3D+-._\n4", max_size=200))
def test_any_mixture_of_marks_is_read_to_its_end(text: str) -> None:
    """The scanner is total, and a secret's name with a word behind it is found in any surroundings."""
    shown = scrub(f"{text}\n password={MARK} x", NAMES)
    assert MARK not in shown
    assert REDACTED in shown


@pytest.mark.parametrize(
    "hostile",
    [
        "a:" * 2048, "password=[" * 400, "password='" * 400, "://a:b" * 600 + "@", "://" * 1300 + "@", "12 " * 1300,
        "4444 " * 800, "sk-" * 1300, "eyJ" * 1300, "%3D" * 1300, "Bearer " * 600, "\\" * 4000 + "=", "." * 4096 + "=",
        "[" * 4000 + "=", "\x00" * 5000,
    ],
)  # fmt: skip
def test_hostile_texts_cost_little(hostile: str) -> None:
    """No pattern backtracks: the worst text of full length takes a hundredth of a second, never seconds."""
    started = time.perf_counter()
    scrub(hostile, NAMES)
    assert time.perf_counter() - started < 0.5
