"""What a template asks of the last attempt."""

from __future__ import annotations

import dataclasses

import pytest

from gatewright import ActionState

FAILED = ActionState(
    {"title": "", "tags": ["a", "b"], "items[0].name": "x", "addresses[1][street]": "y", "news": "on", "kind": "2"},
    {
        "title": ["Too short", "Too plain"],
        "tags.0": ["No"],
        "tags.1": ["No"],
        "tags.1.deep": ["Nowhere"],
        "items.0.name": ["Odd"],
        "addresses.1.street": ["Gone"],
        "_root": ["Late"],
    },
    "The input is not valid",
    "validation_failed",
    400,
)


def test_before_the_first_attempt() -> None:
    """Nothing was entered, and nothing is wrong: the page shows what it has itself."""
    state = ActionState()
    assert not state
    assert (state.value("title", "Draft"), state.value("title"), state.error("title")) == ("Draft", "", "")
    assert (state.message, state.code, state.status) == ("", "", 200)
    assert (state.checked("news"), state.checked("news", default=True)) == (False, True)


def test_after_a_failure() -> None:
    """What was entered wins over what the page has, an empty text too."""
    assert FAILED
    assert (FAILED.value("title", "Draft"), FAILED.value("tags"), FAILED.value("other", "Draft")) == ("", "a", "Draft")
    assert FAILED.error("title") == "Too short; Too plain"
    assert FAILED.error("_root") == "Late"


def test_boxes_and_options() -> None:
    """A box that is not sent was not checked, whatever the page would begin with."""
    assert FAILED.checked("news")
    assert not FAILED.checked("other", default=True)
    assert (FAILED.checked("kind", "2"), FAILED.checked("kind", "3")) == (True, False)
    assert (FAILED.checked("tags", "b"), FAILED.checked("tags", "c")) == (True, False)


@pytest.mark.parametrize("name", ["items[0].name", "items.0.name", "items[0][name]"])
def test_nested_names_in_every_spelling(name: str) -> None:
    """next-safe-action#51, #98: the name in the form and the path in the error mean the same field."""
    assert (FAILED.value(name), FAILED.error(name)) == ("x", "Odd")


def test_nested_names_that_were_sent_otherwise() -> None:
    """A page may ask in one spelling for what its form sends in another."""
    assert (FAILED.value("addresses.1.street"), FAILED.error("addresses[1][street]")) == ("y", "Gone")


def test_entries_of_one_name_share_what_is_wrong_with_them() -> None:
    """Said once; what lies deeper belongs to the field that is there."""
    assert FAILED.error("tags") == FAILED.error("tags[]") == "No"
    assert FAILED.error("items") == ""
    assert FAILED.error("t.gs") == ""


def test_it_is_a_value() -> None:
    """Nobody changes what somebody entered."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        FAILED.message = "No"  # type: ignore[misc]
