"""Keys by URL: fetched when they are wanted, by one caller at a time; used while nobody answers, but not for ever."""

from __future__ import annotations

import gc
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.request import urlopen

import anyio
import pytest
from anyio import to_thread
from anyio.lowlevel import checkpoint

from gatewright import ConfigurationError, Gate, Principal, ServiceUnavailable
from gatewright._core.fetching import fetch_document
from gatewright.auth.authenticator import Rejected
from gatewright.auth.jwt import BearerJWT, JwksUrl
from gatewright.testing import EventList, FrozenClock
from tests.auth.jwt.kit import EC, NOW, OTHER_EC, RSA, SECRET, by, by_secret, claims, header, make, mint, sent, verdict

pytestmark = pytest.mark.anyio

URL = "https://id.example.com/.well-known/jwks.json"
OLD, NEW = mint(), mint(head=header(kid="ec-2"), sign=by(OTHER_EC))
LATER = claims(exp=NOW + 100_000)
OLD_FOR_LONG, NEW_FOR_LONG = mint(LATER), mint(LATER, header(kid="ec-2"), by(OTHER_EC))
UNKNOWN = Rejected("invalid_token", "signed with none of the keys, and by none that has its kid")


def key_set(*keys: Any) -> bytes:
    return json.dumps(
        {"keys": [key.as_dict(private=False) if hasattr(key, "as_dict") else key for key in keys]}
    ).encode()


class Issuer:
    """Publish keys, count who asks, and fail when told to."""

    def __init__(self, *keys: Any) -> None:
        self.document: Any = key_set(*keys)
        self.asked = 0
        self.failure: Exception | None = None
        self.gate: anyio.Event | None = None

    async def fetch(self, url: str) -> Any:
        assert url == URL
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return self.document


class World:
    """An issuer, an API that trusts it, and a clock."""

    def __init__(self, *keys: Any, **settings: Any) -> None:
        self.issuer = Issuer(*keys)
        self.clock = FrozenClock(NOW)
        self.events = EventList()
        self.gate = Gate(clock=self.clock, log=self.events)
        self.api: BearerJWT = make(keys=JwksUrl(URL, fetch=self.issuer.fetch, **settings))

    async def says(self, token: bytes) -> object:
        return await verdict(self.api, token, self.gate)

    async def takes(self, token: bytes) -> bool:
        return isinstance(await self.says(token), Principal)

    async def retry_after(self, token: bytes) -> str:
        with pytest.raises(ServiceUnavailable) as refusal:
            await self.says(token)
        return (refusal.value.headers or {})["Retry-After"]

    def told(self) -> list[str]:
        return [event["event"] for event in self.events]


async def test_keys_are_fetched_once_and_kept() -> None:
    """By the first token that could be one of the issuer's; not at import, and not by each."""
    world = World(EC)
    assert world.issuer.asked == 0
    for _ in range(3):
        assert await world.takes(OLD)
    assert world.issuer.asked == 1


async def test_what_could_be_no_token_fetches_nothing() -> None:
    """Anybody can send garbage; it is refused by its looks."""
    world = World(EC)
    for token in (b"abc", b"a.b.c", mint(head=header(alg="none")), mint(head=header(typ="x"))):
        assert isinstance(await world.says(token), Rejected)
    assert world.issuer.asked == 0


async def test_old_keys_are_fetched_anew() -> None:
    """After their lifetime, whether or not anything is wrong with them."""
    world = World(EC, lifetime=600)
    assert await world.takes(OLD_FOR_LONG)
    world.clock.advance(599)
    assert await world.takes(OLD_FOR_LONG) and world.issuer.asked == 1
    world.clock.advance(1)
    assert await world.takes(OLD_FOR_LONG) and world.issuer.asked == 2


