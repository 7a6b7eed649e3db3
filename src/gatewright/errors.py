"""Every error of the library, in one tree.

::

    Exception
    ├── ConfigurationError            a decorator, a gate or a combination is wrong; raised at import or at start
    └── HTTPException                 Starlette's
        └── ApiError                  an answer of 400 or more; its message is public by contract
            ├── BadRequest            400 bad_request
            │   └── InvalidInput      400 validation_failed (a gate may choose 422)
            ├── Unauthorized          401 unauthorized
            ├── Forbidden             403 forbidden
            ├── NotFound              404 not_found
            ├── MethodNotAllowed      405 method_not_allowed
            ├── RequestTimeout        408 request_timeout
            ├── Conflict              409 conflict
            ├── PayloadTooLarge       413 payload_too_large
            ├── UnsupportedMedia      415 unsupported_media_type
            ├── TooManyRequests       429 too_many_requests
            ├── InternalError         500 internal_error
            ├── BadGateway            502 bad_gateway
            ├── ServiceUnavailable    503 service_unavailable
            └── GatewayTimeout        504 gateway_timeout

An `ApiError` is a Starlette `HTTPException`, so it renders in an app that never met a gate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from starlette.exceptions import HTTPException

__all__ = [
    "ApiError",
    "BadGateway",
    "BadRequest",
    "ConfigurationError",
    "Conflict",
    "Forbidden",
    "GatewayTimeout",
    "InternalError",
    "InvalidInput",
    "MethodNotAllowed",
    "NotFound",
    "PayloadTooLarge",
    "RequestTimeout",
    "ServiceUnavailable",
    "TooManyRequests",
    "Unauthorized",
    "UnsupportedMedia",
]

Details = Mapping[str, Sequence[str]]


class ConfigurationError(Exception):
    """Tell the developer what is wrong, and what to write instead."""


class ApiError(HTTPException):
    """Refuse a request with a status, a code for programs and a message for people.

    Args:
        message: what the client may read; the class has a default.
        code: what a client program may switch on; the class has a default.
        status: the HTTP status; the class has a default.
        details: messages by input path, for errors that belong to fields.
        headers: response headers that belong to this refusal (a challenge, `Retry-After`).
        reason: why, for the log only; never sent.
        problem_type: the URI of the kind of problem, for clients that prefer problem details (RFC 9457).
        facts: further members of the problem details; public, like the message.
    """

    status: ClassVar[int] = 400
    default_code: ClassVar[str] = "error"
    default_message: ClassVar[str] = "The request cannot be answered"

    def __init_subclass__(
        cls, *, status: int | None = None, code: str | None = None, message: str | None = None, **others: Any
    ) -> None:
        """Take the defaults of a class from its first line: `class Gone(ApiError, status=410, code="gone")`."""
        super().__init_subclass__(**others)
        cls.status = cls.status if status is None else status
        cls.default_code = cls.default_code if code is None else code
        cls.default_message = cls.default_message if message is None else message

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        status: int | None = None,
        details: Details | None = None,
        headers: Mapping[str, str] | None = None,
        reason: str | None = None,
        problem_type: str | None = None,
        facts: Mapping[str, object] | None = None,
    ) -> None:
        self.message: str = self.default_message if message is None else message
        self.code: str = self.default_code if code is None else code
        self.details: Details = {} if details is None else details
        self.reason: str | None = reason
        self.problem_type: str = "about:blank" if problem_type is None else problem_type
        self.facts: Mapping[str, object] = {} if facts is None else facts
        # Where nobody chose one, a gate may: `Gate(invalid_status=422)`.
        self.has_own_status: bool = status is not None
        super().__init__(self.status if status is None else status, self.message, headers)
        if self.status_code < 400:
            raise ConfigurationError(f"{type(self).__name__}(status={status}): an error is 400 or more; return ok(...)")

    def __str__(self) -> str:
        return f"{self.status_code} {self.code}: {self.message}"


class BadRequest(ApiError, status=400, code="bad_request", message="The request is malformed"):
    """Refuse a request that cannot be understood."""


class InvalidInput(BadRequest, code="validation_failed", message="The input is not valid"):
    """Refuse input that was understood but does not fit its schema."""


class Unauthorized(ApiError, status=401, code="unauthorized", message="Authentication is required"):
    """Refuse a caller who is not known (RFC 9110, section 15.5.2: send a challenge along)."""


class Forbidden(ApiError, status=403, code="forbidden", message="You are not allowed to do this"):
    """Refuse a caller who is known but not allowed."""


class NotFound(ApiError, status=404, code="not_found", message="Not found"):
    """Say that there is nothing here, or nothing that the caller may know of."""


class MethodNotAllowed(ApiError, status=405, code="method_not_allowed", message="Method not allowed"):
    """Say that the resource exists but not for this method."""


class RequestTimeout(ApiError, status=408, code="request_timeout", message="The request took too long to arrive"):
    """Give up on a client that sends too slowly."""


class Conflict(ApiError, status=409, code="conflict", message="The request conflicts with the current state"):
    """Say that the request collides with the present state."""


class PayloadTooLarge(ApiError, status=413, code="payload_too_large", message="The request body is too large"):
    """Refuse a body over its cap."""


class UnsupportedMedia(ApiError, status=415, code="unsupported_media_type", message="The content type is not taken"):
    """Refuse a body of a type that the handler does not read."""


class TooManyRequests(ApiError, status=429, code="too_many_requests", message="Too many requests"):
    """Refuse a caller who is over a limit; say when to come back with `Retry-After`."""


class InternalError(ApiError, status=500, code="internal_error", message="Internal server error"):
    """Answer for a fault of our own; the text is fixed, so that nothing leaks."""


class BadGateway(ApiError, status=502, code="bad_gateway", message="A service behind this one failed"):
    """Say that a service behind this one failed."""


class ServiceUnavailable(ApiError, status=503, code="service_unavailable", message="The service is unavailable"):
    """Say that the service cannot answer now."""


class GatewayTimeout(ApiError, status=504, code="gateway_timeout", message="The operation took too long"):
    """Say that a service behind this one, or the handler, took too long."""
