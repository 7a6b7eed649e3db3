"""FromBody against nst/JSONTestSuite."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from gatewright.result import Result, ok
from gatewright.validation import FromBody, validate
from tests.validation.kit import JSON, send

pytestmark = [pytest.mark.anyio, pytest.mark.conformance]


@validate
async def anything(body: FromBody[Any]) -> Result[None]:
    return ok()


def _cases() -> list[tuple[str, bytes]]:
    folder = os.environ.get("GATEWRIGHT_VECTORS")
    if folder is None:
        pytest.skip("GATEWRIGHT_VECTORS names no folder with the public vector suites")
    suite = json.loads((Path(folder) / "json_testsuite.json").read_text())
    return [(name, base64.b64decode(text)) for name, text in suite["cases"]]


async def test_the_suite_is_all_there() -> None:
    """A suite that was not read proves nothing."""
    assert len(_cases()) == 314


@pytest.mark.parametrize(("kind", "statuses"), [("y_", {200}), ("n_", {400}), ("i_", {200, 400})])
async def test_every_case_is_answered_as_the_suite_says(kind: str, statuses: set[int]) -> None:
    """`y_` is accepted, `n_` is a 400, `i_` is either; nothing is ever anything else."""
    cases = [(name, text) for name, text in _cases() if name.startswith(kind)]
    wrong = []
    for name, text in cases:
        reply = await send(anything, data=text, headers=JSON, method="POST")
        if reply.status not in statuses:
            wrong.append((name, reply.status))
    assert cases and not wrong
