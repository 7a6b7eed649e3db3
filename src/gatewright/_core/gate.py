"""The gate: what the guards of one app share."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING
from weakref import ref

from starlette.types import ASGIApp

from gatewright._core.address import Proxies
from gatewright._core.advice import Advice
from gatewright._core.call import Call
from gatewright._core.clock import SYSTEM_CLOCK, Clock
from gatewright._core.headers import API, HeaderPolicy
from gatewright._core.ids import RequestIds
from gatewright._core.keys import Key, key_bytes
from gatewright._core.names import Names
from gatewright._core.origins import origins
from gatewright._core.storage.opening import Storage, open_backend
from gatewright.errors import ConfigurationError
from gatewright.mapper import ErrorMapper

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.responses import Response

    from gatewright._core.app import GuardedApp
    from gatewright._core.log import Log
    from gatewright._core.storage.contract import Backend, Leases, Marks, Records, Store
    from gatewright.cookie import Cookie

__all__ = ["Gate", "default_gate", "forget_default_gate"]

OnUnhandled = Callable[[Exception, Call], object]
OnInvalidate = Callable[[Sequence[str]], object]


class Gate:
    """Hold what the guards of one app share, and put it in front of the app.

    Args:
        keys: secrets of 32 bytes or more, newest first; the older ones still verify. A str is taken as UTF-8.
        storage: where limits, leases, records and marks live: a URL in the vocabulary of `limits`, or a `Storage` that
            also says what to do while that place does not answer; `memory://` is embedded.
        trusted_proxies: networks whose `X-Forwarded-*` is believed, such as `["10.0.0.0/8"]`.
        trusted_origins: other origins from which browsers may send requests with their cookies, such as
            `["https://app.example.com"]`; the host that serves a request needs no mention.
        errors: maps your exceptions to answers.
        log: a structlog logger; by default yours where structlog is configured, else JSON lines on stderr.
        clock: tells the time; tests freeze it.
        body_limit: bytes of request body that a handler may be given.
        invalid_status: the status of a validation failure: 400 or 422.
        headers: the security headers of every answer; None sends none.
        redact: further names (of keys, fields or query parameters) whose values the log never shows.
        on_unhandled: told of every unexpected exception, for error monitors; may be async.
        on_invalidate: told of what a successful call made stale (`call.invalidate`), to drop it from a cache; may be
            async. The head of the answer waits for it.
        entropy: returns n random bytes; tests make it repeatable.

    Raises:
        ConfigurationError: for a short key, an unknown storage, a network that is none.
    """

    def __init__(
        self,
        *,
        keys: Sequence[Key] = (),
        storage: str | Storage = "memory://",
        trusted_proxies: Sequence[str] = (),
        trusted_origins: Sequence[str] = (),
        errors: ErrorMapper | None = None,
        log: object | None = None,
        clock: Clock = SYSTEM_CLOCK,
        body_limit: int = 1 << 20,
        invalid_status: int = 400,
        headers: HeaderPolicy | None = API,
        redact: Sequence[str] = (),
        on_unhandled: OnUnhandled | None = None,
        on_invalidate: OnInvalidate | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        if isinstance(keys, (str, bytes)):
            raise ConfigurationError("Gate(keys=...) is a list, newest first; write keys=[key]")
        if invalid_status not in (400, 422):
            raise ConfigurationError(f"Gate(invalid_status={invalid_status}): write 400 or 422")
        if body_limit < 0:
            raise ConfigurationError(f"Gate(body_limit={body_limit}): write a number of bytes, 0 or more")
        self.keys: tuple[bytes, ...] = tuple(key_bytes(key) for key in keys)
        self.storage: Storage = storage if isinstance(storage, Storage) else Storage(storage)
        self.proxies: Proxies = Proxies(trusted_proxies)
        self.trusted_origins: frozenset[str] = origins(trusted_origins)
        self.errors: ErrorMapper = ErrorMapper() if errors is None else errors
        self.clock = clock
        self.body_limit = body_limit
        self.invalid_status = invalid_status
        self.headers = headers
        self.on_unhandled = on_unhandled
        self.on_invalidate = on_invalidate
        self.entropy = entropy
        self.request_id: Callable[[bytes | None], str] = RequestIds(entropy).take
        self.advice: Advice = Advice(_Report(self))
        self._logger = log
        self.names: Names = Names(redact)
        # Used by the log, which is made late because structlog is slow to load.
        self._redact = tuple(redact)

    def __repr__(self) -> str:
        return f"<Gate storage={self.storage.scheme}:// keys={len(self.keys)}>"

    @cached_property
    def backend(self) -> Backend:
        """Return the storage, connected when it is first asked something."""
        backend = open_backend(self.storage, self.clock, self.entropy, _Report(self))
        if backend.local:
            self.advice.about_workers(self.storage.scheme)
        return backend

    @property
    def store(self) -> Store:
        """Return what counts limits."""
        return self.backend.store

    @property
    def leases(self) -> Leases:
        """Return what lends slots."""
        return self.backend.leases

    def records(self, who: str) -> Records:
        """Return what remembers work that was done.

        Raises:
            ConfigurationError: where the storage cannot claim atomically, in the name of *who* needs it.
        """
        if self.backend.records is None:
            raise ConfigurationError(
                f'{who} needs a storage that can claim: write Gate(storage="redis://..."), and not {self.storage!r}'
            )
        return self.backend.records

    def marks(self, who: str) -> Marks:
        """Return what remembers numbers.

        Raises:
            ConfigurationError: where the storage only counts, in the name of *who* needs it.
        """
        if self.backend.marks is None:
            raise ConfigurationError(
                f'{who} needs a storage that remembers: write Gate(storage="redis://..."), and not {self.storage!r}'
            )
        return self.backend.marks

    async def close(self) -> None:
        """Let go of the storage's connections; the app's lifespan does it, where the app has one."""
        if "backend" in vars(self):
            await self.backend.close()

    @cached_property
    def log(self) -> Log:
        """Return the log; structlog loads when it is first asked for."""
        from gatewright._core.log import Log

        return Log(self._logger, redact=self._redact, clock=self.clock)

    def require_keys(self, who: str) -> tuple[bytes, ...]:
        """Return the keys, newest first.

        Raises:
            ConfigurationError: where there are none, in the name of *who* needs them.
        """
        if not self.keys:
            raise ConfigurationError(f"{who} signs with the gate's keys: write Gate(keys=[os.environb[b'SECRET_KEY']])")
        return self.keys

    def set_cookie(self, response: Response, cookie: Cookie) -> None:
        """Set *cookie* on a response that a handler builds itself."""
        response.raw_headers.append((b"set-cookie", cookie.header(self)))

    def install(self, app: Starlette) -> None:
        """Put this gate in front of a Starlette or FastAPI app.

        Every guarded route is then served by the ASGI driver in place of its plain endpoint; every answer,
        the framework's own errors too, comes in the envelope, with the headers and one log event.

        Raises:
            ConfigurationError: for a combination of decorators that cannot work, or one that guards nothing.
        """
        from gatewright._core.install import install

        install(self, app)

    def wrap(self, app: ASGIApp) -> GuardedApp:
        """Put this gate in front of any ASGI app, and return the app to serve."""
        from gatewright._core.app import GuardedApp

        return GuardedApp.around(app, gate=self)


class _Report:
    """Write to a gate's log without keeping the gate: plans hold its storage, and must not outlive their app by it."""

    def __init__(self, gate: Gate) -> None:
        self._gate = ref(gate)

    def __call__(self, level: str, event: str, /, **fields: object) -> None:
        gate = self._gate()
        if gate is not None:
            gate.log.event(level, event, **fields)


_DEFAULT: dict[str, Gate] = {}


def default_gate() -> Gate:
    """Return the gate of handlers that no gate was installed for: memory storage, no keys."""
    if "gate" not in _DEFAULT:
        _DEFAULT["gate"] = Gate()
    return _DEFAULT["gate"]


def forget_default_gate() -> None:
    """Let the next call without a gate make a new default one, which has counted nothing yet."""
    _DEFAULT.clear()
