"""A retry is told from another request: by the key, by whose it is, and by what came with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright import BadRequest, Call, ConfigurationError, Principal
from gatewright.idempotency.key import caller, fingerprint, key_of, place, record_name
from gatewright.testing import make_call

UUID_KEY = "8e03978e-40d5-43e8-bc93-6894a57f9324"


def _with(*values: str) -> Call:
    return make_call(method="POST", headers=[("Idempotency-Key", value) for value in values])


# The header


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("sent", "key"),
    [
        (f'"{UUID_KEY}"', UUID_KEY),
        (UUID_KEY, UUID_KEY),
        (f"  {UUID_KEY}\t", UUID_KEY),
        ('"a"', "a"),
        ('" "', " "),
        ('"a, b; c"', "a, b; c"),
        (r'"a \"quoted\" \\ key"', r'a "quoted" \ key'),
        ("a;b=c/~!#$%&'()*+-.:<=>?@[]^_`{|}", "a;b=c/~!#$%&'()*+-.:<=>?@[]^_`{|}"),
        ('"' + "k" * 255 + '"', "k" * 255),
        ('"' + r"\"" * 255 + '"', '"' * 255),
        ("k" * 255, "k" * 255),
    ],
)
async def test_a_key_is_a_string_with_quotes_or_without(sent: str, key: str) -> None:
    """As the draft has it, and as most clients send it: both spellings are one key."""
    assert await key_of(_with(sent)) == key


@pytest.mark.anyio
@pytest.mark.parametrize(
    "sent",
    [
        "",
        " ",
        '""',
        '"',
        '"open',
        'open"',
        'a"b',
        r"a\b",
        r'"a\b"',
        r'"a\"',
        '"a" "b"',
        '"a", "b"',
        '"a";p=1',
        "a b",
        "a, b",
        "a,b",
        "\N{LATIN SMALL LETTER E WITH ACUTE}",
        '"\N{LATIN SMALL LETTER E WITH ACUTE}"',
        '"a\tb"',
        "a\x00",
        '"a\x7f"',
        "k" * 256,
        '"' + "k" * 256 + '"',
    ],
)
async def test_anything_else_is_refused(sent: str) -> None:
    """With a code for programs, and words that say what to send."""
    with pytest.raises(BadRequest, match="Send one Idempotency-Key of 1 to 255 visible ASCII") as refused:
        await key_of(_with(sent))
    assert (refused.value.status_code, refused.value.code) == (400, "idempotency_key_malformed")


@pytest.mark.anyio
@pytest.mark.parametrize("values", [("a", "b"), ("a", "a"), ('"a"', "a"), ("a", "")])
async def test_two_keys_are_refused(values: tuple[str, str]) -> None:
    """Even the same one: nobody can say which was meant."""
    with pytest.raises(BadRequest):
        await key_of(_with(*values))


@pytest.mark.anyio
async def test_no_key_is_none() -> None:
    """A request without the header has no key."""
    assert await key_of(make_call(method="POST")) is None


@given(st.binary(max_size=300))
def test_any_bytes_are_a_key_or_refused(sent: bytes) -> None:
    """Never anything else; and what is taken is short and visible."""
    call = make_call(method="POST")
    call.scope["headers"] = [(b"idempotency-key", sent)]
    try:
        key = anyio.run(key_of, call)
    except BadRequest:
        return
    assert key is not None
    assert 1 <= len(key) <= 255
    assert key.isascii()
    assert key.isprintable()


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255))
def test_every_string_of_the_draft_comes_out_as_it_was(key: str) -> None:
    """Quotes and backslashes are escaped by the client, and restored here (RFC 9651, section 3.3.3)."""
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    assert anyio.run(key_of, _with(f'"{escaped}"')) == key


# The caller


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Principal("u1"), Principal("u2")),
        (Principal("u1", "session"), Principal("u1", "api_key")),
        (Principal("u1", tenant="a"), Principal("u1", tenant="b")),
        (Principal("u1", tenant="None"), Principal("u1")),
        (Principal("u1', 'x", tenant="a"), Principal("x", tenant="a', 'u1")),
        (Principal("203.0.113.7"), None),
    ],
)
@pytest.mark.anyio
async def test_callers_are_told_apart(one: Principal | None, other: Principal | None) -> None:
    """By name, by how it was proved, by tenant; and no name looks like two others joined, or like an address."""
    names = {record_name(await caller(make_call(principal=who), None)) for who in (one, other)}
    assert len(names) == 2


@pytest.mark.anyio
async def test_a_caller_stays_who_he_is() -> None:
    """With another session, other rights, from another network."""
    before = make_call(principal=Principal("u1", sid="a", scopes=frozenset({"read"})), client="203.0.113.7")
    after = make_call(principal=Principal("u1", sid="b", auth_at=1.0), client="198.51.100.1")
    assert await caller(before, None) == await caller(after, None)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.7", "203.0.113.7", True),
        ("203.0.113.7", "203.0.113.8", False),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:203.0.113.7", "203.0.113.7", True),
    ],
)
@pytest.mark.anyio
async def test_nobody_is_known_by_his_network(one: str, other: str, same: bool) -> None:
    """Anonymous callers do not get each other's answers."""
    found = [await caller(make_call(client=client), None) for client in (one, other)]
    assert (found[0] == found[1]) is same


