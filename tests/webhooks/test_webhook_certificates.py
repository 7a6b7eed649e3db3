"""Certificates by URL: what their keys sign, who may name one, and how rarely one is fetched."""

from __future__ import annotations

import gc
import subprocess
import sys
from base64 import b64encode, encodebytes
from collections.abc import Callable
from typing import Any
from weakref import ref

import anyio
import pytest
from anyio.lowlevel import checkpoint
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificate
from hypothesis import given
from hypothesis import strategies as st

from gatewright import ConfigurationError, Gate, ServiceUnavailable
from gatewright.testing import EventList, FrozenClock
from gatewright.webhooks import Delivery, WebhookRejected, stripe
from gatewright.webhooks.certificates import Certificates, Certified, fetch_https
from gatewright.webhooks.schemes.certificate import Rsa, validity
from gatewright.webhooks.schemes.certified import from_base64
from gatewright.webhooks.schemes.paypal import paypal
from gatewright.webhooks.schemes.sns import ANY_TOPIC, aws_sns
from tests.webhooks.certs import CERTIFICATE, KEY, NOW, OTHER_CERTIFICATE, OTHER_KEY, certificate_of, pem_of

PRIVATE: Any = load_pem_private_key(KEY, None)
SMALL = rsa.generate_private_key(65537, 1024)  # to be refused
OTHER = Rsa().sign(OTHER_KEY, b"message")
ELLIPTIC = ec.generate_private_key(ec.SECP256R1())


def test_a_key_signs_and_its_certificate_verifies() -> None:
    """With either hash, and never with the other one, another message or another certificate."""
    for hash_, other in (("sha256", "sha1"), ("sha1", "sha256")):
        signature = Rsa(hash_).sign(KEY, b"message")
        assert Rsa(hash_).matches(CERTIFICATE, b"message", [signature])
        assert Rsa(hash_).matches(CERTIFICATE.decode(), b"message", [OTHER, signature])
        assert not Rsa(other).matches(CERTIFICATE, b"message", [signature])
        assert not Rsa(hash_).matches(CERTIFICATE, b"another", [signature])
        assert not Rsa(hash_).matches(OTHER_CERTIFICATE, b"message", [signature])
        assert not Rsa(hash_).matches(CERTIFICATE, b"message", [])


def test_a_text_with_key_and_certificate_does_both() -> None:
    """In any order; tests have one secret then, for the sender and for us."""
    for both in (KEY + CERTIFICATE, CERTIFICATE + KEY, "a comment\n" + (CERTIFICATE + KEY).decode()):
        Rsa().check(both)
        assert Rsa().matches(both, b"message", [Rsa().sign(both, b"message")])


def test_the_first_certificate_of_a_chain_counts() -> None:
    """It is the sender's own; those that signed it follow."""
    assert Rsa().matches(CERTIFICATE + OTHER_CERTIFICATE, b"message", [Rsa().sign(KEY, b"message")])


def _unknown_key() -> bytes:
    """Return a certificate of a key of a kind that does not exist."""
    der = load_pem_x509_certificate(CERTIFICATE).public_bytes(Encoding.DER)
    patched = der.replace(bytes.fromhex("2a864886f70d010101"), bytes.fromhex("2a864886f70d010163"))
    return b"-----BEGIN CERTIFICATE-----\n" + encodebytes(patched) + b"-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("", "BEGIN CERTIFICATE"),
        (b"", "BEGIN CERTIFICATE"),
        ("whsec_abc", "BEGIN CERTIFICATE"),
        ("\ud800", "BEGIN CERTIFICATE"),
        (KEY, "BEGIN CERTIFICATE"),
        (CERTIFICATE[:300], "BEGIN CERTIFICATE"),
        (CERTIFICATE.replace(b"MII", b"MIJ", 1), "BEGIN CERTIFICATE"),
        (None, "NoneType.*variable"),
        (7, "int"),
        (certificate_of(SMALL), "RSA key of 2048 to 8192 bits"),
        (certificate_of(ELLIPTIC), "RSA key of 2048 to 8192 bits"),
        (_unknown_key(), "RSA key of 2048 to 8192 bits"),
    ],
)
def test_what_is_no_certificate_verifies_nothing(secret: Any, message: str) -> None:
    """It is refused when decorating, says what to write, and is no secret to a verifier."""
    for scheme in (paypal("8PT"), aws_sns(ANY_TOPIC)):
        with pytest.raises(ConfigurationError, match=message):
            scheme.check(secret)
    with pytest.raises(ConfigurationError, match=message):
        validity(secret)
    delivery = paypal("8PT").sign(b"{}", KEY, NOW)
    with pytest.raises(WebhookRejected, match="no_secret"):
        paypal("8PT").verify(delivery, [secret], NOW)
    assert paypal("8PT").verify(delivery, [secret, CERTIFICATE], NOW).key_index == 1


