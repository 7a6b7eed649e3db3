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
from typing import ClassVar

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
    """

    status: ClassVar[int] = 400
    default_code: ClassVar[str] = "error"
    default_message: ClassVar[str] = "The request cannot be answered"

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        status: int | None = None,
        details: Details | None = None,
        headers: Mapping[str, str] | None = None,
        reason: str | None = None,
    ) -> None:
        self.message = self.default_message if message is None else message
        self.code = self.default_code if code is None else code
        self.details: Details = {} if details is None else details
        self.reason = reason
        super().__init__(self.status if status is None else status, self.message, headers)
        if self.status_code < 400:
            raise ConfigurationError(f"{type(self).__name__}(status={status}): an error is 400 or more; return ok(...)")

    def __str__(self) -> str:
        return f"{self.status_code} {self.code}: {self.message}"


class BadRequest(ApiError):
    """Refuse a request that cannot be understood."""

    status, default_code, default_message = 400, "bad_request", "The request is malformed"


class InvalidInput(BadRequest):
    """Refuse input that was understood but does not fit its schema."""

    default_code, default_message = "validation_failed", "The input is not valid"


class Unauthorized(ApiError):
    """Refuse a caller who is not known (RFC 9110, section 15.5.2: send a challenge along)."""

    status, default_code, default_message = 401, "unauthorized", "Authentication is required"


class Forbidden(ApiError):
    """Refuse a caller who is known but not allowed."""

    status, default_code, default_message = 403, "forbidden", "You are not allowed to do this"


class NotFound(ApiError):
    """Say that there is nothing here, or nothing that the caller may know of."""

    status, default_code, default_message = 404, "not_found", "Not found"


class MethodNotAllowed(ApiError):
    """Say that the resource exists but not for this method."""

    status, default_code, default_message = 405, "method_not_allowed", "Method not allowed"


class RequestTimeout(ApiError):
    """Give up on a client that sends too slowly."""

    status, default_code, default_message = 408, "request_timeout", "The request took too long to arrive"


class Conflict(ApiError):
    """Say that the request collides with the present state."""

    status, default_code, default_message = 409, "conflict", "The request conflicts with the current state"


class PayloadTooLarge(ApiError):
    """Refuse a body over its cap."""

    status, default_code, default_message = 413, "payload_too_large", "The request body is too large"


class UnsupportedMedia(ApiError):
    """Refuse a body of a type that the handler does not read."""

    status, default_code, default_message = 415, "unsupported_media_type", "The content type is not supported"


class TooManyRequests(ApiError):
    """Refuse a caller who is over a limit; say when to come back with `Retry-After`."""

    status, default_code, default_message = 429, "too_many_requests", "Too many requests"


class InternalError(ApiError):
    """Answer for a fault of our own; the text is fixed, so that nothing leaks."""

    status, default_code, default_message = 500, "internal_error", "Internal server error"


class BadGateway(ApiError):
    """Say that a service behind this one failed."""

    status, default_code, default_message = 502, "bad_gateway", "A service behind this one failed"


class ServiceUnavailable(ApiError):
    """Say that the service cannot answer now."""

    status, default_code, default_message = 503, "service_unavailable", "The service is unavailable"


class GatewayTimeout(ApiError):
    """Say that a service behind this one, or the handler, took too long."""

    status, default_code, default_message = 504, "gateway_timeout", "The operation took too long"
