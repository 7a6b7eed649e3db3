"""The blog, visited by its tour: as a server, in this process, and with every single decorator taken away."""

from __future__ import annotations

import ast
import importlib
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from starlette.responses import Response
from starlette.types import ASGIApp, Message

pytest.importorskip("aiosqlite")
pytest.importorskip("argon2")
pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
pytest.importorskip("stripe")

from fastapi.exceptions import FastAPIError
from tour import APPS
from tour_checks import Row, Visit
from tour_http import Reply, Request
from tour_people import ADA
from tour_story import environment, tell

from gatewright import ConfigurationError
from gatewright.testing import call, cheap_passwords

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
FILES = {
    "starlette": ["blog/handlers.py", "blog/pages/accounts.py", "blog/pages/posts.py"],
    "fastapi": ["blog_fastapi.py"],
    "wrapped": ["blog_wrapped.py"],
}
# What a decorator is told that changes what comes back; `once` is a guard of its own.
TOLD = ("once", "page", "target", "invalidates")


# A blog in this process


@asynccontextmanager
async def running(app: ASGIApp) -> AsyncIterator[None]:
    """Run an app's lifespan, as a server does."""
    to_app, app_receives = anyio.create_memory_object_stream[Message](1)
    app_sends, from_app = anyio.create_memory_object_stream[Message](1)
    with to_app, app_receives, app_sends, from_app:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app, {"type": "lifespan", "state": {}}, app_receives.receive, app_sends.send)
            await to_app.send({"type": "lifespan.startup"})
            assert await from_app.receive() == {"type": "lifespan.startup.complete"}
            yield
            await to_app.send({"type": "lifespan.shutdown"})
            assert await from_app.receive() == {"type": "lifespan.shutdown.complete"}


def forget() -> None:
    """Let the next import of the blog be the first: its settings are read and its database is opened then."""
    for name in list(sys.modules):
        if name.partition(".")[0] in ("blog", "blog_fastapi", "blog_wrapped"):
            del sys.modules[name]


def hurry() -> None:
    """Let no password be safe and no failure take its time; there are many blogs, and the library has its own tests."""
    accounts: Any = sys.modules["blog.accounts"]
    accounts.passwords = cheap_passwords(accounts.passwords)
    accounts.login = replace(accounts.login, passwords=accounts.passwords, floor=0)


