"""Which passwords may be chosen: by NIST's rules, or by those that are older."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Protocol, runtime_checkable
from unicodedata import normalize

from gatewright.auth.passwords.blocklist import common_passwords, plain, unit_of
from gatewright.errors import ConfigurationError

__all__ = ["LONGEST", "TOO_LONG", "ClassicPolicy", "NistPolicy", "Policy"]

LONGEST = 1024
"""Nobody types a longer password, in characters; and nothing has to be done for one."""

TOO_LONG = f"Should have at most {LONGEST} characters"

_SHORTEST = 8
_SHORTEST_WORD = 4
_TOO_COMMON = "Is among the first that anybody would try"
_TOO_CLOSE = "Should not be made of your name, your address or the name of this service"


@runtime_checkable
class Policy(Protocol):
    """Say which passwords may be chosen."""

    def problems(self, password: str, context: Sequence[str] = ()) -> list[str]:
        """Return what is wrong with *password*, for people; never any part of it.

        Args:
            password: of any length.
            context: what an attacker would try of this very user: the name, the e-mail address.
        """
        ...


@dataclass(frozen=True)
class NistPolicy:
    """Refuse what is short or would be guessed first, and nothing else (NIST SP 800-63B-4, 3.1.1.2; ASVS 5.0, 6.2).

    No rule about kinds of characters: those make passwords that people write down, and `Passw0rd!`.

    Args:
        min: the fewest characters: 15, or down to 8 where a second factor is asked for too.
        blocklist: further passwords that are refused, in any case.
        context: words that belong to the service, such as its name; a password may have them, but not consist of them.

    Raises:
        ConfigurationError: for fewer than 8 characters or more than 64, and for a str in place of several.
    """

    min: int = 15
    _: KW_ONLY
    blocklist: Collection[str] = field(default=(), repr=False)
    context: Sequence[str] = ()
    _blocked: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        who = type(self).__name__
        # 64 have to be allowed (ASVS 5.0, 6.2.9), so that nothing longer can be demanded.
        if not _SHORTEST <= self.min <= 64:
            raise ConfigurationError(f"{who}(min={self.min}): write 15, and from {_SHORTEST} to 64")
        for name, words in (("blocklist", self.blocklist), ("context", self.context)):
            if isinstance(words, str):
                raise ConfigurationError(f"{who}({name}={words!r}): write {name}=[{words!r}]")
        object.__setattr__(self, "_blocked", frozenset(map(plain, self.blocklist)))

    def problems(self, password: str, context: Sequence[str] = ()) -> list[str]:
        """Return what is wrong with *password*: too short, too long, too common, or made of words of the context."""
        if len(password) > LONGEST:
            return [TOO_LONG]
        # The fewer of both spellings: there are characters that stand for eighteen.
        size = min(len(password), len(normalize("NFKC", password)))
        found = [f"Should have at least {self.min} characters"] if size < self.min else []
        bare = plain(password)
        found += [_TOO_COMMON] if self._is_common(bare) else []
        found += [_TOO_CLOSE] if _consists_of(bare, (*self.context, *context)) else []
        return found

    def _is_common(self, bare: str) -> bool:
        """Say whether a password is on a list, or repeats what is on one, or what is no password by itself."""
        unit = unit_of(bare)
        return self._lists(bare) or (unit != bare and (len(unit) < _SHORTEST or self._lists(unit)))

    def _lists(self, bare: str) -> bool:
        return bare in self._blocked or bare in common_passwords()


@dataclass(frozen=True)
class ClassicPolicy(NistPolicy):
    """Demand kinds of characters too, where an older standard or a customer does.

    ASVS 5.0 (6.2.5) and NIST forbid such rules; use `NistPolicy` where nobody demands them.

    Args:
        min: the fewest characters, from 8.
        blocklist: as for `NistPolicy`.
        context: as for `NistPolicy`.
        upper: demand a letter in upper case.
        lower: demand a letter in lower case.
        digit: demand a digit.
        symbol: demand a character that is neither letter nor digit.
    """

    min: int = _SHORTEST
    _: KW_ONLY
    upper: bool = True
    lower: bool = True
    digit: bool = True
    symbol: bool = True

    def problems(self, password: str, context: Sequence[str] = ()) -> list[str]:
        """Return what is wrong with *password*, for `NistPolicy` or for want of a kind of characters."""
        found = super().problems(password, context)
        return found if len(password) > LONGEST else [*found, *self._missing(password)]

    def _missing(self, password: str) -> Iterator[str]:
        kinds = (
            (self.upper, str.isupper, "Should have a letter in upper case"),
            (self.lower, str.islower, "Should have a letter in lower case"),
            (self.digit, str.isdigit, "Should have a digit"),
            (self.symbol, _is_symbol, "Should have a character that is neither letter nor digit"),
        )
        for demanded, is_one, message in kinds:
            if demanded and not any(map(is_one, password)):
                yield message


def _is_symbol(character: str) -> bool:
    return not character.isalnum()


def _consists_of(bare: str, context: Iterable[str]) -> bool:
    """Say whether a password has too little to it beside words of the context, of which it has one at least."""
    words = sorted({word for text in context for word in _words(text)}, key=len, reverse=True)
    rest = re.sub("|".join(map(re.escape, words)), " ", bare) if words else bare
    return rest != bare and sum(map(str.isalnum, rest)) < _SHORTEST


def _words(text: str) -> Iterator[str]:
    """Yield a name, or what stands before the @ of an address, in one word, and its parts that are words."""
    bare = plain(text[:LONGEST])
    parts = re.split(r"[\W_]+", bare)
    for word in ("".join(re.split(r"[\W_]+", bare.partition("@")[0])), *parts):
        if len(word) >= _SHORTEST_WORD:
            yield word
