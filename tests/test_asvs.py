"""The page about ASVS names tests that exist, and leaves out none of the requirements that it is about."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

import pytest

from gatewright._core.security import SecurityEvent

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "reference" / "asvs.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| (\d+\.\d+\.\d+) \| [^|]+ \| (.+) \|$", PAGE, re.MULTILINE))
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))

WANTED = [
    *(f"3.3.{n}" for n in range(1, 6)),
    *(f"3.5.{n}" for n in range(1, 4)),
    "4.4.2",
    "6.1.1",
    *(f"6.2.{n}" for n in range(1, 13)),
    "6.3.1",
    "6.3.8",
    *("7.2.3", "7.2.4", "7.3.1", "7.3.2"),
    *(f"7.4.{n}" for n in range(1, 6)),
    "7.5.1",
    *("8.2.1", "8.2.2", "8.2.3", "8.4.1"),
    *("9.1.2", "9.1.3", "9.2.1", "9.2.2", "9.2.3"),
    *("16.3.1", "16.3.2", "16.3.3"),
]


def test_every_requirement_has_a_row() -> None:
    """In order, each once, with a test or with whose business it is."""
    assert list(ROWS) == WANTED
    assert [item for item, how in ROWS.items() if "::" not in how and "application's" not in how] == []


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_test_that_is_named_exists(file: str, name: str) -> None:
    """Under this name, in this file."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


def test_the_words_for_security_are_all_there() -> None:
    """Those of the log, and no others."""
    sentence = PAGE[PAGE.index("The words under `security`") :]
    assert sorted(re.findall(r"`(\w+_\w+|reauthenticated)`", sentence)) == sorted(get_args(SecurityEvent))
