"""The surround that does once what a client asks for twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, fields
from functools import partial
from math import ceil, inf
from typing import TYPE_CHECKING, TypeAlias

from anyio import current_time, sleep
from starlette.exceptions import HTTPException

from gatewright._core.callers import By, by_address, by_principal, by_principal_or_address, function_name
from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.guard import Guard, Proceed, Surround
from gatewright._core.methods import SAFE_METHODS
from gatewright._core.outcome import Outcome, raw_headers
from gatewright._core.phase import Phase
from gatewright._core.refuse import app_handles, refusal
from gatewright._core.storage.contract import Claimed, Kept, Pending
from gatewright._core.undisturbed import undisturbed
from gatewright.errors import ApiError, BadRequest, ConfigurationError, Conflict
from gatewright.idempotency.answer import HEADERS, NO_ANSWER, belongs_to_one_answer, is_final, read, write
from gatewright.idempotency.claim import Claim, Recording
from gatewright.idempotency.key import caller, fingerprint, key_of, place, record_name

if TYPE_CHECKING:
    from gatewright._core.call import Call
    from gatewright._core.gate import Gate
    from gatewright._core.storage.contract import Records

__all__ = ["Idempotent", "idempotent"]

_Found: TypeAlias = Claimed | Pending | Kept

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Seconds between two looks at a key that is in use.
_SHORTEST, _LONGEST = 0.01, 0.25
# Under one key, in one process: more than anybody clicks, and few enough to hold their connections and bodies.
_MOST_WAITING = 4
# For a program, and for somebody who reads it above a form.
_REUSED = (
    "This Idempotency-Key was used for another request",
    "This form was sent before, with other content; send it once more if that is what you want",
)
_IN_USE = (
    "A request with this Idempotency-Key is at work",
    "This form was sent already, and that is still being worked on",
)
_BY_ITSELF = (by_address, by_principal, by_principal_or_address)


def idempotent(
    *,
    required: bool = False,
    lease: float = 60.0,
    keep: float = 86_400.0,
    max_body: int = 1 << 20,
    headers: Collection[str] = (),
    methods: Collection[str] = ("PATCH", "POST"),
    scope: str | None = None,
    by: By | None = None,
    field: str | None = None,
    wait: float = 0.0,
) -> Decorator:
    """Do once what a client asks for twice under one `Idempotency-Key`, and give it the same answer again.

    The header is that of draft-ietf-httpapi-idempotency-key-header-07; a key without quotes, as most clients send it,
    is taken too. A key is good for one caller, one method and one path. 409 while the first request is at work, 422
    for another request under the same key, 400 for what is no key; while the storage is down, 503.

    Answers are kept from 200 to 499, but for those that say "not now" (307, 308, 401, 408, 409, 423, 425, 429). After
    any other, after a failure, a cancellation or a client that left, the key is free again.

    Args:
        required: refuse a request without a key.
        lease: seconds for which a key is claimed; more than the slowest handler takes. Then a retry may begin anew.
        keep: seconds for which an answer is kept.
        max_body: bytes of answer that are kept. A larger one is sent, and a retry is told that all was done.
        headers: names of further response headers to keep.
        methods: the methods that keys are read for; the others are idempotent by themselves (RFC 9110, 9.2.2).
        scope: a name under which routes share their keys, so that no key is used for two requests among them.
        by: who is calling, where your own code knows it: returns a str, may be async. By itself it is the principal;
            where nobody is known, the client's network, and the credentials that came along.
        field: the entry of a form in which a request without the header has its key; a page puts it there, a new one
            each time that it is shown.
        wait: seconds for which a retry waits for the answer of the request that is at work, before the 409. A browser
            shows the answer to the second of two clicks, and throws the first one away. At most four wait for one
            answer in one process; any further gets the 409 at once.

    Raises:
        ConfigurationError: for numbers, names and methods that cannot be meant, and for headers of one answer only.
    """
    for said, seconds in (("lease", lease), ("keep", keep)):
        if not 0.001 <= seconds < inf:
            raise ConfigurationError(f"idempotent({said}={seconds!r}): write seconds, more than 0")
    if max_body < 0:
        raise ConfigurationError(f"idempotent(max_body={max_body!r}): write a number of bytes, 0 or more")
    if not 0 <= wait < inf:
        raise ConfigurationError(f"idempotent(wait={wait!r}): write seconds, or 0 to answer at once")
    for said, name in (("scope", scope), ("field", field)):
        if name == "":
            raise ConfigurationError(f'idempotent({said}=""): write a name, or nothing')
    if by is not None and (not callable(by) or by in _BY_ITSELF):
        raise ConfigurationError(
            f"idempotent(by={by!r}): leave it out for the principal, or the network where nobody is known; "
            "or write a function of the call that names the caller"
        )
    rules = Idempotent(required, lease, keep, max_body, _names(headers), _methods(methods), scope, by, field, wait)
    return guarded_by(rules)


def _names(headers: Collection[str]) -> tuple[str, ...]:
    names = sorted({name.lower() for name in headers}) if not isinstance(headers, str) else [headers]
    for name in names:
        if isinstance(headers, str) or not _TOKEN.fullmatch(name):
            raise ConfigurationError(f'idempotent(headers={headers!r}): write names, such as headers=["x-version"]')
        if belongs_to_one_answer(name.encode()):
            raise ConfigurationError(f"idempotent(headers=[{name!r}]): this belongs to one answer only; leave it out")
    return tuple(names)


def _methods(methods: Collection[str]) -> tuple[str, ...]:
    names = [methods] if isinstance(methods, str) else sorted({name.upper() for name in methods})
    for name in names or [""]:
        if isinstance(methods, str) or not _TOKEN.fullmatch(name) or name in (*SAFE_METHODS, "TRACE"):
            raise ConfigurationError(f'idempotent(methods={methods!r}): write methods that do something: ["POST"]')
    return tuple(names)


@dataclass(frozen=True, repr=False)
class Idempotent(Surround):
    """What `idempotent` says."""

    name = "idempotent"
    phase = Phase.REPLAY
    single = True
    reads_body = True
    remembers = True

    required: bool = False
    lease: float = 60.0
    keep: float = 86_400.0
    max_body: int = 1 << 20
    headers: tuple[str, ...] = ()
    methods: tuple[str, ...] = ("PATCH", "POST")
    scope: str | None = None
    by: By | None = None
    field: str | None = None
    wait: float = 0.0

    def __repr__(self) -> str:
        said = [
            f"by={function_name(self.by)}" if each.name == "by" and self.by else f"{each.name}={value!r}"
            for each in fields(self)
            if (value := getattr(self, each.name)) != each.default
        ]
        return f"idempotent({', '.join(said)})"

    def bind(self, gate: Gate) -> Guard:
        """Take the gate's records."""
        return _Replay(self, gate.records("idempotent"), HEADERS | {name.encode() for name in self.headers})


