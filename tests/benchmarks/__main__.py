"""Print the tables: `python -m tests.benchmarks [table ...] [--rounds N] [--count N] [--profile]`."""

from __future__ import annotations

import argparse
import cProfile
import os
import platform
import pstats
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version

import pytest

from tests.benchmarks import (
    credentials,
    decisions,
    enumeration,
    guards,
    hardened,
    imports,
    layers,
    limiter,
    logins,
    ours,
    over_redis,
    pages,
    refusals,
    sources,
    transactions,
    webhooks,
)
from tests.benchmarks.candidates import creating
from tests.benchmarks.method import Effort, unheard
from tests.benchmarks.table import Table
from tests.benchmarks.wire import LOOP

__all__ = ["main"]

# Each with the share of the rounds that it needs; some do more in one turn.
TABLES: dict[str, tuple[Callable[[Effort], Table], float]] = {
    "hardened": (hardened.table, 1),
    "layers": (layers.table, 1),
    "refusals": (refusals.table, 0.5),
    "guards": (guards.table, 1),
    "decisions": (decisions.table, 0.5),
    "redis": (over_redis.table, 0.5),
    "outage": (over_redis.outage, 1),
    "limiter": (limiter.table, 0.5),
    "credentials": (credentials.table, 1),
    "logins": (logins.table, 0.15),
    "enumeration": (enumeration.table, 0.5),
    "webhooks": (webhooks.table, 1),
    "sources": (sources.table, 0.5),
    "transactions": (transactions.table, 0.5),
    "pages": (pages.table, 0.25),
    "imports": (imports.table, 0.5),
}
_PACKAGES = ("starlette", "pydantic", "fastapi", "slowapi", "limits", "itsdangerous", "structlog", "redis", "uvloop")
_PACKAGES += ("joserfc", "pyjwt", "cryptography", "argon2-cffi", "bcrypt", "stripe", "sqlalchemy", "asyncpg")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Measure what hardening costs.")
    parser.add_argument("tables", nargs="*", metavar="table", help=f"{', '.join(TABLES)}; by default all of them")
    parser.add_argument("--rounds", type=int, default=20, help="turns that each candidate gets (default: 20)")
    parser.add_argument("--count", type=int, default=500, help="requests in one turn (default: 500)")
    parser.add_argument("--profile", action="store_true", help="show where the installed candidate's time goes")
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.tables if name not in TABLES]
    if unknown or asked.rounds < 1 or asked.count < 1:
        parser.error(f"tables are {', '.join(TABLES)}; rounds and count are 1 or more")
    print(_circumstances(asked.rounds, asked.count), flush=True)
    if asked.profile:
        _profile(asked.rounds * asked.count)
        return
    for name in asked.tables or TABLES:
        table, share = TABLES[name]
        try:
            print(table(Effort(asked.rounds, asked.count).part(share)), flush=True)
        except pytest.skip.Exception as missing:
            print(f"({name}: {missing})\n", flush=True)


def _circumstances(rounds: int, count: int) -> str:
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    lines = [
        f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores{load}, {LOOP}, up to {rounds} rounds of {count}",
        ", ".join(f"{package} {_version(package)}" for package in _PACKAGES),
    ]
    return "\n\n".join(lines) + "\n"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _profile(count: int) -> None:
    """Show the functions in which the installed candidate spends most, and what they call included."""
    profile = cProfile.Profile()
    with unheard(), creating(ours.installed)() as work:
        work(count)
        profile.enable()
        work(count)
        profile.disable()
    pstats.Stats(profile, stream=sys.stdout).strip_dirs().sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    main()
