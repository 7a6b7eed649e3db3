"""What the client hears of a fault: which kind it is, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from gatewright.errors import (
    ApiError,
    BadGateway,
    Conflict,
    GatewayTimeout,
    InvalidInput,
    NotFound,
    ServiceUnavailable,
)
from gatewright.faults.fault import Fault, FaultKind

__all__ = ["answer_for"]

Answer = Callable[..., ApiError]


def _unavailable(seconds: str, *, reason: str) -> ApiError:
    # Each with headers of its own, to which others may add.
    return ServiceUnavailable(headers={"Retry-After": seconds}, reason=reason)


_unprocessable = partial(InvalidInput, status=422)
# Others are done with a row soon; a server that is down stays so for longer.
_busy, _down = partial(_unavailable, "1"), partial(_unavailable, "5")

# What is missing here is a mistake of ours, and a 500.
_ANSWERS: Mapping[FaultKind, Answer] = {
    "unique": partial(Conflict, "It exists already"),
    "exclusion": Conflict,
    "still_referenced": partial(Conflict, "It is still in use"),
    "missing_reference": partial(_unprocessable, "Something that the input refers to does not exist"),
    # Either of the two; that the state is in the way is true of both.
    "foreign_key": Conflict,
    "integrity": Conflict,
    "not_null": _unprocessable,
    "check": _unprocessable,
    "bad_data": _unprocessable,
    "serialization": _busy,
    "deadlock": _busy,
    "locked": _busy,
    "stale": partial(Conflict, "It has been changed meanwhile"),
    "not_found": NotFound,
    "timeout": GatewayTimeout,
    "unavailable": _down,
    "upstream_timeout": GatewayTimeout,
    "upstream": BadGateway,
}


def answer_for(fault: Fault) -> ApiError | None:
    """Return the answer for a fault; None for a mistake of ours."""
    answer = _ANSWERS.get(fault.kind)
    # The log may know the constraint.
    return answer and answer(reason=" ".join(filter(None, (fault.kind, fault.constraint))))
