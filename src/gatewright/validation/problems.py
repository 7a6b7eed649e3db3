"""From pydantic's errors to messages by input path. Nothing that was submitted is ever repeated.

A path follows what the client sent: `pet.lives`, where pydantic says `("pet", "Cat", "lives")`. A text is pydantic's
own where it is built from the schema, ours where pydantic would quote the input, and the author's where a validator
of the model raised it and it holds no submitted value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, cast, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticKnownError
from pydantic_core.core_schema import ErrorType

from gatewright.errors import InvalidInput
from gatewright.text import REFUSALS
from gatewright.validation.values import Rows, is_array, is_object

__all__ = ["ROOT", "Problems"]

ROOT = "_root"
"""The path of what belongs to no field."""

_MOST = 50
_LONGEST_TEXT, _LONGEST_PATH = 200, 128
# Pydantic builds every error before it gives the first, so beyond this the count is all that is said.
_READABLE = 1_000
# An author's text is compared with what was submitted, as far as that stays cheap.
_COMPARED_VALUES, _COMPARED_TEXT, _TELLING = 1_000, 1_000, 3

_NOTHING = object()
_GENERIC = "Input is not valid"
_OWN = {
    **REFUSALS,
    "bytes_invalid_encoding": "Data should be valid in its encoding",
    "dataclass_exact_type": "Input should be an object",
    "dataclass_type": "Input should be an object",
    "date_from_datetime_parsing": "Input should be a valid date or datetime",
    "date_parsing": "Input should be a valid date in the format YYYY-MM-DD",
    "datetime_from_date_parsing": "Input should be a valid datetime or date",
    "datetime_object_invalid": "Input should be a valid datetime",
    "datetime_parsing": "Input should be a valid datetime",
    "dict_type": "Input should be an object",
    "is_instance_of": _GENERIC,
    "is_subclass_of": _GENERIC,
    "iteration_error": _GENERIC,
    "json_invalid": "Input should be valid JSON",
    "mapping_type": "Input should be an object",
    "model_attributes_type": "Input should be an object",
    "model_type": "Input should be an object",
    "named_tuple_type": "Input should be an array or an object",
    "time_delta_parsing": "Input should be a valid duration",
    "time_parsing": "Input should be a valid time",
    "timezone_offset": "Input should have the expected timezone offset",
    "url_parsing": "Input should be a valid URL",
    "url_syntax_violation": "Input should be a valid URL",
    "uuid_parsing": "Input should be a valid UUID",
}
_LENGTHS = {
    "too_long": "Value should be at most {max_length} long",
    "too_short": "Value should be at least {min_length} long",
}
_STANDARD = frozenset(get_args(ErrorType))
_FACTS_OF_THE_SCHEMA = frozenset(
    [
        "actual_length",
        "decimal_places",
        "discriminator",
        "expected",
        "expected_schemes",
        "expected_tags",
        "expected_version",
        "field_type",
        "ge",
        "gt",
        "le",
        "lt",
        "max_digits",
        "max_length",
        "min_length",
        "multiple_of",
        "pattern",
        "whole_digits",
    ]
)


class Problems(dict[str, list[str]]):
    """Collect what is wrong with a request, from all its sources: messages by path; empty where all is well."""

    __slots__ = ()

    def add(self, path: str, *messages: str) -> None:
        """Add *messages*, cut to length; those after the fiftieth are dropped."""
        for message in messages:
            if sum(map(len, self.values())) < _MOST:
                self.setdefault(_clean(path, _LONGEST_PATH) or ROOT, []).append(_clean(message, _LONGEST_TEXT))

    def explain(self, error: ValidationError, given: object, names: Mapping[str, str] | None = None) -> None:
        """Add the errors of pydantic about *given*; *names* says what the input calls a top-level field."""
        if error.error_count() > _READABLE:
            self.add(ROOT, "The input has too many errors")
            return
        submitted = _Submitted(given)
        for problem in error.errors(include_url=False, include_input=False)[:_MOST]:
            steps = list(_steps(problem, given))
            if names and steps:
                steps[0] = names.get(steps[0], steps[0])
            self.add(".".join(steps), _text(problem, submitted))

    def refusal(self, status: int) -> InvalidInput:
        """Return the error that says it all."""
        return InvalidInput(details=self, status=status)


def _clean(text: str, length: int) -> str:
    return text[:length].encode("utf-8", "replace").decode()


def _steps(problem: ErrorDetails, given: object) -> Iterator[str]:
    """Walk *given* along pydantic's location, and leave out the steps that only the schema knows."""
    location = problem["loc"]
    for left, step in enumerate(location, 1 - len(location)):
        inside = _inside(given, step)
        if inside is not _NOTHING:
            yield given.names[step] if isinstance(given, Rows) and isinstance(step, int) else str(step)
            given = inside
        elif not left and problem["type"].startswith("missing"):
            yield str(step)


def _inside(given: object, step: int | str) -> object:
    if isinstance(step, int):
        return given[step] if is_array(given) and step < len(given) else _NOTHING
    return given.get(step, _NOTHING) if is_object(given) else _NOTHING


def _text(problem: ErrorDetails, submitted: _Submitted) -> str:
    standard = _standard(problem["type"], problem.get("ctx") or {})
    if standard is not None:
        return standard
    text = problem["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return _GENERIC if not text or submitted.stands_in(text) else text


def _standard(kind: str, facts: Mapping[str, Any]) -> str | None:
    """Return the text that belongs to a type of error, written anew: an author may have borrowed the type."""
    if kind in _OWN:
        return _OWN[kind]
    if kind == "union_tag_invalid" and "expected_tags" in facts:
        return f"Input should have one of the tags {facts['expected_tags']}"
    if kind in _LENGTHS and facts.get("field_type") == "Value":
        # A constraint around a converter, which pydantic takes for one of a list.
        return _LENGTHS[kind].format(**facts)
    if kind not in _STANDARD or not facts.keys() <= _FACTS_OF_THE_SCHEMA:
        return None
    try:
        return PydanticKnownError(cast(ErrorType, kind), dict(facts) or None).message()
    except (KeyError, TypeError):
        return None


class _Submitted:
    """What the client sent, to be looked for in what an author's validator says about it."""

    def __init__(self, given: object) -> None:
        self._given = given

    def stands_in(self, text: str) -> bool:
        """Say whether *text* repeats a submitted value; yes, too, where that would take long to find out."""
        if self._forms is None or len(text) > _COMPARED_TEXT:
            return True
        text = text.casefold()
        return any(form in text for form in self._forms)

    @cached_property
    def _forms(self) -> frozenset[str] | None:
        """Return every value as a text may show it, plain or as a `repr`; None where there are too many."""
        forms: set[str] = set()
        waiting = [self._given]
        for _ in range(_COMPARED_VALUES):
            if not waiting:
                return frozenset(form for form in forms if len(form) >= _TELLING)
            value = waiting.pop()
            if is_object(value):
                waiting.extend(value.values())
            elif is_array(value):
                waiting.extend(value)
            elif value is not None and not isinstance(value, bool):
                plain = str(value).strip().casefold()
                forms |= {plain, repr(plain)[1:-1]}
        return None
