"""A token that only a page of the session itself can know, for browsers that do not say where a request comes from."""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gatewright._core.form_field import UnreadableFormError, form_field
from gatewright._core.hidden import TOKEN
from gatewright.errors import Unauthorized

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["FIELD", "HEADER", "SessionTokens", "csrf_token", "token_problem"]

HEADER = "X-CSRF-Token"
FIELD = TOKEN

_HEADER = HEADER.lower().encode()
_PURPOSE = b"gatewright.csrf"
_BYTES = 32
_TOKEN = re.compile(rb"[A-Za-z0-9_-]{86}")


def csrf_token(call: Call) -> str:
    """Return a token for the forms and scripts of a page, for `cross_origin(missing="token")`.

    It belongs to the caller's session: it is worth nothing in another one, nor after the next login. Every call makes
    another text of it, so that compression does not give it away (the BREACH attack). Let the page send it back in the
    header `X-CSRF-Token`, or in the field `csrf_token` of a form.

    Raises:
        Unauthorized: where the caller has no session; a token that belongs to nobody would protect nobody.
        ConfigurationError: where the gate has no keys.
    """
    tokens = SessionTokens(call.gate.require_keys("csrf_token()"))
    sid = None if call.principal is None else call.principal.sid
    if sid is None:
        raise Unauthorized(reason="csrf_token() wants a session; this caller has none")
    return tokens.issue(sid, call.gate.entropy(_BYTES))


class SessionTokens:
    """Make tokens of sessions, and compare them.

    A token is a mask, and the HMAC-SHA256 of the session's id under the mask, in base64url: 86 characters.

    Args:
        keys: secrets, newest first: tokens are made with the first one, all of them count.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Sequence[bytes]) -> None:
        # Derived, so that a token is nothing that the same secrets sign elsewhere.
        self._keys = tuple(hmac.digest(key, _PURPOSE, "sha256") for key in keys)

    def issue(self, sid: str, mask: bytes) -> str:
        """Return the token of a session under *mask*, 32 bytes that nobody can guess."""
        masked = _xor(mask, _proof(self._keys[0], sid))
        return urlsafe_b64encode(mask + masked).rstrip(b"=").decode("ascii")

    def fits(self, token: bytes, sid: str) -> bool:
        """Say whether *token* is one of the session; in the same time whichever key it was made with."""
        if _TOKEN.fullmatch(token) is None:
            return False
        raw = urlsafe_b64decode(token + b"==")
        given, fits = _xor(raw[:_BYTES], raw[_BYTES:]), False
        for key in self._keys:
            fits |= hmac.compare_digest(given, _proof(key, sid))
        return fits


async def token_problem(call: Call, tokens: SessionTokens) -> str | None:
    """Return what is wrong with the token of a call; None where it is the session's.

    Raises:
        PayloadTooLarge: for a form over the handler's cap.
    """
    sid = None if call.principal is None else call.principal.sid
    if sid is None:
        return "no session that a token could belong to"
    given = call.header_values(_HEADER)
    if not given:
        given = await _in_form(call)
    if len(given) != 1:
        return f"{HEADER} or {FIELD} more than once" if given else f"neither {HEADER} nor {FIELD}"
    return None if tokens.fits(given[0], sid) else f"{HEADER} or {FIELD} of another session"


async def _in_form(call: Call) -> list[bytes]:
    try:
        return [value.encode("ascii", "replace") for value in await form_field(call, FIELD)]
    except UnreadableFormError:
        return []


def _proof(key: bytes, sid: str) -> bytes:
    return hmac.digest(key, sid.encode(errors="surrogatepass"), "sha256")


def _xor(mask: bytes, text: bytes) -> bytes:
    return (int.from_bytes(mask, "big") ^ int.from_bytes(text, "big")).to_bytes(_BYTES, "big")
