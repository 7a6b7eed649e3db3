"""Names whose values are secret: of keys, fields, headers and query parameters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote_plus

from gatewright.errors import ConfigurationError

__all__ = ["Names"]

# A name is secret when its last words, joined, are one of these: `stripe_secret_key`, `X-Api-Key` and `userSSN` are.
_ENDINGS = frozenset({
    "password", "passwords", "passwd", "passphrase", "passcode", "pwd", "pass", "pin", "pincode", "otp", "totp",
    "secret", "secrets", "token", "jwt", "auth", "authorization", "credential", "credentials", "csrf", "xsrf",
    "cookie", "cookies", "session", "sessions", "sessionid", "sessionkey", "sessid", "sid", "phpsessid", "jsessionid",
    "apikey", "apikeys", "accesskey", "accesskeyid", "secretkey", "privatekey", "signingkey", "encryptionkey",
    "masterkey", "accesstokens", "refreshtokens", "sig", "amzsignature", "googsignature", "samlresponse",
    "clientassertion", "card", "creditcard", "cardnumber", "creditcardnumber", "ccnumber", "cc", "pan", "cvv", "cvc",
    "cvn", "iban", "ssn", "socialsecurity", "socialsecuritynumber",
})  # fmt: skip
# Long enough to be recognised where no boundary sets them apart: `dbpassword`, `accesstoken`, `xapikey`.
_TAILS = ("password", "passwd", "passphrase", "secret", "token", "cookie", "apikey", "secretkey", "privatekey")
# Too general for an ending: `max_tokens` is a number of them.
_WHOLE = frozenset({"tokens"})
# Words after the one that matters: `password_hash`, `tokenValue`, `new_password_confirmation`.
_TRAILING = frozenset(
    {"again", "confirm", "confirmation", "hash", "header", "hex", "plain", "raw", "repeat", "text", "value"}
)

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NOT_WORD = re.compile(r"[\W_]+")
_STEP = re.compile(r"[.\[\]]+")
_LONGEST = 128
_MEMORY = 4096


class Names:
    """Tell which names are secret, whatever their case, their `-` and `_`.

    Args:
        extra: further names; one with a dot, such as `"user.email"`, is a path: that name, but only inside the others.

    Raises:
        ConfigurationError: for a str in place of a list, and for a name without a letter or a digit.
    """

    def __init__(self, extra: Sequence[str] = ()) -> None:
        if isinstance(extra, str):
            raise ConfigurationError(f"redact={extra!r} is a list; write redact=[{extra!r}]")
        paths = [self.steps(name) for name in extra]
        if not all(paths):
            raise ConfigurationError(
                f'redact={list(extra)!r}: write names such as "email" or paths such as "user.email"'
            )
        self._endings = _ENDINGS.union(path[0] for path in paths if len(path) == 1)
        self.paths: tuple[tuple[str, ...], ...] = tuple(path for path in paths if len(path) > 1)
        self._known: dict[str, bool] = {}

    def secret(self, name: str, trail: tuple[str, ...] = ()) -> bool:
        """Say whether what is called *name* is secret, *trail* being the steps to what holds it."""
        known = self._known.get(name)
        if known is None:
            known = self._learn(name)
        return known or (bool(self.paths) and self._on_path((*trail, *self.steps(name))))

    def steps(self, name: str) -> tuple[str, ...]:
        """Return the steps of a path, each in the form that is compared: `User.e-mail` is `user`, `email`."""
        return tuple(step for part in _STEP.split(name[-_LONGEST:]) if (step := "".join(_words(part))))

    def _on_path(self, steps: tuple[str, ...]) -> bool:
        return any(steps[-len(path) :] == path for path in self.paths)

    def _learn(self, name: str) -> bool:
        if len(self._known) >= _MEMORY:
            self._known.clear()
        known = self._ends_secret(name[-_LONGEST:])
        if len(name) <= _LONGEST:
            self._known[name] = known
        return known

    def _ends_secret(self, name: str) -> bool:
        parts = [part for part in _STEP.split(unquote_plus(name)) if part]
        words = _words(parts[-1]) if parts else []
        while len(words) > 1 and words[-1] in _TRAILING:
            words.pop()
        endings = ["".join(words[start:]) for start in range(len(words))]
        return bool(endings) and (
            not self._endings.isdisjoint(endings) or endings[0] in _WHOLE or endings[0].endswith(_TAILS)
        )


def _words(name: str) -> list[str]:
    """Split a name at its marks and humps, without the digits that number it: `apiKey_2` is `api`, `key`."""
    words = (word.rstrip("0123456789") for word in _NOT_WORD.split(_CAMEL.sub("_", name).casefold()))
    return [word for word in words if word]
