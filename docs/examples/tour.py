"""Visit the blog over real HTTP, and compare everything that comes back with what has to.

::

    python docs/examples/tour.py                       # all three: Starlette, FastAPI, wrapped
    python docs/examples/tour.py --app starlette       # one of them
    python docs/examples/tour.py --app blog.app:app --path my/copy

Exits with 1 where anything differs.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterable
from http.client import HTTPException
from itertools import zip_longest
from pathlib import Path

from tour_checks import Row, Visit
from tour_http import Server
from tour_story import environment, tell

APPS = {"starlette": "blog.app:app", "fastapi": "blog_fastapi:app", "wrapped": "blog_wrapped:app"}
COLUMNS = {"step": 30, "sent": 38, "expected": 38, "came back": 42, "result": 9}
LONG = re.compile(r"\w[\w.-]{29,}")


def main() -> int:
    """Take the tour; return the exit status."""
    signal.signal(signal.SIGTERM, leave)
    parser = argparse.ArgumentParser(description="Visit the blog over HTTP.")
    parser.add_argument("--app", help=f"{', '.join(APPS)}, or module:attribute; all three when left out")
    parser.add_argument("--path", type=Path, default=Path(__file__).parent, help="where the app's module is")
    options = parser.parse_args()
    apps = [options.app] if options.app else list(APPS)
    return max([visit(app, options.path) for app in apps])


def leave(number: int, _: object) -> None:
    """End with the servers ended, whoever asks for it."""
    sys.exit(128 + number)


def visit(app: str, path: Path) -> int:
    """Visit one app and print the table; return 1 where anything differs."""
    began, rows = time.monotonic(), list[Row]()
    print(f"\n{app}\n")
    print(table(COLUMNS), table("-" * width for width in COLUMNS.values()), sep="\n")

    def show(row: Row) -> None:
        rows.append(row)
        cells = (row.title, row.sent, row.expected, row.came_back, "ok" if row.ok else "DIFFERENT")
        print(table(cells), flush=True)

    with tempfile.TemporaryDirectory(prefix="tour-", ignore_cleanup_errors=True) as directory:
        settings, log = environment(str(Path(directory, "blog.db"))), Path(directory, "log")
        failure = ""
        try:
            with Server(APPS.get(app, app), path, settings, log) as server:
                tell(Visit(server, show, settings["BLOG_STRIPE_SECRET"], wrapped="wrapped" in app))
        except (OSError, RuntimeError, HTTPException) as broken:
            failure = f"\nThe tour broke off: {broken}"
        different = [row for row in rows if not row.ok]
        if different or failure:
            print(f"{failure}\nThe end of the server's log:\n{log.read_text()[-3000:]}")
    print(f"\n{app}: {len(rows)} steps, {len(different)} different, {time.monotonic() - began:.1f} s")
    return 1 if different or failure else 0


def table(cells: Iterable[str]) -> str:
    """Return one row of the table, its cells wrapped; ids and sessions are cut short."""
    short = [LONG.sub(lambda word: f"{word[0][:6]}...", cell) for cell in cells]
    wrapped = [textwrap.wrap(cell, width) or [""] for cell, width in zip(short, COLUMNS.values(), strict=True)]
    lines = zip_longest(*wrapped, fillvalue="")
    widths = COLUMNS.values()
    return "\n".join(
        "  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


if __name__ == "__main__":
    sys.exit(main())
