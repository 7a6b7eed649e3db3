"""What a request is, to tell a retry from another one: its key, whose key that is, and what came with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from uuid import UUID

from gatewright._core.callers import By, by_address, by_principal, caller_of, named_caller
from gatewright._core.form_field import UnreadableFormError, form_field
from gatewright.errors import BadRequest

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["caller", "fingerprint", "key_of", "place", "record_name"]

Caller = tuple[str | None, ...]

# A string of RFC 9651, section 3.3.3, or what most clients send: the same without quotes. There a comma would be the
# mark of two headers that a proxy made one.
_KEY = re.compile(rb'[ \t]*(?:"((?:[ !#-\[\]-~]|\\["\\]){1,255})"|([!#-+\--\[\]-~]{1,255}))[ \t]*')
_ESCAPED = re.compile(rb"\\(.)")
_BOUNDARY = re.compile(rb'boundary="?([^\s";,]+)"?', re.IGNORECASE)
_CREDENTIALS = (b"authorization", b"cookie")
# What says the same in every process; the `repr` of other values may be an address in memory.
_PLAIN = (str, int, float, UUID)


async def key_of(call: Call, field: str | None = None) -> str | None:
    """Return the key that the client gave, None where it gave none.

    Args:
        call: the request.
        field: the entry of a form that has the key where no header has one; the header is what a program writes that
            knows what it does, so it wins.

    Raises:
        BadRequest: for two keys, and for what is no key (draft-ietf-httpapi-idempotency-key-header-07, section 2.1);
            for a form that nobody can read.
    """
    values = call.header_values(b"idempotency-key")
    if not values and field is not None:
        values = await _in_form(call, field)
    if not values:
        return None
    found = _KEY.fullmatch(values[0])
    if found is None or len(values) > 1:
        raise BadRequest(
            "Send one Idempotency-Key of 1 to 255 visible ASCII characters, such as a UUID in double quotes",
            code="idempotency_key_malformed",
        )
    quoted, bare = found.groups()
    key: bytes = bare or _ESCAPED.sub(rb"\1", quoted)
    return key.decode("ascii")


async def _in_form(call: Call, field: str) -> list[bytes]:
    try:
        return [value.encode("utf-8", "surrogatepass") for value in await form_field(call, field)]
    except UnreadableFormError:
        # Not taken for a form without a key: its work might be done twice.
        raise BadRequest("The form cannot be read", code="malformed_form") from None


async def caller(call: Call, by: By | None) -> Caller:
    """Return who is calling: nobody is ever given the answer that was another's.

    Raises:
        ConfigurationError: for a caller without a name, and for one without an address where no other name is known.
    """
    if by is not None:
        return "by", await caller_of(call, by)
    principal = call.principal
    if principal is not None:
        return "principal", principal.method, principal.tenant, named_caller(principal.sub, by_principal)
    return "address", named_caller(by_address(call), by_address)


def place(scope: Mapping[str, Any], scope_name: str | None) -> tuple[object, ...]:
    """Return what a key is good for: one resource and method, or everything under one name.

    The path is finer than the route's template, and a parameter of it may be renamed without work being done again.
    """
    if scope_name is not None:
        return "scope", scope_name
    # A host may be matched as well, and the path does not show that.
    found = [str(value) for value in scope.get("path_params", {}).values() if isinstance(value, _PLAIN)]
    return "path", scope["method"], scope.get("root_path", ""), scope["path"], *found


def record_name(*parts: object) -> str:
    """Return the name of a record: a digest, so that it has one size, and nobody reads there who calls."""
    # A repr, so that no two tuples make one name.
    return blake2b(repr(parts).encode(), digest_size=32).hexdigest()


def fingerprint(call: Call, body: bytes, *, known: bool) -> str:
    """Return what tells this request from another under the same key.

    Args:
        call: the request.
        body: its body.
        known: whether its caller has a name. Where that is only an address, the credentials that came along count as
            well: somebody further in may read them, and they may be another's.
    """
    content_type, body = _without_boundary(call.header(b"content-type") or b"", body)
    credentials = [] if known else [call.header_values(name) for name in _CREDENTIALS]
    scope = call.scope
    target = (scope["method"], scope.get("root_path", ""), scope["path"], scope.get("query_string", b""))
    return record_name(target, content_type, blake2b(body).digest(), credentials)


def _without_boundary(content_type: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Take out what a client draws by lot each time it writes the same form (RFC 2046, section 5.1.1)."""
    found = _BOUNDARY.search(content_type) if content_type[:10].lower() == b"multipart/" else None
    if found is None:
        return content_type, body
    rest = content_type[: found.start()] + content_type[found.end() :]
    return rest, body.replace(b"--" + found[1], b"--")
