"""The default client goes where it is told and nowhere else, believes certificates of the name, and reads little."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from itertools import repeat
from socket import AF_INET6, create_server
from time import monotonic

import anyio
import pytest
from starlette.responses import RedirectResponse, Response

from gatewright.webhooks.sending.client import HttpxClient
from gatewright.webhooks.sending.contract import HttpRequest
from gatewright.webhooks.sending.endpoint import Endpoint
from tests.webhooks.sending.receivers import Authority, Recorder, scripted, serving

httpx = pytest.importorskip("httpx")
pytestmark = pytest.mark.anyio

# Some versions of httpcore let through what the layers below it raise.
NO_ANSWER = (httpx.HTTPError, ssl.SSLError, anyio.EndOfStream)
HEAD = b"HTTP/1.1 200 OK\r\n"


def asking(url: str, address: str = "127.0.0.1", timeout: float = 10) -> HttpRequest:
    """Return a request for *url*, to be sent to *address*."""
    endpoint = Endpoint.of(url)
    headers = {"host": endpoint.authority, "content-type": "application/json", "x-own": "1"}
    return HttpRequest(endpoint, address, "POST", headers, b'{"a":1}', timeout)


def why(failure: BaseException) -> str:
    """Return what OpenSSL says of a certificate, however many libraries stand in between."""
    found: BaseException | None = failure
    while not isinstance(found, ssl.SSLCertVerificationError):
        assert found is not None
        found = found.__cause__ or found.__context__
    return found.verify_message


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Share one authority."""
    return Authority(tmp_path_factory.mktemp("authority"))


async def test_the_request_arrives_as_it_is() -> None:
    """Method, target, name, headers and body: nothing is rewritten, and no cookie, agent or encoding comes along."""
    app = Recorder()
    with serving(app) as port:
        response = await HttpxClient().send(asking(f"http://hooks.example.com:{port}/a%2fb;c='d'?x=%41&y=~'"))
    assert response.status == 204
    ((request, body),) = app.received
    assert (request.method, body) == ("POST", b'{"a":1}')
    assert request.scope["raw_path"] + b"?" + request.scope["query_string"] == b"/a%2fb;c='d'?x=%41&y=~'"
    assert dict(request.headers) == {
        "host": f"hooks.example.com:{port}",
        "content-type": "application/json",
        "content-length": "7",
        "connection": "close",
        "x-own": "1",
    }


async def test_a_redirect_is_an_answer() -> None:
    """Where it leads is not for a receiver to say."""
    app = Recorder([RedirectResponse("http://127.0.0.1:1/inside", 307)])
    with serving(app) as port:
        response = await HttpxClient().send(asking(f"http://hooks.example.com:{port}/"))
    assert (response.status, len(app.received)) == (307, 1)


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would look the host up again, and be the one who connects."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:1")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    with serving(Recorder()) as port:
        assert (await HttpxClient().send(asking(f"http://hooks.example.com:{port}/"))).status == 204


async def test_headers_come_back_in_lower_case() -> None:
    """Among them the one that says when to come back."""
    app = Recorder([Response(status_code=503, headers={"Retry-After": "7"})])
    with serving(app) as port:
        response = await HttpxClient().send(asking(f"http://hooks.example.com:{port}/"))
    assert (response.status, response.headers["retry-after"]) == (503, "7")


async def test_the_certificate_is_that_of_the_name(authority: Authority) -> None:
    """The connection goes to the address, the handshake names the host, and the certificate is checked against it."""
    asked_for: list[str | None] = []
    context = authority.server("hooks.example.com")
    context.sni_callback = lambda _socket, name, _context: asked_for.append(name)
    client = HttpxClient(authority.trusted())
    with serving(Recorder(), context) as port:
        assert (await client.send(asking(f"https://hooks.example.com:{port}/"))).status == 204
        assert asked_for == ["hooks.example.com"]
        with pytest.raises(NO_ANSWER) as refused:
            await client.send(asking(f"https://other.example.com:{port}/"))
        assert "Hostname mismatch" in why(refused.value)
    assert asked_for == ["hooks.example.com", "other.example.com"]


async def test_two_names_at_one_address_share_no_connection(authority: Authority) -> None:
    """A connection that was verified for one customer's name would carry the other one's events."""
    app = Recorder()
    client = HttpxClient(authority.trusted())
    with serving(app, authority.server("one.example.com", "two.example.com")) as port:
        for name in ("one", "two", "one"):
            await client.send(asking(f"https://{name}.example.com:{port}/"))
    assert len({request.scope["client"] for request, _ in app.received}) == 3


async def test_an_address_needs_a_certificate_of_its_own(authority: Authority) -> None:
    """A URL without a name is verified, too."""
    client = HttpxClient(authority.trusted())
    with serving(Recorder(), authority.server("127.0.0.1")) as port:
        assert (await client.send(asking(f"https://127.0.0.1:{port}/"))).status == 204
    with serving(Recorder(), authority.server("hooks.example.com")) as port:
        with pytest.raises(NO_ANSWER) as refused:
            await client.send(asking(f"https://127.0.0.1:{port}/"))
        assert "IP address mismatch" in why(refused.value)


