"""Names of a package that load their module when they are first asked for (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from importlib import import_module

__all__ = ["late"]


def late(package: str, modules: Mapping[str, str], namespace: MutableMapping[str, object]) -> Callable[[str], object]:
    """Return a `__getattr__` for a package: not everybody needs these names, and some bring a library of their own.

    Give it no name that a module of the package has, too: once imported, the module would be found instead.

    Args:
        package: its `__name__`.
        modules: by name, the module that has it, below the package.
        namespace: the package's `globals()`, where a name stays once it was found.
    """

    def find(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found: object = getattr(import_module(f"{package}.{modules[name]}"), name)
        namespace[name] = found
        return found

    return find
