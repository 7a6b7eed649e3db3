"""Chromium without a window, the blog behind uvicorn, and a second origin from which nothing good comes."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tour_http import Request, Server

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
ADA = {"name": "ada", "email": "ada@example.com", "password": "a long enough passphrase"}
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Share one browser, with a profile of its own."""
    webdriver = pytest.importorskip("selenium.webdriver", reason='pip install "gatewright[browser]"')
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("Debian's packages chromium and chromium-driver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    browser.set_page_load_timeout(30)
    yield browser
    browser.quit()


@pytest.fixture(scope="session")
def blog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the blog, make Ada an account, and return where the blog is."""
    folder = tmp_path_factory.mktemp("blog")
    environment = {"BLOG_DATABASE": str(folder / "blog.db")}
    with Server("blog.app:app", EXAMPLES, environment, folder / "log") as server:
        account = json.dumps(ADA).encode()
        reply = server.send(Request("POST", "/api/auth/register", {"Content-Type": "application/json"}, account))
        assert reply.status < 300, reply
        yield server.url


class _Page(http.server.BaseHTTPRequestHandler):
    """Serve what the other origin was told to serve."""

    def do_GET(self) -> None:
        """Answer."""
        body = self.server.page.encode()  # type: ignore[attr-defined]  # set by `elsewhere`
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is theirs
        """Say nothing."""


@dataclass
class Elsewhere:
    """A site on another port: the same site, for a browser, and another origin."""

    server: http.server.ThreadingHTTPServer

    def serves(self, page: str) -> str:
        """Serve *page*, and return where."""
        self.server.page = page  # type: ignore[attr-defined]
        return f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture(scope="session")
def elsewhere() -> Iterator[Elsewhere]:
    """Serve the other site."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Elsewhere(server)
    server.shutdown()
    server.server_close()
    thread.join()