class InProcess:
    """A blog in this process; its modules are imported anew for each start."""

    def __init__(self, app: str, portal: BlockingPortal) -> None:
        self.name = APPS[app]
        self.portal = portal
        self.lifespan: AbstractContextManager[None] | None = None

    def start(self) -> None:
        forget()
        module, attribute = self.name.split(":")
        self.app = getattr(importlib.import_module(module), attribute)
        hurry()
        self.lifespan = self.portal.wrap_async_context_manager(running(self.app))
        self.lifespan.__enter__()

    def stop(self) -> None:
        lifespan, self.lifespan = self.lifespan, None
        if lifespan is not None:
            lifespan.__exit__(None, None, None)

    def restart(self) -> None:
        self.stop()
        self.start()

    async def reply(self, request: Request) -> Reply:
        path, _, query = request.path.partition("?")
        reply = await call(
            self.app, method=request.method, path=path, query=query, headers=request.headers, data=request.body
        )
        return Reply(reply.status, [(k.decode(), v.decode()) for k, v in reply.raw_headers], reply.body)

    def send(self, request: Request) -> Reply:
        return self.portal.call(self.reply, request)


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    """Keep one event loop, in a thread."""
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(autouse=True)
def no_blog() -> Iterator[None]:
    """Let no test see another's blog."""
    forget()
    yield
    forget()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set the environment of a blog on a fresh database."""
    settings = environment(str(tmp_path / "blog.db"))
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return settings


@pytest.fixture
def blog(settings: dict[str, str], portal: BlockingPortal) -> Iterator[Callable[[str], InProcess]]:
    """Start blogs, and stop them."""
    started: list[InProcess] = []

    def start(app: str) -> InProcess:
        started.append(InProcess(app, portal))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.stop()


class Different(Exception):
    """Say which step of the tour differs."""


def show(row: Row) -> None:
    """Stop at the first difference."""
    if not row.ok:
        raise Different(f"{row.title}: {row.sent} -> {row.came_back}, not {row.expected}")


# The tour


@pytest.mark.slow
def test_the_tour_visits_three_real_servers() -> None:
    """`python docs/examples/tour.py` drives all three over HTTP, finds no difference, and exits with 0."""
    tour = subprocess.run([sys.executable, str(EXAMPLES / "tour.py")], capture_output=True, text=True, timeout=300)
    assert tour.returncode == 0, tour.stdout[-5000:] + tour.stderr
    assert tour.stdout.count(" 0 different") == len(APPS)


@pytest.mark.parametrize("app", APPS)
def test_the_tour_finds_no_difference(app: str, blog: Callable[[str], InProcess], settings: dict[str, str]) -> None:
    """The same steps in process: the tour needs nothing but a way to send a request."""
    tell(Visit(blog(app), show, settings["BLOG_STRIPE_SECRET"], wrapped=app == "wrapped"))


# Without a decorator


@dataclass(frozen=True)
class Mutant:
    """The example without one decorator."""

    app: str
    title: str
    file: str
    source: str

    def write(self, directory: Path) -> None:
        """Write a copy of the examples that has it in its place."""
        for name in ("blog", "blog_fastapi.py", "blog_wrapped.py"):
            origin = EXAMPLES / name
            copy = shutil.copytree if origin.is_dir() else shutil.copy
            copy(origin, directory / name)
        (directory / self.file).write_text(self.source)


def removable(tree: ast.Module) -> Iterator[tuple[str, list[Any], ast.AST]]:
    """Yield every decorator of ours, above a handler and inside `compose(...)`, and what makes two guards of one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                # `@router.post(...)` is FastAPI's: an attribute.
                function = decorator.func if isinstance(decorator, ast.Call) else decorator
                if isinstance(function, ast.Name):
                    yield f"{node.name} {function.id}", node.decorator_list, decorator
                keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
                yield from ((f"{node.name} {each.arg}=", keywords, each) for each in keywords if each.arg in TOLD)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "compose":
            for argument in node.args:
                assert isinstance(argument, ast.Call) and isinstance(argument.func, ast.Name)
                yield f"compose {argument.func.id}", node.args, argument


def mutants() -> Iterator[Mutant]:
    """Yield the examples without each one of their decorators."""
    for app, file in [(app, file) for app, files in FILES.items() for file in files]:
        tree = ast.parse((EXAMPLES / file).read_text())
        page = "page " if "pages" in file else ""  # a page and the API may have handlers of the same name
        for title, holder, decorator in list(removable(tree)):
            at = holder.index(decorator)
            del holder[at]
            yield Mutant(app, page + title, file, ast.unparse(tree))
            holder.insert(at, decorator)


MUTANTS = {f"{mutant.app}: {mutant.title}": mutant for mutant in mutants()}


