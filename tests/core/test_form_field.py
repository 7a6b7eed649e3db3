"""One entry of a form is found, or nobody can tell; whatever bytes come, and without a file being written."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewright import Call, Gate, PayloadTooLarge
from gatewright._core.form_field import UnreadableFormError, form_field
from gatewright.testing import EventList, make_call
from tests.forms import BOUNDARY, KINDS, Sent, in_parts, urlencoded

pytestmark = pytest.mark.anyio


def _of(sent: Sent, **more: Any) -> Call:
    return make_call(method="POST", headers={"content-type": sent.kind}, data=sent.body, **more)


@pytest.mark.parametrize("write", KINDS)
async def test_an_entry_is_found_by_its_name(write: Any) -> None:
    """Every value of it, in order, empty ones too; and no other entry's."""
    sent = write(("_once", "a b+é"), ("name", "x"), ("_once", ""), ("_ONCE", "y"), ("once", "z"))
    assert await form_field(_of(sent), "_once") == ["a b+é", ""]
    assert await form_field(_of(sent), "nothing") == []


@pytest.mark.parametrize("write", KINDS)
async def test_a_text_may_be_as_long_as_the_form(write: Any) -> None:
    """The cap is the handler's; Starlette's own, of 1 MiB for each part, is another one."""
    sent = write(("_once", "x" * (2 << 20)))
    (found,) = await form_field(_of(sent, gate=Gate(body_limit=1 << 23, log=EventList())), "_once")
    assert len(found) == 2 << 20


@pytest.mark.parametrize(
    "kind", ["Multipart/Form-Data ; boundary=b", 'multipart/form-data; Charset="UTF-8"; boundary="b"; charset=utf-8 ']
)
async def test_a_type_is_read_as_browsers_and_programs_write_it(kind: str) -> None:
    """In any case, quoted or not, with the charset that all have."""
    sent = in_parts(("_once", "k"), boundary="b")
    assert await form_field(_of(sent._replace(kind=kind)), "_once") == ["k"]


@pytest.mark.parametrize(
    "charset", ["x", "punycode", '"idna"', "latin-1", "UTF-16", "rot13", "zip", "", "utf-8; CHARSET=punycode"]
)
async def test_no_client_chooses_a_codec(charset: str) -> None:
    """Python's punycode is quadratic: 100 kB of it keep a process busy for long."""
    sent = in_parts(("_once", "k"), boundary="b")
    for name in ("charset=", " Charset = ", "charset*=utf-8''", "charset*0=", 'x="; charset=utf-8"; charset='):
        with pytest.raises(UnreadableFormError):
            await form_field(_of(sent._replace(kind=f"multipart/form-data; boundary=b;{name}{charset}")), "_once")


async def test_no_part_chooses_a_codec() -> None:
    """Neither by its own type, nor in the entry `_charset_` (RFC 7578, section 4.6)."""
    sent = in_parts(("_charset_", "punycode"), ("_once", "a-é"), boundary="b")
    typed = sent.body.replace(b'name="_once"', b'name="_once"\r\nContent-Type: text/plain; charset=punycode')
    assert typed != sent.body
    for body in (sent.body, typed):
        assert await form_field(_of(sent._replace(body=body)), "_once") == ["a-é"]


async def test_files_are_passed_over_and_not_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not even large ones, which Starlette's parser writes to disk; nor is a file taken for a text of its name."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "there is no such place"))
    sent = in_parts(("_once", "k"), files=[("_once", "file"), ("movie", "x" * (3 << 20))])
    assert await form_field(_of(sent, gate=Gate(body_limit=1 << 23, log=EventList())), "_once") == ["k"]


@pytest.mark.parametrize(
    "kind",
    ["application/json", "text/plain", "", "multipart/mixed; boundary=b", "application/x-www-form-urlencodedx"],
)
async def test_what_is_no_form_is_not_even_read(kind: str) -> None:
    """A handler may stream such a body."""
    call = _of(Sent(kind, b"_once=k"))
    assert await form_field(call, "_once") == []
    assert not call.body_was_read


async def test_two_types_are_none() -> None:
    """Nobody can say which was meant."""
    kind = ("content-type", "application/x-www-form-urlencoded")
    assert await form_field(make_call(method="POST", headers=[kind, kind], data=b"_once=k"), "_once") == []


async def test_a_handshake_has_no_form() -> None:
    """Whatever it says of its type."""
    call = _of(urlencoded(("_once", "k")))
    call.scope["type"] = "websocket"
    assert await form_field(call, "_once") == []


WHOLE = in_parts(("_once", "k"))


@pytest.mark.parametrize(
    "sent",
    [
        urlencoded(*[("_once", "k")] * 1001),
        in_parts(*[("_once", "k")] * 1001),
        in_parts(files=[("f", "")] * 1001),
        WHOLE._replace(kind="multipart/form-data"),
        WHOLE._replace(kind="multipart/form-data; boundary=another"),
        WHOLE._replace(kind=f"multipart/form-data; boundary={'b' * 1000}"),
        WHOLE._replace(body=b""),
        WHOLE._replace(body=WHOLE.body[:-8]),
        WHOLE._replace(body=WHOLE.body.replace(b'; name="_once"', b"")),
        WHOLE._replace(body=WHOLE.body.replace(b"\r\n\r\n", b"\r\n")),
        in_parts(files=[("f", "x")])._replace(body=in_parts(files=[("f", "x" * 100)]).body[:-60]),
        WHOLE._replace(kind=f"multipart/form-data; charset=\x00; boundary={BOUNDARY}"),
    ],
    ids=lambda sent: f"{sent.kind[:50]!r} {sent.body[:20]!r}",
)
async def test_nobody_can_tell_what_a_broken_form_holds(sent: Sent) -> None:
    """One that breaks off, has no boundary, or more entries than any page shows."""
    with pytest.raises(UnreadableFormError):
        await form_field(_of(sent), "_once")


async def test_a_form_is_read_under_the_cap() -> None:
    """One that is too long is refused, and not taken for one without the entry."""
    with pytest.raises(PayloadTooLarge):
        await form_field(_of(WHOLE, gate=Gate(body_limit=10, log=EventList())), "_once")


PIECES = st.lists(
    st.sampled_from(
        [
            f"--{BOUNDARY}".encode(),
            b"\r\n",
            b"--",
            b'Content-Disposition: form-data; name="_once"',
            b'; filename="f"',
            b"; filename*=utf-8''f",
            b"name*0*=utf-8''%ff; name*1=x",
            b"Content-Type: text/plain; charset=utf-16",
            b"\x00\xff\xfe",
            b"k",
            b"\r",
            b"\n",
            b":",
        ]
    )
    | st.binary(max_size=20),
    max_size=20,
).map(b"".join)
TYPES = st.sampled_from(
    [
        WHOLE.kind.encode(),
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary*0=a; boundary*1=b",
        b"multipart/form-data; boundary*=utf-9''a; charset*=x",
        b"multipart/form-data; charset=\x00; boundary=a",
    ]
) | st.binary(max_size=60).map(b"multipart/form-data;".__add__)


@settings(deadline=None)
@given(TYPES, PIECES | st.builds(lambda inside: WHOLE.body.replace(b"k", inside), PIECES))
def test_any_bytes_are_a_form_or_unreadable(kind: bytes, body: bytes) -> None:
    """Never anything else, whatever the parser makes of them."""
    call = make_call(method="POST", headers={"content-type": "x"}, data=body)
    call.headers[b"content-type"] = kind
    try:
        found = anyio.run(form_field, call, "_once")
    except UnreadableFormError:
        return
    assert all(isinstance(value, str) for value in found)
