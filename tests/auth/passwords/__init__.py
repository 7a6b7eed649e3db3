"""Tests of how passwords are hashed, compared and chosen."""
