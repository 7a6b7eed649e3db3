"""bcrypt: what others made is verified, and its 72 bytes are nobody's trap."""

from __future__ import annotations

import sys

import bcrypt as library
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright import ConfigurationError
from gatewright.auth.passwords.bcrypt import bcrypt

CHEAP = bcrypt(5, weak_for_tests=True)
PASSWORD = b"correct horse battery staple"


def made(cost: int = 5, password: bytes = PASSWORD, prefix: bytes = b"2b") -> str:
    """Return a hash that another program made."""
    return library.hashpw(password, library.gensalt(cost)).replace(b"$2b$", b"$" + prefix + b"$").decode()


def test_others_verify_what_it_makes() -> None:
    """A new hash has the usual prefix, the cost that was said, and a salt of its own."""
    stored = CHEAP.hash(PASSWORD)
    assert stored.startswith("$2b$05$") and library.checkpw(PASSWORD, stored.encode())
    assert CHEAP.hash(PASSWORD) != stored


@pytest.mark.parametrize("prefix", [b"2a", b"2b", b"2y"])
def test_it_verifies_what_others_make(prefix: bytes) -> None:
    """PHP writes 2y, older libraries 2a; all are the same."""
    stored = made(prefix=prefix)
    assert CHEAP.work_of(stored) == 32
    assert CHEAP.matches(stored, PASSWORD) and not CHEAP.matches(stored, PASSWORD[:-1])


def test_72_bytes_are_taken_and_one_more_is_not() -> None:
    """Where bcrypt would cut, it is refused, in words for who chooses it (ASVS 5.0, 6.2.8 and 6.2.9)."""
    assert CHEAP.refusal(b"x" * 64) is None and CHEAP.refusal(b"x" * 72) is None
    assert CHEAP.refusal(b"x" * 73) == "Should have at most 72 bytes; letters beyond ASCII take two or more"
    assert CHEAP.refusal(b"a\0b") == "Should have no NUL characters"


def test_the_beginning_of_a_password_is_not_the_password() -> None:
    """What differs after 72 bytes, or after a NUL, differs."""
    assert not CHEAP.matches(made(password=b"x" * 72), b"x" * 73)
    assert not CHEAP.matches(made(password=b"a"), b"a\0b")


def test_an_empty_password_is_not_every_password_that_is_not_taken() -> None:
    """What stands in for a password that is not looked at never matches."""
    assert not CHEAP.matches(made(password=b""), b"x" * 80)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "!",
        made()[:-1],
        made() + "x",
        made() + "\n",
        made().replace("$2b$", "$2x$"),
        made().replace("$05$", "$03$"),
        made().replace("$05$", "$17$"),
        made().replace("$05$", "$31$"),
        made().replace("$05$", "$٠٥$"),
        "$2b$05$" + "a" * 53,
    ],
)
def test_what_is_no_hash_is_not_run(stored: str) -> None:
    """Truncated, extended, of a broken kind, with bits that the salt cannot have, or with days of work."""
    assert CHEAP.work_of(stored) == 0


def test_what_is_configured_is_never_too_much() -> None:
    """Whoever hashes with a cost of 18 verifies such hashes."""
    assert bcrypt(18).work_of(made().replace("$05$", "$18$")) == 1 << 18


@given(st.text() | st.from_regex(r"\$2[abxy]\$0[0-5]\$[./A-Za-z0-9]{50,54}"))
def test_no_hash_is_an_error(stored: str) -> None:
    """Whatever a database holds, there is an answer."""
    if CHEAP.work_of(stored):
        assert not CHEAP.matches(stored, PASSWORD)
        CHEAP.is_weaker(stored)


@pytest.mark.parametrize(("cost", "weaker"), [(4, True), (5, False), (6, False)])
def test_weaker_is_what_took_fewer_rounds(cost: int, weaker: bool) -> None:
    """A hash of a higher cost stays: pwdlib 0.3.0 makes 10 of 12."""
    assert CHEAP.is_weaker(made(cost)) is weaker


@pytest.mark.parametrize(("work", "costs"), [(96, [5, 6]), (1 << 7, [7]), (0, []), (-32, []), (240, [4, 5, 6, 7])])
def test_spending_does_the_rounds_that_are_missing(
    work: int, costs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hash of a lower cost and what makes up for it are together the rounds of one."""
    done: list[int] = []
    real = library.hashpw

    def counting(password: bytes, salt: bytes) -> bytes:
        done.append(int(salt[4:6]))
        return real(password, salt)

    monkeypatch.setattr(library, "hashpw", counting)
    CHEAP.spend(work)
    assert done == costs


@pytest.mark.parametrize(("cost", "weak_for_tests"), [(9, False), (32, False), (3, True), (-1, True)])
def test_costs_that_protect_nobody_or_cannot_be_are_refused(cost: int, weak_for_tests: bool) -> None:
    """Below 10 only where a test says so."""
    with pytest.raises(ConfigurationError, match="write 12, and no less than 10"):
        bcrypt(cost, weak_for_tests=weak_for_tests)


def test_the_cost_is_12() -> None:
    """And 10 is the least."""
    assert (bcrypt().cost, bcrypt(10).cost) == (12, 10)


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is written, and not at the first login."""
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    with pytest.raises(ConfigurationError, match=r'pip install "gatewright\[passwords\]"'):
        bcrypt()
