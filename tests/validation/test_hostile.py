"""The hostile corpus over every source, on Starlette and on FastAPI: an answer below 500, and nothing repeated."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import quote_from_bytes

import fastapi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gatewright import Gate
from gatewright._core.log import EventList
from gatewright.fastapi import GuardedRoute as FastAPIRoute
from gatewright.result import Result, ok
from gatewright.testing import Reply, call
from gatewright.text import Line
from gatewright.validation import (
    Checkbox,
    FromBody,
    FromCookie,
    FromFile,
    FromForm,
    FromHeader,
    FromInput,
    FromPath,
    FromQuery,
    validate,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Ask on one event loop: what is read here is in memory."""
    return "asyncio"


MARKER = "hunter2marker"
TAKEN = {200, 400, 413, 415, 422, 431}


class Row(BaseModel):
    n: int = 0
    pet: Annotated[Literal["cat"] | int, Field(union_mode="left_to_right")] = 0


class Thing(BaseModel):
    n: int = 0
    ratio: float = 0
    price: Decimal = Decimal(0)
    title: Line = ""
    note: str = ""
    rows: list[Row] = []
    by_name: dict[str, Row] = {}
    box: Checkbox = False

    @field_validator("note")
    @classmethod
    def no_x(cls, note: str) -> str:
        if note.startswith("x"):
            raise ValueError(f"{note!r} begins with an x")
        return note


@validate
async def body(given: FromBody[Thing]) -> Result[None]:
    return ok()


@validate
async def anything(given: FromBody[Any]) -> Result[None]:
    return ok()


@validate
async def form(given: FromForm[Thing]) -> Result[None]:
    return ok()


@validate(strict=True, empty="missing")
async def strict(given: FromForm[Thing], n: FromForm[int] = 0) -> Result[None]:
    return ok()


@validate
async def either(given: FromInput[Thing], cover: FromFile[UploadFile] | None = None) -> Result[None]:
    return ok()


@validate
async def query(n: FromQuery[int] = 0, note: FromQuery[str] = "", ns: FromQuery[list[float]] = []) -> Result[None]:  # noqa: B006
    return ok()


@validate
async def path(n: FromPath[int]) -> Result[None]:
    return ok()


@validate
async def texts(n: FromPath[str]) -> Result[str]:
    return ok(n)


@validate
async def header(
    x_n: FromHeader[int] = 0,
    x_ns: FromHeader[list[Decimal]] = [],  # noqa: B006
    x_t: FromHeader[Line] = "",
) -> Result[None]:
    return ok()


@validate
async def cookie(n: FromCookie[int] = 0, t: FromCookie[Line] = "") -> Result[None]:
    return ok()


BODIES = {"/body": body, "/anything": anything, "/form": form, "/strict": strict, "/either": either}
HEADS = {"/query": query, "/path/{n}": path, "/texts/{n}": texts, "/header": header, "/cookie": cookie}


def _starlette() -> ASGIApp:
    app = Starlette(routes=[Route(where, handler, methods=["POST"]) for where, handler in {**BODIES, **HEADS}.items()])
    Gate(log=EventList()).install(app)
    return app


def _fastapi() -> ASGIApp:
    app = fastapi.FastAPI()
    for where, handler in {**BODIES, **HEADS}.items():
        app.post(where)(handler)
    Gate(log=EventList()).install(app)
    return app


def _routes() -> ASGIApp:
    """FastAPI without a gate around it, which answers by its own handlers."""
    app = fastapi.FastAPI()
    app.router.route_class = FastAPIRoute
    for where, handler in {**BODIES, **HEADS}.items():
        app.post(where)(handler)
    return app


HOSTS = {"starlette": _starlette(), "fastapi": _fastapi(), "routes": _routes()}
HOST = pytest.mark.parametrize("host", HOSTS)