async def test_an_authority_that_nobody_knows_is_not_believed(authority: Authority) -> None:
    """By default the public authorities are."""
    with serving(Recorder(), authority.server("hooks.example.com")) as port:
        with pytest.raises(NO_ANSWER) as refused:
            await HttpxClient().send(asking(f"https://hooks.example.com:{port}/"))
        assert "unable to get local issuer certificate" in why(refused.value)


async def test_old_tls_is_not_spoken(authority: Authority) -> None:
    """TLS 1.1 is none (RFC 8996)."""
    context = authority.server("hooks.example.com")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with serving(Recorder(), context) as port, pytest.raises(NO_ANSWER):
        await HttpxClient(authority.trusted()).send(asking(f"https://hooks.example.com:{port}/"))


def endless(chunk: bytes) -> Iterator[bytes]:
    """Return *chunk* again and again, 1 GB at the most."""
    return repeat(chunk, (1 << 30) // len(chunk))


@pytest.mark.parametrize("framing", [b"Content-Length: 1073741824\r\n\r\n", b"\r\n"])
async def test_little_of_a_large_body_is_read(framing: bytes) -> None:
    """A receiver cannot keep us busy: what was not read by then fills the buffers of the system, and no more."""
    with scripted(lambda: (HEAD + framing, *endless(b"x" * 65_536))) as (port, taken):
        assert await HttpxClient().send(asking(f"http://hooks.example.com:{port}/"))
    assert taken[0] < 1 << 25


async def test_a_compressed_body_stays_compressed() -> None:
    """What would be gigabytes once it is decoded is not decoded."""
    junk = HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\njunk"
    with scripted(lambda: [junk]) as (port, _):
        assert (await HttpxClient().send(asking(f"http://hooks.example.com:{port}/"))).status == 200


@pytest.mark.parametrize("rest", [b"Content-Length: 9\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"])
async def test_the_head_decides(rest: bytes) -> None:
    """A body that does not come, or is none, takes nothing back; it is waited for a second."""
    begun = monotonic()
    with scripted(lambda: [HEAD + rest]) as (port, _):
        assert (await HttpxClient().send(asking(f"http://hooks.example.com:{port}/"))).status == 200
    assert monotonic() - begun < 5


@pytest.mark.parametrize(
    "answer",
    [
        [b"SSH-2.0-OpenSSH_9.9\r\n\r\n"],
        [b"HTTP/1.1 soon\r\n\r\n"],
        [HEAD, b"X: " + b"x" * 300_000],
        [HEAD + b"a b: c\r\n\r\n"],
        [b"\x15\x03\x01\x00\x02\x02\x28"],
    ],
)
async def test_what_is_no_http_is_no_answer(answer: Iterable[bytes]) -> None:
    """Other protocols, and heads that are too long."""
    with scripted(lambda: answer) as (port, _), pytest.raises(NO_ANSWER):
        await HttpxClient().send(asking(f"http://hooks.example.com:{port}/"))


async def test_nobody_listens() -> None:
    """A connection that is refused is an error, and no status."""
    with serving(Recorder()) as port:
        pass
    with pytest.raises(httpx.ConnectError):
        await HttpxClient().send(asking(f"http://hooks.example.com:{port}/"))


async def test_a_receiver_that_says_nothing_is_given_up() -> None:
    """The end of the patience is a TimeoutError, whichever library noticed it."""
    with scripted(list) as (port, _), pytest.raises(TimeoutError):
        await HttpxClient().send(asking(f"http://hooks.example.com:{port}/", timeout=0.2))


async def test_a_call_that_is_cancelled_leaves_no_connection() -> None:
    """Whoever waits may leave; the receiver sees the end of it."""
    with scripted(list) as (port, taken):
        with anyio.move_on_after(0.2) as scope:
            await HttpxClient().send(asking(f"http://hooks.example.com:{port}/"))
        assert scope.cancelled_caught
    # The receiver's thread ends once its connection does, or the test would hang here.
    assert taken == [0]


async def test_ipv6_is_an_address_as_well(authority: Authority) -> None:
    """It is written in brackets where a port may follow, and nowhere else."""
    if not _has_ipv6():
        # Then at least the connection is tried.
        with pytest.raises(httpx.ConnectError):
            await HttpxClient().send(asking("http://[::1]:1/", "::1"))
        return
    app = Recorder()
    with serving(app, host="::1") as port:
        assert (await HttpxClient().send(asking(f"http://hooks.example.com:{port}/", "::1"))).status == 204
        assert (await HttpxClient().send(asking(f"http://[::1]:{port}/", "::1"))).status == 204
    with serving(app, authority.server("::1"), host="::1") as port:
        assert (await HttpxClient(authority.trusted()).send(asking(f"https://[::1]:{port}/", "::1"))).status == 204
    assert [request.url.hostname for request, _ in app.received] == ["hooks.example.com", "::1", "::1"]


def _has_ipv6() -> bool:
    try:
        with create_server(("::1", 0), family=AF_INET6):
            return True
    except OSError:
        return False


def test_the_path_is_in_no_repr_of_a_request() -> None:
    """Nor are the signature and the event."""
    shown = repr(asking("https://example.com/token"))
    assert "token" not in shown
    assert "x-own" not in shown
    assert '{"a":1}' not in shown