@dataclass(frozen=True)
class _Replay(Surround):
    """Claim a key, do the work, keep the answer; or give the answer that was kept."""

    name = Idempotent.name
    phase = Idempotent.phase

    rules: Idempotent
    records: Records
    headers: frozenset[bytes]
    waiting: Counter[str] = field(default_factory=Counter[str], compare=False)

    async def around(self, call: Call, proceed: Proceed) -> Outcome:
        """Proceed for the first who comes with a key."""
        key = await key_of(call, self.rules.field) if call.method in self.rules.methods else None
        if key is None:
            if self.rules.required and call.method in self.rules.methods:
                raise BadRequest("Send an Idempotency-Key, such as a UUID", code="idempotency_key_missing")
            return await proceed()
        name, mine = await self._identify(call, key)
        found = await self._claim(name, mine)
        if isinstance(found, Claimed):
            claim = Claim(call, self.records, name, mine, found.token, self.rules.lease, self.rules.keep)
            return await self._work(claim, proceed)
        if found.fingerprint != mine:
            raise ApiError(_in_words(call, _REUSED), status=422, code="idempotency_key_reused")
        if isinstance(found, Pending):
            raise self._in_use(found, call)
        return _repeated(found, call)

    async def _claim(self, name: str, mine: str) -> _Found:
        """Claim the key; while the same request is at work, look again, until its answer is there or time is up."""
        look = partial(self.records.claim, name, mine, self.rules.lease)
        found = await undisturbed(look())
        if not _is_at_work(found, mine) or self.waiting[name] == _MOST_WAITING:
            return found
        self.waiting[name] += 1
        try:
            return await self._wait(found, look, mine)
        finally:
            self.waiting[name] -= 1
            if not self.waiting[name]:
                del self.waiting[name]

    async def _wait(self, found: _Found, look: Callable[[], Awaitable[_Found]], mine: str) -> _Found:
        until, pause = current_time() + self.rules.wait, _SHORTEST
        while _is_at_work(found, mine) and (left := until - current_time()) > 0:
            await sleep(min(pause, left))
            # A quick answer is found at once, and a slow one costs few questions.
            pause = min(2 * pause, _LONGEST)
            found = await undisturbed(look())
        return found

    async def _identify(self, call: Call, key: str) -> tuple[str, str]:
        """Return the name of the record, and the fingerprint of the request."""
        who = await caller(call, self.rules.by)
        # In front of an app, and again in it: two records, or the inner one would wait for the outer.
        level = sum(isinstance(guard, Idempotent) for guard in call.acted)
        known = call.principal is not None or self.rules.by is not None
        body = await call.body()
        return (
            record_name(who, place(call.scope, self.rules.scope), level, key),
            fingerprint(call, body, known=known),
        )

    def _in_use(self, found: Pending, call: Call) -> Conflict:
        """Say when to ask again: after as long as the work has taken so far, so that few questions are asked."""
        wait = min(found.seconds, self.rules.lease - found.seconds)
        return Conflict(
            _in_words(call, _IN_USE),
            code="idempotency_key_in_use",
            headers={"Retry-After": str(max(1, ceil(wait)))},
        )

    async def _work(self, claim: Claim, proceed: Proceed) -> Outcome:
        call = claim.call
        # The last resort: for a stream that breaks off, and an outcome that a surround further out drops.
        call.afterwards(claim.release)
        before = call.acted
        try:
            outcome = await proceed()
        except BaseException as exc:
            await self._settled(claim, _answer_to(exc, call) if _was_begun(call, before) else None)
            raise
        return await self._settled(claim, outcome if _was_begun(call, before) else None) or outcome

    async def _settled(self, claim: Claim, outcome: Outcome | None) -> Outcome | None:
        """Keep an answer that is final, and return it, as it is to be sent; release the key after any other."""
        if outcome is None or not is_final(outcome.status):
            await claim.release()
            return None
        record = partial(write, self.headers, outcome.status)
        most = self.rules.max_body
        if outcome.body is None:
            return Outcome(outcome.status, outcome.headers, None, Recording(outcome, claim, record, most))
        await claim.keep(record(outcome.headers, outcome.body) if len(outcome.body) <= most else NO_ANSWER)
        return outcome


