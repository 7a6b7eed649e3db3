"""Real receivers on loopback, well-behaved and otherwise, and what stands for chance in tests of a sender."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from socket import AF_INET, AF_INET6, create_server, socket

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gatewright.webhooks.sending.addresses import Egress
from gatewright.webhooks.sending.contract import HttpRequest, HttpResponse

__all__ = [
    "LOOPBACK",
    "SECRET",
    "Authority",
    "Recorder",
    "ScriptedClient",
    "counting",
    "resolving",
    "scripted",
    "serving",
]

SECRET = "whsec_" + "c2VjcmV0" * 5
HOST = "127.0.0.1"
LOOPBACK = Egress(http=True, ports=range(1, 65536), networks=["127.0.0.0/8"])


def counting(size: int) -> bytes:
    """Return bytes as a generator of random ones would, the same each time."""
    return bytes(range(size))


def resolving(*answers: Sequence[str]) -> Callable[[str, int], object]:
    """Return a resolver that gives each answer once, in order; asked once more, it fails the test."""
    left = list(answers)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return left.pop(0)

    return resolve


@dataclass
class ScriptedClient:
    """A client as a user may bring one: it records requests, and answers by a script."""

    answers: list[HttpResponse | Exception] = field(default_factory=list)
    requests: list[HttpRequest] = field(default_factory=list)

    async def send(self, request: HttpRequest, /) -> HttpResponse:
        """Answer with what is next in the script; 204 at its end."""
        self.requests.append(request)
        answer = self.answers.pop(0) if self.answers else HttpResponse(204)
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass
class Recorder:
    """An ASGI app that keeps what it receives, and answers by a script."""

    answers: list[Response] = field(default_factory=list)
    received: list[tuple[Request, bytes]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with what is next in the script; 204 at its end."""
        request = Request(scope, receive)
        self.received.append((request, await request.body()))
        answer = self.answers.pop(0) if self.answers else Response(status_code=204)
        await answer(scope, receive, send)


@contextmanager
def serving(app: ASGIApp, context: ssl.SSLContext | None = None, host: str = HOST) -> Iterator[int]:
    """Serve *app* with uvicorn in a thread, and return the port."""
    with create_server((host, 0), family=AF_INET6 if ":" in host else AF_INET) as listening:
        config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None)
        config.load()
        config.ssl = context
        server = uvicorn.Server(config)
        # Who connects before it has started waits in the backlog.
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def scripted(answer: Callable[[], Iterable[bytes]]) -> Iterator[tuple[int, list[int]]]:
    """Answer each connection with bytes, whatever it says; return the port, and how many bytes each one took."""
    taken: list[int] = []

    def answer_one(connection: socket) -> None:
        taken.append(0)
        with connection, suppress(OSError):
            connection.recv(1 << 16)
            for chunk in answer():
                connection.sendall(chunk)
                taken[-1] += len(chunk)
            # Until the other side has had enough.
            while connection.recv(1 << 16):
                pass

    def serve() -> None:
        with suppress(OSError):
            while True:
                answer_one(listening.accept()[0])

    with create_server((HOST, 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1], taken
        finally:
            # Wakes accept(), where close() alone would not.
            listening.shutdown(2)
            thread.join()


_MAY_SIGN = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """A certificate authority that nobody knows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Tests")])
        self._certificate = (
            self._builder(name, name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_MAY_SIGN, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def trusted(self) -> ssl.SSLContext:
        """Return a client's context that believes this authority alone."""
        return ssl.create_default_context(cadata=self._certificate.public_bytes(Encoding.PEM).decode())

    def server(self, *names: str) -> ssl.SSLContext:
        """Return a server's context with a certificate for *names*, some of which may be addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver")])
        certificate = (
            self._builder(subject, self._certificate.subject, key)
            .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        path = self._folder / f"{names[0]}.pem"
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(pem + certificate.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
