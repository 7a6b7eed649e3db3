"""Key pairs: how a key may be written, what is no key, and that no signature can do harm."""

from __future__ import annotations

import subprocess
import sys
from base64 import b64decode, b64encode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.errors import ConfigurationError
from gatewright.webhooks.schemes.asymmetric import ecdsa_p256, ed25519

pytest.importorskip("cryptography", reason='pip install "gatewright[webhooks]"')

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from gatewright.webhooks.schemes.public_key import EcdsaP256, Ed25519

# RFC 8032, section 7.1, test 3.
SEED = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
POINT = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
SIGNATURE = (
    b"6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
    b"18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
)
EDWARDS = Ed25519PrivateKey.from_private_bytes(SEED)
# RFC 6979, section A.2.5, "sample" with SHA-256.
P256 = ec.derive_private_key(0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721, ec.SECP256R1())
R_AND_S = bytes.fromhex(
    "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
    "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def public(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey, encoding: Encoding = Encoding.DER) -> bytes:
    """Return the public half, as SubjectPublicKeyInfo."""
    return key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)


def private(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey, encoding: Encoding = Encoding.DER) -> bytes:
    """Return the private half, as PKCS #8."""
    return key.private_bytes(encoding, PrivateFormat.PKCS8, NoEncryption())


def spelled(der: bytes, pem: bytes) -> list[str | bytes]:
    """Return a key in every spelling that both algorithms know."""
    return [der, b64encode(der), b64encode(der).decode(), pem, pem.strip(), pem.decode(), "\n" + pem.decode()]


@pytest.mark.parametrize(
    "key",
    [
        *(POINT, POINT.hex(), POINT.hex().upper().encode(), b64encode(POINT).decode(), b64encode(POINT).rstrip(b"=")),
        *spelled(public(EDWARDS), public(EDWARDS, Encoding.PEM)),
    ],
)
def test_a_public_ed25519_key_may_be_written_in_many_ways(key: str | bytes) -> None:
    """As the sender shows it: bytes, hex, base64, DER or PEM, with or without the file's last line break."""
    Ed25519("hex").check(key)
    assert Ed25519("hex").matches(key, b"\xaf\x82", [SIGNATURE])


@pytest.mark.parametrize(
    "key",
    [
        *(SEED, SEED.hex(), b64encode(SEED).decode(), SEED + POINT, (SEED + POINT).hex(), b64encode(SEED + POINT)),
        *spelled(private(EDWARDS), private(EDWARDS, Encoding.PEM)),
    ],
)
def test_a_private_ed25519_key_may_be_written_in_many_ways(key: str | bytes) -> None:
    """It makes the signature of RFC 8032; the public half that NaCl writes behind it changes nothing."""
    assert Ed25519("hex").sign(key, b"\xaf\x82") == SIGNATURE


@pytest.mark.parametrize("key", spelled(public(P256), public(P256, Encoding.PEM)))
def test_a_public_p256_key_may_be_written_in_many_ways(key: str | bytes) -> None:
    """As the sender shows it: base64, DER or PEM."""
    EcdsaP256().check(key)
    assert EcdsaP256("hex", "raw").matches(key, b"sample", [R_AND_S.hex().encode()])


@pytest.mark.parametrize("key", spelled(private(P256), private(P256, Encoding.PEM)))
def test_ecdsa_signs_the_same_in_the_same_way(key: str | bytes) -> None:
    """RFC 6979: a test that signs twice has the same bytes, and no random number can give the key away."""
    assert EcdsaP256("hex", "raw").sign(key, b"sample") == R_AND_S.hex().encode()


@pytest.mark.parametrize("encoding", ["hex", "base64"])
@pytest.mark.parametrize("form", ["der", "raw"])
def test_every_form_of_an_ecdsa_signature_works(encoding: object, form: object) -> None:
    """What sign makes, matches takes; the other form of the same signature is none."""
    algorithm = EcdsaP256(encoding, form)  # type: ignore[arg-type]  # each is one of the Literal's
    signature = algorithm.sign(private(P256), b"message")
    assert algorithm.matches(public(P256), b"message", [b"", signature])
    assert not algorithm.matches(public(P256), b"another", [signature])
    octets = bytes.fromhex(signature.decode()) if encoding == "hex" else b64decode(signature)
    longer = octets[:32] + b"\0" + octets[32:]
    longer = longer.hex().encode() if encoding == "hex" else b64encode(longer)
    assert not algorithm.matches(public(P256), b"message", [longer])
    other = EcdsaP256(encoding, "raw" if form == "der" else "der")  # type: ignore[arg-type]  # see above
    assert not other.matches(public(P256), b"message", [signature])


_octets = st.binary(max_size=80)