@pytest.mark.parametrize(
    "secret",
    [
        CERTIFICATE,
        b"",
        "whsec_abc",
        pem_of(ELLIPTIC),
        KEY[:200] + b"\n-----END PRIVATE KEY-----",
        PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")),
    ],
)
def test_what_is_no_private_key_signs_nothing(secret: Any) -> None:
    """The error says what to give."""
    with pytest.raises(ConfigurationError, match="private key that belongs to the certificate"):
        Rsa().sign(secret, b"message")


def test_signatures_are_canonical_base64() -> None:
    """A spelling that a lenient decoder takes for the same is malformed; each replay has one spelling."""
    signature = Rsa().sign(KEY, b"message")
    last = signature[-3:-2]
    other = bytes([last[0] + 1])
    for spelled in (
        signature + b"\n",
        signature[:-2],
        signature[:-3] + other + signature[-2:],
        signature.replace(b"/", b"_").replace(b"+", b"-") + b"-",
        signature[:10] + b"\xe9" + signature[10:],
        b" " + signature,
        b"=",
    ):
        with pytest.raises(WebhookRejected, match="malformed"):
            Rsa().matches(CERTIFICATE, b"message", [spelled])


@given(st.binary(max_size=40))
def test_from_base64_takes_one_spelling_of_anything(data: bytes) -> None:
    """What is decoded is what encodes to the same text; all else is malformed, and nothing else is raised."""
    assert from_base64(b64encode(data)) == data
    try:
        assert b64encode(from_base64(data)) == data
    except WebhookRejected as rejected:
        assert rejected.reason == "malformed"


def test_without_cryptography_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the scheme is made, and not with the first delivery."""
    monkeypatch.delitem(sys.modules, "gatewright.webhooks.schemes.certificate")
    monkeypatch.setitem(sys.modules, "cryptography.x509", None)
    for make, name in ((lambda: paypal("8PT"), "paypal"), (lambda: aws_sns(ANY_TOPIC), "aws_sns")):
        with pytest.raises(ConfigurationError, match=rf'^{name} .*pip install "gatewright\[webhooks\]"'):
            make()


def test_the_senders_load_cryptography_when_they_are_made() -> None:
    """Whoever verifies Stripe's deliveries needs no extra."""
    modules = "gatewright.webhooks, gatewright.webhooks.schemes.paypal, gatewright.webhooks.schemes.sns"
    code = f"import sys, {modules}; print('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


class Named:
    """A scheme that finds the address in a header, and refuses some."""

    def certificate_url(self, delivery: Delivery) -> str:
        """Return the address."""
        url = (delivery.header(b"url") or b"").decode()
        if not url.startswith("https://certs.example.com/"):
            raise WebhookRejected("cert_url_rejected")
        return url

    def validity(self, certificate: bytes) -> tuple[float, float]:
        """Return the dates."""
        return validity(certificate)


