"""Read a parameter from the JSON body."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import ValidationError
from pydantic_core import from_json

from gatewright.validation.compiled import Compiled
from gatewright.validation.media import JSON, is_json, refuse_unless_empty
from gatewright.validation.problems import ROOT, Problems

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["BodyReader", "JsonReader"]

_UNSET = inspect.Parameter.empty
_NOT_JSON = "The body is not valid JSON"


class BodyReader(Protocol):
    """Fill parameters from the body."""

    async def read(self, call: Call, problems: Problems) -> None:
        """Read the body and put what it holds into `call.arguments`, or say what is wrong with it."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class JsonReader:
    """Read one parameter from a JSON body (RFC 8259; of duplicate keys the last wins).

    Args:
        parameter: its name.
        adapter: the compiled schema.
        absent: what it gets when there is no body; a body is required where this is unset.
        strict: whether values have to be of the type itself.
        accepted: the types of body that the handler takes, for whoever sent another.
    """

    parameter: str
    adapter: Compiled
    absent: Any
    strict: bool = False
    accepted: str = "application/json"

    async def read(self, call: Call, problems: Problems) -> None:
        """Read the parameter.

        Raises:
            UnsupportedMedia: for a body of another type, or of none.
        """
        kind = call.header(b"content-type")
        if kind not in JSON and not is_json(kind):
            await refuse_unless_empty(call, self.accepted)
        body = await call.body()
        if not body:
            if self.absent is _UNSET:
                problems.add(ROOT, "A body is required")
            call.arguments[self.parameter] = self.absent
        elif (b"NaN" in body or b"Infinity" in body) and not _is_json(body):
            problems.add(ROOT, _NOT_JSON)
        else:
            try:
                call.arguments[self.parameter] = self._validate(body)
            except ValidationError as error:
                _explain(error, body, problems)

    def _validate(self, body: bytes) -> Any:
        return self.adapter.validate_strict_json(body) if self.strict else self.adapter.validate_json(body)


def _is_json(body: bytes) -> bool:
    """Say whether *body* is JSON without the numbers that RFC 8259, section 6, does not have."""
    try:
        from_json(body, allow_inf_nan=False)
    except ValueError:
        return False
    return True


def _explain(error: ValidationError, body: bytes, problems: Problems) -> None:
    try:
        given = from_json(body)
    except ValueError:
        problems.add(ROOT, _NOT_JSON)
    else:
        problems.explain(error, given)
