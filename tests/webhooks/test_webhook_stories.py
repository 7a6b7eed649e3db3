"""What went wrong in other verifiers, one test for each story."""

from __future__ import annotations

import pytest

from gatewright.errors import ConfigurationError
from gatewright.webhooks import Delivery, Elements, HmacScheme, WebhookRejected, github, hmac_scheme, stripe
from tests.webhooks.kit import headers_of

SECRET = "whsec_story"
NOW = 1_760_000_000.0
BODY = b'{"id":"evt_1","type":"invoice.paid"}'


def _header(**changes: str) -> str:
    """Return a good Stripe header, with elements changed."""
    elements = dict(part.split("=", 1) for part in _signed(BODY).split(",")) | changes
    return ",".join(f"{name}={value}" for name, value in elements.items())


def _signed(body: bytes, secret: str = SECRET, now: float = NOW) -> str:
    return headers_of(stripe().sign(body, secret, now=now))["stripe-signature"]


def _reason(scheme: HmacScheme, headers: list[tuple[bytes, bytes]], body: bytes = BODY, now: float = NOW) -> str:
    with pytest.raises(WebhookRejected) as rejected:
        scheme.verify(Delivery(body, headers), SECRET, now=now)
    return rejected.value.reason


def _stripe_reason(header: str | bytes, body: bytes = BODY, now: float = NOW) -> str:
    raw = header if isinstance(header, bytes) else header.encode()
    return _reason(stripe(), [(b"stripe-signature", raw)], body, now)


def test_stripe_python_type_error_on_a_non_ascii_v1() -> None:
    """compare_digest on str raised TypeError: a byte over 127 in v1 is a mismatch."""
    good = _signed(BODY).encode()
    assert _stripe_reason(good[:-1] + b"\xe9") == "signature_mismatch"


def test_stripe_python_unicode_decode_error_on_a_binary_body() -> None:
    """The body was decoded: bytes that are no UTF-8 verify like any others, and their change is a mismatch."""
    body = b'{"a":"\xff\xfe"}'
    stripe().verify(stripe().sign(body, SECRET, now=NOW), SECRET, now=NOW)
    assert _stripe_reason(_signed(body), body + b"\xff") == "signature_mismatch"


def test_standardwebhooks_hashed_replacement_characters() -> None:
    """Decoded leniently, two binary bodies became one: each has its own signature and its own replay key."""
    first, second = b"\xff", b"\xfe"
    assert _stripe_reason(_signed(first), second) == "signature_mismatch"


def test_stripe_python_accepts_arabic_indic_digits() -> None:
    """int() reads digits of every script: a timestamp is ASCII digits."""
    assert _stripe_reason(_header(t="١٧٦٠٠٠٠٠٠٠")) == "malformed"


@pytest.mark.parametrize("time", ["soon", "NaN", "", "-1760000000", "+1760000000", "1_760_000_000", "1760000000.0"])
def test_slack_sdk_value_error_on_a_timestamp_that_is_no_number(time: str) -> None:
    """int("soon") raised ValueError; int() also takes signs and underscores: each is malformed."""
    assert _stripe_reason(_header(t=time)) == "malformed"


def test_standardwebhooks_js_parse_int_stops_at_a_letter() -> None:
    """parseInt("1760000000abc") is a number: here it is malformed."""
    assert _stripe_reason(_header(t="1760000000abc")) == "malformed"


def test_a_timestamp_of_five_thousand_digits_is_malformed() -> None:
    """int() raises ValueError over 4300 digits."""
    assert _stripe_reason(_header(t="1" * 5000)) == "malformed"


def test_stripe_accepts_any_future_timestamp() -> None:
    """Freshness counts both ways: a signature that was made in advance is no fresher than an old one."""
    assert _stripe_reason(_signed(BODY), now=NOW - 301) == "timestamp_future"
    assert _stripe_reason(_signed(BODY), now=NOW + 301) == "timestamp_expired"
    for now in (NOW - 300, NOW + 300):
        stripe().verify(stripe().sign(BODY, SECRET, now=NOW), SECRET, now=now)


def test_nuxt_validators_nan_passes_the_age_check() -> None:
    """A comparison with NaN is false both ways: no clock, no delivery."""
    assert _stripe_reason(_signed(BODY), now=float("nan")) == "timestamp_future"


def test_gidgethub_sha1_downgrade() -> None:
    """Neither the SHA-1 header nor `sha1=` inside the SHA-256 one is ever believed."""
    import hmac

    sha1 = b"sha1=" + hmac.new(SECRET.encode(), BODY, "sha1").hexdigest().encode()
    assert _reason(github(), [(b"x-hub-signature", sha1)]) == "signature_missing"
    assert _reason(github(), [(b"x-hub-signature-256", sha1)]) == "no_supported_signature"
    assert _reason(github(), [(b"x-hub-signature-256", b"sha256=" + sha1[5:])]) == "signature_mismatch"


