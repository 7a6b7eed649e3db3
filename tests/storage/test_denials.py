"""Who is known to be blocked."""

from __future__ import annotations

import pytest

from gatewright._core.storage import denials as module
from gatewright._core.storage.contract import Standing
from gatewright._core.storage.denials import Denials
from gatewright.testing import FrozenClock
from tests.storage.kit import charge

REFUSED: Standing = (False, 2, 30.0, 7.0)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def denials(clock: FrozenClock) -> Denials:
    return Denials(clock)


def test_a_refusal_is_known_until_it_ends(denials: Denials, clock: FrozenClock) -> None:
    """It counts down, and ends when it was said to."""
    one = charge("5/minute")
    assert denials.recall(one) is None
    denials.remember(one, REFUSED)
    assert denials.recall(one) == (False, 2, 30.0, 0.0)
    clock.advance(29.5)
    assert denials.recall(one) == (False, 2, 0.5, 0.0)
    clock.advance(0.5)
    assert denials.recall(one) is None


def test_others_are_not_meant(denials: Denials) -> None:
    """Neither another caller, nor another limit, nor the same limit elsewhere."""
    denials.remember(charge("5/minute"), REFUSED)
    for other in (charge("5/minute", "bob"), charge("6/minute"), charge("5/minute", scope="there")):
        assert denials.recall(other) is None


def test_what_costs_less_is_asked_again(denials: Denials) -> None:
    """Two are left: a charge of three is refused, and says nothing about one of two."""
    denials.remember(charge("5/minute", cost=3), REFUSED)
    assert denials.recall(charge("5/minute", cost=2)) is None
    assert denials.recall(charge("5/minute", cost=3)) is not None
    assert denials.recall(charge("5/minute", cost=4)) is not None


@pytest.mark.parametrize("kind", ["shadow", "penal", "adjusted"])
def test_some_are_always_asked_about(denials: Denials, kind: str) -> None:
    """A shadow refuses nobody, a refused call pays for a penal limit, and an adjusted one may be open again."""
    one = charge("5/minute", **{kind: True})
    denials.remember(one, REFUSED)
    assert denials.recall(one) is None


def test_forgetting(denials: Denials, clock: FrozenClock) -> None:
    """Whoever is forgiven is asked about again, however old the refusal; and that it happened can be seen."""
    old, new, kept = charge("5/hour", "old"), charge("5/hour", "new"), charge("5/hour", "kept")
    refused: Standing = (False, 0, 3600.0, 7.0)
    denials.remember(old, refused)
    clock.advance(61.0)
    denials.remember(new, refused)
    denials.remember(kept, refused)
    for bucket, who, _ in (old, new):
        assert denials.recall((bucket, who, 1))
        denials.forget(bucket, who)
        assert denials.recall((bucket, who, 1)) is None
    assert denials.recall(kept)
    assert denials.forgotten == 2


def test_it_is_bounded(denials: Denials, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of names cannot fill the memory: the rest is asked about, and after two minutes there is room again."""
    monkeypatch.setattr(module, "_MAX", 10)
    refused: Standing = (False, 0, 86_400.0, 7.0)

    def known() -> int:
        return sum(denials.recall(charge("5/day", f"caller {at}")) is not None for at in range(30))

    for at in range(15):
        denials.remember(charge("5/day", f"caller {at}"), refused)
    assert known() == 10
    clock.advance(60.0)
    for at in range(15, 30):
        denials.remember(charge("5/day", f"caller {at}"), refused)
    assert known() == 20
    clock.advance(60.0)
    denials.remember(charge("5/day", "caller 0"), refused)
    assert known() == 11
    clock.advance(3600.0)
    denials.remember(charge("5/day", "caller 1"), refused)
    assert known() == 1
