"""What a guard of your own is made of; `docs/how-to/own-guard.md` builds two."""

from __future__ import annotations

from gatewright._core.call import Call
from gatewright._core.decorate import guarded_by
from gatewright._core.guard import Answer, Guard, Proceed, Surround
from gatewright._core.handler import Handler, Marker
from gatewright._core.outcome import Head, Outcome
from gatewright._core.phase import Phase

__all__ = [
    "Answer",
    "Call",
    "Guard",
    "Handler",
    "Head",
    "Marker",
    "Outcome",
    "Phase",
    "Proceed",
    "Surround",
    "guarded_by",
]