M = MARKER.encode()
JSON_BODIES: dict[str, bytes] = {
    "nan": b'{"ratio":NaN,"note":"%b"}' % M,
    "infinity": b'{"ratio":-Infinity,"n":Infinity}',
    "overflow": b'{"ratio":1e999,"n":1e999,"price":1e999999999}',
    "nan in text": b'{"ratio":"NaN","price":"sNaN","n":"%b"}' % M,
    "binary": bytes(range(256)),
    "utf-16": '{"n":"hunter2marker"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"n":1}',
    "raw surrogate": b'{"note":"\xed\xa0\x80","n":"%b"}' % M,
    "escaped surrogate": b'{"note":"\\ud800","title":"\\udfff%b"}' % M,
    "surrogate key": b'{"\\ud800%b":1}' % M,
    "deep": b'{"rows":' + b"[" * 100_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"by_name":' * 50_000 + b"1" + b"}" * 50_000,
    "digits": b'{"n":' + b"9" * 5_000 + b"}",
    "fewer digits": b'{"n":' + b"9" * 4_300 + b',"price":' + b"9" * 4_300 + b"}",
    "digits in text": b'{"n":"' + b"9" * 5_000 + b'","price":"' + b"9" * 5_000 + b'"}',
    "exponent in text": b'{"price":"1e999999999","n":"1e9999999"}',
    "duplicate keys": b'{"n":1,"n":"%b"}' % M,
    "many fields": b"{" + b",".join(b'"f%d":1' % n for n in range(60_000)) + b"}",
    "many rows": b'{"rows":[' + b",".join([b'{"n":"x"}'] * 50_000) + b"]}",
    "many names": b'{"by_name":{' + b",".join(b'"%d":1' % n for n in range(60_000)) + b"}}",
    "nul": b'{"note":"x\\u0000%b","title":"\\u0000"}' % M,
    "raw nul": b'{"note":"\x00"}',
    "huge name": b'{"' + b"k" * 500_000 + b'":1,"by_name":{"' + b"k" * 400_000 + b'":1}}',
    "wrong types": b'{"n":"%b","ratio":["%b"],"rows":"%b","note":["%b"],"box":"%b"}' % (M, M, M, M, M),
    "quoted by a validator": b'{"note":"x%b"}' % M,
    "empty": b"",
    "too large": b'"' + b"a" * (1 << 20) + b'"',
}
FORM_BODIES: dict[str, bytes] = {
    "numbers": b"n=NaN&ratio=nan&price=sNaN&rows[0].n=Infinity",
    "binary": bytes(range(256)),
    "raw surrogate": b"note=%ED%A0%80&title=\xed\xa0\x80",
    "cut escape": b"note=%C3&n=%",
    "digits": b"n=" + b"9" * 5_000 + b"&price=" + b"9" * 5_000 + b"&ratio=" + b"9" * 5_000,
    "deep": b"rows" + b"[0]" * 100_000 + b"=%b" % M,
    "deep dots": b"by_name" + b".a" * 100_000 + b"=%b" % M,
    "huge index": b"rows[999999999].n=%b&rows[" % M + b"9" * 5_000 + b"].n=1",
    "odd index": b"rows[-1].n=1&rows[1e3].n=1&rows[%D9%A3].n=1",
    "brackets": b"rows[[[[[=1&rows]]]=1&[]=1&rows[][][]=2&=1",
    "conflict": b"rows=%b&rows[0].n=1&rows[0]=2&n.x=%b" % (M, M),
    "duplicate": b"n=1&n=%b&note=x&note=%b" % (M, M),
    "many fields": b"&".join([b"a=1"] * 100_000),
    "many rows": b"&".join(b"rows[%d].n=x" % n for n in range(999)),
    "nul": b"note=x%%00%b&title=%%00&n=%%00" % M,
    "huge name": b"k" * 500_000 + b"=1&by_name[" + b"k" * 400_000 + b"]=1",
    "wrong": b"n=%b&ratio=%b&rows=%b&note=x%b&rows.0.pet=%b" % (M, M, M, M, M),
    "semicolons": b"n=1;note=x",
    "empty": b"",
}
TYPES = {
    "none": None,
    "json": "application/json",
    "json with a lie": "application/json; charset=utf-16",
    "form": "application/x-www-form-urlencoded",
    "multipart": "multipart/form-data; boundary=b",
    "no boundary": "multipart/form-data",
    "two boundaries": "multipart/form-data; boundary=b; boundary=c",
    "long boundary": "multipart/form-data; boundary=" + "b" * 5_000,
    "charset": "multipart/form-data; boundary=b; charset=idna",
    "text": "text/plain",
    "nonsense": "\xff;;;=",
    "huge": "application/json; " + "a=b;" * 5_000,
}


def _disposition(rest: bytes, content: bytes = b"", more: bytes = b"") -> bytes:
    return b"--b\r\nContent-Disposition: form-data; " + rest + b"\r\n" + more + b"\r\n" + content + b"\r\n--b--\r\n"


def _multipart(form: bytes) -> bytes:
    pairs = [pair.partition(b"=")[::2] for pair in form.split(b"&")[:2_000]]
    parts = [b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % pair for pair in pairs]
    return b"".join(parts) + b"--b--\r\n"


MULTIPART_BODIES: dict[str, bytes] = {
    **{name: _multipart(form) for name, form in FORM_BODIES.items()},
    "file for text": _disposition(b'name="note"; filename="%b"' % M, M),
    "text for file": _disposition(b'name="cover"', M),
    "file": _disposition(b'name="cover"; filename="../../%b\x00"' % M, bytes(range(256))),
    "bad filename": _disposition(b'name="cover"; filename="\xff%b"' % M),
    "encoded filename": _disposition(b"name=\"cover\"; filename*=utf-16''%ff%fe"),
    "no name": _disposition(b'filename="a"'),
    "bad name": _disposition(b'name="\xff"', M),
    "charset of a part": _disposition(b'name="note"', b"\xff", b"Content-Type: text/plain; charset=latin-1\r\n"),
    "huge header": _disposition(b'name="note"; a="' + b"a" * 100_000 + b'"'),
    "many headers": _disposition(b'name="note"', b"", b"A: b\r\n" * 20_000),
    "cut": _disposition(b'name="note"', M)[:-10],
    "no end": b"--b\r\n" * 10_000,
    "not a form": b"[" * 100_000,
}


