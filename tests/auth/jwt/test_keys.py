"""Keys: what they are for, how strong they are, and which one a token is tried with."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, OKPKey

from gatewright import ConfigurationError, Principal
from gatewright.auth.jwt import BearerJWT, JwksUrl
from gatewright.auth.jwt.algorithms import Algorithms
from gatewright.auth.jwt.compact import UnknownKey, read_compact
from gatewright.auth.jwt.keys import KeySet, VerifyingKey, published
from tests.auth.jwt.kit import (
    EC,
    ED,
    OTHER_EC,
    OTHER_SECRET,
    RSA,
    SECRET,
    by,
    by_secret,
    gate_at,
    header,
    hs,
    make,
    mint,
    secretive,
    verdict,
)

pytestmark = pytest.mark.anyio

ES = Algorithms.of(("ES256",))
SMALL_RSA = (
    rsa.generate_private_key(public_exponent=65537, key_size=1024)
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
)
EC_384 = ECKey.generate_key("P-384")
ED_448 = OKPKey.generate_key("Ed448")
X = OKPKey.generate_key("X25519")


def jwk(key: Any = EC, **others: Any) -> dict[str, Any]:
    """Return a public key as a JWK; a value of `...` leaves a member out."""
    return {name: value for name, value in {**key.as_dict(private=False), **others}.items() if value is not ...}


def secret_jwk(secret: bytes = SECRET, **others: Any) -> dict[str, Any]:
    return {"kty": "oct", "k": base64.urlsafe_b64encode(secret).rstrip(b"=").decode(), **others}


async def takes(api: BearerJWT, token: bytes) -> bool:
    return isinstance(await verdict(api, token, gate_at()), Principal)


@pytest.mark.parametrize(
    ("algorithms", "message"),
    [
        (("HS256", "RS256"), "keys of several kinds"),
        (("HS256", "ES256"), "keys of several kinds"),
        (("RS256", "ES256"), "keys of several kinds"),
        (("ES256", "EdDSA"), "keys of several kinds"),
        (("none",), "'none' is none of HS256"),
        (("ES256", "none"), "'none' is none of"),
        (("None",), "is none of"),
        (("es256",), "is none of"),
        (("ES256K",), "is none of"),
        ((), "write what its issuer uses"),
        ("ES256", "write what its issuer uses"),
    ],
)
def test_algorithms_are_of_one_kind(algorithms: Any, message: str) -> None:
    """ASVS 5.0, 9.1.2: an allow-list, without "none", in which nothing symmetric stands by something asymmetric."""
    with pytest.raises(ConfigurationError, match=message):
        make(algorithms=algorithms)


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        (b"a", "can be guessed"),
        (b"", "can be guessed"),
        (b"x" * 31, "can be guessed"),
        ("a" * 64, "can be guessed"),
        (EC.as_pem(private=False), "is a public key"),
        (RSA.as_pem(private=False), "is a public key"),
        (RSA.as_pem(private=False).decode(), "is a public key"),
        (b"\n  " + RSA.as_pem(private=False), "is a public key"),
        (RSA.as_pem(private=True), "is a public key"),
        (RSA.as_der(private=False), "is a public key"),
        (EC.as_der(private=False), "is a public key"),
        (ED.as_der(private=False), "is a public key"),
        (base64.b64encode(RSA.as_der(private=False)), "is a public key"),
        (base64.urlsafe_b64encode(EC.as_der(private=False)).rstrip(b"="), "is a public key"),
        (b"".join(RSA.as_pem(private=False).split(b"\n")[1:-2]), "is a public key"),
        (json.dumps(RSA.as_dict(private=False)), "is a public key"),
        (b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample0123456789", "is a public key"),
        (b"-----BEGIN CERTIFICATE-----\nMIIB and so on, which nobody can read", "is a public key"),
        (secret_jwk(RSA.as_pem(private=False)), "is a public key"),
        (secret_jwk(b"a"), "can be guessed"),
        ({"kty": "oct"}, "can be guessed"),
        ({"kty": "oct", "k": 1}, "can be guessed"),
        ({"kty": "oct", "k": "A"}, "cannot be used"),
        (RSA.as_dict(private=False), "its kty is not oct"),
        (None, "write a key, a list of keys"),
        ([None], "a NoneType: write a str"),
        ([], "write a key, a list of keys"),
        ([SECRET, b"a"], "can be guessed"),
        ({"keys": []}, "no key of the set is for HS256"),
        ({"keys": "all"}, "has a list of keys"),
    ],
)
def test_a_secret_that_is_none_is_refused(secret: Any, message: str) -> None:
    """Story: PyJWT and joserfc verify with a key of one byte. A public key for a secret is what attackers hope for."""
    with pytest.raises(ConfigurationError, match=message):
        secretive(keys=secret)


@pytest.mark.parametrize(("algorithm", "size"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
async def test_a_secret_is_as_long_as_the_hash(algorithm: str, size: int) -> None:
    """RFC 7518, section 3.2."""
    if size > 32:
        with pytest.raises(ConfigurationError, match=f"{algorithm} has {size} bytes or more"):
            secretive(keys=SECRET[: size - 1], algorithms=(algorithm,))
    key = SECRET[:size]
    token = mint(head=header(alg=algorithm, kid=...), sign=by_secret(key, algorithm))
    assert await takes(secretive(keys=key, algorithms=(algorithm,)), token)


@pytest.mark.parametrize(
    ("keys", "algorithms", "message"),
    [
        (SMALL_RSA, ("RS256",), "2048 to 8192 bits"),
        (EC.as_pem(private=False), ("RS256",), "it is no RSA key"),
        (RSA.as_pem(private=False), ("ES256",), "it is no EC key"),
        (EC.as_pem(private=False), ("EdDSA",), "it is no OKP key"),
        (SECRET, ("ES256",), "it is no EC key"),
        (b"", ("ES256",), "it is no EC key"),
        (json.dumps(EC.as_dict(private=False)), ("ES256",), "it is no EC key"),
        (EC_384.as_pem(private=False), ("ES256",), "another curve than ES256"),
        (X.as_pem(private=False), ("EdDSA",), "another curve than EdDSA"),
        (ED_448.as_pem(private=False), ("Ed25519",), "another curve than Ed25519"),
        (jwk(use="enc"), ("ES256",), "its use is not sig"),
        (jwk(key_ops=["sign"]), ("ES256",), "its key_ops are not for signatures"),
        (jwk(key_ops=["verify", "encrypt"]), ("ES256",), "its key_ops are not for signatures"),
        (jwk(key_ops=[]), ("ES256",), "its key_ops are not for signatures"),
        (jwk(key_ops="verify"), ("ES256",), "its key_ops are not for signatures"),
        (jwk(alg="ES384"), ("ES256",), "its alg is another one"),
        (jwk(alg=["ES256"]), ("ES256",), "its alg is another one"),
        (jwk(RSA), ("ES256",), "its kty is not EC"),
        (jwk(kty=...), ("ES256",), "its kty is not EC"),
        (jwk(kid=1), ("ES256",), "its kid is no name"),
        (jwk(kid="k" * 256), ("ES256",), "its kid is no name"),
        (jwk(x=...), ("ES256",), "it is no EC key"),
        (jwk(x=1), ("ES256",), "it is no EC key"),
        (jwk(x="AAAA"), ("ES256",), "it is no EC key"),
        ([EC.as_pem(private=False), 1], ("ES256",), "key 1 cannot be used, a int"),
        ({"keys": [jwk(RSA)]}, ("ES256",), "no key of the set is for ES256"),
    ],
)
@pytest.mark.filterwarnings("ignore:Key size should be")  # joserfc's own, which is right
def test_a_public_key_that_does_not_fit_is_refused(keys: Any, algorithms: tuple[str, ...], message: str) -> None:
    """A key says what it is for (RFC 7517, section 4), and what it says counts."""
    with pytest.raises(ConfigurationError, match=message):
        make(keys=keys, algorithms=algorithms)


@pytest.mark.parametrize(
    ("keys", "key", "alg"),
    [
        (EC.as_pem(private=False), EC, "ES256"),
        (EC.as_pem(private=False).decode(), EC, "ES256"),
        (EC.as_der(private=False), EC, "ES256"),
        (EC.as_pem(private=True), EC, "ES256"),
        (EC.as_dict(private=True), EC, "ES256"),
        (jwk(use="sig", alg="ES256"), EC, "ES256"),
        (jwk(key_ops=["sign", "verify"]), EC, "ES256"),
        (EC_384.as_pem(private=False), EC_384, "ES384"),
        (ECKey.generate_key("P-521"), None, "ES512"),
        (RSA.as_pem(private=False), RSA, "RS256"),
        (RSA.as_pem(private=False), RSA, "RS512"),
        (RSA.as_dict(private=False), RSA, "PS384"),
        (ED.as_pem(private=False), ED, "EdDSA"),
        (ED.as_dict(private=False), ED, "Ed25519"),
        (ED_448.as_pem(private=False), ED_448, "EdDSA"),
        (ED_448.as_pem(private=False), ED_448, "Ed448"),
    ],
)
async def test_a_key_comes_as_pem_der_or_jwk(keys: Any, key: Any, alg: str) -> None:
    """Whatever its form, its public half verifies."""
    if key is None:
        keys, key = keys.as_pem(private=False), keys
    assert await takes(make(keys=keys, algorithms=(alg,)), mint(head=header(alg=alg, kid=...), sign=by(key, alg)))


async def test_an_alg_of_a_key_excludes_others() -> None:
    """A key for PS256 verifies no RS256, though it could (RFC 7517, section 4.4)."""
    api = make(keys=jwk(RSA, alg="PS256"), algorithms=("RS256", "PS256"))
    assert await takes(api, mint(head=header(alg="PS256", kid="rsa-1"), sign=by(RSA, "PS256")))
    assert not await takes(api, mint(head=header(alg="RS256", kid="rsa-1"), sign=by(RSA, "RS256")))


async def test_secrets_are_rotated_in_a_list() -> None:
    """Both verify, whatever kid a token has: they have no name to compare it with."""
    api = secretive(keys=[OTHER_SECRET, SECRET.decode()])
    assert await takes(api, hs())
    assert await takes(api, mint(head=header(alg="HS256"), sign=by_secret(OTHER_SECRET)))


async def test_a_named_key_is_for_tokens_that_name_it() -> None:
    """A token that names a key of the set is tried with that one only; one that names none is not guessed at."""
    two = make(keys=[jwk(), jwk(OTHER_EC)])
    assert await takes(two, mint(head=header(kid="ec-2"), sign=by(OTHER_EC)))
    assert not await takes(two, mint(head=header(kid="ec-2"), sign=by(EC)))
    assert not await takes(two, mint(head=header(kid="ec-3"), sign=by(EC)))
    assert not await takes(two, mint(head=header(kid=...), sign=by(EC)))


async def test_the_one_key_there_is_takes_tokens_without_a_name() -> None:
    """Where nothing is to choose, nothing need be named; a name that is another one is still another one."""
    one = make(keys={"keys": [jwk(), jwk(RSA)]})
    assert await takes(one, mint(head=header(kid=...)))
    assert not await takes(one, mint(head=header(kid="ec-3")))


async def test_keys_without_a_name_take_what_no_other_is_named_for() -> None:
    """A PEM beside a JWK: the named key is not asked for other names."""
    mixed = make(keys=[jwk(), OTHER_EC.as_pem(private=False)])
    assert await takes(mixed, mint(head=header(kid="whatever"), sign=by(OTHER_EC)))
    assert await takes(mixed, mint(head=header(kid=...), sign=by(OTHER_EC)))
    assert not await takes(mixed, mint(head=header(kid="ec-1"), sign=by(OTHER_EC)))


async def test_two_keys_of_one_name_are_both_tried() -> None:
    """RFC 7517, section 4.5, says that names should differ, and not that they do."""
    api = make(keys=[jwk(), jwk(OTHER_EC, kid="ec-1")])
    assert await takes(api, mint()) and await takes(api, mint(sign=by(OTHER_EC)))


async def test_a_set_at_hand_may_hold_secrets() -> None:
    """It was not fetched from where everybody can fetch it."""
    api = secretive(keys={"keys": [secret_jwk(kid="s")]})
    assert await takes(api, mint(head=header(alg="HS256", kid="s"), sign=by_secret(SECRET)))


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "key",
        [],
        {},
        {"kty": "EC"},
        {"kty": ["EC"]},
        secret_jwk(),
        jwk(RSA),
        jwk(use="enc"),
        jwk(x="AAAA"),
        jwk(crv="P-257"),
        jwk(alg="RSA-OAEP"),
        jwk(key_ops=[["verify"]]),
        EC.as_dict(private=True),
    ],
)
def test_a_bad_key_in_a_fetched_set_is_left_out(bad: Any) -> None:
    """RFC 7517, section 5: ignore what is not understood. A private key that is published is nobody's any more."""
    assert len(published({"keys": [bad]}, ES)) == 0
    assert len(published({"keys": [bad, jwk(OTHER_EC)]}, ES)) == 1


