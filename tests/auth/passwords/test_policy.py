"""Which passwords may be chosen (ASVS 5.0, 6.2; NIST SP 800-63B-4, 3.1.1.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright import ConfigurationError
from gatewright.auth.passwords.blocklist import common_passwords, plain, unit_of
from gatewright.auth.passwords.policy import ClassicPolicy, NistPolicy, Policy

GOOD = "seven otters in a row"
COMMON = ["Is among the first that anybody would try"]
CLOSE = ["Should not be made of your name, your address or the name of this service"]


# NIST


def test_15_characters_are_the_least() -> None:
    """By default 15; down to 8 where somebody says so (ASVS 5.0, 6.2.1)."""
    assert NistPolicy().problems("otters in a ro") == ["Should have at least 15 characters"]
    assert NistPolicy().problems("otters in a row") == []
    assert NistPolicy(min=8).problems("otters.") == ["Should have at least 8 characters"]
    assert NistPolicy(min=8).problems("otters..") == []


@pytest.mark.parametrize("length", [7, 0, -1, 65])
@pytest.mark.parametrize("policy", [NistPolicy, ClassicPolicy])
def test_fewer_than_8_cannot_be_allowed_nor_64_forbidden(policy: type[NistPolicy], length: int) -> None:
    """Refused when it is written (ASVS 5.0, 6.2.1 and 6.2.9)."""
    with pytest.raises(ConfigurationError, match="write 15, and from 8 to 64"):
        policy(min=length)


def test_characters_are_counted_and_not_bytes() -> None:
    """Fifteen of any script are fifteen; what falls apart into eighteen is one, and what falls together is one too."""
    policy = NistPolicy()
    assert policy.problems("пятнадцать букв") == []
    assert policy.problems("ééééééé") and policy.problems("\ufdfa")
    assert policy.problems("otters in a re\u0301") == ["Should have at least 15 characters"]


def test_64_characters_and_many_more_are_allowed() -> None:
    """Up to 1024 (ASVS 5.0, 6.2.9); more than that is not looked at."""
    long = "".join(chr(0x4E00 + number) for number in range(1025))
    assert NistPolicy().problems(long[:64]) == [] == NistPolicy().problems(long[:1024])
    assert NistPolicy().problems(long) == ["Should have at most 1024 characters"] == ClassicPolicy().problems(long)


@pytest.mark.parametrize(
    "password",
    ["all lower case and spaces", "ALLINUPPERCASENOW", "71828182845904523536", "🦦🦊🐝🐙🦉🦔🐍🐢🦀🐬🐧🦇🐞🐌🦎"],
)
def test_no_kind_of_characters_is_demanded(password: str) -> None:
    """No upper case, no digits, no symbols (ASVS 5.0, 6.2.5)."""
    assert NistPolicy().problems(password) == []


@pytest.mark.parametrize(
    "password",
    [
        "passwordpassword",
        "PasswordPassword",
        "1q2w3e4r5t6y7u8i9o0p",
        "qwertyuiop12345",
        "ｐａｓｓｗｏｒｄpassword",
        "123456789012345",
    ],
)
def test_common_passwords_are_refused(password: str) -> None:
    """In any case and width (ASVS 5.0, 6.2.4)."""
    assert NistPolicy().problems(password) == COMMON


@pytest.mark.parametrize(
    "password",
    [" " * 15, "a" * 15, "abcabcabcabcabcabc", "otters.otters.otters.ott", "trustno1trustno1"],
)
def test_a_repetition_is_only_as_good_as_what_it_repeats(password: str) -> None:
    """Fewer than 8 characters, or a common password, do not become good by being said twice."""
    assert NistPolicy().problems(password) == COMMON
    assert NistPolicy().problems("seven otters, seven otters") == []


def test_there_are_more_than_three_thousand_that_fit_each_length() -> None:
    """At least the 3000 most common of those that the policy would allow, for the least and for the default length."""
    common = common_passwords()
    assert sum(len(one) >= 8 for one in common) == len(common) > 13_000
    assert sum(len(one) >= 15 for one in common) >= 5_000
    assert {"password", "iloveyou", "12345678"} <= common


def test_the_list_is_as_it_is_compared() -> None:
    """A line in another case or form would never be found."""
    assert {one for one in common_passwords() if plain(one) != one or one.strip() != one} == set()


def test_a_service_may_refuse_more() -> None:
    """Its own list counts in any case, said once or twice."""
    policy = NistPolicy(blocklist=["Hogwarts Express"])
    assert policy.problems("hogwarts express") == COMMON == policy.problems("Hogwarts ExpressHogwarts Express")
    assert policy.problems("hogwarts express leaves") == []


@pytest.mark.parametrize(
    "password",
    [
        "ada.lovelace.1815",
        "AdaLovelace-1815!",
        "gatewright1815!!",
        "gatewright lovelace",
        "example.ada.lovelace",
        "Ｌｏｖｅｌａｃｅ-1815--",
    ],
)
def test_a_password_is_not_made_of_its_owners_names(password: str) -> None:
    """The user's name, the address and the service's name do not count towards it (ASVS 5.0, 6.2.11)."""
    context = ["Ada Lovelace", "ada.lovelace@example.com"]
    assert NistPolicy(context=["gatewright"]).problems(password, context) == CLOSE


def test_the_context_counts_in_any_spelling_and_its_longest_words_first() -> None:
    """What is left of a name after a part of it was taken out would count as something else."""
    assert NistPolicy().problems("lovelace-1815-1815", ["ＬＯＶＥ", "LOVELACE"]) == []
    assert NistPolicy().problems("lovelace-181518!", ["ＬＯＶＥ", "LOVELACE"]) == CLOSE


def test_short_words_of_the_context_count_for_nothing() -> None:
    """They are in everything."""
    assert NistPolicy().problems("banana van pan tan fan", ["an"]) == []


@pytest.mark.parametrize("password", ["lovelace wrote the first program", "a gatewright builds many gates", GOOD])
def test_a_word_of_the_context_may_be_in_a_password(password: str) -> None:
    """Where there is enough beside it."""
    assert NistPolicy(context=["gatewright", ""]).problems(password, ["Ada Lovelace"]) == []


@given(st.text(max_size=1500), st.lists(st.text(max_size=20), max_size=3))
def test_every_text_gets_an_answer(password: str, context: list[str]) -> None:
    """Halves of surrogate pairs, patterns, and all of Unicode: a list of sentences, none of which repeats it."""
    found = NistPolicy(min=8).problems(password, context)
    assert all(problem.startswith(("Should ", "Is ")) for problem in found)
    assert len(password) >= 8 or found


@pytest.mark.parametrize("name", ["blocklist", "context"])
def test_one_str_is_not_several(name: str) -> None:
    """A str would be taken for its letters."""
    with pytest.raises(ConfigurationError, match=rf"write {name}=\['blog'\]"):
        NistPolicy(**{name: "blog"})  # type: ignore[arg-type]  # untyped callers


@pytest.mark.parametrize(
    ("text", "unit"),
    [("", ""), ("a", "a"), ("aa", "a"), ("abcabcab", "abc"), ("abcabc", "abc"), ("abcab", "abcab"), ("ab" * 40, "ab")],
)
def test_a_unit_is_what_is_repeated(text: str, unit: str) -> None:
    """At least twice, the last time perhaps in part; else the text is its own."""
    assert unit_of(text) == unit


# The older rules


@pytest.mark.parametrize(
    ("password", "problems"),
    [
        ("Otters.1815", []),
        ("otters.1815", ["Should have a letter in upper case"]),
        ("OTTERS.1815", ["Should have a letter in lower case"]),
        ("Otters.Otter", ["Should have a digit"]),
        ("Otters1815", ["Should have a character that is neither letter nor digit"]),
        ("Öttérs 1815", []),
        ("Pass.1a", ["Should have at least 8 characters"]),
    ],
)
def test_the_classic_policy_demands_kinds_of_characters(password: str, problems: list[str]) -> None:
    """Each that is missing is named."""
    assert ClassicPolicy().problems(password) == problems


def test_the_classic_policy_can_demand_less() -> None:
    """Each kind by itself; and more characters."""
    policy = ClassicPolicy(min=10, upper=False, symbol=False)
    assert policy.problems("otters1815") == []
    assert policy.problems("otters181") == ["Should have at least 10 characters"]


def test_the_classic_policy_refuses_what_nist_refuses() -> None:
    """Common passwords meet such rules, which is what is wrong with them; and so do names."""
    assert "P@ssw0rd".lower() in common_passwords()
    assert ClassicPolicy().problems("P@ssw0rd") == COMMON
    assert ClassicPolicy().problems("Lovelace.1", ["ada lovelace"]) == CLOSE


def test_policies_are_policies() -> None:
    """And so is whatever says what is wrong with a password."""
    assert isinstance(NistPolicy(), Policy) and isinstance(ClassicPolicy(), Policy)
