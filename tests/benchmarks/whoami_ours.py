"""Who is asking, found out by gatewright."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route

from gatewright import Gate, Ok, Principal, SessionCookie, ok, with_auth
from gatewright.auth import Authenticator, Revoker
from gatewright.auth.authority.public import public
from gatewright.auth.credentials.api_key import ApiKey, ApiKeyRecord
from gatewright.auth.credentials.key_format import new_api_key
from gatewright.auth.jwt import BearerJWT
from gatewright.starlette import GuardedRoute
from tests.benchmarks.whoami import AUDIENCE, ISSUER, UNREAD, WHOAMI, Asked, Subject, tokens, verifying_key
from tests.benchmarks.wire import Headers
from tests.benchmarks.work import SECRET, USERS

__all__ = ["api_key", "guarded", "open_to_all", "our_jwt", "session"]


def open_to_all(*, installed: bool = True) -> Asked:
    """Ask for nothing."""

    @public
    async def whoami() -> Ok[Subject]:
        return ok(Subject(sub=USERS[0]))

    return Asked(_app(whoami, Gate() if installed else None), lambda user: UNREAD)


def session(*, installed: bool = True, revocable: bool = False, encrypted: bool = False) -> Asked:
    """Read a session cookie."""
    # Where no gate is installed there are no keys to share.
    keys = None if installed else [SECRET]
    own = SessionCookie(keys=keys, revoker=Revoker() if revocable else None, encrypted=encrypted)
    gate = Gate(keys=[SECRET])

    def cookie(user: str) -> Headers:
        return [(b"cookie", own.create_session(user).header(gate).partition(b";")[0])]

    return Asked(guarded(own, gate if installed else None), cookie)


def our_jwt(algorithm: str, *, installed: bool = True) -> Asked:
    """Read a JSON Web Token."""
    key = verifying_key(algorithm)
    own = BearerJWT(keys=key, algorithms=(algorithm,), issuer=ISSUER, audience=AUDIENCE)
    return tokens(guarded(own, Gate() if installed else None), algorithm)


def api_key(*, installed: bool = True) -> Asked:
    """Read an API key, whose record is in a dict."""
    records: dict[str, ApiKeyRecord] = {}

    def key_of(user: str) -> Headers:
        key = new_api_key("bench")
        records[key.id] = ApiKeyRecord(key.secret_sha256, Principal(user, "api_key"))
        return [(b"x-api-key", key.text.encode())]

    app = guarded(ApiKey(records.get, prefix="bench"), Gate() if installed else None)
    return Asked(app, key_of, {"not known": [(b"x-api-key", new_api_key("bench").text.encode())]})


def guarded(authenticator: Authenticator, gate: Gate | None = None) -> Starlette:
    """Return an app that says who is asking."""

    @with_auth(authenticator)
    async def whoami(principal: Principal) -> Ok[Subject]:
        return ok(Subject(sub=principal.sub))

    return _app(whoami, gate)


def _app(endpoint: Callable[..., Any], gate: Gate | None) -> Starlette:
    """Return an app with a gate; without one, the route finds the guards by itself."""
    app = Starlette(routes=[(GuardedRoute if gate is None else Route)(WHOAMI, endpoint)])
    if gate is not None:
        gate.install(app)
    return app
