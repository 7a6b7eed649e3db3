"""How strictly each source is read, and what an empty entry is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, TypeAlias

from gatewright.errors import ConfigurationError
from gatewright.validation.sources import SOURCES
from gatewright.validation.values import is_array

__all__ = ["Empty", "Manner"]

Empty: TypeAlias = Literal["keep", "missing"]
"""Take an empty entry of a form or a query for an empty text, or for one that is not there."""

_PLACES = tuple(dict.fromkeys(source.place for source in SOURCES))


@dataclass(frozen=True, slots=True)
class Manner:
    """Say how the sources of one handler are read.

    Attributes:
        strict: the sources, in the words of `Source.place`, whose values have to be of the type itself.
        drops_empty: whether an empty entry of a form or a query counts as absent.
    """

    strict: frozenset[str] = frozenset()
    drops_empty: bool = False

    @classmethod
    def of(cls, strict: bool | Collection[str], empty: Empty) -> Manner:
        """Read what an author wrote.

        Raises:
            ConfigurationError: for a source, or a policy, that there is not.
        """
        if empty not in ("keep", "missing"):
            raise ConfigurationError(f'validate(empty={empty!r}): write empty="keep" or empty="missing"')
        if isinstance(strict, bool):
            return cls(frozenset(_PLACES if strict else ()), empty == "missing")
        named = is_array(strict) or isinstance(strict, (set, frozenset))
        if not named or not set(strict) <= set(_PLACES):
            raise ConfigurationError(
                f"validate(strict={strict!r}): write True, or a list of sources among {', '.join(_PLACES)}"
            )
        return cls(frozenset(strict), empty == "missing")
