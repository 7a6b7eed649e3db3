"""Real servers that the tests start themselves, may torture, and end: nobody else's are touched."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from getpass import getuser
from pathlib import Path
from time import sleep
from typing import Any, Self

import pytest

__all__ = [
    "HOST",
    "MariaDbServer",
    "MemcachedServer",
    "PostgresServer",
    "RedisCluster",
    "RedisSentinel",
    "RedisServer",
    "ServerProcess",
    "eventually",
    "found_binaries",
    "free_port",
    "listens",
]

HOST = "127.0.0.1"
_TRIES = 400
_PAUSE = 0.025


def found_binaries(*names: str) -> list[str]:
    """Return which of the servers are installed; the first name where none is, so that its absence is seen."""
    return [name for name in names if shutil.which(name)] or [names[0]]


def eventually(what: Callable[[], Any], why: str) -> Any:
    """Return what *what* returns once it is true; ask a bounded number of times."""
    for _ in range(_TRIES):
        found = what()
        if found:
            return found
        sleep(_PAUSE)
    raise AssertionError(f"{why}, after {_TRIES * _PAUSE:.0f} seconds")


def free_port() -> int:
    """Return a port that is free now, as is the one 10,000 above, by which nodes of a cluster talk."""
    for _ in range(100):
        # Below the range from which the system takes ports for whoever asks for any.
        port = random.randint(20_000, 22_000)
        try:
            with socket.create_server((HOST, port)), socket.create_server((HOST, port + 10_000)):
                return port
        except OSError:
            continue
    raise AssertionError("no port is free")


def listens(port: int) -> bool:
    """Say whether somebody takes connections at a port."""
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def said(port: int, command: bytes) -> bytes:
    """Send one line, and return the beginning of the answer; nothing, where nobody answers."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(command + b"\r\n")
            return connection.recv(1 << 16)
    except OSError:
        return b""


class ServerProcess:
    """A server as a child process, in a folder of its own.

    Args:
        binary: what to run; where it is missing, the test is skipped.
    """

    def __init__(self, binary: str) -> None:
        if not shutil.which(binary):
            pytest.skip(f"{binary} is not installed; on Debian, apt-get install {binary}")
        self.binary = binary
        self.folder = Path(tempfile.mkdtemp(prefix="gatewright-"))
        self.process: subprocess.Popen[bytes] | None = None
        self._start_somewhere()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def user(self) -> str | None:
        """Return who it is to be; None is who we are."""
        return None

    def command(self) -> Sequence[str]:
        """Return what is run, without the binary."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Say whether it answers, and not somebody else's server that took the port first."""
        raise NotImplementedError

    @property
    def pid(self) -> int:
        """Return the number of the process."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start, and wait until it answers."""
        # It ends with us even where nobody is left to end it.
        tied = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [*tied, self.binary, *self.command()], cwd=self.folder, stdout=output, stderr=output, user=self.user
            )
        eventually(lambda: self.is_ready() or not self.is_alive(), f"{self.binary} does not answer")
        if not self.is_alive():
            raise ChildProcessError(f"{self.binary} ended: {(self.folder / 'output').read_text()}")

    def is_alive(self) -> bool:
        """Say whether the process is there."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """Let it hang (SIGSTOP): connections are accepted, and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)
        # Until the kernel has done it, an answer may still come.
        eventually(lambda: self._state() == "T", f"{self.binary} does not stop")

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Kill it, and start it on the same port, empty."""
        self.kill()
        self.start()

    def close(self) -> None:
        """End it, and leave nothing behind."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start_somewhere(self) -> None:
        for _ in range(5):
            self.port = free_port()
            try:
                self.start()
            except ChildProcessError as exc:
                # Somebody else may have taken the port meanwhile.
                failure = exc
            except BaseException:
                self.close()
                raise
            else:
                return
        self.close()
        raise failure

    def _state(self) -> str:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]


