"""Structured fields: one spelling for each value, and an answer for any bytes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gatewright.webhooks import WebhookRejected
from gatewright.webhooks.schemes.rfc9421.fields import (
    Bare,
    InnerList,
    Item,
    Member,
    Token,
    dictionary,
    item,
    serialized,
)

keys = st.from_regex(r"[a-z*][a-z0-9_\-.*]{0,6}", fullmatch=True)
bares: st.SearchStrategy[Bare] = st.one_of(
    st.booleans(),
    st.integers(-(10**15) + 1, 10**15 - 1),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12),
    st.binary(max_size=12),
    st.from_regex(r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]{0,6}", fullmatch=True).map(Token),
)
parameters = st.dictionaries(keys, bares, max_size=3)
items = st.builds(Item, bares, parameters)
members: st.SearchStrategy[Member] = items | st.builds(InnerList, st.lists(items, max_size=4).map(tuple), parameters)


def written(members: dict[str, Member]) -> bytes:
    """Return a dictionary as a sender writes it."""
    return ", ".join(f"{key}={serialized(member)}" for key, member in members.items()).encode()


@given(st.dictionaries(keys, members, max_size=4))
def test_what_is_written_is_what_is_read(given: dict[str, Member]) -> None:
    """Writing and reading are one grammar in two directions, for every value of every type, in its order."""
    read = dictionary(written(given))
    assert read == given
    assert list(read) == list(given)
    # Python takes 1 for True; a signature does not.
    assert written(read) == written(given)


@given(st.binary(max_size=60) | st.from_regex(rb"[ab]=[()?:;,=\" \t\\01ab.@%*-]{0,20}", fullmatch=True))
@example(b"a=" + b"(" * 10_000)
@example(b'a="' + b"\\\\" * 5_000)
@example(b"a=:" + b"=" * 5_000)
@example(b"a=" + b"9" * 5_000)
def test_reading_is_total(raw: bytes) -> None:
    """Any bytes are a dictionary, whose one spelling is read as the same, or they are refused."""
    try:
        read = dictionary(raw)
    except WebhookRejected as rejected:
        assert rejected.reason == "malformed"
    else:
        assert dictionary(written(read)) == read


@pytest.mark.parametrize(
    ("raw", "members"),
    [
        (b"", {}),
        (b"  ", {}),
        (b"a", {"a": Item(True)}),
        (b" a=1 ", {"a": Item(1)}),
        (b"a;x;y=2,b", {"a": Item(True, {"x": True, "y": 2}), "b": Item(True)}),
        (b"a=1,\t b=2", {"a": Item(1), "b": Item(2)}),
        (b"a=?0, b=-0, c=007", {"a": Item(False), "b": Item(0), "c": Item(7)}),
        (b'a="x\\"y\\\\z"', {"a": Item('x"y\\z')}),
        (b"a=:YQ==:, b=::", {"a": Item(b"a"), "b": Item(b"")}),
        (b"a=gzip, b=*/x:y", {"a": Item(Token("gzip")), "b": Item(Token("*/x:y"))}),
        (b"a=(  ), *b=( 1  2 );q", {"a": InnerList(()), "*b": InnerList((Item(1), Item(2)), {"q": True})}),
        (b'a=("x";  y=1)', {"a": InnerList((Item("x", {"y": 1}),))}),
        (b"a=999999999999999", {"a": Item(999_999_999_999_999)}),
    ],
)
def test_what_rfc_9651_allows_is_read(raw: bytes, members: dict[str, Member]) -> None:
    """Spaces stand where the grammar has them, and mean nothing."""
    assert dictionary(raw) == members


@pytest.mark.parametrize(
    "raw",
    [
        b"A=1",
        b"1=1",
        b"=1",
        b"a=",
        b"a= 1",
        b"a =1",
        b"a=1,",
        b"a=1,,b=1",
        b"a=1 b=1",
        b"\ta=1",
        b"a=1;",
        b"a=1;\tb",
        b"a=1 ;b",
        b"a=(1",
        b'a=("x""y")',
        b"a=(1\t2)",
        b"a=((1))",
        b"a=1)",
        b'a="x',
        b'a="\\x"',
        b'a="\xc3\xa9"',
        b'a="\x7f"',
        b'a="\n"',
        b"a=?2",
        b"a=?",
        b"a=-",
        b"a=+1",
        b"a=1000000000000000",
        b"a=:YQ==",
        b"a=\xd9\xa1",
        b"a=x\x00",
    ],
)
def test_what_rfc_9651_refuses_is_refused(raw: bytes) -> None:
    """A parser that mends what it reads signs something else than the sender."""
    with pytest.raises(WebhookRejected, match="malformed"):
        dictionary(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"a=1, a=1",
        b"a=1, b=2, a=1",
        b"a=1;x=1;x=1",
        b"a=(1;x;x)",
        b"a=(1);x=1;x=2",
        b"a=:YQ:",
        b"a=:YR==:",
        b"a=:YQ=:",
        b"a=:Y=Q=:",
        b"a=:Y-Q_:",
        b"a=1.0",
        b"a=@1760000000",
        b'a=%"x"',
    ],
)
def test_there_is_one_spelling(raw: bytes) -> None:
    """Two equal keys, base64 that another one could stand for, and types that nothing here has, are refused."""
    with pytest.raises(WebhookRejected, match="malformed"):
        dictionary(raw)


@pytest.mark.parametrize(
    ("member", "spelling"),
    [
        (Item(True), "?1"),
        (Item(False, {"a": False, "b": True}), "?0;a=?0;b"),
        (Item('a"b\\c'), '"a\\"b\\\\c"'),
        (Item(b"\xff\xfe"), ":" + "//4=" + ":"),
        (Item(Token("a/b"), {"q": -1}), "a/b;q=-1"),
        (InnerList((Item("a"), Item("b", {"sf": True})), {"created": 1}), '("a" "b";sf);created=1'),
        (InnerList(()), "()"),
    ],
)
def test_the_one_spelling_is_that_of_rfc_9651(member: Member, spelling: str) -> None:
    """RFC 9651, section 4.1: what a signature is of may not depend on who writes it."""
    assert serialized(member) == spelling


def test_an_item_stands_alone() -> None:
    """What follows an item is not a part of it."""
    assert item(b' "@query-param";name="id" ') == Item("@query-param", {"name": "id"})
    for raw in (b"", b'"a" "b"', b'"a", "b"', b'("a")'):
        with pytest.raises(WebhookRejected, match="malformed"):
            item(raw)
