"""A whole app behind rules by route, closed where nobody thought of one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import compile_path

from gatewright._core.app import AppDriver, GuardedApp
from gatewright._core.call import CALL
from gatewright._core.decorate import Decorator
from gatewright._core.gate import Gate, default_gate
from gatewright._core.pipeline import Host, Pipeline
from gatewright._core.plan import Plans
from gatewright._core.routes import Enclosed, Leaf, Routes
from gatewright.auth.authority.rules import Verdict, Verdicts, pipeline_of, read_rules, verdicts_on
from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from gatewright._core.call import Call

__all__ = ["protect"]


def protect(app: Starlette, rules: Mapping[str, Decorator], default: Decorator | Literal["deny"] = "deny") -> None:
    """Put guards in front of the routes of a Starlette or FastAPI app; what nobody thought of stays closed.

    A rule guards what is served under a route's template, and never looks at the path of a request. Of several the
    most specific one wins: a template before all below one, a longer one before a shorter one, one with a method
    before one without. A handler whose own guards say who may come in (`with_auth`, `verify_webhook`, `public`) needs
    no rule; one that it has stands around it.

    Args:
        app: the app; with everything that is mounted and included, and routes that are added later. An app inside
            that is protected itself sees to its own.
        rules: decorators by template, with the prefixes of mounts: `"/admin/users/{user_id}"`; for one method:
            `"POST /posts"`; for all templates below one: `"/admin/*"`.
        default: what stands in front of a route that has no rule and whose guards do not say who may come in:
            nobody passes, or a decorator.

    Raises:
        ConfigurationError: for a rule that cannot be one, and an app that has started; when the app starts, for a
            rule that matches no route, and for one route under several templates whose rules differ.
    """
    if isinstance(app, GuardedApp):
        raise ConfigurationError("protect() goes to the routes: give it the Starlette or FastAPI app inside")
    if not isinstance(app, Starlette):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        raise ConfigurationError(f"protect({app!r}): it takes a Starlette or FastAPI app; in front of others, decorate")
    if _is_protected(app):
        raise ConfigurationError("this app is protected already; write all rules in one protect()")
    if app.middleware_stack is not None:
        raise ConfigurationError("this app has started; protect it before")
    protection = _Protection(app, rules, default)
    # Innermost, so that its own errors are answered by the gate, and nothing happens between it and the router. Routes
    # are looked for when the app starts: FastAPI copies those that are included when it is first asked for them.
    app.user_middleware.append(Middleware(_Watch, protection=protection))


def _is_protected(app: Starlette) -> bool:
    return any(middleware.cls is _Watch for middleware in app.user_middleware)  # type: ignore[comparison-overlap]  # a factory's type


class _Protection:
    """The rules of one app, and what they were put in front of."""

    def __init__(self, app: Starlette, rules: Mapping[str, Decorator], default: object) -> None:
        if default == "allow":
            raise ConfigurationError('protect(default="allow"): if that is meant, write default=public')
        self._app = app
        self._rules = read_rules(rules)
        self._default = pipeline_of(default, "default")
        self._routes: Routes | None = None
        self._denied: list[str] = []
        self._started = False

    def start(self, call: Call | None = None) -> None:
        """Stand in front of all routes that there are by now; the first time, look whether every rule has one.

        Raises:
            ConfigurationError: for a rule that matches no route, and as `enclose` does.
        """
        if self._routes is not None and not self._routes.changed and self._started:
            return
        told = self._denied if self._started else []
        routes = self.enclose()
        if not self._started:
            self._refuse_idle(routes)
            self._started = True
        denied = [template for template in self._denied if template not in told]
        if denied:
            gate = _gate_of(self._app) if call is None else call.gate
            gate.log.event("warning", "routes_denied", routes=denied)

    def enclose(self) -> Routes:
        """Put the rules in front of every leaf, and return what was found.

        Raises:
            ConfigurationError: for a leaf that is reached under several templates whose rules differ.
        """
        # Until all is done, nothing counts as done.
        self._routes = None
        routes = Routes(self._app, lambda inner: not _is_protected(inner))
        denied = [written for leaf in routes.leaves if (written := self._stand_before(leaf)) is not None]
        routes.settle()
        self._routes, self._denied = routes, list(dict.fromkeys(denied))
        return routes

    def _stand_before(self, leaf: Leaf) -> str | None:
        verdicts = verdicts_on(leaf, tuple(rule for rule in self._rules if rule.covers(leaf)), self._default)
        place = leaf.app
        if not isinstance(place, _Ruled):
            place = _Ruled(place, verdicts)
            setattr(leaf.holder, leaf.attribute, place)
        elif place.verdicts != verdicts:
            raise ConfigurationError(
                f"protect: {leaf.template} and {', '.join(place.templates)} are one and the same route, but their "
                "rules differ; write rules that agree, or two routes"
            )
        place.serve_under(leaf)
        return None if verdicts.denied is None else f"{verdicts.denied}{leaf.template}{'/*' * leaf.deep}"

    def _refuse_idle(self, routes: Routes) -> None:
        for rule in self._rules:
            if not any(rule.covers(leaf) for leaf in routes.leaves):
                there = ", ".join(sorted({leaf.template + "/*" * leaf.deep for leaf in routes.leaves}))
                raise ConfigurationError(f"protect: {rule.written!r} matches no route; there are: {there or 'none'}")


def _gate_of(app: Starlette) -> Gate:
    """Return the gate that was installed; before the first request nothing else tells."""
    installed = (middleware.kwargs.get("gate") for middleware in app.user_middleware)
    return next((gate for gate in installed if isinstance(gate, Gate)), None) or default_gate()


class _Ruled(Enclosed):
    """What routers call in place of a leaf: for each method the guards of its rule, and then the leaf."""

    def __init__(self, app: ASGIApp, verdicts: Verdicts) -> None:
        super().__init__(app)
        self.verdicts = verdicts
        self.templates: dict[str, re.Pattern[str]] = {}
        self._drivers = {method: self._driver(verdict) for method, verdict in verdicts.by_method.items()}
        self._otherwise = self._driver(verdicts.otherwise)

    def serve_under(self, leaf: Leaf) -> None:
        """Name the template by which a request that comes this way is logged."""
        below = leaf.template + "/{path:path}" * leaf.deep
        self.templates[leaf.template] = compile_path(below or "/")[0]

    def _driver(self, verdict: Verdict) -> ASGIApp:
        # Through `super`, because `install` may come later and change what is behind.
        return super().__call__ if verdict is None else _RuleDriver(super().__call__, verdict, self.templates)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the guards of the rule for this method, and then the leaf."""
        # In whatever case it comes: what stands behind may not care.
        driver = self._drivers.get(scope.get("method", "GET").upper(), self._otherwise)
        await driver(scope, receive, send)


