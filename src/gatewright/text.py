"""Types of text: what people type into forms, in one spelling, and without control characters.

::

    class Post(BaseModel):
        title: Annotated[Line, Field(min_length=1, max_length=80)]
        slug: Slug
        body: Annotated[PlainText, Field(max_length=10_000)]

Each takes a `str` and returns one; to a type checker it is `str`. Lengths and patterns are checked of what comes out.
What a type does not take, it refuses: nothing is cut out of a text but white space at its ends.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, LiteralString, TypeAlias

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError
from pydantic_core.core_schema import no_info_before_validator_function

__all__ = ["REFUSALS", "Line", "Nfc", "NoControls", "PlainText", "Slug", "Stripped", "Text"]

REFUSALS: Final[Mapping[str, LiteralString]] = {
    "text_controls": "Text should have no control characters",
    "text_lines": "Text should be a single line",
    "text_markup": "Text should have no markup",
    "text_stacked": "Text should have at most 30 accents on one letter",
}
"""What is said of a text that is refused, by the type of pydantic's error."""

# RFC 9839, section 4.3, "Unicode Assignables", leaves these out: legacy controls and noncharacters.
_UNASSIGNABLE = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef" + "".join(
    f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
)
# UAX #9, section 2: with these a text is shown in another order than it is read in ("Trojan Source").
_REORDERING = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_SURROGATES = re.compile("[\ud800-\udfff]")
_CONTROLS = re.compile(f"[{_UNASSIGNABLE}{_REORDERING}]")
_BREAKS = re.compile("[\t\n\r\u2028\u2029]")
_LINE_ENDS = re.compile("\r\n?")
_MARKUP = re.compile("<[A-Za-z/!?]")
# UAX #15, section 13, "Stream-Safe Text Format". Python's normalisation is quadratic in what stands on one letter:
# 400 kB of accents keep it busy for a minute.
_MOST_ACCENTS = 30
# Two accents in one character, that are of no combining class before they are taken apart.
_PAIRS_OF_ACCENTS = "\u0f73\u0f75\u0f81"


def _stripped(text: str) -> str:
    return text.strip()


def _nfc(text: str) -> str:
    accents = 0
    for letter in "" if text.isascii() else text:
        accents = accents + 1 if unicodedata.combining(letter) or letter in _PAIRS_OF_ACCENTS else 0
        if accents > _MOST_ACCENTS:
            raise _refused("text_stacked")
    return unicodedata.normalize("NFC", text)


def _without_controls(text: str) -> str:
    if _CONTROLS.search(text) is not None:
        raise _refused("text_controls")
    return text


def _line(text: str) -> str:
    text = _text(text).strip()
    if _BREAKS.search(text) is not None:
        raise _refused("text_lines")
    return text


def _text(text: str) -> str:
    return _without_controls(_nfc(_LINE_ENDS.sub("\n", text)))


def _plain_text(text: str) -> str:
    text = _text(text)
    if _MARKUP.search(text) is not None:
        raise _refused("text_markup")
    return text


def _refused(kind: LiteralString) -> PydanticCustomError:
    return PydanticCustomError(kind, REFUSALS[kind])


@dataclass(frozen=True, slots=True)
class _Spelled:
    """Bring a text into its one spelling before pydantic looks at it; what is no text is left to pydantic."""

    spell: Callable[[str], str]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_before_validator_function(self._read, handler(source))

    def _read(self, given: object) -> object:
        if not isinstance(given, str):
            return given
        if _SURROGATES.search(given) is not None:
            # Half of a character, which cannot be written; pydantic refuses it in JSON only.
            raise PydanticKnownError("string_unicode")
        return self.spell(given)


Stripped: TypeAlias = Annotated[str, _Spelled(_stripped)]
"""A text without white space at its ends."""

Nfc: TypeAlias = Annotated[str, _Spelled(_nfc)]
"""A text in Unicode's composed form (UAX #15, NFC), so that texts that look the same are the same."""

NoControls: TypeAlias = Annotated[str, _Spelled(_without_controls)]
"""A text without control characters, but for tab and line ends, and without any that reorder what is shown.

Characters of no width stay, such as U+200B and U+200D: Persian, Indic scripts and emoji are written with joiners.
"""

Line: TypeAlias = Annotated[str, _Spelled(_line)]
"""A single line, such as a name or a title: stripped, in NFC, without control characters, tabs and line ends."""

Text: TypeAlias = Annotated[str, _Spelled(_text)]
"""Several lines, as of a text area: in NFC, without control characters; a line end is a line feed."""

PlainText: TypeAlias = Annotated[str, _Spelled(_plain_text)]
"""A `Text` that is no HTML: `<p`, `</`, `<!` and `<?` are refused, and `a < b` is not. No substitute for escaping."""

Slug: TypeAlias = Annotated[str, Field(pattern="^[a-z0-9]+(?:-[a-z0-9]+)*$"), _Spelled(_stripped)]
"""A name for a URL: small letters a to z, digits, and single hyphens between them."""