def _is_at_work(found: _Found, mine: str) -> bool:
    return isinstance(found, Pending) and found.fingerprint == mine


def _in_words(call: Call, texts: tuple[str, str]) -> str:
    return texts[b"idempotency-key" not in call.headers]


def _was_begun(call: Call, before: object) -> bool:
    """Say whether what came out came of the work: no later guard refused or answered, and nothing overrules it.

    A failure that is shown with another status, as htmx wants it, did not come of it either.
    """
    return call.acted is not before and call.overruled_by is None and not call.failed


def _repeated(found: Kept, call: Call) -> Outcome:
    outcome = read(found.value)
    if outcome is None:
        reason = "its record cannot be read" if found.value else "it was larger than max_body"
        raise Conflict(
            "This request was carried out, and its answer cannot be repeated",
            code="idempotency_answer_lost",
            reason=reason,
        )
    call.note(idempotent="replayed")
    return outcome


def _answer_to(exc: BaseException, call: Call) -> Outcome | None:
    """Return what will be answered to an exception that is an answer; None for a failure.

    None as well where the app's author answers it, further out, since nobody sees here what he says.
    """
    if not isinstance(exc, Exception) or app_handles(exc, call):
        return None
    try:
        if isinstance(exc, HTTPException) and exc.status_code < 400:
            return Outcome(exc.status_code, raw_headers(exc.headers), b"")
        error = call.gate.errors.map(exc)
        return None if error is None else refusal(error, call)
    except Exception:
        # Told to log and monitor where the exception becomes an answer, once.
        return None
