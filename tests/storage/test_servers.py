"""The servers of the tests: what is started here is ended here, and nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import servers
from tests.servers import RedisServer, eventually

pytestmark = pytest.mark.redis

ROOT = Path(__file__).parents[2]


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv (util-linux) ties a server to the session")
def test_a_server_ends_with_a_session_that_was_killed(redis_binary: str, tmp_path: Path) -> None:
    """Whatever ends the tests, no server is left on the machine."""
    program = (
        "import os, signal\n"
        "from tests.servers import RedisServer\n"
        f"print(RedisServer({redis_binary!r}).pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", program]
    died = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL
    eventually(lambda: not _is_there(int(died.stdout)), "the server is still there")


def test_somebody_elses_server_is_left_alone(
    redis_server: RedisServer, redis_binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port that is taken is given up for another, and whoever has it is not taken for ours."""
    ports = iter([redis_server.port, redis_server.port, servers.free_port()])
    monkeypatch.setattr(servers, "free_port", lambda: next(ports))
    with RedisServer(redis_binary) as server:
        assert server.port != redis_server.port
        assert server.ask("INFO", "server")["process_id"] == server.pid
    assert redis_server.is_alive()
    assert not server.is_alive()
    assert not server.folder.exists()


def test_a_binary_that_is_missing_is_a_skip_with_a_reason() -> None:
    """It says what to install; where nothing may be missing, conftest makes a failure of it."""
    with pytest.raises(pytest.skip.Exception, match="no-such-server is not installed; on Debian, apt-get install"):
        RedisServer("no-such-server")
    assert servers.found_binaries("no-such-server", "nor-this") == ["no-such-server"]