class Host:
    """A sender's host, which counts who asks, and fails when told to."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}
        self.asked: list[str] = []
        self.failure: Exception | None = None
        self.closed: anyio.Event | None = None

    async def fetch(self, url: str) -> bytes:
        """Return the document of a path; a certificate, where nothing else is said."""
        name = url.rpartition("/")[2]
        self.asked.append(name)
        if self.closed is not None and name == "a.pem":
            await self.closed.wait()
        if self.failure is not None:
            raise self.failure
        document = self.documents.get(name, CERTIFICATE)
        if isinstance(document, Exception):
            raise document
        return document


class World:
    """A host, a clock, and what keeps the certificates."""

    def __init__(self, **settings: Any) -> None:
        self.host = Host()
        self.clock = FrozenClock(NOW)
        self.certificates = Certificates(Named(), self.host.fetch, self.clock, **settings)

    async def get(self, name: str = "a.pem") -> Any:
        """Return what there is for a delivery that names a certificate."""
        return await self.certificates(Delivery(b"", [(b"url", f"https://certs.example.com/{name}".encode())]))

    async def retry_after(self, name: str = "a.pem") -> str:
        """Return when to try again, where there is no certificate now."""
        with pytest.raises(ServiceUnavailable) as refusal:
            await self.get(name)
        return (refusal.value.headers or {})["Retry-After"]


@pytest.mark.anyio
async def test_a_certificate_is_fetched_once_and_kept_for_an_hour() -> None:
    """By the first delivery that names it; not at import, and not by each. Each address has its own."""
    world = World()
    world.host.documents["b.pem"] = OTHER_CERTIFICATE
    assert world.host.asked == []
    for _ in range(3):
        assert await world.get() == CERTIFICATE
        assert await world.get("b.pem") == OTHER_CERTIFICATE
    world.clock.advance(3599)
    assert await world.get() == CERTIFICATE and world.host.asked == ["a.pem", "b.pem"]
    world.clock.advance(1)
    world.host.documents["a.pem"] = OTHER_CERTIFICATE
    assert await world.get() == OTHER_CERTIFICATE and world.host.asked == ["a.pem", "b.pem", "a.pem"]


@pytest.mark.anyio
async def test_an_address_that_the_scheme_refuses_is_not_fetched() -> None:
    """The scheme decides whose host it is; the refusal is its own."""
    world = World()
    with pytest.raises(WebhookRejected, match="cert_url_rejected"):
        await world.certificates(Delivery(b"", [(b"url", b"https://10.0.0.1/latest/meta-data")]))
    assert world.host.asked == []


@pytest.mark.anyio
async def test_many_at_once_fetch_once() -> None:
    """Whoever comes while somebody fetches waits for what that brings."""
    world = World()
    world.host.closed = anyio.Event()
    found: list[object] = []

    async def ask() -> None:
        found.append(await world.get())

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)
        await settled(lambda: bool(world.host.asked))
        world.host.closed.set()
    assert found == [CERTIFICATE] * 20 and world.host.asked == ["a.pem"]


@pytest.mark.anyio
async def test_many_at_once_fail_once() -> None:
    """A host that is down is not asked again by each of those who waited."""
    world = World()
    world.host.closed, world.host.failure = anyio.Event(), OSError("no route to host")
    found: list[str] = []

    async def ask() -> None:
        found.append(await world.retry_after())

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)
        await settled(lambda: bool(world.host.asked))
        world.host.closed.set()
    assert found == ["10"] * 20 and world.host.asked == ["a.pem"]


@pytest.mark.anyio
async def test_who_leaves_does_not_take_the_fetch_along() -> None:
    """A sender that disconnects while we fetch leaves what was fetched to those who wait."""
    world = World()
    world.host.closed = anyio.Event()
    found: list[object] = []

    async def ask() -> None:
        found.append(await world.get())

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as first:
            async with anyio.create_task_group() as leaving:
                leaving.start_soon(world.get)
                await settled(lambda: bool(world.host.asked))
                tasks.start_soon(ask)
                for _ in range(10):
                    await checkpoint()
                first.cancel()
                world.host.closed.set()
    assert found == [CERTIFICATE] and world.host.asked == ["a.pem"]


@pytest.mark.anyio
async def test_after_a_fetch_that_failed_the_address_rests() -> None:
    """503 with a time for ten seconds, whoever asks; then it is tried again. The log knows why."""
    world = World()
    world.host.failure = OSError("no route to host")
    assert await world.retry_after() == "10"
    world.clock.advance(9.5)
    assert await world.retry_after() == "1"
    assert world.host.asked == ["a.pem"]
    with pytest.raises(ServiceUnavailable) as refusal:
        await world.get()
    url = "https://certs.example.com/a.pem"
    assert refusal.value.reason == f"no certificate from {url}: OSError (no route to host)"
    world.host.failure = None
    world.clock.advance(0.5)
    assert await world.get() == CERTIFICATE


@pytest.mark.anyio
async def test_a_certificate_that_is_too_old_to_use_rests_as_well() -> None:
    """What the sender may have taken back is not believed while nobody can ask."""
    world = World()
    assert await world.get() == CERTIFICATE
    world.host.failure = OSError()
    world.clock.advance(3600)
    assert await world.retry_after() == "10"
    assert await world.retry_after() == "10"
    assert len(world.host.asked) == 2


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>We are down for maintenance</html>",
        certificate_of(ELLIPTIC),
        CERTIFICATE + b"\n" * (1 << 16),
        None,
        7,
        ValueError("whatever a client raises"),
        KeyError("whatever a client raises"),
    ],
)
@pytest.mark.anyio
async def test_paypal_pem_no_start_line(document: Any) -> None:
    """PayPal's own host once answered with a page in place of a certificate: 503, and the sender tries again."""
    world = World()
    world.host.documents["a.pem"] = document
    assert await world.retry_after() == "10"


@pytest.mark.anyio
async def test_a_fetch_that_hangs_is_given_up() -> None:
    """After its time, whatever client it is."""
    world = World(timeout=0.05)
    world.host.closed = anyio.Event()
    assert await world.retry_after() == "10"


