"""The command that counts deliveries, with fewer of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.webhooks import deliveries


@pytest.mark.slow
@pytest.mark.parametrize("store", ["memory", pytest.param("redis", marks=pytest.mark.redis)])
def test_each_of_many_deliveries_is_handled_once(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Through the whole app, 64 at a time, of which some bring an event that is being handled."""
    if store == "redis":
        pytest.importorskip("redis")
    assert deliveries.main(["--count", "2000", "--store", store]) == 0
    cells = capsys.readouterr().out.splitlines()[-1].split(" | ")
    assert cells[1:6] == ["2000", "20", "1980", "2000", "10"]


@pytest.mark.parametrize(
    "changed",
    [
        {"twice": ["evt_1"]},
        {"missing": 1},
        {"handled": 199},
        {"received": 1},
        {"answers": {200: 200}},
        {"answers": {200: 199, 409: 1}},
        {"answers": {200: 200, 409: 1, 503: 1}},
    ],
)
def test_what_is_not_right_is_said(
    changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that is always content proves nothing."""
    right = deliveries.figures("memory", 200)
    assert right.is_right
    monkeypatch.setattr(deliveries, "figures", lambda store, count: replace(right, **changed))
    assert deliveries.main(["--count", "200", "--store", "memory"]) == 1
    assert "not each event was handled once" in capsys.readouterr().out


def test_too_few_deliveries_are_refused() -> None:
    """There would be no duplicates among them."""
    with pytest.raises(SystemExit):
        deliveries.main(["--count", "199"])
