"""What http-message-signatures 3.0.0 signed, and what it verified: recorded, so that it need not be installed."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from gatewright.webhooks import Delivery
from gatewright.webhooks.schemes.rfc9421.scheme import SignatureAlgorithm, http_message_signatures
from tests.webhooks.kit import NOW, headers_of, reason_of
from tests.webhooks.rfc9421_examples import KEYS

BODY = b'{"hello": "world"}'

# HTTPMessageSigner(...).sign(request, key_id="k1", created=..., expires=..., nonce="n-1", tag="webhook", label="sig1",
#     covered_component_ids=(...), body=BODY)
THEIR_URL = "https://API.example.com:443/hooks/caf%C3%A9?id=a+b~c&x="
THEIR_INPUT = (
    'sig1=("@method" "@target-uri" "@authority" "@scheme" "@request-target" "@path" "@query" "@query-param";name="id" '
    '"content-type" "priority";key="u" "priority";bs "content-digest");created=1760000000;keyid="k1";alg="{algorithm}";'
    'expires=1760000060;nonce="n-1";tag="webhook"'
)
THEIR_SIGNATURES: dict[SignatureAlgorithm, str] = {
    "hmac-sha256": "Qv6JgY3boB/OG7T+VTQir+wD5k0c2ANCW3VJHxpHKpo=",
    "ed25519": "CiDoD/K5zlm1u9e9TEMlaja1Cf22chGDfrZLPNTgtddUDhyJ90S+LuysD1/O7fzNxkcVFGRQ4cImUKMSRfDXCQ==",
    "ecdsa-p256-sha256": "06v70UidfePVMOhkHiDgMuw800wt+F4yGEys1IMb0SIJjG8lmGBkkMw9A/Wi33hDpVLxn7IRA95Z4gRg3wZSow==",
    "rsa-pss-sha512": (
        "TDvqQUt0t7pil/xDZ4kThOOqaxepZB3c/Jm7VWipGoqOxmaRFksvUORHXD80noeSYA9NAqSIzvThF67toJ5Rg8w3SITJmQQRBsOwH/e+Iu68"
        "792dkWctMLRHsYxC/0Su0/XmDG/fvXE+/ItFCSzYQNKhSoeGAEeUKkaMkjl9J2n5KrnzK3LF0rfMFpisDIJ6qq6L9z/Ul5qlHYxlby5QtkQA"
        "7iTBCz21uNXnMhOfQPLmtohCaTCL3eLEF0y+yzvySyz2/v6Oox+vC4jaaAk8JAPCOfMDr2YsIDdCqRFVZ4sQCKTFgbbPgPy5BAIuz1v+RH8e"
        "RoA91L5BQWeEqjmMTQ=="
    ),
    "rsa-v1_5-sha256": (
        "aq16MunGKjvou4ijTd4p6QCeDiAsfhK2vqOJ8tWwPSWxirdRDLJSExtgHrkBa9F9KnUa3Cnnf8uRB6oJ4QYRuejqUoQ0DKq8TFiQM5aDyk4P"
        "V8L0SNQxLtSZ8LTJwPyYrMXY8g3UBnJ98oJRTl5Lj3oktY73zwDpOj9UqMoGU/0h86P3TP+ZP33peBnCLQCHhk6tmu5ufQCkHUTexfJy+w73"
        "9kYTtkAOBEmTQLumpmUvh6JGuTJ+HnFyX1v5TThmna/6LoofToRHkb6A4lJBTWtzMRPZCZSeOec0mRaHmGvN4fzFsVWTamjMji8y7OV/cMY0"
        "5SsnMlItkjO/dQnRrQ=="
    ),
}

# HTTPMessageVerifier(...).verify(request, body=BODY, expect_tag="webhook") returned one result for each of these.
OUR_URL = "https://api.example.com/hooks?a=1"
OUR_INPUT = (
    'sig1=("@method" "@target-uri" "content-digest");created=1760000000;keyid="k1";alg="{algorithm}";tag="webhook"'
)
OUR_SIGNATURES: dict[SignatureAlgorithm, str] = {
    "hmac-sha256": "Orb+XwswZSlARoZ433V0zxCuAA82JHp+2NDiZeK+k0E=",
    "ed25519": "0yr5F8b8hFBgCeMllj08QZVrVpECusK/rXd/TYCEW5ijGLiy03A09GZFXGRQ709sVfIS4aD0PyBEeQUjhqciAQ==",
    "ecdsa-p256-sha256": "C1eFoDISvtayyKeR87m3XNPbbCcUgCAL33PSX0UxYe8vSQom2LYdjx8gAliu50FBPME8Hksxt+DFPrOOi77MMg==",
    "rsa-pss-sha512": (
        "j4VLyyjBxHbaW4+j6n4qUbV1VsaSlx2EYXElzPh78gDSaJH4400/Ibsg9q8f/qLOtO80MQP1PwTI94qKNTbIrarmg+9hoOZ92obAezeQIvsx"
        "dx/f2GDhGlICJKDoZdL1tr6ILbDObUWnqgpAb0NH7ufpFI6mMEexHcT6zdStMhlzlijnQvs2KutTrJmQhjw5weD5bxAIJPf/05Ub5TvKMWJL"
        "03OkwSt1JAou68tjgp9sTQmWcAF2LZ3qzbHmpXOD5gnxI99cXv/XSUslDkeQp3nQEKaUAdON0qDlMNq0VPgqBMinB8GThBKziCTxRbwcxY2O"
        "VBI1MLr5Tms8BwOmBw=="
    ),
    "rsa-v1_5-sha256": (
        "UzcrdBVe9p0qTwGxilfrdKY0G5mHwt2rpbDsRXVo2vrKiZl8FKpAkC0vryccQMsRsxGXH1WOLAOx/HeDMdox+ILtOKUbLJrR/kbfq0krQqH8"
        "BuH+VfmQ8nApbjKtFPWVmF5YdE4KmP/spNMSsLcWZnkbv6nf2ciVVkTqaGVGoEIuglhQf/EGZ8Hg7CTm8lEQV6VXSdhMJOFEgTSKVH4hWRO7"
        "E2Fdy5XMEpT4C903PrabU9Z0Jh+ltgoMQ9f5ZcPlTOYLBrQXymyyzUGiRp6go+DR6SaPn6LV64ZPnythPQH1F360+KJxkos1rTiu5VZ1I7u4"
        "yzjrEs26dI44PMK3VQ=="
    ),
}


@pytest.mark.parametrize("algorithm", get_args(SignatureAlgorithm))
def test_what_it_signs_is_verified(algorithm: SignatureAlgorithm) -> None:
    """Every kind of component, every parameter, and its digest."""
    headers = {
        "Content-Type": "application/json",
        "Priority": "u=1,  i",
        "Content-Digest": "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
        "Signature-Input": THEIR_INPUT.format(algorithm=algorithm),
        "Signature": f"sig1=:{THEIR_SIGNATURES[algorithm]}:",
    }
    delivery = Delivery.of(BODY, headers, url=THEIR_URL)
    scheme = http_message_signatures(algorithm=algorithm, key_id="k1", tag="webhook")
    assert scheme.verify(delivery, KEYS[algorithm][0], NOW).covers == {"body", "timestamp", "method", "url"}
    assert reason_of(scheme, delivery, KEYS[algorithm][0], NOW + 61) == "timestamp_expired"
    assert reason_of(scheme, replace(delivery, method="PUT"), KEYS[algorithm][0]) == "signature_mismatch"
    assert reason_of(scheme, replace(delivery, body=b"{}"), KEYS[algorithm][0]) == "body_digest_mismatch"


@pytest.mark.parametrize("algorithm", get_args(SignatureAlgorithm))
def test_what_we_sign_it_verifies(algorithm: SignatureAlgorithm) -> None:
    """What sign() makes is what it said yes to: byte by byte, where a signature has only one spelling."""
    scheme = http_message_signatures(algorithm=algorithm, key_id="k1", tag="webhook")
    made = headers_of(scheme.sign(BODY, KEYS[algorithm][1], NOW, url=OUR_URL))
    assert made["signature-input"] == OUR_INPUT.format(algorithm=algorithm)
    recorded = made | {"signature": f"sig1=:{OUR_SIGNATURES[algorithm]}:"}
    assert scheme.verify(Delivery.of(BODY, recorded, url=OUR_URL), KEYS[algorithm][0], NOW)
    # The other two draw a number for each signature, or may.
    if algorithm in ("hmac-sha256", "ed25519", "rsa-v1_5-sha256"):
        assert made == recorded
