"""The guard: verify first, read after, and give every refusal the same answer."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal
from urllib.parse import quote, urlsplit

from gatewright._core.callers import function_name
from gatewright._core.decorate import Decorator, guarded_by
from gatewright._core.functions import is_async
from gatewright._core.guard import Answer, Guard
from gatewright._core.phase import Phase
from gatewright.errors import ApiError, BadRequest, ConfigurationError, ServiceUnavailable, Unauthorized
from gatewright.webhooks.answers import ignored, response
from gatewright.webhooks.certificates import Certificates, Certified, Fetch, fetch_https
from gatewright.webhooks.events import EventMarker, EventReader, UnknownEvent
from gatewright.webhooks.once.contract import DeliveryStore, Once
from gatewright.webhooks.once.guard import HandleOnce
from gatewright.webhooks.once.key import Owner
from gatewright.webhooks.scheme import Delivery, Reply, Scheme, Verified, WebhookRejected
from gatewright.webhooks.secret import Secret, Secrets, Tenant, several

if TYPE_CHECKING:
    from starlette.types import Scope

    from gatewright._core.call import Call
    from gatewright._core.gate import Gate
    from gatewright._core.handler import Handler

__all__ = ["SecretsOf", "VerifyWebhook", "verify_webhook"]

SecretsOf = Callable[[Delivery], Secrets | Tenant | Awaitable[Secrets | Tenant | None] | None]
"""Returns the secrets for a delivery, of a `Tenant` for instance; nothing where there are none. May be async."""

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
    fetch: Fetch = field(default=fetch_https, repr=False)
    events: EventReader | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"verify_webhook({self.scheme.name})"

    def same_as(self, other: Guard) -> bool:
        """Say no: verified twice is verified, and only the inner one reads the event for its handler."""
        return False

    def seal(self, handler: Handler) -> VerifyWebhook:
        """Prepare to read the event that *handler* asks for."""
        return replace(self, events=EventReader.of(handler, self.scheme.event_type))

    def bind(self, gate: Gate) -> VerifyWebhook:
        """Keep the certificates that are fetched for as long as this gate's clock says."""
        return replace(self, secrets=self.secrets.at(gate)) if isinstance(self.secrets, Certificates) else self

    async def enter(self, call: Call) -> Answer | None:
        """Verify the delivery; then, and only then, look into it."""
        delivery = await self._delivery(call)
        try:
            reply = self.scheme.greet(delivery)
            if reply is not None:
                return await self._answered(reply)
            tenant, secrets = await self._secrets(delivery)
            verified = self.scheme.verify(delivery, secrets, call.gate.clock.time())
        except WebhookRejected as rejected:
            if "url" in self.scheme.covers:
                # What was compared with what the sender signed; a query may hold secrets.
                call.note(webhook_url=delivery.url.partition("?")[0])
            raise self._refusal(rejected) from None
        call.note(webhook=verified.scheme, webhook_key_index=verified.key_index, webhook_event=verified.event_id)
        secret = several(secrets)[verified.key_index]
        try:
            reply = self.scheme.challenge(delivery, secret)
        except WebhookRejected as rejected:
            raise BadRequest(reason=f"{self.scheme.name}: {rejected.reason}") from None
        if reply is not None:
            return await self._answered(reply)
        call.provide(Verified, verified if tenant is None else replace(verified, tenant=tenant))
        call.provide(Owner, self._owner(tenant, secret))
        return self._event(call, delivery, verified)

    def _owner(self, tenant: str | None, secret: Secret) -> Owner:
        """Return whose event it is, where one endpoint takes those of many."""
        if tenant is not None:
            return Owner("tenant", tenant)
        shared = callable(self.secrets) and not isinstance(self.secrets, Certificates)
        return Owner.by(secret) if shared else Owner()

    def _event(self, call: Call, delivery: Delivery, verified: Verified) -> Answer | None:
        """Read the event that the handler asks for."""
        if self.events is None:
            return None
        try:
            call.arguments[self.events.parameter] = self.events.read(delivery.body)
        except UnknownEvent as unknown:
            return ignored(call, self.scheme, verified, unknown.event_type)
        return None

    async def _answered(self, reply: Reply) -> Answer:
        if reply.visit is not None:
            try:
                await self.fetch(reply.visit)
            except Exception as problem:  # a client's own errors are of any class, and none of them is the sender's
                reason = f"{self.scheme.name}: {type(problem).__name__} of the confirmation"
                raise ServiceUnavailable(headers={"Retry-After": "30"}, reason=reason) from problem
        return Answer(response(reply))

    async def _delivery(self, call: Call) -> Delivery:
        body = await call.body()
        # Chunks make a length beside them void (RFC 9112, section 6.3), and anybody may write one.
        declared = None if b"transfer-encoding" in call.headers else call.header(b"content-length")
        if not body and int(declared or 0) > 0:
            raise ConfigurationError(
                "verify_webhook: the body was consumed upstream of the signature's check; take out the middleware that "
                "reads it, or let it replay what it read"
            )
        return Delivery(body, call.scope["headers"], call.method, (self.public_url or "") + _target(call.scope))

    async def _secrets(self, delivery: Delivery) -> tuple[str | None, Secrets]:
        """Return whose secrets are tried, where that is known, and the secrets."""
        if not callable(self.secrets):
            return None, self.secrets
        secrets = self.secrets(delivery)
        if inspect.isawaitable(secrets):
            secrets = await secrets
        if isinstance(secrets, Tenant):
            return secrets.name, secrets.secrets
        if not isinstance(secrets, (str, bytes, list, tuple, type(None))):
            raise ConfigurationError(
                f"{function_name(self.secrets)} returned a {type(secrets).__name__}; return a secret, a list of them, "
                "a Tenant, or None for nobody"
            )
        return None, () if secrets is None else secrets

    def _refusal(self, rejected: WebhookRejected) -> ApiError:
        reason = f"{self.scheme.name}: {rejected.reason}"
        if self.on_invalid == 400:
            return BadRequest(_MESSAGE, code=_CODE, reason=reason)
        # A 401 has to carry a challenge (RFC 9110, section 15.5.2). This one names no sender and no header.
        return Unauthorized(_MESSAGE, code=_CODE, headers={"WWW-Authenticate": "Webhook"}, reason=reason)


