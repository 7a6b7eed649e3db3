"""What every test may ask for, and the rule that nothing is skipped where everything is installed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from gatewright.testing import forget_default_gate


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run an async test on both event loops."""
    return str(request.param)


@pytest.fixture(autouse=True)
def _fresh_default_gate() -> Iterator[None]:
    """Let no test see what another one's default gate counted."""
    forget_default_gate()
    yield
    forget_default_gate()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Turn a skip into a failure where GATEWRIGHT_NO_SKIP says that nothing is missing."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]  # pluggy's result
    if report.skipped and os.environ.get("GATEWRIGHT_NO_SKIP"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, where nothing may be: {report.longrepr}"