async def test_a_new_key_is_found_by_its_name() -> None:
    """An issuer that rotates its keys need not tell anybody."""
    world = World(EC)
    assert await world.takes(OLD)
    world.issuer.document = key_set(EC, OTHER_EC)
    world.clock.advance(30)
    assert await world.takes(NEW) and await world.takes(OLD)
    assert world.issuer.asked == 2


async def test_a_new_key_without_a_name_is_found_by_its_signature() -> None:
    """The same for an issuer that names no keys."""
    world = World({**EC.as_dict(private=False), "kid": None})
    unnamed = mint(head=header(kid=...), sign=by(OTHER_EC))
    assert await world.takes(OLD)
    world.issuer.document = key_set({**OTHER_EC.as_dict(private=False), "kid": None})
    world.clock.advance(30)
    assert await world.takes(unnamed) and not await world.takes(OLD)


async def test_a_key_that_vanished_verifies_nothing_any_more() -> None:
    """Not even what was verified before, and is remembered."""
    world = World(EC)
    assert await world.takes(OLD)
    world.issuer.document = key_set(OTHER_EC)
    world.clock.advance(30)
    assert await world.takes(NEW)
    assert await world.says(OLD) == UNKNOWN


async def test_a_set_that_is_empty_is_believed() -> None:
    """An issuer that takes all its keys back means it."""
    world = World(EC, lifetime=60)
    assert await world.takes(OLD)
    world.issuer.document = key_set()
    world.clock.advance(60)
    assert await world.says(OLD) == UNKNOWN
    assert world.told() == []


async def test_unknown_names_cause_no_storm() -> None:
    """A thousand tokens with names that nobody has ask once in the cooldown, and are all refused."""
    world = World(EC, cooldown=30)
    forged = [mint(head=header(kid=f"k{number}")) for number in range(50)]
    assert [await world.says(token) for token in forged] == [UNKNOWN] * 50
    assert world.issuer.asked == 1
    world.clock.advance(30)
    assert [await world.says(token) for token in forged] == [UNKNOWN] * 50
    assert world.issuer.asked == 2


async def test_a_forged_token_of_a_known_name_fetches_nothing() -> None:
    """The key is there, and did not sign it."""
    world = World(EC)
    assert await world.takes(OLD)
    world.clock.advance(30)
    forged = Rejected("invalid_token", "not signed with the key that it names")
    assert await world.says(mint(sign=lambda _: bytes(64))) == forged
    assert world.issuer.asked == 1


async def test_many_at_once_fetch_once() -> None:
    """Whoever comes while somebody fetches waits for what that brings."""
    world = World(EC)
    world.issuer.gate = anyio.Event()
    found: list[bool] = []

    async def ask() -> None:
        found.append(await world.takes(OLD))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)
        await settled(lambda: world.issuer.asked > 0)
        world.issuer.gate.set()
    assert found == [True] * 20 and world.issuer.asked == 1


async def test_many_unknown_names_at_once_fetch_once() -> None:
    """The same for a storm of names, of which one is about to be known."""
    world = World(EC)
    assert await world.takes(OLD)
    world.clock.advance(30)
    world.issuer.document, world.issuer.gate = key_set(EC, OTHER_EC), anyio.Event()
    tokens = [NEW, *(mint(head=header(kid=f"k{number}")) for number in range(20))]
    found: dict[bytes, bool] = {}

    async def ask(token: bytes) -> None:
        found[token] = await world.takes(token)

    async with anyio.create_task_group() as tasks:
        for token in tokens:
            tasks.start_soon(ask, token)
        await settled(lambda: world.issuer.asked > 1)
        assert await world.takes(OLD), "what is known waits for nobody"
        world.issuer.gate.set()
    assert [token for token in tokens if found[token]] == [NEW] and world.issuer.asked == 2


async def test_one_fetches_and_the_others_go_on() -> None:
    """An issuer that hangs delays one request in each cooldown, and not all of them."""
    world = World(EC, lifetime=60)
    assert await world.takes(OLD)
    world.clock.advance(60)
    world.issuer.gate = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.takes, OLD)
        await settled(lambda: world.issuer.asked > 1)
        assert await world.takes(OLD)
        world.issuer.gate.set()


