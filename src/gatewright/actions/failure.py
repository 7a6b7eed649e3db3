"""What went wrong, as a page can show it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from gatewright._core.outcome import Outcome
from gatewright.errors import InternalError
from gatewright.validation.values import is_object

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["Failure", "failure_of"]


Errors: TypeAlias = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Failure:
    """Say what was refused, in words that the client may read.

    Attributes:
        message: one sentence.
        code: the same for programs.
        errors: messages by input path.
    """

    message: str
    code: str
    errors: Errors


def failure_of(outcome: Outcome, call: Call) -> Failure | None:
    """Return what *outcome*, an error, says; None where its author wrote it, as his own response.

    What was rendered on the way is known to the call. An answer that was kept, and is given again, is read.
    """
    error = call.refused_with
    if error is not None:
        message = InternalError.default_message if error.status_code == 500 else error.message
        return Failure(message, error.code, error.details)
    return _read(outcome.body) if outcome.app is None and outcome.body else None


def _read(body: bytes) -> Failure | None:
    try:
        facts: object = json.loads(body)
    except ValueError:
        return None
    if not is_object(facts):
        return None
    message, errors = facts.get("error", facts.get("title")), facts.get("details")
    if not isinstance(message, str):
        return None
    return Failure(message, str(facts.get("code", "error")), cast(Errors, errors) if is_object(errors) else {})
