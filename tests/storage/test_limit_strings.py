"""Limit strings: they mean what they say, and whatever is no limit is refused when the app starts."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from limits import parse_many

from gatewright._core.storage.limit import Limit, parse_limits
from gatewright.errors import ConfigurationError

SECOND, MINUTE, DAY = 1_000, 60_000, 86_400_000
UNITS = {
    "millisecond": 1,
    "second": SECOND,
    "minute": MINUTE,
    "hour": 60 * MINUTE,
    "day": DAY,
    "week": 7 * DAY,
    "month": 30 * DAY,
    "year": 360 * DAY,
}


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("100/minute", [Limit(MINUTE, 100)]),
        ("100 per minute", [Limit(MINUTE, 100)]),
        ("100perminute", [Limit(MINUTE, 100)]),
        ("5/10 seconds", [Limit(10 * SECOND, 5)]),
        ("5/10seconds", [Limit(10 * SECOND, 5)]),
        ("100/minute; 5/second", [Limit(SECOND, 5), Limit(MINUTE, 100)]),
        ("5/second,100/minute | 9/day", [Limit(SECOND, 5), Limit(MINUTE, 100), Limit(DAY, 9)]),
        ("60/minute; 60/60 second", [Limit(MINUTE, 60)]),
        ("100/minute sliding", [Limit(MINUTE, 100, "sliding")]),
        ("100/minute burst 20", [Limit(MINUTE, 100, "gcra", 20)]),
        ("5/second burst 100", [Limit(SECOND, 5, "gcra", 100)]),
        ("1 PER 2 Weeks SLIDING", [Limit(14 * DAY, 1, "sliding")]),
        ("1/minute; 1/minute sliding", [Limit(MINUTE, 1), Limit(MINUTE, 1, "sliding")]),
        ("\t5\u00a0/ \n minute\u3000burst  2 ", [Limit(MINUTE, 5, "gcra", 2)]),
        ("007/minute", [Limit(MINUTE, 7)]),
    ],
)
def test_what_limit_strings_mean(text: str, limits: list[Limit]) -> None:
    """The vocabulary of `limits`, with its freedoms; shortest window first, and each limit once however written."""
    assert parse_limits(text) == tuple(limits)


@pytest.mark.parametrize(("unit", "milliseconds"), UNITS.items())
@pytest.mark.parametrize("form", ["3/{}", "3/{}s", "3/1 {}", "3 per {}"])
def test_units_reach_from_milliseconds_to_years(unit: str, milliseconds: int, form: str) -> None:
    """Every unit may be written in the plural; months and years are as long as `limits` has them."""
    assert parse_limits(form.format(unit)) == (Limit(milliseconds, 3),)
    assert parse_limits(f"3/7 {unit}s sliding") == (Limit(7 * milliseconds, 3, "sliding"),)


@pytest.mark.parametrize(
    "text",
    [
        "1/minuet",
        "100",
        "",
        "minute/100",
        "1/minute;",
        "1/minute 5/second",
        "-1/minute",
        "1.5/minute",
        "1/m",
        "1/ms",
        "1/minutess",
        "1//minute",
        "1/per minute",
        "1/minute burst",
        "1/minute burst x",
        "1/minute burst -2",
        "1/minute sliding burst 2",
        "1/minute burst 2 sliding",
        "1/minute slidin",
        "1/minutesliding",
        "1/minuteburst 2",
        "x" * 9999,
    ],
)
def test_story_a_typo_does_not_switch_the_limit_off(text: str) -> None:
    """slowapi, measured: "1/minuet" is logged and nothing is limited; here it raises, and says what to write."""
    with pytest.raises(ConfigurationError, match="is no rate limit; write an amount") as caught:
        parse_limits(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "0/minute",
        "5/0minute",
        "5/00 minutes",
        "5 per 0 minute",
        "1/minute:;5/second",
        "1/minute:",
        "1/minute:;",
        "1000000000000000/minute",
        "1/9999999999999 days",
        "9" * 5000 + "/minute",
    ],
)
def test_story_what_limits_lets_through_is_refused(text: str) -> None:
    """limits 5.8: "0/minute" blocks for good, "5/0minute" is "5/minute", and strange separators pass."""
    with pytest.raises(ConfigurationError, match="is no rate limit"):
        parse_limits(text)


@pytest.mark.parametrize(
    "text", ["0/minute burst 5", "5/minute burst 0", "5/0 weeks sliding", "1/minuteſ", "٣/minute", "1/minute burst ٣"]
)
def test_zeros_and_look_alikes_are_refused(text: str) -> None:
    """Nothing is guessed: a zero is a mistake everywhere, and digits and letters are those of ASCII."""
    with pytest.raises(ConfigurationError, match="is no rate limit"):
        parse_limits(text)


@pytest.mark.parametrize(
    ("longest", "longer"),
    [
        ("1/100 years", "1/101 years"),
        ("5/100 years sliding", "5/36001 days sliding"),
        ("1/day burst 36000", "1/day burst 36001"),
        ("1/100 years burst 1", "1/100 years burst 2"),
        ("999999999999999/100 years", "1/3110400000001 milliseconds"),
    ],
)
def test_nothing_takes_longer_than_a_hundred_years(longest: str, longer: str) -> None:
    """A window, or the time in which a burst is there again, stays exact in microseconds as a float."""
    (limit,) = parse_limits(longest)
    assert limit.milliseconds * 1000 * max(limit.amount, limit.burst) // limit.amount < 2**52
    with pytest.raises(ConfigurationError, match="is no rate limit"):
        parse_limits(longer)


@pytest.mark.parametrize("thing", [None, 100, b"100/minute", ["100/minute"], len])
def test_what_is_not_a_string_is_refused(thing: object) -> None:
    """A forgotten pair of parentheses hands the handler over as the limit."""
    with pytest.raises(ConfigurationError, match="is no rate limit"):
        parse_limits(thing)


@given(st.text(alphabet="0123456789/ perscondmiuthayglbwk;,|:\nſ٣", max_size=40) | st.text(max_size=20))
@example("5/minute burst 3, 5/millisecond")
def test_any_string_is_limits_or_refused(text: str) -> None:
    """There is no third outcome, and what was understood reads back as itself."""
    try:
        limits = parse_limits(text)
    except ConfigurationError:
        return
    assert limits and all(limit.amount > 0 and limit.milliseconds > 0 and limit.capacity > 0 for limit in limits)
    assert parse_limits("; ".join(map(str, limits))) == limits


how = st.just(("fixed", 0)) | st.just(("sliding", 0)) | st.integers(1, 10**6).map(lambda burst: ("gcra", burst))


@given(st.integers(1, 10**6), st.integers(1, 10**9), how)
@example(1, 1, ("fixed", 0))
@example(1001, 2, ("sliding", 0))
def test_a_limit_reads_back_as_itself(milliseconds: int, amount: int, how: tuple[str, int]) -> None:
    """The text of a limit says all that there is to it, down to a millisecond."""
    limit = Limit(milliseconds, amount, *how)  # type: ignore[arg-type]  # a strategy
    (read,) = parse_limits(str(limit))
    assert read == limit
    assert read.seconds * 1000 - 1000 < milliseconds <= read.seconds * 1000
    assert read.capacity == (limit.burst if limit.strategy == "gcra" else amount)


@pytest.mark.parametrize(
    "text",
    [
        "100/minute",
        "5/10 seconds",
        "1/2 days",
        "7/month",
        "90/90 seconds",
        "3/year",
        "3/week",
        "5/250 milliseconds",
        "5/millisecond sliding",
        "5/1500 milliseconds burst 2",
    ],
)
def test_a_limit_is_written_in_its_largest_unit(text: str) -> None:
    """The text of a limit follows from what it allows, so that equal limits have equal names."""
    assert str(parse_limits(text)[0]) == text
    assert str(Limit(120_000, 5)) == "5/2 minutes"


@pytest.mark.parametrize(("milliseconds", "seconds"), [(1, 1), (999, 1), (1000, 1), (1001, 2), (60_000, 60)])
def test_a_window_is_told_in_whole_seconds_never_too_short(milliseconds: int, seconds: int) -> None:
    """`RateLimit-Policy` has whole seconds, and a window of none would be none."""
    assert Limit(milliseconds, 1).seconds == seconds


@pytest.mark.parametrize(
    ("limit", "share", "scaled"),
    [
        ("100/minute", 0.25, "25/minute"),
        ("100/minute sliding", 0.5, "50/minute sliding"),
        ("100/minute burst 20", 0.25, "25/minute burst 5"),
        ("3/minute burst 2", 0.1, "1/minute burst 1"),
        ("7/minute", 1.0, "7/minute"),
    ],
)
def test_a_share_of_a_limit_is_at_least_one(limit: str, share: float, scaled: str) -> None:
    """What one of several processes grants by itself is a part of the limit, and never nothing."""
    assert str(parse_limits(limit)[0].scaled(share)) == scaled


blank = st.sampled_from(["", " ", "  ", "\t", "\u00a0"])
limit_of_limits = st.builds(
    lambda amount, per, count, unit, plural, blanks: "".join(
        [blanks[0], str(amount), blanks[1], per, blanks[2], count, blanks[3], unit, plural, blanks[4]]
    ),
    st.integers(1, 10**12),
    st.sampled_from(["/", "per", " per ", "PER"]),
    st.just("") | st.integers(1, 99).map(str),
    st.sampled_from(["second", "minute", "hour", "day", "month", "year", "Minute", "DAY"]),
    st.sampled_from(["", "s", "S"]),
    st.tuples(blank, blank, blank, blank, blank),
)


@given(st.lists(st.tuples(limit_of_limits, st.sampled_from(",;|")), min_size=1, max_size=4))
def test_what_limits_understands_is_understood_alike(parts: list[tuple[str, str]]) -> None:
    """Every string that `limits` takes for what it says means the same here."""
    text = "".join(part + separator for part, separator in parts)[:-1]
    theirs = {(item.get_expiry() * 1000, item.amount) for item in parse_many(text)}
    assert [(limit.milliseconds, limit.amount) for limit in parse_limits(text)] == sorted(theirs)
