"""What may import what: the layers of DESIGN.md, held by reading the source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "gatewright"

BASE = {"envelope", "errors", "result", "cookie", "mapper", "faults", "redirect", "text"}
GUARDS = {
    "auth",
    "body_limit",
    "concurrency",
    "guards",
    "headers",
    "idempotency",
    "lockout",
    "pagination",
    "rate_limit",
    "timeout",
    "transactions",
    "validation",
    "webhooks",
}
ABOVE = {"actions": 3, "testing": 4, "starlette": 5, "fastapi": 5, "gatewright": 6}

EVERYWHERE = {"anyio", "pydantic", "pydantic_core", "starlette", "typing_extensions"}
ONLY_IN = {
    "argon2": {"auth.passwords.argon2"},
    "bcrypt": {"auth.passwords.bcrypt"},
    "cryptography": {
        "auth.session.sealing",
        "webhooks.schemes.certificate",
        "webhooks.schemes.public_key",
        "webhooks.schemes.rfc9421.algorithms",
    },
    "fastapi": {"fastapi"},
    "httpx": {"webhooks.sending.client"},
    "itsdangerous": {"_core.tokens"},
    "joserfc": {"auth.jwt.keys"},
    "limits": {"_core.storage.by_limits", "_core.storage.for_limits"},
    "redis": {"_core.storage.clients"},
    "jinja2": {"actions.templates"},
    "sqlalchemy": {"pagination.sql", "webhooks.once.sql"},
    "structlog": {"_core.log"},
}


def _module(path: Path) -> str:
    """Return a module's name within the package; the package itself is `gatewright`."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "gatewright"


MODULES = {_module(path): path for path in sorted(SOURCE.rglob("*.py"))}


def _part(module: str) -> str:
    """Return the layer's name of a module: its first step."""
    return module.partition(".")[0]


def _level(module: str) -> int:
    part = _part(module)
    if part in BASE:
        return 0
    if part == "_core":
        return 1
    return 2 if part in GUARDS else ABOVE[part]


def imports_of(source: str) -> set[str]:
    """Return what a module imports when it runs, by full name; imports for type checkers only do not count."""
    return set(_imports(ast.parse(source)))


def _imports(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for child in node.orelse:
            yield from _imports(child)
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative imports hide which layer is meant"
        module = node.module or ""
        # `from gatewright import auth` imports a module as well as a name.
        yield from [f"gatewright.{alias.name}" for alias in node.names] if module == "gatewright" else [module]
    elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__"):
        yield from (ast.literal_eval(argument) for argument in node.args[:1] if isinstance(argument, ast.Constant))
    for child in ast.iter_child_nodes(node):
        yield from _imports(child)


def complaints(module: str, source: str) -> list[str]:
    """Return what is wrong with the imports of *module*."""
    found: list[str] = []
    for name in sorted(imports_of(source)):
        package, _, inner = name.partition(".")
        if package == "gatewright":
            found += _complaints_within(module, inner or "gatewright")
        elif package in ONLY_IN:
            found += [f"{module} imports {package}"] if module not in ONLY_IN[package] else []
        elif package not in EVERYWHERE and package not in sys.stdlib_module_names:
            found.append(f"{module} imports {package}, which is no dependency")
    return found


def _complaints_within(module: str, imported: str) -> list[str]:
    own, other = _part(module), _part(imported)
    if other == "testing" and own != "testing":
        return [f"{module} imports the tests' tools"]
    if _level(imported) > _level(module):
        return [f"{module} imports upward: {imported}"]
    if own in GUARDS and other in GUARDS and own != other:
        return [f"{module} imports another guard: {imported}"]
    return []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_layer_may(module: str) -> None:
    """Base, core, guards, testing, frameworks, root: nothing upward, no guard another, each tool in one place."""
    assert complaints(module, MODULES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("errors", "from gatewright._core.call import Call", "errors imports upward: _core.call"),
        ("_core.call", "from gatewright.auth import with_auth", "_core.call imports upward: auth"),
        ("_core.call", "def f():\n    import structlog", "_core.call imports structlog"),
        ("_core.call", "import_module('limits')", "_core.call imports limits"),
        ("_core.storage.redis", "import redis.asyncio", "_core.storage.redis imports redis"),
        (
            "pagination",
            "from gatewright.validation.parts import Part",
            "pagination imports another guard: validation.parts",
        ),
        ("pagination", "from gatewright import validation", "pagination imports another guard: validation"),
        ("rate_limit", "from gatewright.testing import call", "rate_limit imports the tests' tools"),
        ("fastapi", "from gatewright.testing import call", "fastapi imports the tests' tools"),
        ("testing.calls", "import gatewright.fastapi", "testing.calls imports upward: fastapi"),
        ("testing.calls", "import fastapi", "testing.calls imports fastapi"),
        ("auth.bearer", "import requests", "auth.bearer imports requests, which is no dependency"),
    ],
)
def test_what_is_not_allowed_is_found(module: str, source: str, complaint: str) -> None:
    """The check sees imports in functions and by name too; one that finds nothing proves nothing."""
    assert complaints(module, source) == [complaint]


def test_imports_for_type_checkers_are_free() -> None:
    """A name in an annotation binds two modules no closer together when they run."""
    assert imports_of("if TYPE_CHECKING:\n    import limits\nelse:\n    import anyio") == {"anyio"}


def test_every_module_has_a_layer() -> None:
    """A new module at the top has to be given its place here."""
    assert {_part(module) for module in MODULES} <= BASE | {"_core"} | GUARDS | ABOVE.keys()
