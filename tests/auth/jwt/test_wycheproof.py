"""Signatures against C2SP Wycheproof: nothing that it calls invalid verifies."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from gatewright import ConfigurationError
from gatewright._core.tokens import TokenError
from gatewright.auth.jwt import keys
from gatewright.auth.jwt.algorithms import FAMILIES, Algorithms
from gatewright.auth.jwt.compact import read_compact

pytestmark = pytest.mark.conformance

STRICTER = {
    346: "the key says PS256, and the token is signed by PS384",
    350: "the key says PS256, and the token is signed by PS384",
    347: "the key says ES521, which is no algorithm",
    351: "the key says ES521, which is no algorithm",
    372: "a question mark within the header is skipped by lenient decoders",
    373: "a question mark within the payload is skipped by lenient decoders",
}
"""What is valid by the suite, and refused here."""

MISLABELLED = [367, 370]
"""What is invalid by the suite for its padding, which got lost: both are the token of case 357, which is valid."""


def _cases() -> list[dict[str, Any]]:
    folder = os.environ.get("GATEWRIGHT_VECTORS")
    if folder is None:
        pytest.skip("GATEWRIGHT_VECTORS names no folder with the public vector suites")
    cases: list[dict[str, Any]] = json.loads((Path(folder) / "jws_wycheproof.json").read_text())["cases"]
    return cases


def _verifies(case: dict[str, Any]) -> bool:
    family = next((family for family in FAMILIES if family.kty == case["jwk"].get("kty")), FAMILIES[0])
    try:
        found = keys.given(case["jwk"], Algorithms(family.names, family))
        found.verify(read_compact(case["jws"].encode()))
    except (ConfigurationError, TokenError):
        return False
    return True


@pytest.fixture
def with_secrets_of_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let secrets be taken that anybody could guess, and that are shorter than three hashes: the suite has such."""
    monkeypatch.setattr(keys, "key_bytes", lambda raw: raw + bytes(64))


def test_the_suite_is_all_there() -> None:
    """A suite that was not read proves nothing."""
    cases = _cases()
    assert (len(cases), sum(case["result"] == "valid" for case in cases)) == (401, 46)


@pytest.mark.usefixtures("with_secrets_of_zeros")
def test_what_is_invalid_does_not_verify() -> None:
    """Story: PyJWT accepts four keys of these that are for something else."""
    assert [case["tcId"] for case in _cases() if case["result"] != "valid" and _verifies(case)] == MISLABELLED


def test_what_is_mislabelled_is_a_valid_case_to_the_byte() -> None:
    """The suite says of one token and one key that it is valid, and that it is not; nobody can do both."""
    cases = {case["tcId"]: (case["jws"], case["jwk"]) for case in _cases()}
    assert all(cases[number] == cases[357] for number in MISLABELLED)


@pytest.mark.usefixtures("with_secrets_of_zeros")
def test_what_is_valid_verifies_but_for_what_is_listed() -> None:
    """Whatever else is refused would be refused for no reason."""
    assert {case["tcId"] for case in _cases() if case["result"] == "valid" and not _verifies(case)} == set(STRICTER)


def test_secrets_of_zeros_are_refused() -> None:
    """What the tests above let pass is refused where a key is configured."""
    with pytest.raises(ConfigurationError, match="can be guessed"):
        keys.given(next(case["jwk"] for case in _cases() if case["tcId"] == 357), Algorithms.of(("HS256",)))
