"""What a key looks like: made from entropy, read back, and refused for one wrong character."""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from hashlib import sha256
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright import ConfigurationError
from gatewright._core.names import Names
from gatewright._core.scrub import scrub
from gatewright.auth import NewApiKey, new_api_key
from gatewright.auth.credentials.key_format import FoundKey, KeyFormat

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
PREFIXES = st.from_regex(r"[a-z][a-z0-9]{0,4}(_[a-z0-9]{1,4}){0,2}", fullmatch=True)


def from_seed(seed: int) -> Callable[[int], bytes]:
    """Return entropy that is the same for the same seed."""

    def entropy(size: int) -> bytes:
        return sha256(b"%d %d" % (seed, size)).digest()[:size]

    return entropy


def test_a_key_has_the_form_that_a_secret_scanner_is_told() -> None:
    """Prefix, 17 characters of id, 43 of secret and 6 of checksum; double-click selects it all."""
    key = new_api_key("ck_live")
    assert re.fullmatch(r"ck_live_[0-9A-Za-z]{17}_[0-9A-Za-z]{49}", key.text)
    assert key.text.startswith(f"ck_live_{key.id}_")
    secret = key.text.rpartition("_")[2][:43]
    assert key.secret_sha256 == sha256(secret.encode()).hexdigest()


def test_the_checksum_is_that_of_githubs_tokens() -> None:
    """CRC32 in base62 with leading zeros, over all that stands before it, so that a wrong prefix shows as well."""
    text = new_api_key("ck_live").text
    number = 0
    for character in text[-6:]:
        number = number * 62 + BASE62.index(character)
    assert number == crc32(text[:-6].encode())


def test_a_key_holds_all_of_its_entropy() -> None:
    """256 bits of secret and 96 of id: the largest number fits, the smallest is padded."""
    for byte in (b"\xff", b"\x00"):
        asked: list[int] = []

        def entropy(size: int, byte: bytes = byte, asked: list[int] = asked) -> bytes:
            asked.append(size)
            return byte * size

        key = new_api_key("k", entropy=entropy)
        assert asked == [12, 32]
        assert KeyFormat("k").read(key.text.encode()) == FoundKey(key.id, key.secret_sha256)
    assert new_api_key("k", entropy=bytes).id == "0" * 17


@given(PREFIXES, st.integers())
def test_a_new_key_is_read_back(prefix: str, seed: int) -> None:
    """What was made is recognised, by its own prefix."""
    key = new_api_key(prefix, entropy=from_seed(seed))
    assert KeyFormat(prefix).read(key.text.encode()) == FoundKey(key.id, key.secret_sha256)


def test_keys_do_not_repeat() -> None:
    """By default the operating system's generator makes them."""
    assert len({new_api_key("k").id for _ in range(100)} | {new_api_key("k").text for _ in range(100)}) == 200


@pytest.mark.parametrize("alphabet", [BASE62 + "_", BASE62.swapcase() + "-=. \x00\xff"])
def test_every_wrong_character_is_noticed(alphabet: str) -> None:
    """CRC32 finds each error within 32 bits: one character, in whichever place, and so two that changed places."""
    keys, text = KeyFormat("ck_live"), new_api_key("ck_live", entropy=from_seed(1)).text
    for at, right in enumerate(text):
        for wrong in set(alphabet) - {right}:
            assert keys.read((text[:at] + wrong + text[at + 1 :]).encode("latin-1")) is None
        swapped = text[:at] + text[at + 1 : at + 2] + right + text[at + 2 :]
        assert swapped == text or keys.read(swapped.encode()) is None


@given(st.integers(0, 80), st.sampled_from(["", *BASE62, "_", " ", "\n"]))
def test_a_key_with_more_or_less_is_none(at: int, put: str) -> None:
    """A character that is missing, one too many, a line break at the end."""
    text = new_api_key("ck_live", entropy=from_seed(2)).text
    for wrong in (text[:at] + put + text[at:], text[:at] + text[at + 1 :]):
        assert wrong == text or KeyFormat("ck_live").read(wrong.encode()) is None


@pytest.mark.parametrize("other", ["ck", "ck_test", "ck_live_eu", "live", "ckxlive"])
def test_a_key_of_another_prefix_is_none(other: str) -> None:
    """A key for tests does not open the house, and one prefix that begins with another is another."""
    assert KeyFormat("ck_live").read(new_api_key(other).text.encode()) is None
    assert KeyFormat(other).read(new_api_key("ck_live").text.encode()) is None


@given(st.binary(max_size=120))
def test_any_bytes_are_a_key_or_none(text: bytes) -> None:
    """Nothing raises; what is no key is None."""
    assert KeyFormat("ck").read(text) is None


def test_the_text_and_the_hash_are_not_shown() -> None:
    """A key that is printed or logged by mistake stays secret."""
    key = new_api_key("ck")
    assert repr(key) == f"NewApiKey(id={key.id!r})"
    assert isinstance(key, NewApiKey) and repr(FoundKey("x", "hash")) == "FoundKey(id='x')"


@pytest.mark.parametrize(
    "prefix", ["", "CK", "1k", "_ck", "ck_", "ck__live", "ck-live", "ck live", "ck.*", "ck\n", "ä"]
)
def test_a_prefix_is_lower_case_words(prefix: str) -> None:
    """Anything else is refused when it is written, for making keys as for reading them."""
    for make in (KeyFormat, new_api_key):
        with pytest.raises(ConfigurationError, match='such as "ck_live"'):
            make(prefix)


@given(st.integers(0, 10**9), PREFIXES)
def test_no_log_shows_a_key(seed: int, prefix: str) -> None:
    """Wherever it stands in a text, the id and the secret go; the prefix may stay."""
    key = new_api_key(prefix, entropy=from_seed(seed))
    for text in (key.text, f"used {key.text} twice", f'{{"note": "{key.text}"}}', f"/{key.text}/x"):
        assert key.text[-49:] not in scrub(text, Names(()))
