"""How the tour talks to the blog: requests, replies, and a real server."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

PATIENCE = 30  # seconds that a server gets to start


@dataclass(frozen=True)
class Request:
    """What is sent."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """Return a header, several joined by commas, and "" for none."""
        return ", ".join(value for key, value in self.headers if key.lower() == name.lower())

    @property
    def json(self) -> dict[str, Any]:
        """Return the body where it is a JSON object, and {} otherwise."""
        try:
            return _object(json.loads(self.body))
        except ValueError:
            return {}

    @property
    def data(self) -> dict[str, Any]:
        """Return the object in the envelope, and {} where there is none."""
        return _object(self.json.get("data"))


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


class Server:
    """Serve an app with uvicorn, in a process of its own; a context manager, so that it always ends.

    Args:
        app: where the app is, as `module:attribute`.
        directory: where its module is.
        environment: what the blog's settings read.
        log: the file that takes what the server writes.
    """

    def __init__(self, app: str, directory: Path, environment: Mapping[str, str], log: Path) -> None:
        self._command = [sys.executable, "-m", "uvicorn", app, "--app-dir", str(directory)]
        self._environment = {**os.environ, **environment}
        self._log = log
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Return where it is."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the server, and return when it answers."""
        self._port = _free_port()
        options = ["--host", "127.0.0.1", "--port", str(self._port), "--log-level", "warning", "--no-access-log"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, *options], env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server, gently at first."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart(self) -> None:
        """Start the server anew; what it kept in memory is gone."""
        self.stop()
        self.start()

    def send(self, request: Request) -> Reply:
        """Send a request, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            connection.request(request.method, request.path, request.body or None, dict(request.headers))
            response = connection.getresponse()
            return Reply(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise RuntimeError("the server did not start")
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"the server did not answer within {PATIENCE} seconds")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