class RedisServer(ServerProcess):
    """A `redis-server`, or a `valkey-server`, that keeps nothing on disk.

    Args:
        binary: which of them.
        options: further lines of its configuration.
    """

    def __init__(self, binary: str = "redis-server", *options: str) -> None:
        self.options = options
        super().__init__(binary)

    @property
    def url(self) -> str:
        """Return where it is."""
        return f"redis://{HOST}:{self.port}"

    @property
    def path(self) -> Path:
        """Return the Unix socket on which it can be asked, too."""
        return self.folder / "socket"

    def command(self) -> Sequence[str]:
        plain = ["--port", str(self.port), "--bind", HOST, "--save", "", "--appendonly", "no", "--unixsocket", "socket"]
        return [*plain, *self.options]

    def is_ready(self) -> bool:
        return b"process_id:%d\r" % self.pid in said(self.port, b"INFO server")

    def ask(self, *words: object) -> Any:
        """Send a command, past the library that is tested."""
        client = self.client()
        try:
            return client.execute_command(*words)
        finally:
            client.close()

    def client(self) -> Any:
        """Return a client of redis-py that waits."""
        redis = pytest.importorskip("redis")
        return redis.Redis(host=HOST, port=self.port, socket_timeout=5)

    def config_set(self, **settings: object) -> None:
        """Change the configuration; an underscore stands for a hyphen."""
        for name, value in settings.items():
            self.ask("CONFIG", "SET", name.replace("_", "-"), value)

    def keys(self, prefix: str) -> list[bytes]:
        """Return the keys of one test."""
        return sorted(self.ask("KEYS", f"{prefix}:*"))

    def calls(self, command: str) -> int:
        """Return how often a command came from outside, by the server's own statistics."""
        found = self.ask("INFO", "commandstats").get(f"cmdstat_{command}", {})
        return int(found.get("calls", 0))