async def test_who_leaves_does_not_take_the_fetch_along() -> None:
    """A client that disconnects while it fetches stays until that is done: those who wait have what it fetched."""
    world = World(EC)
    world.issuer.gate = anyio.Event()
    found: list[bool] = []

    async def ask() -> None:
        found.append(await world.takes(OLD))

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as first:
            async with anyio.create_task_group() as leaving:
                leaving.start_soon(world.takes, OLD)
                await settled(lambda: world.issuer.asked == 1)
                tasks.start_soon(ask)
                for _ in range(10):
                    await checkpoint()
                first.cancel()
                world.issuer.gate.set()
    assert found == [True] and world.issuer.asked == 1
    assert await world.takes(OLD) and world.issuer.asked == 1, "nobody fetches again within the cooldown"


async def test_old_keys_are_used_while_nobody_answers() -> None:
    """Until they are stale; then nobody can say who is calling, and that is told as what it is: 503, with a time."""
    world = World(EC, lifetime=600, cooldown=30, stale_for=3600)
    assert await world.takes(OLD_FOR_LONG)
    world.issuer.failure = OSError("no route to host")
    world.clock.advance(600)
    assert await world.takes(OLD_FOR_LONG) and world.issuer.asked == 2
    assert await world.takes(OLD_FOR_LONG) and world.issuer.asked == 2, "once in the cooldown"
    world.clock.advance(3599)
    assert await world.takes(OLD_FOR_LONG) and world.issuer.asked == 3
    world.clock.advance(1)
    assert await world.retry_after(OLD_FOR_LONG) == "29"
    assert world.issuer.asked == 3
    world.clock.advance(29)
    assert await world.retry_after(OLD_FOR_LONG) == "30"
    assert world.issuer.asked == 4
    world.issuer.failure = None
    world.clock.advance(30)
    assert await world.takes(OLD_FOR_LONG)


async def test_without_any_keys_it_is_503() -> None:
    """Nobody is let in, and nobody is told that a token is wrong which may be right."""
    world = World(EC)
    world.issuer.failure = TimeoutError()
    reply = await sent(world.api, OLD, world.gate)
    assert (reply.status, reply.headers["retry-after"]) == (503, "30")
    assert b"id.example.com" not in reply.body
    assert (await sent(world.api, b"abc", world.gate)).status == 401


async def test_an_unknown_name_while_nobody_answers_is_a_401() -> None:
    """There are keys, and none of them has that name."""
    world = World(EC)
    assert await world.takes(OLD)
    world.issuer.failure = OSError()
    world.clock.advance(30)
    assert await world.says(NEW) == UNKNOWN


async def test_each_change_is_one_event() -> None:
    """Down and up are told, and not each request between."""
    world = World(EC, lifetime=60)
    assert await world.takes(OLD)
    world.issuer.failure = OSError("no route to host")
    for _ in range(3):
        world.clock.advance(60)
        assert await world.takes(OLD)
    world.issuer.failure = None
    for _ in range(2):
        world.clock.advance(60)
        assert await world.takes(OLD)
    assert world.told() == ["jwks_down", "jwks_up"]
    down, up = world.events
    assert (down["level"], down["url"], down["reason"]) == ("warning", URL, "OSError (no route to host)")
    assert (up["level"], up["url"]) == ("info", URL)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"keys": null}',
        b'{"keys": [], "keys": []}',
        b"\xff",
        b"[" * 100_000,
        {"error": "down"},
        None,
        "text",
        b" " * (1 << 18) + b"{}",
    ],
)
async def test_what_is_no_key_set_changes_nothing(document: Any) -> None:
    """A page of a proxy, an error with status 200: the keys that are there are used until they are stale."""
    world = World(EC, lifetime=60)
    assert await world.takes(OLD)
    world.issuer.document = document
    world.clock.advance(60)
    assert await world.takes(OLD)
    assert world.told() == ["jwks_down"]