@pytest.mark.parametrize("secret", ["", " ", "\n\t", b"", b" \n"])
def test_gidgethub_verifies_with_an_empty_secret(secret: str | bytes) -> None:
    """HMAC("") can be computed by anybody: a blank secret verifies nothing, signs nothing, is refused at import."""
    import hmac

    forged = hmac.new(b"", BODY, "sha256").hexdigest()
    delivery = Delivery.of(BODY, {"X-Hub-Signature-256": f"sha256={forged}"})
    with pytest.raises(WebhookRejected, match="no_secret"):
        github().verify(delivery, [secret], now=NOW)
    for scheme in (github(), stripe()):
        with pytest.raises(ConfigurationError, match="anybody could sign"):
            scheme.check(secret)
        with pytest.raises(ConfigurationError, match="anybody could sign"):
            scheme.sign(BODY, secret, now=NOW)


def test_starlette_get_returns_the_first_of_two_signature_headers() -> None:
    """A duplicated signature header is refused, even where both are good."""
    good = _signed(BODY).encode()
    assert _reason(stripe(), [(b"stripe-signature", good)] * 2) == "malformed"
    hub = headers_of(github().sign(BODY, SECRET, now=NOW))["x-hub-signature-256"].encode()
    assert _reason(github(), [(b"x-hub-signature-256", hub), (b"x-hub-signature-256", b"sha256=00")]) == "malformed"


def test_a_duplicated_timestamp_is_malformed() -> None:
    """Which of two times is signed, and which is fresh? In the list or as a header, there is one."""
    assert _stripe_reason(_signed(BODY) + ",t=1760000000") == "malformed"
    scheme = hmac_scheme("x-sig", template="{timestamp}.{body}", timestamp_header="x-time")
    headers = scheme.sign(BODY, SECRET, now=NOW).headers
    assert _reason(scheme, [*headers, (b"x-time", b"1760000000")]) == "malformed"


def test_stripe_v0_is_never_accepted() -> None:
    """`v0` is a fake scheme for test events; with v0 alone there is no signature."""
    assert _stripe_reason(_signed(BODY).replace("v1=", "v0=")) == "no_supported_signature"


def test_paddle_value_error_on_an_unknown_element() -> None:
    """Elements that nobody knows yet, with or without a value, are ignored."""
    header = f"v9=abc,flag,=x,,{_signed(BODY)},h2=1"
    stripe().verify(Delivery.of(BODY, {"Stripe-Signature": header}), SECRET, now=NOW)


def test_paddle_node_keeps_only_the_last_signature() -> None:
    """While a sender rolls its secret it signs with both: ours may come first, last or in between."""
    ours, theirs = _signed(BODY), "v1=" + "0" * 64
    time, signature = ours.split(",")
    for order in ([signature, theirs, theirs], [theirs, signature, theirs], [theirs, theirs, signature]):
        delivery = Delivery.of(BODY, {"Stripe-Signature": ",".join([time, *order])})
        stripe().verify(delivery, SECRET, now=NOW)


def test_standardwebhooks_bad_entry_hides_the_good_one_after_it() -> None:
    """An entry that cannot be decoded raised: it is a mismatch, and the next one counts."""
    time, signature = _signed(BODY).split(",")
    header = f"{time},v1=,v1=%%%,v1=\u00e9,{signature}"
    stripe().verify(Delivery.of(BODY, {"Stripe-Signature": header}), SECRET, now=NOW)


def test_a_header_of_ten_thousand_signatures_costs_nothing() -> None:
    """Over sixteen signatures no sender has: refused before anything is compared, the good one too."""
    time, signature = _signed(BODY).split(",")
    sixteen = ",".join([time, *["v1=00"] * 15, signature])
    stripe().verify(Delivery.of(BODY, {"Stripe-Signature": sixteen}), SECRET, now=NOW)
    assert _stripe_reason(",".join([time, *["v1=00"] * 16, signature])) == "malformed"
    assert _stripe_reason(",".join([time, *["v1=00"] * 10_000])) == "malformed"


