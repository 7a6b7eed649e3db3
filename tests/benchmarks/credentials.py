"""What it costs to know who is asking: by session, by token, by API key."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

from starlette.types import ASGIApp

from tests.benchmarks import whoami_ours, whoami_peers
from tests.benchmarks.candidates import BARE
from tests.benchmarks.method import Effort, Setup, Work, measure
from tests.benchmarks.table import Table, micro, ratio
from tests.benchmarks.whoami import WHOAMI, Asked, request_with
from tests.benchmarks.wire import Exchange, Headers, running, working
from tests.benchmarks.work import USERS

__all__ = ["CANDIDATES", "Candidate", "table"]


@dataclass(frozen=True)
class Candidate:
    """A way to know who is asking.

    Args:
        stack: makes it.
        base: what is the same without a credential; None for what asks for none.
        peer: what it is compared with; None for what others are compared with.
        never_seen: whether each request comes with a credential that was never seen before.
    """

    stack: Callable[[], Asked]
    base: str | None = None
    peer: str | None = None
    never_seen: bool = False


_BARE_FASTAPI, _OPEN, _OPEN_ROUTE = "bare FastAPI", "gatewright, `@public`", "gatewright, `GuardedRoute`, `@public`"
_SESSION = "Starlette, `SessionMiddleware`"
_JWT, _JWT_ES = (f"Starlette, `AuthenticationMiddleware`, PyJWT {name}" for name in ("HS256", "ES256"))
_API_KEY = "FastAPI, `APIKeyHeader`, SHA-256"
_NEVER_SEEN = ", another one each time"

_session, _jwt, _api_key = whoami_ours.session, whoami_ours.our_jwt, whoami_ours.api_key
_hs256, _es256 = partial(_jwt, "HS256"), partial(_jwt, "ES256")
_sealed = partial(_session, encrypted=True)
_middleware = whoami_peers.authentication_middleware

_ALL: dict[str, Candidate] = {
    BARE: Candidate(whoami_peers.bare_starlette),
    _SESSION: Candidate(whoami_peers.session_middleware, BARE),
    _JWT: Candidate(partial(_middleware, "HS256"), BARE),
    _JWT + _NEVER_SEEN: Candidate(partial(_middleware, "HS256"), BARE, never_seen=True),
    _JWT_ES: Candidate(partial(_middleware, "ES256"), BARE),
    _BARE_FASTAPI: Candidate(whoami_peers.bare_fastapi),
    "FastAPI, `HTTPBearer`, PyJWT HS256": Candidate(partial(whoami_peers.http_bearer, "HS256"), _BARE_FASTAPI, _JWT),
    _API_KEY: Candidate(whoami_peers.api_key_header, _BARE_FASTAPI),
    _OPEN: Candidate(whoami_ours.open_to_all),
    "gatewright, session": Candidate(_session, _OPEN, _SESSION),
    "gatewright, session" + _NEVER_SEEN: Candidate(_session, _OPEN, _SESSION, never_seen=True),
    "gatewright, session, `Revoker()`": Candidate(partial(_session, revocable=True), _OPEN, _SESSION),
    "gatewright, session, encrypted": Candidate(_sealed, _OPEN, _SESSION),
    "gatewright, session, encrypted" + _NEVER_SEEN: Candidate(_sealed, _OPEN, _SESSION, never_seen=True),
    "gatewright, JWT HS256": Candidate(_hs256, _OPEN, _JWT),
    "gatewright, JWT HS256" + _NEVER_SEEN: Candidate(_hs256, _OPEN, _JWT, never_seen=True),
    "gatewright, JWT ES256": Candidate(_es256, _OPEN, _JWT_ES),
    "gatewright, JWT ES256" + _NEVER_SEEN: Candidate(_es256, _OPEN, _JWT_ES, never_seen=True),
    "gatewright, API key": Candidate(_api_key, _OPEN, _API_KEY),
    _OPEN_ROUTE: Candidate(partial(whoami_ours.open_to_all, installed=False)),
    "gatewright, `GuardedRoute`, session": Candidate(partial(_session, installed=False), _OPEN_ROUTE, _SESSION),
    "gatewright, `GuardedRoute`, JWT HS256": Candidate(partial(_hs256, installed=False), _OPEN_ROUTE, _JWT),
    "gatewright, `GuardedRoute`, API key": Candidate(partial(_api_key, installed=False), _OPEN_ROUTE, _API_KEY),
}

CANDIDATES = {name: one for name, one in _ALL.items() if "PyJWT" not in name or find_spec("jwt") is not None}
"""Who takes part; without PyJWT, nobody who needs it."""

_COLUMNS = ("who is asking?", "min µs", "median µs", "÷ bare, min", "÷ bare, median", "added µs", "added ÷ peer's")
_NOTE = (
    "A GET that answers who is asking, refused with 401 to whoever does not prove it. A hundred users take turns, each "
    "with the same credential again and again, which gatewright remembers once it has verified it; where each request "
    "brings another one, it never does. API keys are looked up each time, in a dict. “Added” is the minimum less that "
    "of the same stack without a credential: bare Starlette, bare FastAPI, `@public`. Its last column divides by what "
    "the peer adds for a credential of the same kind: `SessionMiddleware` (which refuses nobody: its endpoint does), "
    "`AuthenticationMiddleware` with PyJWT and the same algorithm, FastAPI's `APIKeyHeader`. The rows of gatewright "
    "have security headers, a request id and a log line in them, which those of the others have not; what is added "
    "has none of that but what the log line says of it."
)


def table(effort: Effort) -> Table:
    """Measure every way to know who is asking."""
    setups: dict[str, Setup] = {name: partial(_asking, one.stack, one.never_seen) for name, one in CANDIDATES.items()}
    figures = measure(setups, effort)
    least = {name: own.minimum for name, own in figures.items()}
    added = {name: least[name] - least[one.base] for name, one in CANDIDATES.items() if one.base is not None}
    bare = figures[BARE]
    rows = [
        (
            name,
            micro(own.minimum),
            micro(own.median),
            ratio(own.minimum, bare.minimum),
            ratio(own.median, bare.median),
            micro(added[name]) if name in added else "",
            ratio(added[name], added[peer]) if (peer := CANDIDATES[name].peer) in added else "",
        )
        for name, own in figures.items()
    ]
    return Table("Credentials", _COLUMNS, rows, _NOTE)


@contextmanager
def _asking(stack: Callable[[], Asked], never_seen: bool) -> Generator[Work, None, None]:
    with running() as runner:
        asked = stack()
        again = [request_with(asked.credential(user)) for user in USERS]

        def headers(user: int) -> Headers:
            return request_with(asked.credential(USERS[user])) if never_seen else again[user]

        yield working(runner, partial(_get, asked.app), 200, headers)


def _get(app: ASGIApp, user: int, headers: Headers) -> Coroutine[Any, Any, Exchange]:
    return Exchange(b"", "GET", WHOAMI).run(app, user, headers)