@pytest.mark.anyio
async def test_a_certificate_counts_only_between_its_dates() -> None:
    """By the gate's clock, and at each use; it is not fetched again for that."""
    world = World()
    world.host.documents["a.pem"] = certificate_of(PRIVATE, NOW + 60, NOW + 120)
    for seconds, good in ((59, False), (1, True), (60, True), (1, False)):
        world.clock.advance(seconds)
        if good:
            assert await world.get() == world.host.documents["a.pem"]
            continue
        with pytest.raises(WebhookRejected, match="cert_url_rejected"):
            await world.get()
    assert world.host.asked == ["a.pem"]


@pytest.mark.anyio
async def test_nobody_makes_us_fetch_what_he_names() -> None:
    """Anybody may name addresses on the sender's host: ten in a minute are tried, and what is known is not among them.

    A sender that has our word for it cannot be had as an amplifier, nor be kept out by whoever names others.
    """
    world = World()
    assert await world.get("good.pem") == CERTIFICATE
    junk = [f"{number}.pem" for number in range(100)]
    world.host.documents.update({name: OSError("it answers 404") for name in junk})
    world.clock.advance(1)
    waits = [await world.retry_after(name) for name in junk]
    assert world.host.asked == ["good.pem", *junk[:9]]
    assert waits == ["10"] * 8 + ["59"] * 92
    assert await world.get("good.pem") == CERTIFICATE
    world.clock.advance(59)
    assert await world.retry_after("99.pem") == "10", "the first try no longer counts"
    assert await world.retry_after("98.pem") == "1"
    world.clock.advance(3600)
    for name in junk:
        await world.retry_after(name)
    assert await world.get("good.pem") == CERTIFICATE, "to look again at what is known is always allowed"
    assert len(world.host.asked) == 1 + 9 + 1 + 10 + 1


@pytest.mark.anyio
async def test_what_is_kept_is_bounded() -> None:
    """Of 32 addresses; one that holds no certificate goes first, then the one that was named longest ago."""
    world = World()

    async def name(*names: str) -> None:
        for each in names:
            world.clock.advance(6)
            await world.get(each)

    first = [f"{number}.pem" for number in range(31)]
    await name(*first)
    world.host.documents["junk.pem"] = OSError()
    world.clock.advance(6)
    await world.retry_after("junk.pem")
    await name("0.pem", "31.pem", "0.pem")
    assert len(world.host.asked) == 33, "the junk went, and nothing else"
    await name("32.pem", "0.pem", "2.pem")
    assert len(world.host.asked) == 34
    await name("1.pem")
    assert world.host.asked[-1] == "1.pem", "it was named longest ago"


@pytest.mark.anyio
async def test_a_fetch_under_way_keeps_its_place() -> None:
    """However many others are named meanwhile; what it brings is kept."""
    world = World()
    world.host.closed = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.get)
        await settled(lambda: bool(world.host.asked))
        for number in range(100):
            world.host.documents[f"{number}.pem"] = OSError()
            await world.retry_after(f"{number}.pem")
        world.host.closed.set()
    assert await world.get() == CERTIFICATE and world.host.asked.count("a.pem") == 1


@pytest.mark.anyio
async def test_each_gate_has_its_own() -> None:
    """With its own clock, for as long as it lives."""
    host = Host()
    shared = Certificates(Named(), host.fetch)
    delivery = Delivery(b"", [(b"url", b"https://certs.example.com/a.pem")])
    gates = [Gate(clock=FrozenClock(now), log=EventList()) for now in (NOW, NOW + 100_000)]
    for _ in range(2):
        assert await shared.at(gates[0])(delivery) == CERTIFICATE
        with pytest.raises(WebhookRejected):
            await shared.at(gates[1])(delivery)
    assert host.asked == ["a.pem"] * 2
    gone = ref(gates.pop())
    gc.collect()
    assert gone() is None


def test_the_senders_are_certified() -> None:
    """The guard fetches for whoever names a certificate, and for nobody else."""
    assert isinstance(paypal("8PT"), Certified) and isinstance(aws_sns(ANY_TOPIC), Certified)
    assert not isinstance(stripe(), Certified)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a.pem", "file:///etc/passwd", "ftp://127.0.0.1/a.pem", "HTTPS://"])
@pytest.mark.anyio
async def test_only_https_is_fetched(url: str) -> None:
    """urllib opens files, too."""
    with pytest.raises(ValueError, match="only https"):
        await fetch_https(url)


@pytest.mark.anyio
async def test_a_host_that_is_not_there_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As everything is that goes wrong on the way."""
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(OSError, match=r"."):
        await fetch_https("https://127.0.0.1:1/a.pem")


async def settled(condition: Callable[[], bool]) -> None:
    """Let others run until something is so."""
    with anyio.fail_after(5):
        while not condition():
            await checkpoint()
