"""Which credentials a pipeline takes, as FastAPI collects it for the OpenAPI document: dependencies that do nothing.

FastAPI fills `components.securitySchemes` from the dependencies of a route, and from nothing else. So the first
dependency of a guarded function has one of its own for each scheme. Nothing here imports FastAPI.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatewright._core.pipeline import Pipeline

__all__ = ["Scheme", "lets_strangers_pass", "schemes_of", "with_schemes"]

Scheme = Mapping[str, object]
"""A security scheme object (OpenAPI 3.1, section 4.8.27)."""

_NOT_IN_A_KEY = re.compile(r"[^A-Za-z0-9.\-_]")


def schemes_of(pipeline: Pipeline) -> dict[str, Scheme]:
    """Return what the authenticators of *pipeline* say of their credentials, each under its name in a document."""
    schemes: dict[str, Scheme] = {}
    for authenticator in _authenticators(pipeline):
        scheme: Scheme | None = getattr(authenticator, "security_scheme", None)
        if scheme is not None:
            schemes[_key(authenticator.name, scheme)] = scheme
    return schemes


def lets_strangers_pass(pipeline: Pipeline) -> bool | None:
    """Say whether callers without credentials pass; None where *pipeline* does not look at credentials."""
    optional = [getattr(guard, "optional", False) for guard in pipeline.guards if hasattr(guard, "authenticators")]
    return all(optional) if optional else None


def with_schemes(dependency: Callable[..., Any], schemes: Mapping[str, Scheme]) -> Callable[..., Any]:
    """Return *dependency* with a signature that shows FastAPI the schemes; it is called with a None for each.

    Args:
        dependency: a function; what it takes as `**kwargs` is dropped from the signature.
        schemes: by name.
    """
    signature = inspect.signature(dependency, eval_str=True)
    own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
    shown = functools.partial(dependency)
    vars(shown)["__signature__"] = signature.replace(parameters=[*own, *_parameters(schemes)])
    return shown


def _authenticators(pipeline: Pipeline) -> Iterator[Any]:
    for guard in pipeline.guards:
        yield from getattr(guard, "authenticators", ())


def _key(name: str, scheme: Scheme) -> str:
    """Name a scheme by what it is: those of two routes are one where they are the same, and two where they differ."""
    parts = [scheme.get("name") or scheme.get("scheme") or name, scheme.get("bearerFormat")]
    return _NOT_IN_A_KEY.sub("_", "-".join(str(part) for part in parts if part))


def _parameters(schemes: Mapping[str, Scheme]) -> Iterator[inspect.Parameter]:
    fastapi, base = sys.modules.get("fastapi"), sys.modules.get("fastapi.security.base")
    if fastapi is None or base is None:
        # It was not imported yet; whoever writes FastAPI's decorators later has no document that shows schemes.
        return
    for number, (name, scheme) in enumerate(schemes.items()):
        mark = _kind_of_mark(base.SecurityBase)(name, scheme)
        yield inspect.Parameter(f"scheme_{number}", inspect.Parameter.KEYWORD_ONLY, default=fastapi.Depends(mark))


class _Mark:
    """Name one scheme; as a dependency it does nothing, and FastAPI takes two of the same for one."""

    def __init__(self, scheme_name: str, model: Scheme) -> None:
        self.scheme_name = scheme_name
        self.model = dict(model)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Mark) and (self.scheme_name, self.model) == (other.scheme_name, other.model)

    def __hash__(self) -> int:
        return hash(self.scheme_name)

    async def __call__(self) -> None:
        """Do nothing: the guards look at the credential."""


@functools.cache
def _kind_of_mark(base: type) -> type[_Mark]:
    return type("SecurityScheme", (_Mark, base), {})
