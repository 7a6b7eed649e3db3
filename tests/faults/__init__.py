"""Failures of databases and of services behind this one."""
