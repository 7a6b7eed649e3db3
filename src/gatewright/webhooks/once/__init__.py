"""Handled once: a delivery is claimed, its work is done, and the sender may ask as often as it likes."""

from __future__ import annotations

from gatewright.webhooks.once.contract import Busy, Claim, ClaimLost, DeliveryStore, Done, Once

__all__ = ["Busy", "Claim", "ClaimLost", "DeliveryStore", "Done", "Once"]