class RedisCluster:
    """Three nodes that share the slots, without replicas."""

    def __init__(self, binary: str = "redis-server") -> None:
        self.nodes: list[RedisServer] = []
        try:
            for _ in range(3):
                self.nodes.append(RedisServer(binary, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000"))
            self._join()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """Return where it is; not all of the nodes are said."""
        return f"redis+cluster://{','.join(f'{HOST}:{node.port}' for node in self.nodes[:2])}"

    def node_of(self, key: bytes) -> RedisServer:
        """Return the node on which a key lies."""
        (found,) = [node for node in self.nodes if key in node.ask("KEYS", "*")]
        return found

    def close(self) -> None:
        """End all of them."""
        for node in self.nodes:
            node.close()

    def _join(self) -> None:
        bounds = [round(16_384 * at / len(self.nodes)) for at in range(len(self.nodes) + 1)]
        for epoch, (node, start, end) in enumerate(zip(self.nodes, bounds, bounds[1:], strict=False), 1):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", epoch)
            node.ask("CLUSTER", "ADDSLOTS", *range(start, end))
        for node in self.nodes[1:]:
            node.ask("CLUSTER", "MEET", HOST, self.nodes[0].port)
        for node in self.nodes:
            eventually(lambda node=node: self._agrees(node), "the nodes of the cluster do not meet")

    def _agrees(self, node: RedisServer) -> bool:
        said = node.ask("CLUSTER", "INFO").split()
        return b"cluster_state:ok" in said and b"cluster_known_nodes:%d" % len(self.nodes) in said


class RedisSentinel(RedisServer):
    """A sentinel that watches one master, which it calls `gates`.

    Args:
        master: whom it watches.
    """

    def __init__(self, master: RedisServer) -> None:
        self.master = master
        super().__init__(master.binary)

    @property
    def url(self) -> str:
        """Return how its master is found."""
        return f"redis+sentinel://{HOST}:{self.port}/gates"

    def command(self) -> Sequence[str]:
        configuration = self.folder / "sentinel.conf"
        configuration.write_text(
            f"port {self.port}\nbind {HOST}\n"
            f"sentinel monitor gates {HOST} {self.master.port} 1\n"
            "sentinel down-after-milliseconds gates 500\nsentinel failover-timeout gates 2000\n"
        )
        return [str(configuration), "--sentinel"]


class MemcachedServer(ServerProcess):
    """A `memcached`."""

    def __init__(self) -> None:
        super().__init__("memcached")

    @property
    def url(self) -> str:
        """Return where it is."""
        return f"memcached://{HOST}:{self.port}"

    def command(self) -> Sequence[str]:
        # As root it wants to be told who to be.
        return ["-l", HOST, "-p", str(self.port), "-U", "0", *(["-u", getuser()] if os.geteuid() == 0 else [])]

    def is_ready(self) -> bool:
        return b"STAT pid %d\r" % self.pid in said(self.port, b"stats")

    def connections(self) -> int:
        """Return how many connections are open, that of the question included."""
        return int(said(self.port, b"stats").partition(b"curr_connections ")[2].split()[0])


def _binaries_of_postgres() -> Path:
    # Debian has a folder for each version, and puts none of them on the path.
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    return versions[-1] if versions else Path(shutil.which("initdb") or "").parent


class PostgresServer(ServerProcess):
    """A PostgreSQL server, on a socket in its folder alone; what was committed outlives its crash."""

    def __init__(self) -> None:
        self.binaries = _binaries_of_postgres()
        super().__init__(str(self.binaries / "postgres") if self.binaries.name else "postgresql")

    @staticmethod
    def is_installed() -> bool:
        """Say whether there is one to start."""
        return bool(_binaries_of_postgres().name)

    @property
    def host(self) -> str:
        """Return the folder of its socket, which drivers take for a host."""
        return str(self.folder)

    @property
    def url(self) -> str:
        """Return where it is, for SQLAlchemy."""
        return f"postgresql+asyncpg://postgres@/postgres?host={self.folder}&port={self.port}"

    @property
    def data(self) -> Path:
        """Return the folder of its data."""
        return self.folder / "data"

    @property
    def user(self) -> str | None:
        # It refuses to be root; Debian's package made somebody for it to be.
        return "postgres" if os.geteuid() == 0 else None

    def command(self) -> Sequence[str]:
        # Without syncing it survives a crash of its own, and here only that is tried.
        settings = {"fsync": "off", "listen_addresses": "", "unix_socket_directories": str(self.folder)}
        return ["-D", "data", "-p", str(self.port), *(f"--{name}={value}" for name, value in settings.items())]

    def start(self) -> None:
        """Serve; from the beginning with a database of its own."""
        if not self.data.exists():
            self._initialise()
        super().start()

    def is_ready(self) -> bool:
        # The file of one that crashed is still there, and names another process.
        lines = _text(self.data / "postmaster.pid").split("\n")
        return len(lines) > 7 and (lines[0], lines[7].strip()) == (str(self.pid), "ready")

    def kill(self) -> None:
        # All of it, as a crash would; one that lives on keeps the next from starting.
        workers = _text(Path(f"/proc/{self.pid}/task/{self.pid}/children")).split() if self.process else []
        super().kill()
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(int(worker), signal.SIGKILL)
        eventually(lambda: not any(_runs(worker) for worker in workers), "its processes go on")

    def _initialise(self) -> None:
        if self.user is not None:
            shutil.chown(self.folder, self.user)
        subprocess.run(
            [self.binaries / "initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "--no-sync"],
            check=True,
            capture_output=True,
            user=self.user,
            cwd=self.folder,
        )


def _binary_of_mariadb() -> str | None:
    # Debian keeps it where not everybody looks.
    return shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")


class MariaDbServer(ServerProcess):
    """A MariaDB server, whose `root` needs no password; what was committed outlives its crash."""

    def __init__(self) -> None:
        super().__init__(_binary_of_mariadb() or "mariadb-server")

    @staticmethod
    def is_installed() -> bool:
        """Say whether there is one to start."""
        return _binary_of_mariadb() is not None

    @property
    def host(self) -> str:
        """Return where it listens."""
        return HOST

    @property
    def url(self) -> str:
        """Return where it is, for SQLAlchemy."""
        return f"mysql+aiomysql://root@{HOST}:{self.port}/mysql"

    def command(self) -> Sequence[str]:
        settings = {
            "datadir": str(self.folder / "data"),
            "bind-address": HOST,
            "port": str(self.port),
            "socket": str(self.folder / "socket"),
            "pid-file": str(self.folder / "pid"),
            # As root it wants to be told who to be.
            "user": getuser(),
            # Without syncing it survives a crash of its own, and here only that is tried.
            "innodb-flush-log-at-trx-commit": "2",
            "innodb-flush-method": "nosync",
        }
        options = ["--no-defaults", "--skip-name-resolve", "--skip-log-bin"]
        return [*options, *(f"--{name}={value}" for name, value in settings.items())]

    def start(self) -> None:
        """Serve; from the beginning with a database of its own."""
        if not (self.folder / "data").exists():
            self._initialise()
        super().start()

    def is_ready(self) -> bool:
        # Its greeting is the first to speak; the file of one that crashed is still there, and names another process.
        return _text(self.folder / "pid").strip() == str(self.pid) and b"MariaDB" in said(self.port, b"")

    def _initialise(self) -> None:
        plain = ["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
        subprocess.run(
            ["mariadb-install-db", *plain, f"--datadir={self.folder / 'data'}", f"--user={getuser()}"],
            check=True,
            capture_output=True,
            cwd=self.folder,
        )


def _runs(pid: str) -> bool:
    """Say whether a process does anything; one that nobody has buried does not."""
    return _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()[:1] not in ([], ["Z"])


def _text(path: Path) -> str:
    """Return what a file says; nothing, where there is none."""
    with suppress(OSError):
        return path.read_text()
    return ""