def test_standardwebhooks_drops_bytes_outside_the_alphabet() -> None:
    """A lenient base64 decoder takes many spellings of one signature: one is accepted."""
    scheme = hmac_scheme("x-sig", encoding="base64")
    good = headers_of(scheme.sign(BODY, SECRET, now=NOW))["x-sig"]
    scheme.verify(Delivery.of(BODY, {"x-sig": good}), SECRET, now=NOW)
    swapped = good[:-2] + chr(ord(good[-2]) + 1) + "="  # the same bytes under a decoder that drops trailing bits
    for spelling in (good[:4] + "!" + good[4:], good[:4] + "\n" + good[4:], good.rstrip("="), good + "=", swapped):
        assert _reason(scheme, [(b"x-sig", spelling.encode())]) == "signature_mismatch"


def test_hex_is_read_in_either_case_and_no_other_way() -> None:
    """Hex has two cases and no spaces."""
    good = headers_of(github().sign(BODY, SECRET, now=NOW))["x-hub-signature-256"].removeprefix("sha256=")
    github().verify(Delivery.of(BODY, {"X-Hub-Signature-256": "sha256=" + good.upper()}), SECRET, now=NOW)
    for spelling in (good[:2] + " " + good[2:], "0x" + good, good[:-1], good + "00"):
        assert _reason(github(), [(b"x-hub-signature-256", f"sha256={spelling}".encode())]) == "signature_mismatch"


def test_webhookkit_wants_the_senders_case_of_a_header() -> None:
    """dict(request.headers) is lower case, a test's dict is not: a mapping of either case is read."""
    for name in ("Stripe-Signature", "stripe-signature", "STRIPE-SIGNATURE"):
        stripe().verify(Delivery.of(BODY, {name: _signed(BODY)}), SECRET, now=NOW)


def test_a_header_is_found_by_any_spelling_of_its_name() -> None:
    """HTTP has no case in names: a function for tenants that asks for `X-Tenant` finds it."""
    delivery = Delivery.of(BODY, {"X-Tenant": "acme"})
    assert {delivery.header(name) for name in ("X-Tenant", b"X-Tenant", "x-tenant", b"x-tenant")} == {b"acme"}


def test_tern_mangles_dollar_signs_and_str_format_braces() -> None:
    """The body is put into the template as it is: `$&`, `{timestamp}` and `{body}` in it are bytes like others."""
    for body in (b'{"a":"$$ $& $1"}', b"{timestamp}.{body}", b"{body}"):
        stripe().verify(stripe().sign(body, SECRET, now=NOW), SECRET, now=NOW)
        assert _stripe_reason(_signed(body), body + b" ") == "signature_mismatch"


def test_a_string_of_secrets_is_one_secret() -> None:
    """A str is a sequence of strings: its first character must never be a key."""
    forged = stripe().sign(BODY, SECRET[0], now=NOW)
    assert _stripe_reason(headers_of(forged)["stripe-signature"]) == "signature_mismatch"


def test_discord_moving_a_digit_between_timestamp_and_body_verifies() -> None:
    """Without a separator the same bytes split in two ways; ten times another time is out of every tolerance."""
    scheme = hmac_scheme(
        "x-sig", template="{timestamp}{body}", elements=Elements(signature="s", timestamp="t"), tolerance=300
    )
    _, signature = headers_of(scheme.sign(b"1" + BODY, SECRET, now=NOW))["x-sig"].split(",")
    moved = f"t={int(NOW)}1,{signature}"
    assert _reason(scheme, [(b"x-sig", moved.encode())]) == "timestamp_future"


def test_linear_believed_an_unsigned_timestamp_header() -> None:
    """A time that is not under the signature is worth nothing: such a scheme cannot be written."""
    with pytest.raises(ConfigurationError, match="counts only where it is signed"):
        hmac_scheme("x-sig", timestamp_header="x-time")


def test_a_stripe_api_key_is_not_a_signing_secret() -> None:
    """`sk_`, `rk_` and `pk_` never sign a webhook: the message says what does."""
    for prefix in ("sk_live_", "rk_test_", "pk_live_"):
        with pytest.raises(ConfigurationError, match="whsec_"):
            stripe().check(prefix + "0123456789")
    github().check("sk_is_fine_where_you_choose_it_yourself")


def test_a_secret_from_a_file_ends_in_a_newline() -> None:
    """Every delivery would be refused, and nobody would know why: it is said at import."""
    with pytest.raises(ConfigurationError, match="strip it"):
        stripe().check("whsec_abc\n")
    stripe().check(b"whsec_abc\n")


def test_os_environ_get_of_a_missing_variable() -> None:
    """None is no secret, and neither is text with surrogates; the message does not show it."""
    with pytest.raises(ConfigurationError, match="NoneType"):
        github().key(None)  # type: ignore[arg-type]  # what os.environ.get returns
    with pytest.raises(ConfigurationError, match="give bytes"):
        github().check("key\udcff")