def _check(reply: Reply) -> None:
    assert reply.status in TAKEN, (reply.status, reply.body[:300])
    assert MARKER not in reply.body.decode().casefold()
    assert len(reply.body) < 60_000


async def _post(host: str, where: str, **request: Any) -> Reply:
    reply = await call(HOSTS[host], method="POST", path=where, **request)
    _check(reply)
    return reply


ALL_BODIES = {
    f"{kind}: {name}": data
    for kind, bodies in (("json", JSON_BODIES), ("form", FORM_BODIES), ("multipart", MULTIPART_BODIES))
    for name, data in bodies.items()
}


@HOST
@pytest.mark.parametrize("name", ALL_BODIES)
async def test_every_hostile_body_under_every_type(host: str, name: str) -> None:
    """What it is said to be need not be what it is."""
    for where in BODIES:
        for kind in TYPES if where == "/either" else ("json", "form", "multipart"):
            written = TYPES[kind]
            headers = {} if written is None else {"content-type": written}
            await _post(host, where, data=ALL_BODIES[name], headers=headers)


VALUES: dict[str, bytes] = {
    "nan": b"NaN",
    "infinity": b"-Infinity",
    "binary": bytes(range(128, 256)),
    "surrogate": b"\xed\xa0\x80",
    "digits": b"9" * 5_000,
    "exponent": b"1e999999999",
    "deep": b"[" * 10_000,
    "nul": b"\x00" + M,
    "marker": M,
    "line ends": b"1\r\nSet-Cookie: a=b",
    "escapes": b"%ff%00%",
    "empty": b"",
    "spaces": b" \t ",
}


@HOST
@pytest.mark.parametrize("name", VALUES)
async def test_every_hostile_value_in_the_head(host: str, name: str) -> None:
    """Query, path, headers, cookies, as a server may hand them over."""
    value = VALUES[name]
    text = value.decode("latin-1")
    for written in (quote_from_bytes(value), quote_from_bytes(value, safe="%[]")):
        for key in ("n", "note", "ns", "zz"):
            await _post(host, "/query", query=f"{key}={written}&{key}={written}")
            await _post(host, "/query", query=f"{key}={written}")
    await _post(host, "/header", headers=[("x-n", text), ("x-ns", text), ("x-ns", text), ("x-t", text)])
    await _post(host, "/cookie", headers=[("cookie", f"n={text}; t={text}; t={text}; z")])
    if value:
        await _post(host, "/path/" + quote_from_bytes(value, safe=""))


@HOST
async def test_many_and_long_names_in_the_head(host: str) -> None:
    """10⁵ entries of a query, 10⁴ cookies, a name of half a megabyte."""
    await _post(host, "/query", query="&".join(["a=1"] * 100_000))
    await _post(host, "/query", query="k" * 500_000 + "=1")
    await _post(host, "/cookie", headers=[("cookie", "; ".join(f"c{n}=1" for n in range(10_000)))])
    await _post(host, "/header", headers=[("x-ns", "1")] * 10_000)


@HOST
async def test_a_path_that_a_server_could_not_decode_is_a_400(host: str) -> None:
    """Half a surrogate pair stands for the byte, and no answer could be written with it."""
    for where in ("/texts/a\ud800", "/path/\udcff"):

        async def app(scope: Scope, receive: Receive, send: Send, where: str = where) -> None:
            await HOSTS[host]({**scope, "path": where}, receive, send)

        reply = await call(app, method="POST", path="/path/x")
        _check(reply)
        assert reply.status == 400


@HOST
@pytest.mark.parametrize("where", ["/body", "/form", "/either"])
async def test_the_good_request_is_taken(host: str, where: str) -> None:
    """A corpus that is refused for another reason proves nothing."""
    sent: dict[str, Any] = {"json": {"n": 1}} if where == "/body" else {"form": {"n": "1", "rows[0].n": "2"}}
    assert (await _post(host, where, **sent)).status == 200


def _bits(table: dict[str, bytes]) -> Iterator[bytes]:
    for data in table.values():
        yield data[:40]
        yield data[-20:]


BITS = st.lists(st.sampled_from(list(_bits(ALL_BODIES))) | st.binary(max_size=8), max_size=6).map(b"".join)
HEADERS = st.sampled_from([kind for kind in TYPES.values() if kind]) | st.text(
    st.characters(max_codepoint=255), max_size=30
)


@pytest.mark.parametrize("where", BODIES)
@given(data=BITS, kind=HEADERS)
@settings(max_examples=120, deadline=None)
async def test_any_bytes_of_any_type(where: str, data: bytes, kind: str) -> None:
    """On the plainest host; the others answer alike."""
    await _post("starlette", where, data=data, headers=[("content-type", kind)])
