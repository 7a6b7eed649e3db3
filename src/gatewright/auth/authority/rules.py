"""Rules by route: which of them covers a leaf, and which of several wins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from gatewright._core.app import GuardedApp
from gatewright._core.guard import Entering, Guard
from gatewright._core.phase import Phase
from gatewright._core.pipeline import Pipeline
from gatewright._core.security import tell
from gatewright.errors import ConfigurationError, Forbidden

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from gatewright._core.call import Call
    from gatewright._core.routes import Leaf

__all__ = ["DENY", "Deny", "Rule", "Verdict", "Verdicts", "pipeline_of", "read_rules", "verdicts_on"]

_KEY = re.compile(r"(?:(?P<method>[A-Z]+) )?(?P<template>/.*)", re.DOTALL)
_WRITE = 'write "/admin/users", "POST /posts" or "/admin/*"'


@dataclass(frozen=True, repr=False)
class Deny(Guard):
    """Refuse everybody: nobody said who may come in."""

    name = "protect"
    phase = Phase.AUTHORIZE

    def __repr__(self) -> str:
        return "deny"

    def enter(self, call: Call) -> Entering:
        """Refuse."""
        tell(call, "access_denied")
        raise Forbidden(reason="no rule covers this route, and none of its guards says who may come in")


DENY = Pipeline((Deny(),))
"""What stands in front of a route that nobody thought of."""

Verdict = Pipeline | None
"""What stands in front of a leaf for one method; None where the leaf sees to it itself."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What stands in front of one leaf.

    Attributes:
        by_method: for the methods that are known.
        otherwise: for all others.
    """

    by_method: Mapping[str, Verdict]
    otherwise: Verdict

    @property
    def denied(self) -> str | None:
        """Return the methods that nobody may use, to be written before a template; None where there are none."""
        shut = sorted(method for method, verdict in self.by_method.items() if verdict == DENY)
        if len(shut) < len(self.by_method):
            return ",".join(shut) + " " if shut else None
        return "" if self.otherwise == DENY else None


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of the rules of `protect`.

    Attributes:
        written: the key, as written.
        method: the one method that it is for; None for all.
        segments: the template between its slashes, without the star.
        below: whether it is for everything below the template.
        pipeline: the guards.
    """

    written: str
    method: str | None
    segments: tuple[str, ...]
    below: bool
    pipeline: Pipeline

    @classmethod
    def read(cls, written: str, decorator: object) -> Rule:
        """Read one entry.

        Raises:
            ConfigurationError: for a key that names no template, or a value that is no decorator of ours.
        """
        match = _KEY.fullmatch(written) if isinstance(written, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        if match is None:
            raise ConfigurationError(f"protect: {written!r} is no rule; {_WRITE}")
        below = match["template"].endswith("/*")
        template = match["template"].removesuffix("/*") if below else match["template"]
        if "*" in template:
            raise ConfigurationError(f"protect: {written!r}: a star stands for all below, at the end only; {_WRITE}")
        return cls(written, match["method"], _segments(template), below, pipeline_of(decorator, f"rules[{written!r}]"))

    def covers(self, leaf: Leaf) -> bool:
        """Say whether it is about *leaf*, for some method at least; segment by segment, on templates."""
        if self.method is not None and leaf.methods is not None and self.method not in leaf.methods:
            return False
        theirs, mine = _segments(leaf.template), self.segments
        if not self.below:
            return theirs == mine
        return theirs[: len(mine)] == mine and (len(theirs) > len(mine) or leaf.deep)

    def weight(self, method: str | None) -> tuple[bool, int, int] | None:
        """Return how specific it is for *method*, most specific last: first the template, then the method.

        None: it is for another method.
        """
        if self.method is None:
            exact = 0
        elif self.method == method:
            exact = 2
        elif self.method == "GET" and method == "HEAD":
            exact = 1
        else:
            return None
        return not self.below, len(self.segments), exact


def read_rules(rules: object) -> tuple[Rule, ...]:
    """Read the rules of `protect`.

    Raises:
        ConfigurationError: for what is no mapping of templates to decorators.
    """
    if not isinstance(rules, Mapping):
        raise ConfigurationError(f"protect(rules={rules!r}): write a mapping, {{'/admin/*': require(role('admin'))}}")
    given = cast("Mapping[str, object]", rules)
    return tuple(Rule.read(written, decorator) for written, decorator in given.items())


def pipeline_of(decorator: object, where: str) -> Pipeline:
    """Return what *decorator* puts in front of an app.

    Raises:
        ConfigurationError: for what is no decorator of ours, and for guards that cannot stand in front of an app.
    """
    if decorator == "deny":
        return DENY
    guarded = decorator(_anything) if callable(decorator) else None
    if not isinstance(guarded, GuardedApp) or guarded.app is not _anything:
        raise ConfigurationError(
            f"protect({where}): {decorator!r} is no decorator of gatewright; "
            "write compose(with_auth(session), require(role('admin'))), public, or \"deny\""
        )
    return guarded.pipeline


def verdicts_on(leaf: Leaf, rules: tuple[Rule, ...], default: Pipeline) -> Verdicts:
    """Return what stands in front of *leaf*; *rules* are those that cover it."""

    def verdict(method: str | None) -> Verdict:
        weighed = [(weight, rule) for rule in rules if (weight := rule.weight(method)) is not None]
        ruled = max(weighed, key=lambda pair: pair[0])[1].pipeline if weighed else None
        own = ruled.guards if ruled is not None else ()
        if ruled == DENY or any(guard.vouches for guard in (*own, *leaf.guards(method))):
            return ruled
        # A rule that does not say who may come in, such as a limit, opens nothing.
        return DENY if default == DENY else default.with_(*own)

    methods = leaf.methods or {rule.method for rule in rules if rule.method is not None}
    by_method = {method: verdict(method) for method in methods}
    if leaf.methods is None or leaf.is_class:
        # A class calls whatever it has under the name of a method, however odd that is.
        return Verdicts(by_method, verdict(None))
    # The route answers 405 by itself; but not where nobody may know that it is there.
    return Verdicts(by_method, DENY if all(each == DENY for each in by_method.values()) else None)


def _segments(template: str) -> tuple[str, ...]:
    return tuple(template.split("/")[1:])


async def _anything(scope: Scope, receive: Receive, send: Send) -> None:
    """Be the app that a rule is tried on."""
