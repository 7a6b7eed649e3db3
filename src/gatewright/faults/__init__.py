"""Failures of databases and of services behind this one, told apart without importing a driver."""

from __future__ import annotations

from gatewright.faults.answers import answer_for
from gatewright.faults.classify import classify
from gatewright.faults.fault import Fault, FaultKind

__all__ = ["Fault", "FaultKind", "answer_for", "classify"]