@pytest.mark.parametrize("title", MUTANTS)
def test_without_any_one_decorator_the_tour_fails(
    title: str,
    blog: Callable[[str], InProcess],
    settings: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Either the app is refused at the start, because a handler asks for what nobody gives, or a step differs."""
    mutant = MUTANTS[title]
    (tmp_path / "copy").mkdir()
    mutant.write(tmp_path / "copy")
    monkeypatch.syspath_prepend(tmp_path / "copy")
    with pytest.raises((ConfigurationError, FastAPIError, Different)):
        tell(Visit(blog(mutant.app), show, settings["BLOG_STRIPE_SECRET"], wrapped=mutant.app == "wrapped"))


def test_every_guard_of_the_blog_is_among_those_taken_away() -> None:
    """The decorators that are taken away are all the guards that the pipelines hold; none hides from the search."""
    from blog import handlers
    from blog.pages import accounts, posts

    values = [value for module in (handlers, accounts, posts) for value in vars(module).values()]
    endpoints = [value for value in values if hasattr(value, "pipeline") and hasattr(value, "handler")]
    # By name, because `require(owned(...))` is two guards.
    names = [{guard.name for guard in one.pipeline.guards if not is_brought_along(guard)} for one in endpoints]
    told = tuple(f" {word}=" for word in TOLD if word != "once")
    taken = [title for title, mutant in MUTANTS.items() if mutant.app == "starlette" and not title.endswith(told)]
    assert sum(map(len, names)) == len(taken)


def is_brought_along(guard: Any) -> bool:
    """Say whether nobody wrote a guard: a limit by principal brings one along, and so do a cookie and an action."""
    return getattr(guard, "implied", False) or guard.name in ("credential_limit", "keep_input", "previous", "reached")


@pytest.mark.slow
def test_the_tour_exits_with_1_for_a_difference(tmp_path: Path) -> None:
    """A blog without one of its limits is told apart by the tour's exit status, and by one line of its table."""
    MUTANTS["starlette: register with_rate_limit"].write(tmp_path)
    command = [sys.executable, str(EXAMPLES / "tour.py"), "--app", "blog.app:app", "--path", str(tmp_path)]
    tour = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert tour.returncode == 1
    (line,) = [line for line in tour.stdout.splitlines() if line.endswith("DIFFERENT")]
    assert line.startswith("register ")


@pytest.mark.slow
def test_the_tour_exits_with_1_for_an_app_that_does_not_start(tmp_path: Path) -> None:
    """A server that does not come up is a failed tour, and the server's own words are shown."""
    MUTANTS["starlette: create_post validate"].write(tmp_path)
    command = [sys.executable, str(EXAMPLES / "tour.py"), "--app", "blog.app:app", "--path", str(tmp_path)]
    tour = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert tour.returncode == 1
    assert "body is filled by @validate" in tour.stdout


# What the tour cannot see


def test_of_simultaneous_registrations_one_wins_and_the_others_get_the_same_409(
    blog: Callable[[str], InProcess],
) -> None:
    """The database's constraint answers those that passed the check of the address, with the check's own words."""
    one = blog("starlette")
    names = ["ada", "ada2", "ada3", "ada4"]
    replies: list[Any] = []

    async def register(name: str) -> None:
        replies.append(await call(one.app, path="/api/auth/register", json=ADA | {"name": name}))

    async def race() -> None:
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(register, name)

    one.portal.call(race)
    one.portal.call(register, "ada5")
    statuses = sorted(reply.status for reply in replies)
    assert statuses == [201, 409, 409, 409, 409]
    refusals = [{**reply.json, "request_id": ""} for reply in replies if reply.status == 409]
    assert all(refusal == refusals[-1] for refusal in refusals)
    assert refusals[-1]["details"] == {"email": ["There is an account with this email address"]}


@pytest.mark.parametrize("app", APPS)
def test_a_route_that_nobody_thought_of_is_closed(app: str, blog: Callable[[str], InProcess]) -> None:
    """Every blog is protected: a handler that does not say who may come in is closed to everybody."""

    async def forgotten(request: object) -> Response:
        raise AssertionError

    one = blog(app)
    routed: Any = sys.modules["blog_wrapped"].blog if app == "wrapped" else one.app
    routed.add_route("/forgotten", forgotten)
    assert one.send(Request("GET", "/forgotten")).status == 403


def test_fastapi_documents_what_the_guards_read(blog: Callable[[str], InProcess]) -> None:
    """Bodies and pages that are injected are in the OpenAPI document all the same."""
    paths = blog("fastapi").send(Request("GET", "/openapi.json")).json["paths"]
    body = paths["/api/posts"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert sorted(body["properties"]) == ["text", "title"]
    assert [parameter["name"] for parameter in paths["/api/posts"]["get"]["parameters"]] == ["page", "limit"]


def test_secrets_that_are_not_set_are_made_up_for_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without settings the blog starts, on a temporary database, with secrets that nobody else has."""
    for name in environment(""):
        monkeypatch.delenv(name, raising=False)
    from blog import settings

    told = {settings.SECRET_KEY, settings.STRIPE_SECRET, settings.DATABASE}
    again = importlib.reload(settings)
    assert told.isdisjoint({again.SECRET_KEY, again.STRIPE_SECRET, again.DATABASE})
    assert again.ADMIN_EMAIL is None