async def test_bad_keys_in_a_set_are_left_out() -> None:
    """One that nobody understands does not lock out the others; a secret is never used; a private key neither."""
    secret = {"kty": "oct", "k": "YSBzZWNyZXQgb2YgdGhlc2UgdGVzdHMsIGxvbmcgZW5vdWdo", "kid": "s"}
    world = World({"kty": "EC", "kid": "broken"}, secret, RSA, 7, EC, OTHER_EC.as_dict(private=True))
    assert await world.takes(OLD)
    assert not await world.takes(NEW)
    assert not await world.takes(mint(head=header(alg="HS256", kid="s"), sign=by_secret(SECRET)))


async def test_a_document_may_come_parsed() -> None:
    """A client that parses JSON by itself is welcome; changing its object in place is no way to hide a change."""
    world = World(EC, lifetime=60)
    world.issuer.document = document = json.loads(key_set(EC))
    assert await world.takes(OLD)
    document["keys"][:] = [OTHER_EC.as_dict(private=False)]
    world.clock.advance(60)
    assert await world.takes(NEW) and not await world.takes(OLD)


async def test_the_same_document_leaves_what_is_remembered() -> None:
    """A lifetime that ends costs a fetch, and not every signature anew."""
    world = World(EC, lifetime=60)
    assert await world.takes(OLD)
    verifier = world.api.bind(world.gate).verifier  # type: ignore[attr-defined]
    keys = verifier._keys
    world.clock.advance(60)
    assert await world.takes(OLD) and world.issuer.asked == 2
    assert verifier._keys is keys


async def test_a_fetch_that_hangs_is_given_up() -> None:
    """After its time, whatever client it is."""
    world = World(EC, timeout=0.1)
    world.issuer.gate = anyio.Event()
    assert await world.retry_after(OLD) == "30"
    assert world.told() == ["jwks_down"]


async def test_a_gate_that_is_gone_has_no_log() -> None:
    """What is kept for a gate does not keep it; a fetch that outlives it says nothing."""
    world = World(EC)
    keys = world.api.bind(world.gate).keys  # type: ignore[attr-defined]
    world.issuer.failure = OSError()
    del world.gate
    gc.collect()
    with pytest.raises(ServiceUnavailable):
        await keys.obtain()
    assert world.told() == []


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example.com/jwks.json",
        "http://10.0.0.1/jwks.json",
        "http://localhost.evil.example/jwks.json",
        "ftp://id.example.com/jwks.json",
        "file:///etc/passwd",
        "https:///jwks.json",
        "https://",
        "https://user:password@id.example.com/jwks.json",
        "https://id.example.com/jwks.json#keys",
        "https://id.example.com:port/jwks.json",
        "https://[::1/jwks.json",
        "id.example.com/jwks.json",
        "",
        None,
        b"https://id.example.com/jwks.json",
    ],
)
def test_an_address_that_anybody_could_answer_for_is_refused(url: Any) -> None:
    """Who can answer for the address can sign in as anybody."""
    with pytest.raises(ConfigurationError, match="https:// address"):
        JwksUrl(url)


@pytest.mark.parametrize("url", [URL, "http://127.0.0.1:8000/k", "http://[::1]/k", "http://localhost/k"])
def test_an_address_of_this_machine_may_be_plain(url: str) -> None:
    """It is for tests, and nobody is on the way."""
    assert JwksUrl(url).url == url


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fetch": lambda url: b""}, "async def"),
        ({"lifetime": 0}, "lifetime=0"),
        ({"cooldown": 0}, "cooldown=0"),
        ({"stale_for": -1}, "stale_for=-1"),
        ({"timeout": 0}, "timeout=0"),
        ({"timeout": float("inf")}, "timeout=inf"),
        ({"lifetime": float("nan")}, "lifetime=nan"),
        ({"max_bytes": 0}, "max_bytes=0"),
    ],
)
def test_bad_configuration_is_refused_when_it_is_written(settings: dict[str, Any], message: str) -> None:
    """It raises at import, with what to write instead."""
    with pytest.raises(ConfigurationError, match=message):
        JwksUrl(URL, **settings)


