"""What every test may ask for, and the rule that nothing is skipped where everything is installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import version
from uuid import uuid4

import pytest

from gatewright.testing import forget_default_gate
from tests.servers import MemcachedServer, RedisCluster, RedisSentinel, RedisServer, found_binaries


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run an async test on both event loops."""
    return str(request.param)


@pytest.fixture(autouse=True)
def _fresh_default_gate() -> Iterator[None]:
    """Let no test see what another one's default gate counted."""
    forget_default_gate()
    yield
    forget_default_gate()


@pytest.fixture(scope="session", params=found_binaries("redis-server", "valkey-server"))
def redis_binary(request: pytest.FixtureRequest) -> str:
    """Run what needs a server on each kind that is installed."""
    pytest.importorskip("redis", reason='redis-py is not installed; pip install "gatewright[redis]"')
    return str(request.param)


@pytest.fixture(scope="session")
def redis_server(redis_binary: str) -> Iterator[RedisServer]:
    """Share one server; a test keeps to its `prefix`, and harms nobody else."""
    with RedisServer(redis_binary) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Return where the shared server is."""
    return redis_server.url


@pytest.fixture
def own_redis(redis_binary: str) -> Iterator[RedisServer]:
    """Start a server that the test may torture."""
    with RedisServer(redis_binary) as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster(redis_binary: str) -> Iterator[RedisCluster]:
    """Share one cluster of three nodes."""
    cluster = RedisCluster(redis_binary)
    yield cluster
    cluster.close()


@pytest.fixture
def redis_sentinel(own_redis: RedisServer) -> Iterator[RedisSentinel]:
    """Start a sentinel that watches `own_redis`."""
    with RedisSentinel(own_redis) as sentinel:
        yield sentinel


@pytest.fixture(scope="session")
def memcached_server() -> Iterator[MemcachedServer]:
    """Share one memcached."""
    pytest.importorskip("memcachio", reason="memcachio is not installed; pip install memcachio")
    with MemcachedServer() as server:
        yield server


@pytest.fixture
def memcached_url(memcached_server: MemcachedServer) -> str:
    """Return where the shared memcached is."""
    return memcached_server.url


@pytest.fixture
def prefix() -> str:
    """Return what the keys of one test begin with."""
    return f"test-{uuid4().hex}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Turn a skip into a failure where GATEWRIGHT_NO_SKIP says that nothing is missing."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]  # pluggy's result
    if report.skipped and os.environ.get("GATEWRIGHT_NO_SKIP"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, where nothing may be: {report.longrepr}"


# What the oldest supported versions cannot do; the tests of it are skipped there, and run everywhere else.
SINCE = {
    ("starlette", (1, 8), "Starlette leaves the matched route in the scope"): (
        "test_driver.py::test_a_middleware_may_wrap_the_messages",
        "test_driver.py::test_a_request_is_one_event",
        "test_driver.py::test_a_websocket_is_one_event",
        "test_driver.py::test_afterthoughts_run_without_a_gate",
        "test_driver.py::test_without_a_gate_the_function_driver_writes_the_event",
        "test_install.py::test_a_foreign_decorator_keeps_its_place",
        "test_install.py::test_a_route_with_its_own_middleware_is_left_alone_and_guarded",
        "test_install.py::test_endpoint_classes",
        "test_install.py::test_guarded_routes_of_starlette",
        "test_install.py::test_websocket_routes",
        "test_benchmarks.py::test_every_hardened_candidate_does_the_whole_work",
        "test_benchmarks.py::test_every_table_can_be_measured_and_rendered",
    ),
    ("starlette", (1, 6), "routes have a max_body_size"): (
        "test_held.py::test_a_file_is_collected_from_a_server_that_could_send_it_by_its_path",
        "test_starlette_route.py::test_middleware_and_body_size_of_the_route_stay_around_it",
    ),
    ("starlette", (1, 6), "Starlette closes the files of a form that breaks off"): (
        "test_body_limit.py::test_what_fastapi_parses_is_capped",
    ),
    ("starlette", (0, 47), "a file can be left to a server that sends it by its path"): (
        "test_hosts.py::test_a_file_is_kept_however_it_is_sent",
    ),
    ("anyio", (4, 16), "a cancellation that comes with a deadline is not taken for it"): (
        "test_timeout.py::test_a_task_that_asyncio_cancels_is_no_slow_handler[True-asyncio]",
    ),
    ("fastapi", (0, 118), "dependencies of FastAPI that yield go on until a stream ends"): (
        *(
            f"test_concurrency.py::test_a_slot_is_{when}[{loop}-{ending}-fastapi]"
            for when in ("held_until_the_call_is_over", "free_when_the_call_is_cancelled")
            for loop in ("asyncio", "trio")
            for ending in ("streams", "goes_on", "breaks_off")
        ),
        "test_concurrency.py::test_a_slot_is_free_when_the_client_leaves[asyncio-fastapi]",
        "test_concurrency.py::test_a_slot_is_free_when_the_client_leaves[trio-fastapi]",
        "a_slow_reader_of_a_stream_holds_his_slot[asyncio-fastapi]",
        "a_slow_reader_of_a_stream_holds_his_slot[trio-fastapi]",
    ),
    ("fastapi", (0, 122), "FastAPI answers a request without a key with 401"): (
        "refuses_whoever_does_not_prove_it[FastAPI, `APIKeyHeader`, SHA-256]",
    ),
    ("fastapi", (0, 134), "FastAPI has endpoints that yield"): (
        "test_operation.py::test_a_generator_cannot_be_answered_for",
        "test_operation.py::test_generator_endpoints_stream",
        "test_operation.py::test_generators_without_a_declared_type_stream",
    ),
    ("fastapi", (0, 137), "FastAPI serves what is mounted in a router that is included"): (
        *(
            f"test_protect.py::test_fastapi_serves_nothing_past_the_rules[{loop}-{how}]"
            for loop in ("asyncio", "trio")
            for how in ("plain", "route class", "installed before", "installed after")
        ),
    ),
    ("fastapi", (0, 137), "FastAPI takes status_code=204 on a handler that declares a result"): (
        "test_examples.py::test_without_any_one_decorator_the_tour_fails[fastapi: logout with_auth]",
        "test_examples.py::test_without_any_one_decorator_the_tour_fails[fastapi: delete_post with_auth]",
    ),
    ("pydantic", (2, 14), "pydantic looks into named tuples that were never checked"): (
        "test_render.py::test_an_instance_that_was_never_checked_is_filtered_all_the_same",
    ),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what the installed versions cannot do."""
    for (package, since, what), names in SINCE.items():
        installed = tuple(int(part) for part in version(package).split(".")[:2])
        if installed < since:
            reason = f"since {package} {'.'.join(map(str, since))} {what}; this is {version(package)}"
            for item in items:
                if any(name in item.nodeid for name in names):
                    item.add_marker(pytest.mark.skip(reason=reason))