@given(st.lists(_octets | _octets.map(b64encode) | _octets.map(lambda octets: octets.hex().encode()), max_size=5))
def test_no_signature_raises(signatures: list[bytes]) -> None:
    """Whatever a stranger sends for a signature is just none."""
    for algorithm in (Ed25519("hex"), Ed25519("base64")):
        assert not algorithm.matches(POINT, b"", signatures)
    for algorithm in (EcdsaP256("hex"), EcdsaP256("base64"), EcdsaP256("hex", "raw"), EcdsaP256("base64", "raw")):
        assert not algorithm.matches(public(P256), b"", signatures)


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_a_secret_is_a_key_or_a_mistake(secret: str | bytes) -> None:
    """Whatever stands in a variable, what is no key is refused as configuration, and as nothing else."""
    for algorithm in (Ed25519(), EcdsaP256()):
        with suppress(ConfigurationError):
            algorithm.check(secret)
        with suppress(ConfigurationError):
            algorithm.sign(secret, b"")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "no key",
        "a passphrase of 32 letters, text",
        "ab" * 31,
        b64encode(POINT[:31]).decode(),
        b64encode(POINT).decode() + "A",
        f" {POINT.hex()}",
        public(P256),
        public(P256, Encoding.PEM),
        private(EDWARDS),
        private(EDWARDS, Encoding.PEM),
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        X25519PrivateKey.generate().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    ],
)
def test_what_is_no_public_ed25519_key_is_refused(key: str | bytes) -> None:
    """Too short, of another kind, or the private half: it says so when decorated, and not as a bad signature."""
    for use in (Ed25519().check, lambda key: Ed25519().matches(key, b"", [])):
        with pytest.raises(ConfigurationError, match=r"no public Ed25519 key|whitespace around|is empty"):
            use(key)


def test_what_is_no_other_key_is_refused() -> None:
    """Another curve, another algorithm, the other half, or locked with a password."""
    p384 = ec.generate_private_key(ec.SECP384R1())
    modulus = rsa.generate_private_key(65537, 2048)
    locked = P256.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
    for no_public in (public(p384), public(EDWARDS), POINT, private(P256), b"no key"):
        with pytest.raises(ConfigurationError, match="no public P-256 key"):
            EcdsaP256().check(no_public)
    rsa_key = modulus.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    for no_private in (private(p384), private(EDWARDS), SEED, public(P256), locked, rsa_key, b"no key"):
        with pytest.raises(ConfigurationError, match="no private P-256 key"):
            EcdsaP256().sign(no_private, b"")
    for no_private in (private(P256), public(EDWARDS), locked, rsa_key, SEED[:31], "no key"):
        with pytest.raises(ConfigurationError, match="no private Ed25519 key"):
            Ed25519().sign(no_private, b"")


def test_a_placeholder_of_zeros_lets_anybody_sign() -> None:
    """Keys of small order have signatures that nobody made, and cryptography takes them: they are refused here."""
    identity = (1).to_bytes(32, "little")
    forged = identity + bytes(32)
    Ed25519PublicKey.from_public_bytes(identity).verify(forged, b"anything")
    prime = 2**255 - 19
    weak = [0, 1, prime - 1, prime, prime + 1]
    eighth = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
    points = [number.to_bytes(32, "little") for number in weak] + [bytes.fromhex(eighth)]
    for point in points:
        for sign in (0, 0x80):
            key = point[:31] + bytes([point[31] | sign])
            with pytest.raises(ConfigurationError, match="anybody could sign"):
                Ed25519().check(key.hex())
            with pytest.raises(ConfigurationError, match="anybody could sign"):
                Ed25519().matches(key, b"anything", [b64encode(forged)])


def test_a_signature_has_one_spelling() -> None:
    """Padding, other alphabets, spaces and bits that nobody reads are not looked over; the case of hex is."""
    message = b"a message with + and / in its signature"
    signature = Ed25519("base64").sign(SEED, message)
    assert Ed25519("base64").matches(POINT, message, [signature])
    last = bytes([signature[85] + 1])
    assert b64decode(signature[:85] + last + b"==") == b64decode(signature)
    urlsafe = signature.replace(b"+", b"-").replace(b"/", b"_")
    assert urlsafe != signature
    for other in (signature[:85] + last + b"==", signature.rstrip(b"="), signature + b"\n", b" " + signature, urlsafe):
        assert not Ed25519("base64").matches(POINT, message, [other])
    for other in (b" " + SIGNATURE, SIGNATURE[:64] + b" " + SIGNATURE[64:], SIGNATURE[:-1], SIGNATURE + b"00"):
        assert not Ed25519("hex").matches(POINT, b"\xaf\x82", [other])
    assert Ed25519("hex").matches(POINT, b"\xaf\x82", [SIGNATURE.upper()])


def test_an_ecdsa_signature_has_a_twin() -> None:
    """Anybody can turn s into -s, and both are good: so nothing may be recognised by its signature."""
    r, s = decode_dss_signature(b64decode(EcdsaP256().sign(private(P256), b"message")))
    twin = b64encode(encode_dss_signature(r, ORDER - s))
    assert EcdsaP256().matches(public(P256), b"message", [twin])


def test_without_cryptography_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named where it is missing."""
    monkeypatch.setitem(sys.modules, "gatewright.webhooks.schemes.public_key", None)
    for algorithm in (ed25519, ecdsa_p256):
        with pytest.raises(ConfigurationError, match=r'pip install "gatewright\[webhooks\]"'):
            algorithm("base64")


def test_senders_without_key_pairs_load_no_cryptography() -> None:
    """Who verifies HMACs only pays for nothing else, nor has to install it."""
    code = (
        "import sys; from gatewright.webhooks.schemes import adyen, gitlab, mailgun, pinned, standard; "
        "scheme = standard.standard_webhooks(); delivery = scheme.sign(b'', 'whsec_c2VjcmV0', 1.0); "
        "scheme.verify(delivery, 'whsec_c2VjcmV0', 1.0); print('cryptography' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
