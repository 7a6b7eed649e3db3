"""The guard: verify first, read after, and give every refusal the same answer."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal
from urllib.parse import quote, urlsplit

from starlette.responses import JSONResponse

from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.guard import Answer, Guard
from gatewright._core.phase import Phase
from gatewright.errors import ApiError, BadRequest, ConfigurationError, Unauthorized
from gatewright.webhooks.events import EventMarker, EventReader, UnknownEvent
from gatewright.webhooks.scheme import Delivery, Scheme, Secret, Secrets, Verified, WebhookRejected, several

if TYPE_CHECKING:
    from starlette.types import Scope

    from gatewright._core.call import Call
    from gatewright._core.handler import Handler

__all__ = ["SecretsOf", "VerifyWebhook", "verify_webhook"]

SecretsOf = Callable[[Delivery], Secrets | Awaitable[Secrets | None] | None]
"""Returns the secrets for a delivery, of a tenant for instance; nothing where there are none. May be async."""

_MESSAGE, _CODE = "The webhook's signature is not valid", "invalid_signature"


@dataclass(frozen=True, repr=False)
class VerifyWebhook(Guard):
    """Let only deliveries pass that their sender signed."""

    name: ClassVar[str] = "verify_webhook"
    phase = Phase.VERIFY
    provides: ClassVar[tuple[Hashable, ...]] = (Verified, EventMarker)
    single: ClassVar[bool] = True
    reads_body: ClassVar[bool] = True
    vouches = True

    scheme: Scheme
    secrets: tuple[Secret, ...] | SecretsOf = field(repr=False)
    public_url: str | None = None
    on_invalid: Literal[400, 401] = 401
    events: EventReader | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"verify_webhook({self.scheme.name})"

    def same_as(self, other: Guard) -> bool:
        """Say no: verified twice is verified, and only the inner one reads the event for its handler."""
        return False

    def seal(self, handler: Handler) -> VerifyWebhook:
        """Prepare to read the event that *handler* asks for."""
        return replace(self, events=EventReader.of(handler))

    async def enter(self, call: Call) -> Answer | None:
        """Verify the delivery; then, and only then, look into it."""
        delivery = await self._delivery(call)
        try:
            verified = self.scheme.verify(delivery, await self._secrets(delivery), now=call.gate.clock.time())
        except WebhookRejected as rejected:
            raise self._refusal(rejected) from None
        call.provide(Verified, verified)
        call.note(webhook=verified.scheme, webhook_key_index=verified.key_index, webhook_event=verified.event_id)
        if self.events is None:
            return None
        try:
            call.arguments[self.events.parameter] = self.events.read(delivery.body)
        except UnknownEvent as unknown:
            call.log.info(
                "webhook_ignored", scheme=verified.scheme, event_id=verified.event_id, event_type=unknown.event_type
            )
            return Answer(JSONResponse({"received": True}))
        return None

    async def _delivery(self, call: Call) -> Delivery:
        body = await call.body()
        if not body and int(call.header(b"content-length") or 0) > 0:
            raise ConfigurationError(
                "verify_webhook: the body was consumed upstream of the signature's check; take out the middleware that "
                "reads it, or let it replay what it read"
            )
        return Delivery(body, call.scope["headers"], call.method, (self.public_url or "") + _target(call.scope))

    async def _secrets(self, delivery: Delivery) -> Secrets:
        if not callable(self.secrets):
            return self.secrets
        secrets = self.secrets(delivery)
        if inspect.isawaitable(secrets):
            secrets = await secrets
        return () if secrets is None else secrets

    def _refusal(self, rejected: WebhookRejected) -> ApiError:
        reason = f"{self.scheme.name}: {rejected.reason}"
        if self.on_invalid == 400:
            return BadRequest(_MESSAGE, code=_CODE, reason=reason)
        # A 401 has to carry a challenge (RFC 9110, section 15.5.2). This one names no sender and no header.
        return Unauthorized(_MESSAGE, code=_CODE, headers={"WWW-Authenticate": "Webhook"}, reason=reason)


def verify_webhook(
    scheme: Scheme,
    *,
    secrets: Secrets | SecretsOf,
    public_url: str | None = None,
    on_invalid: Literal[400, 401] = 401,
) -> Decorator:
    """Let only deliveries pass that their sender signed.

    The handler may ask for `Verified`, and for its `Event[...]`, which is read from the verified bytes.

    Args:
        scheme: the sender's: `stripe()`, `github()`, `hmac_scheme(...)`, or your own `Scheme`.
        secrets: one or several, newest first; or a function of the delivery that returns them, for tenants; what
            returns none refuses.
        public_url: the origin that senders call, such as "https://api.example.com", with the path that a proxy takes
            off; for schemes that sign it. It is never guessed from the request.
        on_invalid: the status of every refusal: 401, or 400 for senders that want one. The log alone has the reason.

    Raises:
        ConfigurationError: for a secret that is empty or of another kind, and for a scheme that signs no body.
    """
    if not hasattr(scheme, "verify"):
        raise ConfigurationError(f"verify_webhook({scheme!r}): write a scheme, such as stripe() with its parentheses")
    if "body" not in scheme.covers:
        raise ConfigurationError(
            f"verify_webhook({scheme!r}): this scheme does not sign the body; anyone could change it"
        )
    if on_invalid not in (400, 401):
        raise ConfigurationError(f"verify_webhook(on_invalid={on_invalid}): write 400 or 401")
    return guarded_by(VerifyWebhook(scheme, _given(scheme, secrets), _origin(scheme, public_url), on_invalid))


def _given(scheme: Scheme, secrets: Secrets | SecretsOf) -> tuple[Secret, ...] | SecretsOf:
    if callable(secrets):
        return secrets
    if not isinstance(secrets, (str, bytes, list, tuple)):
        raise ConfigurationError(
            f"verify_webhook(secrets={type(secrets).__name__}): write a secret, a list of them or a function; "
            "is the environment variable set?"
        )
    if not secrets:
        raise ConfigurationError("verify_webhook(secrets=...) is empty: anybody could sign; is the variable set?")
    given = tuple(several(secrets))
    for secret in given:
        scheme.check(secret)
    return given


def _origin(scheme: Scheme, public_url: str | None) -> str | None:
    if public_url is None:
        if "url" in scheme.covers:
            raise ConfigurationError(
                f'verify_webhook({scheme!r}): the URL is signed; write public_url="https://api.example.com"'
            )
        return None
    parts = urlsplit(public_url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError(
            f'verify_webhook(public_url={public_url!r}): write scheme and host, such as "https://api.example.com"'
        )
    return public_url.rstrip("/")


def _target(scope: Scope) -> str:
    """Return path and query as they came over the wire."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    path = raw.partition(b"?")[0].decode("latin-1")
    query: bytes = scope.get("query_string", b"")
    return f"{path}?{query.decode('latin-1')}" if query else path
