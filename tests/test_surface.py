"""What users see: names, docstrings, and what `import gatewright` costs."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SOURCE = Path(__file__).parent.parent / "src"
PUBLIC = sorted(
    ".".join(part for part in path.relative_to(SOURCE).with_suffix("").parts if part != "__init__")
    for path in SOURCE.rglob("*.py")
    if not any(part.startswith("_") and part != "__init__.py" for part in path.relative_to(SOURCE).parts)
)
# What users are told to import from; the other public modules are where these have it from.
FRONT = [
    "gatewright",
    "gatewright.auth",
    "gatewright.fastapi",
    "gatewright.guards",
    "gatewright.idempotency",
    "gatewright.lockout",
    "gatewright.rate_limit",
    "gatewright.starlette",
    "gatewright.testing",
    "gatewright.validation",
    "gatewright.webhooks",
]


def _module(name: str) -> ModuleType:
    # Not by attribute: `gatewright.validation` is a function, and a package under the same name.
    importlib.import_module(name)
    return sys.modules[name]


def _place(name: str) -> tuple[int, str]:
    """Return where a name stands, in the order that ruff keeps (RUF022): constants, classes, functions."""
    if name.isupper():
        return 0, name
    return (1, name) if name[0].isupper() else (2, name)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_listed_once_in_order(name: str) -> None:
    """Every public module says with `__all__` what is public in it; each name is there."""
    module = _module(name)
    listed: list[str] = module.__all__
    assert list(listed) == sorted(set(listed), key=_place)
    assert [each for each in listed if not hasattr(module, each)] == []


@pytest.mark.parametrize("name", FRONT)
def test_the_list_is_complete(name: str) -> None:
    """What a front module defines, or takes from elsewhere in the package for its users, is in its `__all__`."""
    module = _module(name)
    tree = ast.parse(Path(inspect.getfile(module)).read_text(encoding="utf-8"))
    brought: set[str] = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            brought.add(node.name)
        elif isinstance(node, ast.ImportFrom) and _is_for_users(node, module):
            brought |= {alias.asname or alias.name for alias in node.names}
    missing = {each for each in brought if not each.startswith("_")} - set(module.__all__)
    assert not missing


def _is_for_users(node: ast.ImportFrom, module: ModuleType) -> bool:
    """Say whether an import brings names for the module's users: in a module that consists of imports only."""
    own = [name for name, value in vars(module).items() if inspect.getmodule(value) is module]
    only_imports = own in ([], ["__getattr__"])
    return only_imports and (node.module or "").startswith("gatewright")


@pytest.mark.parametrize("name", PUBLIC)
def test_everything_public_is_described(name: str) -> None:
    """Every public class and function has a docstring that begins with a sentence, and so have public methods."""
    module = _module(name)
    assert module.__doc__
    bare: list[str] = []
    for each in module.__all__:
        value = getattr(module, each)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        bare += [] if _described(value) else [each]
        if inspect.isclass(value):
            bare += [f"{each}.{method}" for method in _undescribed_methods(value)]
    assert bare == []


def _described(value: object) -> bool:
    # A dataclass without a docstring gets its signature for one.
    text = inspect.getdoc(value) or ""
    first = text.partition("\n\n")[0].rstrip()
    return first.endswith((".", ":")) and not text.startswith(f"{getattr(value, '__name__', '')}(")


def _undescribed_methods(cls: type) -> list[str]:
    found: list[str] = []
    for name, value in vars(cls).items():
        function = getattr(value, "fget", None) or getattr(value, "__func__", value)
        # What overrides a method may leave the telling to it.
        overrides = any(hasattr(base, name) for base in cls.__mro__[1:])
        if not name.startswith("_") and inspect.isfunction(function) and not function.__doc__ and not overrides:
            found.append(name)
    return found


def test_importing_the_package_is_cheap() -> None:
    """`import gatewright` loads none of the heavy dependencies, and no framework but Starlette."""
    heavy = ["fastapi", "itsdangerous", "limits", "sqlalchemy", "structlog"]
    assert _said(f"import sys, gatewright; print([name for name in {heavy} if name in sys.modules])") == "[]"


@pytest.mark.parametrize("name", ["gatewright.guards", "gatewright.starlette", "gatewright.testing"])
def test_the_other_front_doors_load_no_framework(name: str) -> None:
    """Only `gatewright.fastapi` needs FastAPI."""
    assert _said(f"import sys, {name}; print('fastapi' in sys.modules)") == "False"


def _said(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return done.stdout.strip()


def test_names_that_load_late_are_what_they_are_whoever_loaded_their_module_first() -> None:
    """`gatewright.x` is never the module x where a function of that name is meant; what is not there is not there."""
    program = (
        f"import importlib, inspect\nfor name in {PUBLIC!r}:\n    importlib.import_module(name)\n"
        f"for name in {FRONT!r}:\n    module = importlib.import_module(name)\n"
        "    assert [n for n in module.__all__ if inspect.ismodule(getattr(module, n))] == [], module\n"
        "import gatewright\n"
        "assert gatewright.idempotent is gatewright.idempotent\n"
        "try:\n    gatewright.nothing\nexcept AttributeError as exc:\n    assert 'nothing' in str(exc)\n"
        "else:\n    raise SystemExit('found')"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("name", ["gatewright", "gatewright.auth", "gatewright.testing"])
def test_names_that_load_late_load(name: str) -> None:
    """In this process, too; each is what its module has under the name, and what is not there is an AttributeError."""
    module = _module(name)
    for each in module.__all__:
        if each in module._LATE:
            vars(module).pop(each, None)
        assert getattr(module, each) is getattr(module, each)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        module.nothing  # noqa: B018  # it is the point