def test_secrets_in_a_fetched_set_are_never_used() -> None:
    """Story: alg confusion by a set that holds an oct key; whoever can fetch it could sign with it."""
    assert len(published({"keys": [secret_jwk()]}, Algorithms.of(("HS256",)))) == 0
    with pytest.raises(ConfigurationError, match="what anybody can fetch is no secret"):
        secretive(keys=JwksUrl("https://id.example.com/jwks.json"))


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {"a": 1}}, {"keys": "abc"}])
def test_what_is_no_key_set_is_refused(document: dict[str, Any]) -> None:
    """A set without keys is one; a document without a list of keys is none."""
    with pytest.raises(ValueError, match="has a list of keys"):
        published(document, ES)


def test_a_signature_that_the_library_cannot_read_does_not_fit() -> None:
    """A ValueError from below is no reason for a traceback."""

    def choke(message: bytes, signature: bytes) -> bool:
        raise ValueError("no signature of mine")

    with pytest.raises(UnknownKey):
        KeySet([VerifyingKey(None, {"ES256": choke})]).verify(read_compact(mint()))


def test_without_joserfc_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named where it is missing."""
    monkeypatch.setitem(sys.modules, "joserfc", None)
    monkeypatch.setitem(sys.modules, "joserfc.jwk", None)
    monkeypatch.delitem(sys.modules, "gatewright.auth.jwt.keys")
    with pytest.raises(ConfigurationError, match=r'pip install "gatewright\[jwt\]"'):
        make()


def test_importing_it_loads_no_cryptography() -> None:
    """Who has no such tokens pays for none."""
    code = "import sys, gatewright.auth.jwt; print('joserfc' in sys.modules, 'urllib.request' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_keys_are_never_shown() -> None:
    """Neither a secret nor what is made of it is part of the text that an authenticator has."""
    assert SECRET.decode() not in repr(secretive()) and "keys" not in repr(secretive())


@pytest.mark.parametrize("algorithms", [("HS256",), ("RS256",)])
def test_an_address_is_no_key(algorithms: tuple[str, ...]) -> None:
    """Everybody knows it, so as a secret it would let everybody in."""
    with pytest.raises(ConfigurationError, match=r"it is an address; write keys=JwksUrl\(\.\.\.\)"):
        make(keys="https://id.example.com/.well-known/jwks.json", algorithms=algorithms)
