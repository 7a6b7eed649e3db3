"""Transactions around handlers: a success commits before the first byte leaves, anything else rolls back."""

from __future__ import annotations

from gatewright.transactions.guard import transactional
from gatewright.transactions.marker import Transaction

__all__ = ["Transaction", "transactional"]
