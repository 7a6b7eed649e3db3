"""Composable, typed hardening decorators for ASGI: a handler goes in, a production endpoint comes out.

::

    @with_rate_limit("100/minute")
    @with_auth(session)
    @validate
    async def create_post(body: FromBody[CreatePost], principal: Principal) -> Result[Post]:
        return ok(await posts.create(body, author=principal.sub), status=201)
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from gatewright._core.call import Call as Call
from gatewright._core.clock import Clock as Clock
from gatewright._core.decorate import Decorator as Decorator
from gatewright._core.decorate import compose as compose
from gatewright._core.function import Guarded as Guarded
from gatewright._core.gate import Gate as Gate
from gatewright._core.headers import HeaderPolicy as HeaderPolicy
from gatewright._core.late import late as _late
from gatewright._core.log import Logger as Logger
from gatewright._core.phase import Phase as Phase
from gatewright._core.principal import Principal as Principal
from gatewright._core.storage.opening import Storage as Storage
from gatewright.body_limit import limit_body as limit_body
from gatewright.cookie import Cookie as Cookie
from gatewright.errors import ApiError as ApiError
from gatewright.errors import BadGateway as BadGateway
from gatewright.errors import BadRequest as BadRequest
from gatewright.errors import ConfigurationError as ConfigurationError
from gatewright.errors import Conflict as Conflict
from gatewright.errors import Forbidden as Forbidden
from gatewright.errors import GatewayTimeout as GatewayTimeout
from gatewright.errors import InternalError as InternalError
from gatewright.errors import InvalidInput as InvalidInput
from gatewright.errors import MethodNotAllowed as MethodNotAllowed
from gatewright.errors import NotFound as NotFound
from gatewright.errors import PayloadTooLarge as PayloadTooLarge
from gatewright.errors import RequestTimeout as RequestTimeout
from gatewright.errors import ServiceUnavailable as ServiceUnavailable
from gatewright.errors import TooManyRequests as TooManyRequests
from gatewright.errors import Unauthorized as Unauthorized
from gatewright.errors import UnsupportedMedia as UnsupportedMedia
from gatewright.headers import security_headers as security_headers
from gatewright.lockout import Attempts as Attempts
from gatewright.lockout import lockout as lockout
from gatewright.mapper import ErrorMapper as ErrorMapper
from gatewright.pagination import CursorPage as CursorPage
from gatewright.pagination import CursorParams as CursorParams
from gatewright.pagination import paginate as paginate
from gatewright.rate_limit import Meter as Meter
from gatewright.rate_limit import by_address as by_address
from gatewright.rate_limit import by_header as by_header
from gatewright.rate_limit import by_principal as by_principal
from gatewright.rate_limit import by_principal_or_address as by_principal_or_address
from gatewright.rate_limit import metered as metered
from gatewright.rate_limit import with_rate_limit as with_rate_limit
from gatewright.redirect import Redirect as Redirect
from gatewright.redirect import redirect as redirect
from gatewright.result import Err as Err
from gatewright.result import Ok as Ok
from gatewright.result import Page as Page
from gatewright.result import PageParams as PageParams
from gatewright.result import Result as Result
from gatewright.result import err as err
from gatewright.result import ok as ok
from gatewright.timeout import timeout as timeout
from gatewright.validation import Checkbox as Checkbox
from gatewright.validation import Checkboxes as Checkboxes
from gatewright.validation import FromBody as FromBody
from gatewright.validation import FromCookie as FromCookie
from gatewright.validation import FromFile as FromFile
from gatewright.validation import FromForm as FromForm
from gatewright.validation import FromHeader as FromHeader
from gatewright.validation import FromInput as FromInput
from gatewright.validation import FromPath as FromPath
from gatewright.validation import FromQuery as FromQuery
from gatewright.validation import validate as validate

if TYPE_CHECKING:
    from gatewright.actions import ActionState as ActionState
    from gatewright.actions import Previous as Previous
    from gatewright.actions import action as action
    from gatewright.actions import hidden_fields as hidden_fields
    from gatewright.auth import ApiKey as ApiKey
    from gatewright.auth import BearerToken as BearerToken
    from gatewright.auth import Owned as Owned
    from gatewright.auth import SessionCookie as SessionCookie
    from gatewright.auth import cross_origin as cross_origin
    from gatewright.auth import fresh as fresh
    from gatewright.auth import is_self as is_self
    from gatewright.auth import owned as owned
    from gatewright.auth import protect as protect
    from gatewright.auth import public as public
    from gatewright.auth import require as require
    from gatewright.auth import role as role
    from gatewright.auth import same_tenant as same_tenant
    from gatewright.auth import scopes as scopes
    from gatewright.auth import with_auth as with_auth
    from gatewright.concurrency import limit_concurrency as limit_concurrency
    from gatewright.idempotency import idempotent as idempotent
    from gatewright.transactions import Transaction as Transaction
    from gatewright.transactions import transactional as transactional
    from gatewright.webhooks import Verified as Verified
    from gatewright.webhooks import verify_webhook as verify_webhook

__all__ = [
    "ActionState",
    "ApiError",
    "ApiKey",
    "Attempts",
    "BadGateway",
    "BadRequest",
    "BearerToken",
    "Call",
    "Checkbox",
    "Checkboxes",
    "Clock",
    "ConfigurationError",
    "Conflict",
    "Cookie",
    "CursorPage",
    "CursorParams",
    "Decorator",
    "Err",
    "ErrorMapper",
    "Forbidden",
    "FromBody",
    "FromCookie",
    "FromFile",
    "FromForm",
    "FromHeader",
    "FromInput",
    "FromPath",
    "FromQuery",
    "Gate",
    "GatewayTimeout",
    "Guarded",
    "HeaderPolicy",
    "InternalError",
    "InvalidInput",
    "Logger",
    "Meter",
    "MethodNotAllowed",
    "NotFound",
    "Ok",
    "Owned",
    "Page",
    "PageParams",
    "PayloadTooLarge",
    "Phase",
    "Previous",
    "Principal",
    "Redirect",
    "RequestTimeout",
    "Result",
    "ServiceUnavailable",
    "SessionCookie",
    "Storage",
    "TooManyRequests",
    "Transaction",
    "Unauthorized",
    "UnsupportedMedia",
    "Verified",
    "action",
    "by_address",
    "by_header",
    "by_principal",
    "by_principal_or_address",
    "compose",
    "cross_origin",
    "err",
    "fresh",
    "hidden_fields",
    "idempotent",
    "is_self",
    "limit_body",
    "limit_concurrency",
    "lockout",
    "metered",
    "ok",
    "owned",
    "paginate",
    "protect",
    "public",
    "redirect",
    "require",
    "role",
    "same_tenant",
    "scopes",
    "security_headers",
    "timeout",
    "transactional",
    "validate",
    "verify_webhook",
    "with_auth",
    "with_rate_limit",
]

_LATE = {
    "ActionState": "actions",
    "Previous": "actions",
    "action": "actions",
    "hidden_fields": "actions",
    "ApiKey": "auth",
    "BearerToken": "auth",
    "Owned": "auth",
    "SessionCookie": "auth",
    "cross_origin": "auth",
    "fresh": "auth",
    "is_self": "auth",
    "owned": "auth",
    "protect": "auth",
    "public": "auth",
    "require": "auth",
    "role": "auth",
    "same_tenant": "auth",
    "scopes": "auth",
    "with_auth": "auth",
    "limit_concurrency": "concurrency",
    "idempotent": "idempotency",
    "Transaction": "transactions",
    "transactional": "transactions",
    "Verified": "webhooks",
    "verify_webhook": "webhooks",
}

__getattr__: Callable[[str], object] = _late(__name__, _LATE, globals())
