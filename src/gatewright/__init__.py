"""Composable, typed hardening decorators for ASGI."""
