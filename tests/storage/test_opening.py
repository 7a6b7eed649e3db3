"""From a URL to a storage: what is taken, what is refused, and that no password is ever repeated."""

from __future__ import annotations

import asyncio
import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gatewright import ConfigurationError, Gate
from gatewright._core.clock import SYSTEM_CLOCK
from gatewright._core.storage import by_limits
from gatewright._core.storage.contract import Backend
from gatewright._core.storage.local import LocalLeases, LocalRecords
from gatewright._core.storage.memory import MemoryStore
from gatewright._core.storage.opening import Storage, open_backend
from gatewright._core.storage.resilient import ResilientStore
from tests.storage.kit import Events, allowed, bucket, charge, opened

SECRET = "s3cr3t"


def _open(url: str) -> Backend:
    return open_backend(Storage(url), SYSTEM_CLOCK, os.urandom, Events())


# The arguments


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": ""}, "write a URL"),
        ({"url": "memory"}, "write a URL"),
        ({"url": "://host"}, "write a URL"),
        ({"url": f"redis:{SECRET}@host"}, "write a URL"),
        ({"url": f"Redis://:{SECRET}@host"}, "write a URL"),
        ({"url": None}, "write a URL"),
        ({"url": b"redis://host"}, "write a URL"),
        ({"deadline": 0}, "deadline= and retry_after= in seconds"),
        ({"deadline": -0.1}, "deadline= and retry_after= in seconds"),
        ({"deadline": float("nan")}, "deadline= and retry_after= in seconds"),
        ({"deadline": float("inf")}, "deadline= and retry_after= in seconds"),
        ({"retry_after": 0}, "deadline= and retry_after= in seconds"),
        ({"retry_after": float("nan")}, "deadline= and retry_after= in seconds"),
        ({"local_share": 0}, "more than 0, at most 1"),
        ({"local_share": 1.5}, "more than 0, at most 1"),
        ({"local_share": float("nan")}, "more than 0, at most 1"),
        ({"prefix": ""}, "prefix= of up to 100 characters"),
        ({"prefix": "x" * 101}, "prefix= of up to 100 characters"),
        ({"prefix": "é"}, "prefix= of up to 100 characters"),
        ({"prefix": "a b"}, "prefix= of up to 100 characters"),
        ({"prefix": "{a}"}, "prefix= of up to 100 characters"),
        ({"prefix": "a}"}, "prefix= of up to 100 characters"),
        ({"prefix": "a\n"}, "prefix= of up to 100 characters"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings: dict[str, Any], message: str) -> None:
    """When it is written, and with what to write instead."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        Storage(**settings)
    assert SECRET not in str(caught.value)


def test_a_storage_shows_its_scheme_and_no_more() -> None:
    """Neither it nor its gate repeats the password; a gate takes a URL or a storage."""
    storage = Storage(f"async+redis://user:{SECRET}@host/0")
    assert repr(storage) == "Storage(redis://)"
    assert repr(Gate(storage=storage)) == "<Gate storage=redis:// keys=0>"
    assert Gate(storage="memory://").storage == Storage()


# Each scheme


def test_memory_is_this_processs_own() -> None:
    """The default."""
    backend = _open("memory://")
    assert backend.local
    assert isinstance(backend.store, MemoryStore)
    assert isinstance(backend.leases, LocalLeases)
    assert isinstance(backend.records, LocalRecords)
    asyncio.run(backend.close())  # type: ignore[arg-type]  # a coroutine


@pytest.mark.redis
@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://localhost",
        "redis://localhost:6379/3?socket_keepalive=yes",
        f"redis://user:{SECRET}%2F@localhost:6379",
        "async+redis://localhost",
        "rediss://localhost:6380?ssl_cert_reqs=none",
        "redis+unix:///run/redis.sock",
        f"redis+unix://user:{SECRET}@/run/redis.sock?db=2",
        f"redis+cluster://user:{SECRET}@localhost:7000,[::1]:7001",
        "rediss+cluster://localhost:7000?ssl_cert_reqs=none",
        f"redis+sentinel://:{SECRET}@localhost:26379,localhost:26380/gates?db=2&sentinel_password={SECRET}",
        "rediss+sentinel://localhost:26379/gates?ssl_cert_reqs=none&sentinel_username=me&sentinel_password=it",
        "valkey://localhost",
        "valkeys://localhost",
        "valkey+unix:///run/valkey.sock",
        "valkey+cluster://localhost:7000",
        "valkeys+cluster://localhost:7000",
        "valkey+sentinel://localhost:26379/gates",
    ],
)
def test_redis_in_all_its_forms(url: str) -> None:
    """Each is shared by all processes, and connects to nothing until it is asked something."""
    backend = _open(url)
    assert not backend.local
    assert backend.records is not None
    assert isinstance(backend.store, ResilientStore)
    backend.store.check(bucket("5/minute burst 2"))
    asyncio.run(backend.close())  # type: ignore[arg-type]  # a coroutine


@pytest.mark.redis
@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}@host:port",
        f"redis://:{SECRET}/@host:6379",
        f"redis://user:{SECRET}@host:99999",
        f"redis://:{SECRET}@host/zero",
        f"redis://:{SECRET}@host/0?socket_timeout={SECRET}",
        f"redis://:{SECRET}@host/0?max_connections=-1",
        f"redis://:{SECRET}@host/0?surprise={SECRET}",
        f"rediss://:{SECRET}@host/0?surprise=1",
        f"redis+unix://:{SECRET}@/",
        f"redis+cluster://:{SECRET}@",
        f"redis+cluster://:{SECRET}@host",
        f"redis+cluster://:{SECRET}@host:7000,host",
        f"redis+cluster://:{SECRET}@host:7000,host:{SECRET}",
        f"redis+cluster://:{SECRET}@host:7000?surprise=1",
        f"redis+cluster://:{SECRET}@host:7000?db=3",
        f"redis+sentinel://:{SECRET}@host:26379",
        f"redis+sentinel://:{SECRET}@host:26379/",
        f"redis+sentinel://:{SECRET}@host/gates",
        f"redis+sentinel://:{SECRET}@host:26379/gates?surprise=1",
        f"redis://[{SECRET}",
    ],
)
def test_a_url_that_redis_py_cannot_read(url: str) -> None:
    """It is refused when the gate is bound, with the shape to write; never with what was written."""
    with pytest.raises(ConfigurationError, match=r"write redis.*://user:password@.*%-escapes") as caught:
        _open(url)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("scheme", ["redis+tls", "rediss+unix", "valkey+thing"])
def test_a_form_of_redis_that_there_is_not(scheme: str) -> None:
    """Said with those that there are."""
    with pytest.raises(ConfigurationError, match=r"redis\+sentinel") as caught:
        _open(f"{scheme}://:{SECRET}@host")
    assert SECRET not in str(caught.value)


def test_without_redis_py(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "redis"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ConfigurationError, match=r'pip install "gatewright\[redis\]"'):
        _open("redis://localhost")


@pytest.mark.parametrize(
    "url",
    [
        f"foo://:{SECRET}@host",
        f"memcached://:{SECRET}@host",
        f"memcached://:{SECRET}@host:port",
        "etcd://host:2379",
    ],
)
def test_a_storage_that_limits_does_not_know(url: str) -> None:
    """Nor does anybody else; and `limits` repeats the URL, which we do not."""
    pytest.importorskip("memcachio")
    with pytest.raises(ConfigurationError, match="limits knows no such storage, or cannot read the URL") as caught:
        _open(url)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_client_that_limits_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is said, and the password is not."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "memcachio"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "memcachio", None)
    with pytest.raises(ConfigurationError, match=r"memcached://.*'memcachio'") as caught:
        _open(f"memcached://:{SECRET}@host:11211")
    assert SECRET not in str(caught.value)


def test_a_storage_that_only_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A storage that blocks the event loop is none for us, however it came to its name."""
    monkeypatch.setattr(by_limits, "storage_from_string", lambda *_, **__: object())
    with pytest.raises(ConfigurationError, match="no asynchronous storage"):
        _open("foo://host")