def verify_webhook(
    scheme: Scheme,
    *,
    secrets: Secrets | SecretsOf | None = None,
    once: bool | Once | DeliveryStore = False,
    public_url: str | None = None,
    on_invalid: Literal[400, 401] = 401,
    allow_unsigned_body: bool = False,
    fetch: Fetch = fetch_https,
) -> Decorator:
    """Let only deliveries pass that their sender signed, and with *once*, each only once.

    The handler may ask for `Verified`, for its `Event[...]`, which is read from the verified bytes, and with *once*
    for the `Claim`.

    Args:
        scheme: the sender's: `stripe()`, `github()`, `hmac_scheme(...)`, or your own `Scheme`.
        secrets: one or several, newest first; or a function of the delivery that returns them, for tenants; what
            returns none refuses. Senders that name a certificate in each delivery need none.
        once: handle each event once: True remembers in the gate's storage, for four days; `Once(...)` says where and
            for how long; or a store of your own, such as `SqlDeliveries`.
        public_url: the origin that senders call, such as "https://api.example.com", with the path that a proxy takes
            off; for schemes that sign it. It is never guessed from the request.
        on_invalid: the status of every refusal: 401, or 400 for senders that want one. The log alone has the reason.
        allow_unsigned_body: take a scheme that does not sign the body, which anybody on the way could change.
        fetch: gets certificates, and confirms subscriptions, over https; for a client of yours.

    Raises:
        ConfigurationError: for a secret that is empty or of another kind, and for a scheme that signs no body.
    """
    if not hasattr(scheme, "verify"):
        raise ConfigurationError(f"verify_webhook({scheme!r}): write a scheme, such as stripe() with its parentheses")
    if "body" not in scheme.covers and not allow_unsigned_body:
        raise ConfigurationError(
            f"verify_webhook({scheme!r}): this scheme does not sign the body; anyone could change it. Where you fetch "
            "what it speaks of from the sender, write allow_unsigned_body=True"
        )
    if on_invalid not in (400, 401):
        raise ConfigurationError(f"verify_webhook(on_invalid={on_invalid}): write 400 or 401")
    if not is_async(fetch):
        raise ConfigurationError(f"verify_webhook(fetch={fetch!r}): write it as an `async def` that takes the address")
    verify = VerifyWebhook(scheme, _given(scheme, secrets, fetch), _origin(scheme, public_url), on_invalid, fetch)
    rules = Once.of(once)
    return guarded_by(verify) if rules is None else guarded_by(verify, HandleOnce(rules, scheme))


def _given(scheme: Scheme, secrets: Secrets | SecretsOf | None, fetch: Fetch) -> tuple[Secret, ...] | SecretsOf:
    if secrets is None and isinstance(scheme, Certified):
        return Certificates(scheme, fetch)
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
    """Return path and query as they came over the wire.

    Raises:
        BadRequest: for a whole address (RFC 9112, section 3.2.2), whose host would be anybody's word.
    """
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    if not raw.startswith(b"/"):
        raise BadRequest(reason="the target of the request is no path")
    path = raw.partition(b"?")[0].decode("latin-1")
    query: bytes = scope.get("query_string", b"")
    return f"{path}?{query.decode('latin-1')}" if query else path
