"""Transactions around handlers."""
