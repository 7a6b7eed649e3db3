"""Sessions that their owner cannot read."""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright import ConfigurationError, Gate, Principal, SessionCookie
from gatewright._core.tokens import TokenError, base64url
from gatewright.auth import Rejected
from gatewright.auth.session.record import SessionRecord, session_schema
from gatewright.auth.session.sealing import TokenSealer
from tests.auth.support import KEY, OLDER_KEY, FrozenClock, call_with, counting, make_gate

pytestmark = pytest.mark.anyio

sealed: SessionCookie = SessionCookie(encrypted=True)
FORGED = Rejected("invalid_token", "not encrypted with one of the keys")


def created(gate: Gate, session: SessionCookie = sealed, **facts: Any) -> bytes:
    return session.create_session("ada", **facts).header(gate).split(b";")[0].partition(b"=")[2]


def said(gate: Gate, value: bytes, session: SessionCookie = sealed) -> Any:
    call = call_with((b"cookie", b"__Host-session=" + value), gate=gate)
    return session.bind(gate).authenticate(call)


def test_its_data_comes_back_and_nobody_else_reads_it() -> None:
    """What is put in is the principal's claims; what travels says nothing of it, in whatever encoding."""
    gate = make_gate()
    value = created(gate, roles=["author"], data={"cart": ["b-7"], "secret": "xyzzy"})
    principal = said(gate, value)
    assert isinstance(principal, Principal)
    assert (principal.sub, principal.roles, principal.claims) == (
        "ada",
        {"author"},
        {"cart": ["b-7"], "secret": "xyzzy"},
    )
    raw = base64.urlsafe_b64decode(value + b"==")
    assert b"ada" not in raw and b"xyzzy" not in raw and b"xyzzy" not in value


def test_without_data_there_are_no_claims() -> None:
    """As in a signed session."""
    gate = make_gate()
    assert said(gate, created(gate)).claims == {}


def test_data_goes_into_no_cookie_that_its_owner_can_read() -> None:
    """Refused where it is written, and where it comes from elsewhere, signed with our key."""
    with pytest.raises(ConfigurationError, match=r"its owner could read it; SessionCookie\(encrypted=True\)"):
        SessionCookie().create_session("ada", data={"a": 1})


def test_data_travels_as_json() -> None:
    """What JSON cannot say is refused where it is written, and not when the answer is sent."""
    with pytest.raises(ConfigurationError, match="it travels as JSON"):
        sealed.create_session("ada", data={"a": object()})


async def test_data_stays_when_the_session_gets_another_id() -> None:
    """What is not said again is kept."""
    gate = make_gate()
    value = created(gate, data={"cart": 1})
    call = call_with((b"cookie", b"__Host-session=" + value), gate=gate)
    after = (await sealed.rotate(call, roles=["admin"])).header(gate).split(b";")[0].partition(b"=")[2]
    principal = said(gate, after)
    assert (principal.roles, principal.claims) == ({"admin"}, {"cart": 1}) and after != value


async def test_what_is_done_to_claims_is_not_signed() -> None:
    """A handler that changes what it was given changes no cookie that is written later."""
    gate = make_gate()
    value = created(gate, data={"cart": ["b-7"]})
    said(gate, value).claims["cart"].append("b-8")
    call = call_with((b"cookie", b"__Host-session=" + value), gate=gate)
    after = (await sealed.rotate(call)).header(gate).split(b";")[0].partition(b"=")[2]
    assert said(gate, after).claims == {"cart": ["b-7"]}


def test_a_signed_and_an_encrypted_session_are_not_taken_for_each_other() -> None:
    """With the same key and the same name."""
    gate, signed = make_gate(), SessionCookie()
    assert said(gate, created(gate), signed) == Rejected("invalid_token", "not signed with one of the keys")
    assert said(gate, created(gate, signed)) == FORGED


def test_keys_are_rolled() -> None:
    """What an older key encrypted is read, and written with the newest one."""
    old, both, new = make_gate(OLDER_KEY), make_gate(KEY, OLDER_KEY), make_gate(KEY)
    assert isinstance(said(both, created(old)), Principal)
    assert said(new, created(old)) == FORGED
    assert isinstance(said(new, created(both)), Principal)


def test_another_name_is_another_session() -> None:
    """The name is part of the key and of what is authenticated."""
    gate = make_gate()
    assert said(gate, created(gate, SessionCookie(name="__Host-staff", encrypted=True))) == FORGED


def test_every_token_has_one_spelling() -> None:
    """Story: itsdangerous verifies three other final characters and padding as the same token."""
    gate = make_gate()
    value = created(gate)
    for other in (value + b"=", value + b"==", value[:-1] + bytes([value[-1] ^ 1]), b"\xff" + value, value + b"\n"):
        assert isinstance(said(gate, other), Rejected)


@given(st.binary(max_size=200))
def test_any_bytes_are_rejected(value: bytes) -> None:
    """Never an exception, never a session."""
    gate = make_gate()
    sealer: TokenSealer[SessionRecord] = TokenSealer([KEY], "p", session_schema(with_data=True), counting())
    for text in (value, base64url(value)):
        with pytest.raises(TokenError):
            sealer.read(text)
        assert not text or b";" in text or not isinstance(said(gate, text), Principal)


@given(st.integers(0, 300), st.integers(1, 255))
def test_any_change_is_found(place: int, change: int) -> None:
    """One bit is enough."""
    gate = make_gate()
    raw = bytearray(base64.urlsafe_b64decode(created(gate) + b"=="))
    raw[place % len(raw)] ^= change
    assert said(gate, base64url(bytes(raw))) == FORGED


def test_what_is_too_long_is_not_decrypted() -> None:
    """A cap, as for every token."""
    assert said(make_gate(), b"A" * 4097) == Rejected("invalid_token", "too long")


def test_a_record_of_another_version_is_none() -> None:
    """Encrypted with our key, and not what we write."""
    gate = make_gate()
    sealer: TokenSealer[Any] = TokenSealer(
        [KEY], "gatewright.session __Host-session", session_schema(with_data=True), counting()
    )
    record = {"sid": "1", "sub": "ada", "iat": 1.8e9, "exp": 1.9e9, "ver": 2}
    assert said(gate, sealer.sign(record).encode()) == Rejected(
        "invalid_token", "encrypted, but not a record of this version"
    )
    assert isinstance(said(gate, sealer.sign({**record, "ver": 1}).encode()), Principal)


def test_no_nonce_twice() -> None:
    """Two sessions of the same facts look different: the nonce comes from the gate's entropy."""
    gate = Gate(keys=[KEY], clock=FrozenClock())
    assert len({created(gate)[:16] for _ in range(50)}) == 50


def test_an_owner_reads_what_is_only_signed() -> None:
    """The docs say so; this is why data is refused there."""
    gate = make_gate()
    payload = created(gate, SessionCookie()).partition(b".")[0]
    assert json.loads(base64.urlsafe_b64decode(payload + b"=="))["sub"] == "ada"


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is bound, and not at some login."""
    for name in ("cryptography.exceptions", "gatewright.auth.session.sealing"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError, match=r'pip install "gatewright\[jwt\]"'):
        SessionCookie(encrypted=True).bind(make_gate())