def test_nobody_pays_for_what_he_does_not_use() -> None:
    """Opening the memory imports neither redis-py nor `limits`."""
    program = (
        "import asyncio, sys\n"
        "from gatewright import Gate\n"
        "gate = Gate()\n"
        "gate.backend\n"
        "assert not {'redis', 'limits'} & sys.modules.keys(), sys.modules.keys()\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


def test_the_scripts_are_in_the_package() -> None:
    """Beside the module, for wheels."""
    module = importlib.import_module("gatewright._core.storage.scripted")
    folder = Path(str(module.__file__)).parent
    assert {path.stem for path in folder.glob("*.lua")} == {"leases", "limits", "marks", "records", "writable"}


@pytest.mark.anyio
class TestOnTrio:
    """Where redis-py cannot run."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        """The other event loop."""
        return "trio"

    async def test_redis_on_trio_is_a_mistake_in_the_configuration(self) -> None:
        """Each question says so; it is never silently counted in this process. Closing is no error."""
        events = Events()
        async with opened("redis://127.0.0.1:1", events=events) as backend:
            for _ in range(2):
                with pytest.raises(ConfigurationError, match="on trio, write"):
                    await backend.store.hit([charge("5/minute")])  # type: ignore[misc]
                with pytest.raises(ConfigurationError, match="on trio, write"):
                    await backend.leases.take("k", "a", 1)
        assert events == []

    async def test_memory_is_for_both(self) -> None:
        """What is ours runs anywhere."""
        async with opened("memory://") as backend:
            assert allowed(backend.store.hit([charge("5/minute")])) == [True]  # type: ignore[arg-type]  # at once
