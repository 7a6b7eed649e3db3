"""Values without the secrets that they hold, at any depth: JSON and nothing else, always finite."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date, time
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import islice
from pathlib import PurePath
from types import TracebackType
from typing import Any, cast
from uuid import UUID

from pydantic_core import ValidationError

from gatewright._core.members import members_of
from gatewright._core.names import Names
from gatewright._core.scrub import REDACTED, neutral, scrub

__all__ = ["REDACTED", "TRUNCATED", "UNREADABLE", "Redactor"]

TRUNCATED = "[truncated]"
UNREADABLE = "[unreadable]"
_CYCLE = "[cycle]"

_DEPTH = 12
_WIDTH = 128
_BUDGET = 65_536
"""How much of a value is shown: its items and the characters of its texts, together."""
_OUTER_FRAMES, _INNER_FRAMES = 8, 24
_EXCEPTIONS = 16
_SHORT = 256
_MEMORY = 1024

_PLAIN = frozenset({bool, float, type(None)})
_SMALL = 10**12  # no card number yet
_LARGE = 2**256
_BYTES = (bytes, bytearray, memoryview)
_SEQUENCES = (list, tuple, Set, deque)
_SPOKEN = (UUID, Decimal, PurePath, IPv4Address, IPv4Network, IPv6Address, IPv6Network)
# Of the tokens that `scrub` knows, how those begin that are letters and digits alone.
_TOKENS = ("eyJ", "AKIA", "ASIA", "AIza")

Trail = tuple[str, ...]

_OF_FASTAPI = ("fastapi.exceptions", "ValidationException")


class Redactor:
    """Take secrets out of whatever is about to be logged: by name, by path, and by what a text looks like.

    What comes out is None, bool, int, float, str, list, and dict with str keys, whatever went in; texts carry no
    control characters. It never raises; cycles, depth and size end in a mark.

    Args:
        names: further names that are secret, beside the built-in ones; case, `-` and `_` make no difference,
            and `"email"` covers `user_email`. One with a dot, such as `"user.email"`, is a path.

    Raises:
        ConfigurationError: for a str in place of a list, and for a name without a letter.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._names = Names(names)
        # What was found to be harmless; the same names, routes and addresses come back with every request.
        self._harmless: set[str] = set()
        self._clean: set[str] = set()

    def fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of a log event without secrets: the same dict, where they are flat and hold none."""
        harmless, clean, small = self._harmless, self._clean, _SMALL
        for name, value in fields.items():
            if name not in harmless:
                break
            kind = type(value)  # pyright: ignore[reportUnknownVariableType]  of Any nothing is known
            if kind is str:
                if value not in clean and not _is_word(value):
                    break
            elif kind is int:
                if not 0 <= value < small:
                    break
            elif kind not in _PLAIN:
                break
        else:
            return fields
        shown = self.value(fields)
        if not isinstance(shown, dict):
            # The stack was almost used up.
            return {"fields": shown}
        for name in fields:
            if name in shown and len(name) <= _SHORT and not self._names.secret(name):
                _remember(harmless, name)
        return cast("dict[str, Any]", shown)

    def value(self, value: object) -> Any:
        """Return *value* without secrets, as JSON has it."""
        return _Walk(self, self._names).value(value, ())

    def text(self, text: str) -> str:
        """Return *text* without secrets, printable, and cut where it is very long."""
        text = str.__str__(text)
        if len(text) > _SHORT:
            return scrub(text, self._names)
        if text in self._clean:
            return text
        word = _is_word(text)
        scrubbed = text if word else scrub(text, self._names)
        # A long word is an id, most likely, which does not come back.
        if scrubbed == text and not (word and len(text) > 16):
            _remember(self._clean, text)
        return scrubbed

    def texts(self, texts: Mapping[str, str]) -> dict[str, str]:
        """Return *texts* without secrets, whatever their names, which are ours."""
        clean = self._clean
        return {name: text if text in clean else self.text(text) for name, text in texts.items()}

    def exception(self, exc: BaseException) -> dict[str, Any]:
        """Return an exception as type, message, frames (file, line, function; no source, no locals) and causes."""
        try:
            return self._exception(exc, set())
        except Exception:
            return {"type": UNREADABLE, "message": UNREADABLE, "frames": []}

    def _exception(self, exc: BaseException, seen: set[int]) -> dict[str, Any]:
        seen.add(id(exc))
        shown: dict[str, Any] = {
            "type": _type_name(exc),
            "message": _Walk(self, self._names).message(exc),
            "frames": _frames(exc.__traceback__),
        }
        if notes := getattr(exc, "__notes__", None):
            shown["notes"] = self.value(notes)
        if isinstance(exc, BaseExceptionGroup):
            parts = cast("BaseExceptionGroup[BaseException]", exc).exceptions
            shown["exceptions"] = [self._exception(part, seen) for part in parts if _is_new(part, seen)]
        before = exc.__context__ if exc.__cause__ is None and not exc.__suppress_context__ else exc.__cause__
        if before is not None and _is_new(before, seen):
            shown["context" if exc.__cause__ is None else "cause"] = self._exception(before, seen)
        return shown


class _Walk:
    """Walk through one value and count what was shown of it."""

    __slots__ = ("_left", "_names", "_open", "_redactor")

    def __init__(self, redactor: Redactor, names: Names) -> None:
        self._redactor = redactor
        self._names = names
        self._left = _BUDGET
        self._open: set[int] = set()

    def value(self, value: object, trail: Trail) -> Any:
        self._left -= 1
        if self._left <= 0:
            return TRUNCATED
        if type(value) in _PLAIN:
            return value
        try:
            if isinstance(value, str):
                return self._text(value)
            if isinstance(value, int):
                return self._number(value)
            if id(value) in self._open:
                return _CYCLE
            return self._opened(value, trail)
        except Exception:
            return UNREADABLE

    def message(self, exc: BaseException) -> str:
        """Return what an exception says, made of its arguments: drivers write a statement's parameters into `str()`.

        A validation error says where and why, never what was submitted.
        """
        try:
            return self._message(exc)
        except Exception:
            return UNREADABLE

    def _message(self, exc: BaseException) -> str:
        errors = _validation_errors(exc)
        if errors is not None:
            return self._text("; ".join(f"{error['type']} at {'.'.join(map(str, error['loc']))}" for error in errors))
        if not exc.args:
            return self._text(str(exc))
        shown = [self.value(part, ()) for part in exc.args[:_WIDTH]]
        return ", ".join(part if isinstance(part, str) else repr(part) for part in shown)

    def _text(self, text: str) -> str:
        text = self._redactor.text(text)
        self._left -= len(text)
        return text

    def _number(self, number: int) -> int | str:
        # Without what an enumeration or another subclass makes of its representation.
        number = int.__pos__(number)
        if -_SMALL < number < _SMALL:
            return number
        if not -_LARGE < number < _LARGE:
            return TRUNCATED
        return REDACTED if REDACTED in self._text(str(number)) else number

    def _opened(self, value: object, trail: Trail) -> Any:
        if len(self._open) >= _DEPTH:
            return TRUNCATED
        self._open.add(id(value))
        try:
            return self._inside(value, trail)
        finally:
            self._open.discard(id(value))

    def _inside(self, value: object, trail: Trail) -> Any:
        if hasattr(type(value), "get_secret_value"):
            return REDACTED
        if isinstance(value, _BYTES):
            return self._text(bytes(memoryview(cast(bytes, value))[:_BUDGET]).decode("utf-8", "backslashreplace"))
        if isinstance(value, float):
            return float.__pos__(value)
        if isinstance(value, Enum):
            return self.value(value.value, trail)
        if isinstance(value, BaseException):
            return f"{_type_name(value)}: {self.message(value)}"
        if isinstance(value, Mapping):
            return self._mapping(cast("Mapping[object, object]", value).items(), trail)
        members = members_of(value, self._names)
        if members is not None:
            return self._mapping(members, trail)
        if isinstance(value, _SEQUENCES):
            return self._sequence(cast("Iterable[object]", value), trail)
        if isinstance(value, (date, time)):
            return self._text(value.isoformat())
        return self._text(str(value) if isinstance(value, _SPOKEN) else repr(value))

    def _mapping(self, items: Iterable[tuple[object, object]], trail: Trail) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for key, value in islice(items, _WIDTH + 1):
            if len(shown) >= _WIDTH or self._left <= 0:
                shown[TRUNCATED] = TRUNCATED
                break
            label = str(self.value(key, ()))
            shown[label] = self._member(key if isinstance(key, str) else label, value, trail)
        if "loc" in shown and "input" in shown:
            # How pydantic's error records call what was submitted.
            shown["input"] = REDACTED
        return shown

    def _member(self, name: str, value: object, trail: Trail) -> Any:
        if self._names.secret(name, trail):
            return value if value is None or isinstance(value, bool) else REDACTED
        return self.value(value, (*trail, *self._names.steps(name)) if self._names.paths else trail)

    def _sequence(self, items: Iterable[object], trail: Trail) -> list[Any]:
        if isinstance(items, tuple) and len(items) == 2:
            # A header, as ASGI has it.
            key, value = items
            if isinstance(key, (str, bytes)):
                label = self.value(key, ())
                return [label, self._member(label, value, trail)]
        shown = [self.value(item, trail) for item in islice(items, min(_WIDTH, self._left))]
        return [*shown, TRUNCATED] if len(shown) < len(cast("Sequence[object]", items)) else shown


def _is_word(text: str) -> bool:
    """Say whether *text* is short, of letters and digits alone, and neither a token nor a card number."""
    length = len(text)
    if length > _SHORT or not text.isalnum():
        return False
    return length < 11 or not (text.startswith(_TOKENS) or (length < 20 and text.isdigit()))


def _remember(memory: set[str], text: str) -> None:
    if len(memory) >= _MEMORY:
        memory.clear()
    memory.add(text)


def _is_new(exc: BaseException, seen: set[int]) -> bool:
    return id(exc) not in seen and len(seen) < _EXCEPTIONS


def _validation_errors(exc: BaseException) -> Sequence[Mapping[str, Any]] | None:
    """Return the records of pydantic's error, or of FastAPI's, whose `str()` has in it what did not fit."""
    if isinstance(exc, ValidationError):
        found: Any = exc.errors(include_url=False, include_context=False, include_input=False)
        return cast("Sequence[Mapping[str, Any]]", found)
    if not any((kind.__module__, kind.__name__) == _OF_FASTAPI for kind in type(exc).__mro__):
        return None
    told: Any = exc
    return cast("Sequence[Mapping[str, Any]]", told.errors())


def _type_name(exc: BaseException) -> str:
    kind = type(exc)
    return neutral(kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}")


def _frames(traceback: TracebackType | None) -> list[str]:
    """Return the frames, outermost first; of very many, the first and the last."""
    frames: list[str] = []
    inner: deque[str] = deque(maxlen=_INNER_FRAMES)
    count = 0
    while traceback is not None:
        code = traceback.tb_frame.f_code
        frame = neutral(f"{code.co_filename[-_SHORT:]}:{traceback.tb_lineno} {code.co_qualname[-_SHORT:]}")
        (frames if count < _OUTER_FRAMES else inner).append(frame)
        traceback = traceback.tb_next
        count += 1
    if count > _OUTER_FRAMES + _INNER_FRAMES:
        frames.append(TRUNCATED)
    return [*frames, *inner]
