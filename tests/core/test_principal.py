"""Who is calling."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from gatewright import Ok, Page, Principal


class User:
    """What an app knows of a caller."""


def test_a_type_argument_makes_the_same_value() -> None:
    """`Principal[User]("u1")` is an ordinary thing to write; so are `Page[int](...)` and `Ok[int](...)`."""
    assert Principal[User]("u1") == Principal("u1")
    assert Page[int]([1], 1) == Page([1], 1)
    assert Ok[int](1) == Ok(1)


def test_a_principal_stays_what_it_was() -> None:
    """Guards share it, so none may change it."""
    principal = Principal("u1", roles=frozenset({"admin"}))
    with pytest.raises(FrozenInstanceError):
        principal.sub = "u2"  # type: ignore[misc]  # that is the case
    with pytest.raises(TypeError):
        principal.claims["admin"] = True  # type: ignore[index]  # that is the case


def test_what_is_personal_is_not_in_the_repr() -> None:
    """A repr lands in logs and debuggers."""
    shown = repr(Principal("u1", user="hunter2", claims={"email": "hunter2"}))
    assert "u1" in shown
    assert "hunter2" not in shown
