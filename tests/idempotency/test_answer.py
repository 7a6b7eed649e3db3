"""What is kept of an answer comes back as it was, and nothing that belongs to one answer only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.idempotency.answer import HEADERS, NO_ANSWER, belongs_to_one_answer, is_final, read, write

LATIN = st.binary(max_size=20)


@pytest.mark.parametrize(
    "status", [200, 201, 202, 204, 206, 301, 302, 303, 304, 400, 402, 403, 404, 410, 413, 415, 422]
)
def test_what_came_of_a_request_is_final(status: int) -> None:
    """Success or a refusal: a retry is told the same."""
    assert is_final(status)


@pytest.mark.parametrize("status", [100, 101, 307, 308, 401, 408, 409, 423, 425, 429, 500, 502, 503, 504, 599, 600])
def test_not_now_is_not_final(status: int) -> None:
    """A retry is meant to do better: 5xx, who are you, later, elsewhere."""
    assert not is_final(status)


@given(
    st.integers(200, 499).filter(is_final),
    st.lists(st.tuples(st.sampled_from(sorted(HEADERS)), LATIN), max_size=5),
    st.binary(max_size=200),
)
def test_an_answer_is_read_as_it_was_written(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Any bytes in the body and in a header's value, and headers that occur twice."""
    outcome = read(write(HEADERS, status, headers, body))
    assert outcome is not None
    assert (outcome.status, outcome.body) == (status, body)
    assert [pair for pair in outcome.headers if pair[0] in HEADERS] == headers
    assert outcome.headers[-1] == (b"idempotent-replayed", b"true")


def test_only_listed_headers_are_written() -> None:
    """By whatever case an app spells them."""
    sent = [(b"Content-Type", b"text/plain"), (b"Set-Cookie", b"a=1"), (b"X-Other", b"1"), (b"LINK", b"</>")]
    outcome = read(write(HEADERS, 200, sent, b""))
    assert outcome is not None
    assert [name for name, _ in outcome.headers] == [
        b"content-type",
        b"link",
        b"content-length",
        b"idempotent-replayed",
    ]
    assert b"Set-Cookie" not in write(HEADERS, 200, sent, b"")


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_content_has_no_length(status: int) -> None:
    """RFC 9110, section 8.6."""
    outcome = read(write(HEADERS, status, [], b""))
    assert outcome is not None
    assert [name for name, _ in outcome.headers] == [b"idempotent-replayed"]


@pytest.mark.parametrize(
    "record",
    [
        NO_ANSWER,
        b"1",
        b"1[200,[]]",
        b"2[200,[]]\nbody",
        b"1\nbody",
        b"1{}\nbody",
        b"1[200]\nbody",
        b'1["200",[]]\nbody',
        b"1[500,[]]\nbody",
        b"1[true,[]]\nbody",
        b"1[200,5]\nbody",
        b"1[200,[[1,2]]]\nbody",
        b'1[200,[["a","\xe2\x82\xac"]]]\nbody',
        b"1[200,[]",
        b"\xff\n",
    ],
)
def test_what_cannot_be_read_is_no_answer(record: bytes) -> None:
    """Another version's record, half of one, none at all: never a wrong answer, never an exception."""
    assert read(record) is None


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_an_answer_or_none(record: bytes, ours: bool) -> None:
    """Whatever lies in the storage."""
    outcome = read(b"1" + record if ours else record)
    assert outcome is None or is_final(outcome.status)


@pytest.mark.parametrize(
    "name", [b"set-cookie", b"connection", b"content-length", b"x-request-id", b"ratelimit", b"ratelimit-policy"]
)
def test_some_headers_belong_to_one_answer(name: bytes) -> None:
    """They are not even kept where somebody asks for it."""
    assert belongs_to_one_answer(name)
    assert name not in HEADERS
