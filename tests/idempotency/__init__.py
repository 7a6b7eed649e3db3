"""Doing once what is asked for twice."""