# A real server


@contextmanager
def serving(answers: Mapping[str, tuple[int, Mapping[str, str], bytes]], slow: float = 0) -> Iterator[str]:
    """Serve documents on this machine; *slow* is the pause between two bytes."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answers[self.path]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for start in range(0, len(body), 1 if slow else 1 << 16):
                    self.wfile.write(body[start : start + (1 if slow else 1 << 16)])
                    time.sleep(slow)
            except OSError:
                pass  # the client has left, as it should

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask the server itself, whatever the environment says."""
    monkeypatch.setenv("no_proxy", "*")


async def test_keys_come_from_a_server() -> None:
    """By default with what the standard library has, in a thread."""
    with serving({"/jwks.json": (200, {}, key_set(EC))}) as address:
        api = make(keys=JwksUrl(f"{address}/jwks.json"))
        gate = Gate(clock=FrozenClock(NOW), log=EventList())
        assert isinstance(await verdict(api, OLD, gate), Principal)
        assert await verdict(api, NEW, gate) == UNKNOWN


async def test_keys_come_by_a_client_of_yours() -> None:
    """Whatever it is, it takes the address and returns the document."""

    async def fetch(url: str) -> bytes:
        def get() -> bytes:
            with urlopen(url) as answer:
                body: bytes = answer.read()
                return body

        return await to_thread.run_sync(get)

    with serving({"/jwks.json": (200, {}, key_set(EC))}) as address:
        api = make(keys=JwksUrl(f"{address}/jwks.json", fetch=fetch))
        assert isinstance(await verdict(api, OLD, Gate(clock=FrozenClock(NOW), log=EventList())), Principal)


@pytest.mark.parametrize("path", ["/elsewhere", "/file", "/missing", "/broken"])
async def test_only_an_answer_at_the_address_counts(path: str) -> None:
    """No redirect is followed: where it leads to, nobody configured."""
    answers = {
        "/elsewhere": (302, {"Location": "/jwks.json"}, b""),
        "/file": (301, {"Location": "file:///etc/hostname"}, b""),
        "/missing": (404, {}, key_set(EC)),
        "/broken": (500, {}, key_set(EC)),
        "/jwks.json": (200, {}, key_set(EC)),
    }
    with serving(answers) as address, pytest.raises(OSError, match=r"it answers \d{3}"):
        await fetch_document(address + path, accept="*/*", timeout=5, max_bytes=1 << 18)


async def test_a_document_that_is_too_long_is_not_read_to_its_end() -> None:
    """A cap in bytes, whatever length was declared, or none."""
    with serving({"/": (200, {}, b"x" * 100_000)}) as address:
        assert len(await fetch_document(address + "/", accept="*/*", timeout=5, max_bytes=100_000)) == 100_000
        with pytest.raises(ValueError, match="more than 99999 bytes"):
            await fetch_document(address + "/", accept="*/*", timeout=5, max_bytes=99_999)


async def test_a_document_that_drips_is_given_up() -> None:
    """A byte now and then keeps a socket from timing out, and a thread for ever."""
    answers: dict[str, Any] = {"/": (200, {}, b"x" * 200)}
    with serving(answers, slow=0.01) as address, pytest.raises(TimeoutError, match="too slowly"):
        await fetch_document(address + "/", accept="*/*", timeout=0.1, max_bytes=1 << 18)


async def settled(condition: Callable[[], bool]) -> None:
    """Let others run until something is so."""
    with anyio.fail_after(5):
        while not condition():
            await checkpoint()