@pytest.mark.anyio
async def test_nobody_from_nowhere_is_a_mistake() -> None:
    """Or all of them would be one."""
    with pytest.raises(ConfigurationError, match="the server gives no client address"):
        await caller(make_call(client=None), None)


@pytest.mark.anyio
async def test_a_principal_without_a_name_is_a_mistake() -> None:
    """Or all of them would be one."""
    with pytest.raises(ConfigurationError, match="by_principal returned an empty string"):
        await caller(make_call(principal=Principal("")), None)


async def _later(call: Call) -> str:
    return "me"


@pytest.mark.parametrize("by", [lambda call: "me", _later])
@pytest.mark.anyio
async def test_your_own_function_names_the_caller(by: Callable[[Call], Any]) -> None:
    """Plain or async; it has the last word."""
    assert await caller(make_call(principal=Principal("u1")), by) == ("by", "me")
    assert await caller(make_call(client=None), by) == ("by", "me")


@pytest.mark.anyio
async def test_your_own_function_has_to_name_somebody() -> None:
    """An empty name would make everybody one."""
    with pytest.raises(ConfigurationError, match="returned an empty string"):
        await caller(make_call(), lambda call: "")


# The place

HERE: dict[str, Any] = {"method": "POST", "path": "/a", "root_path": "", "path_params": {}}


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PATCH"},
        {"path": "/a/"},
        {"root_path": "/v2"},
        {"path_params": {"tenant": "acme"}},
        {"path_params": {"id": 7}},
        {"path_params": {"id": UUID(UUID_KEY)}},
    ],
)
def test_a_key_is_good_for_one_place(change: dict[str, Any]) -> None:
    """Another method, path, mount or host that a route found something in is another place."""
    assert place(HERE, None) != place({**HERE, **change}, None)


def test_a_place_is_the_same_in_every_process() -> None:
    """What a converter made of the path may print as an address in memory, and a parameter may be renamed."""
    found = [place({**HERE, "path_params": params}, None) for params in ({"a": object(), "b": 1}, {"c": 1})]
    assert found[0] == found[1]


def test_a_scope_is_one_place() -> None:
    """Whatever the path."""
    assert place(HERE, "orders") == place({**HERE, "path": "/b"}, "orders") != place(HERE, "payments")


# The fingerprint


def _print(body: bytes = b"", known: bool = True, **changes: Any) -> str:
    return fingerprint(make_call(**{"method": "POST", **changes}), body, known=known)


@pytest.mark.parametrize(
    "other",
    [
        {"body": b"b"},
        {"query": "a=1"},
        {"path": "/b"},
        {"method": "PATCH"},
        {"headers": {"content-type": "text/plain"}},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_request_has_another_fingerprint(other: dict[str, Any]) -> None:
    """Its body, its type, its query, its path, its method: each is a part of what was asked for."""
    assert _print(**other) != _print()


def test_what_a_retry_may_change_is_no_part_of_it() -> None:
    """A fresh token, a fresh cookie, another trace, another network: the same caller asks for the same thing."""
    retry = {"headers": {"authorization": "Bearer fresh", "traceparent": "00"}, "cookies": {"s": "fresh"}}
    assert _print(client="203.0.113.9", **retry) == _print()


@pytest.mark.parametrize("carried", [{"headers": {"authorization": "Bearer b"}}, {"cookies": {"session": "b"}}])
def test_credentials_count_where_nobody_is_known(carried: dict[str, Any]) -> None:
    """Somebody further in may know whose they are; another's answer is not given for them."""
    assert len({_print(known=False, **carried), _print(known=False)}) == 2


def _form(boundary: str, value: str = "1", written: str = "") -> str:
    body = f'--{boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\n{value}\r\n--{boundary}--\r\n'
    kind = f"multipart/form-data; boundary={written or boundary}"
    return _print(body.encode(), headers={"content-type": kind})


def test_a_form_that_is_written_again_is_the_same_form() -> None:
    """A client draws another boundary each time; a retry of an upload would never be one."""
    assert _form("abc123") == _form("xyz789") == _form("xyz789", written='"xyz789"')
    assert _form("abc123") != _form("abc123", value="2")


def test_a_boundary_is_looked_for_in_forms_only() -> None:
    """And a form without one is taken as it is."""
    for kind in ("text/plain; boundary=b", "multipart/form-data"):
        assert _print(b"--b", headers={"content-type": kind}) != _print(b"--c", headers={"content-type": kind})


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_no_two_tuples_have_one_name(one: list[str], other: list[str]) -> None:
    """Lone surrogates, quotes and commas included; a name has one length, whatever it is made of."""
    assert (record_name(*one) == record_name(*other)) is (one == other)
    assert len(record_name(*one)) == 64
