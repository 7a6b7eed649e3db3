"""What RFC 9421 publishes, and what was recorded: each verdict, byte by byte."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gatewright.webhooks import Delivery
from gatewright.webhooks.schemes.rfc9421.algorithms import ALGORITHMS
from gatewright.webhooks.schemes.rfc9421.scheme import (
    SignatureAlgorithm,
    http_message_signatures,
)
from tests.webhooks.kit import reason_of
from tests.webhooks.rfc9421_examples import KEYS, P256_PUBLIC, request

SIGNED_AT = 1_618_884_473.0

B22 = (
    'sig-b22=("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";'
    'tag="header-example"',
    "sig-b22=:LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+"
    "ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2"
    "fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bX"
    "TugEjHSw==:",
)
B23 = (
    'sig-b23=("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length")'
    ';created=1618884473;keyid="test-key-rsa-pss"',
    "sig-b23=:bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb"
    "38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xM"
    "y7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZ"
    "KEgM4cUA==:",
)
B25 = (
    'sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"',
    "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
)
B26 = (
    'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length")'
    ';created=1618884473;keyid="test-key-ed25519"',
    "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
)
B21 = (
    'sig-b21=();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd"',
    "sig-b21=:d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJM"
    "kA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsf"
    "xVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssi"
    "nQ98Xw9Q==:",
)


@pytest.mark.parametrize(
    ("algorithm", "example", "covers"),
    [
        ("rsa-pss-sha512", B21, {"timestamp"}),
        ("rsa-pss-sha512", B22, {"timestamp", "body"}),
        ("rsa-pss-sha512", B23, {"timestamp", "body", "method"}),
        ("hmac-sha256", B25, {"timestamp"}),
        ("ed25519", B26, {"timestamp", "method"}),
    ],
    ids=["B.2.1", "B.2.2", "B.2.3", "B.2.5", "B.2.6"],
)
def test_the_examples_of_the_rfc(algorithm: SignatureAlgorithm, example: tuple[str, str], covers: set[str]) -> None:
    """RFC 9421, appendix B.2: each of its requests verifies, and says what it covers; the body only where it is."""
    scheme = http_message_signatures(algorithm=algorithm, components=(), require_body=False)
    verified = scheme.verify(request(*example), KEYS[algorithm][0], SIGNED_AT)
    assert verified.covers == covers
    assert verified.signed_at == datetime(2021, 4, 20, 2, 7, 53, tzinfo=UTC)
    assert (verified.scheme, verified.key_index, verified.event_id) == ("http_message_signatures", 0, None)
    strict = http_message_signatures(algorithm=algorithm, components=())
    if "body" in covers:
        assert strict.verify(request(*example), KEYS[algorithm][0], SIGNED_AT) == verified
    else:
        assert reason_of(strict, request(*example), KEYS[algorithm][0], SIGNED_AT) == "body_not_signed"


def test_the_response_of_the_rfc() -> None:
    """RFC 9421, appendix B.2.4: its P-256 signature is r and s; the response itself is none of ours."""
    base = (
        b'"@status": 200\n"content-type": application/json\n"content-digest": '
        b"sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:"
        b'\n"content-length": 23\n"@signature-params": ("@status" "content-type" "content-digest" "content-length")'
        b';created=1618884473;keyid="test-key-ecc-p256"'
    )
    signature = b"wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw=="
    assert ALGORITHMS["ecdsa-p256-sha256"].matches(P256_PUBLIC, base, [signature])
    assert not ALGORITHMS["ecdsa-p256-sha256"].matches(P256_PUBLIC, base + b"\n", [signature])
    delivery = request('a=("@status");created=1618884473', f"a=:{signature.decode()}:")
    scheme = http_message_signatures(algorithm="ecdsa-p256-sha256", components=(), require_body=False)
    assert reason_of(scheme, delivery, P256_PUBLIC, SIGNED_AT) == "malformed"


PROXIED = (
    'sig1=("@method" "@authority" "@path" "content-digest" "content-type" "content-length");created=1618884475;'
    'keyid="test-key-ecc-p256", proxy_sig=("@method" "@authority" "@path" "content-digest" "content-type" '
    '"content-length" "forwarded");created=1618884480;keyid="test-key-rsa";alg="rsa-v1_5-sha256";expires=1618884540',
    "sig1=:X5spyd6CFnAG5QnDyHfqoSNICd+BUP4LYMz2Q0JXlb//4Ijpzp+kve2w4NIyqeAuM7jTDX+sNalzA8ESSaHD3A==:, "
    "proxy_sig=:S6ZzPXSdAMOPjN/6KXfXWNO/f7V6cHm7BXYUh3YD/fRad4BCaRZxP+JH+8XY1I6+8Cy+CM5g92iHgxtRPz+MjniOaYmdkDcnL9cCpXJleXsOckpURl49GwiyUp"
    "Z10KHgOEe11sx3G2gxI8S0jnxQB+Pu68U9vVcasqOWAEObtNKKZd8tSFu7LB5YAv0RAGhB8tmpv7sFnIm9y+7X5kXQfi8NMaZaA8i2ZHwpBdg7a6CM"
    "fwnnrtflzvZdXAsD3LH2TwevU+/PBPv0B6NMNk93wUs/vfJvye+YuI87HU38lZHowtznbLVdp770I6VHR6WfgS9ddzirrswsE1w5o0LV/g==:",
)


def test_several_signatures_of_the_rfc() -> None:
    """RFC 9421, section 4.3: client and proxy signed for two hosts; each is verified alone, by its own key."""
    forwarded = {"Forwarded": "for=192.0.2.123;host=example.com;proto=https"}
    proxy = http_message_signatures(algorithm="rsa-v1_5-sha256", components=("forwarded",))
    at_origin = request(*PROXIED, url="https://origin.host.internal.example/foo?param=Value&Pet=dog", **forwarded)
    verified = proxy.verify(at_origin, KEYS["rsa-v1_5-sha256"][0], 1_618_884_500)
    assert verified.covers == {"body", "timestamp", "method"}
    assert reason_of(proxy, at_origin, KEYS["rsa-v1_5-sha256"][0], 1_618_884_541) == "timestamp_expired"
    client = http_message_signatures(algorithm="ecdsa-p256-sha256", components=("@method",), key_id="test-key-ecc-p256")
    assert client.verify(request(*PROXIED, **forwarded), P256_PUBLIC, 1_618_884_500).covers == verified.covers
    assert reason_of(client, at_origin, P256_PUBLIC, 1_618_884_500) == "signature_mismatch"


FILE = Path(__file__).parent.parent / "vectors" / "webhooks.json"
VECTORS = [vector for vector in json.loads(FILE.read_text(encoding="utf-8")) if vector["provider"] == "rfc9421"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_the_recorded_vectors(vector: dict[str, Any]) -> None:
    """Accept what is valid, refuse what is not, and for the recorded reason."""
    scheme = http_message_signatures(
        algorithm=vector["alg"],
        components=(),
        tolerance=vector["tolerance"],
        require_body=vector.get("require_body", True),
    )
    delivery = Delivery.of(vector["body"].encode(), vector["headers"], method=vector["method"], url=vector["url"])
    if vector["valid"]:
        assert scheme.verify(delivery, b64decode(vector["secret"]), vector["now"])
    else:
        assert reason_of(scheme, delivery, b64decode(vector["secret"]), vector["now"]) == vector["reason"]