class _RuleDriver(AppDriver):
    """Run the guards of a rule under the template that the request was routed by."""

    def __init__(self, app: ASGIApp, pipeline: Pipeline, templates: Mapping[str, re.Pattern[str]]) -> None:
        super().__init__(app, Plans(pipeline, None, Host.APP))
        self._templates = templates

    async def _serve(self, call: Call, send: Send) -> None:
        path = call.scope["path"].removeprefix(call.scope.get("app_root_path", call.scope.get("root_path", "")))
        reached = (template for template, pattern in self._templates.items() if pattern.match(path))
        call.route = next(reached, next(iter(self._templates)))
        await super()._serve(call, send)


class _Watch:
    """Stand in front of an app's router, and see to it that no route gets past the rules."""

    def __init__(self, app: ASGIApp, protection: _Protection) -> None:
        self._app = app
        self._protection = protection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, a websocket, or the app's lifespan."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._on_start(send))
        else:
            # A server without lifespan: the first request finds out, and keeps finding out until it is mended.
            self._protection.start(scope.get(CALL))
            await self._app(scope, receive, send)

    def _on_start(self, send: Send) -> Send:
        async def sent(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                # Now, because a lifespan may add routes; what is raised here, the router reports as a failed start.
                self._protection.start()
            await send(message)

        return sent
