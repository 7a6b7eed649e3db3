"""Chromium without a window, the blog behind uvicorn, and a second origin from which nothing good comes."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tour_http import Reply, Request, Server

from tests.browser.driving import Tab, session_of

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "docs" / "examples"
ADA, BOB, CAROL = (
    {"name": name, "email": f"{name}@example.com", "password": "a long enough passphrase"}
    for name in ("ada", "bob", "carol")
)
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
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve the blog, with a few pages beside it, and make some people accounts."""
    folder = tmp_path_factory.mktemp("blog")
    path = os.pathsep.join([str(EXAMPLES), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {"BLOG_DATABASE": str(folder / "blog.db"), "PYTHONPATH": path}
    with Server("around_the_blog:app", HERE, environment, folder / "log") as server:
        for account in (ADA, BOB, CAROL):
            posted(server, "/api/auth/register", account)
        yield server


@pytest.fixture(scope="session")
def blog(server: Server) -> str:
    """Return where the blog is."""
    return server.url


@pytest.fixture(scope="session")
def sessions(server: Server) -> dict[str, str]:
    """Log everybody in once, and return their sessions by their names; the form may be used only so often."""
    replies = {account["name"]: posted(server, "/api/auth/login", account) for account in (ADA, BOB, CAROL)}
    return {name: session_of(reply) for name, reply in replies.items()}


def posted(server: Server, path: str, sent: dict[str, str]) -> Reply:
    """Send JSON, which has to succeed."""
    reply = server.send(Request("POST", path, {"Content-Type": "application/json"}, json.dumps(sent).encode()))
    assert reply.status < 300, reply
    return reply


@pytest.fixture
def tab(chromium: Any, blog: str) -> Iterator[Tab]:
    """Return a tab without cookies."""
    chromium.get("about:blank")
    tab = Tab(chromium, blog)
    tab.forget()
    yield tab
    tab.scripts(run=True)


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
