"""Form handlers that never throw at their caller, and answer each client in its own way."""

from __future__ import annotations

from gatewright.actions.decorator import action
from gatewright.actions.hidden import hidden_fields
from gatewright.actions.pages import Page
from gatewright.actions.previous import Previous
from gatewright.actions.state import ActionState

__all__ = ["ActionState", "Page", "Previous", "action", "hidden_fields"]
