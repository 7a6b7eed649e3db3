"""Request ids, keys and the clock: small things that everything else stands on."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright._core.clock import SYSTEM_CLOCK
from gatewright._core.ids import RequestIds
from gatewright.testing import FrozenClock

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"


class Counting:
    """Entropy that can be told apart, and counts how often it was drawn."""

    def __init__(self) -> None:
        self.drawn = 0

    def __call__(self, size: int) -> bytes:
        """Return bytes that differ in every block of 16."""
        self.drawn += 1
        return b"".join(b"%08d%08d" % (self.drawn, block) for block in range(size // 16))


def test_an_id_is_128_random_bits() -> None:
    """Nobody guesses the id of somebody else's request."""
    assert RequestIds(lambda size: b"\xab" * size).take(None) == "ab" * 16


def test_no_id_is_given_twice() -> None:
    """Also over the end of what was drawn at once."""
    entropy = Counting()
    ids = RequestIds(entropy)
    taken = [ids.take(None) for _ in range(1000)]
    assert len(set(taken)) == 1000
    assert {len(taken_id) for taken_id in taken} == {32}
    assert 1 < entropy.drawn < 100


@pytest.mark.parametrize("offered", [b"a", b"A-z_0.9", b"x" * 128, b"0af7651916cd43dd8448eb211c80319c"])
def test_a_well_formed_id_is_taken_over(offered: bytes) -> None:
    """So one id follows a request through every service; no entropy is spent."""
    entropy = Counting()
    assert RequestIds(entropy).take(offered) == offered.decode()
    assert entropy.drawn == 0


@pytest.mark.parametrize(
    "offered",
    [b"", b"x" * 129, b"a b", b"a\r\nSet-Cookie: b=c", b"a\n", b"\xff", "é".encode(), b"<script>", b"a,b", b"\0"],
)
def test_a_malformed_id_is_replaced(offered: bytes) -> None:
    """An id goes into headers and logs; nobody else writes there."""
    assert RequestIds(Counting()).take(offered) == Counting()(16).hex()


@given(st.binary(max_size=200))
def test_an_id_is_safe_whatever_was_offered(offered: bytes) -> None:
    """Any bytes lead to an id of at most 128 harmless characters."""
    taken = RequestIds(Counting()).take(offered).encode()
    assert 1 <= len(taken) <= 128
    assert set(taken) <= set(ALPHABET)


def test_the_systems_clock_is_the_default() -> None:
    """It tells what the standard library tells."""
    assert time.time() <= SYSTEM_CLOCK.time() <= time.time()
    assert time.monotonic() <= SYSTEM_CLOCK.monotonic() <= time.monotonic()
    assert repr(SYSTEM_CLOCK) == "SYSTEM_CLOCK"


def test_a_frozen_clock_moves_when_it_is_told() -> None:
    """Both of its hands move together."""
    clock = FrozenClock(100.0)
    clock.advance(2.5)
    assert (clock.time(), clock.monotonic()) == (102.5, 2.5)
