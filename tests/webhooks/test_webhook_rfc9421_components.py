"""The signature base: the bytes that both sides have to make alike."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.webhooks import Delivery, WebhookRejected
from gatewright.webhooks.schemes.rfc9421.components import Message
from gatewright.webhooks.schemes.rfc9421.fields import InnerList, Item, dictionary

URL = "https://www.example.com/path?param=value"


def base(components: str, headers: Sequence[tuple[bytes, bytes]] = (), method: str = "POST", url: str = URL) -> str:
    """Return the signature base of *components*, without its last line."""
    signed = dictionary(f"a=({components})".encode())["a"]
    assert isinstance(signed, InnerList)
    made = Message(Delivery(b"", headers, method, url)).base(signed).decode()
    values, last = made.rpartition('"@signature-params": ')[::2]
    assert last.startswith("(")
    return values.removesuffix("\n")


def refused(components: str, headers: Sequence[tuple[bytes, bytes]] = (), method: str = "POST", url: str = URL) -> str:
    """Return why there is no signature base."""
    with pytest.raises(WebhookRejected) as rejected:
        base(components, headers, method, url)
    return rejected.value.reason


HEADERS = [
    (b"host", b"www.example.com"),
    (b"date", b"Tue, 20 Apr 2021 02:07:56 GMT"),
    (b"x-ows-header", b"  Leading and trailing whitespace.   "),
    (b"x-obs-fold-header", b"Obsolete\r\n    line folding."),
    (b"cache-control", b"max-age=60"),
    (b"cache-control", b"   must-revalidate"),
    (b"example-dict", b"  a=1,    b=2;x=1;y=2,   c=(a   b   c), d"),
    (b"example-header", b"value, with, lots"),
    (b"example-header", b"of, commas"),
    (b"x-empty-header", b""),
]


@pytest.mark.parametrize(
    ("component", "line"),
    [
        ('"host"', '"host": www.example.com'),
        ('"date"', '"date": Tue, 20 Apr 2021 02:07:56 GMT'),
        ('"x-ows-header"', '"x-ows-header": Leading and trailing whitespace.'),
        ('"x-obs-fold-header"', '"x-obs-fold-header": Obsolete line folding.'),
        ('"cache-control"', '"cache-control": max-age=60, must-revalidate'),
        ('"example-dict"', '"example-dict": a=1,    b=2;x=1;y=2,   c=(a   b   c), d'),
        ('"x-empty-header"', '"x-empty-header": '),
        ('"example-dict";key="a"', '"example-dict";key="a": 1'),
        ('"example-dict";key="d"', '"example-dict";key="d": ?1'),
        ('"example-dict";key="b"', '"example-dict";key="b": 2;x=1;y=2'),
        ('"example-dict";key="c"', '"example-dict";key="c": (a b c)'),
        ('"example-header"', '"example-header": value, with, lots, of, commas'),
        ('"example-header";bs', '"example-header";bs: :dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:'),
        ('"x-obs-fold-header";bs', '"x-obs-fold-header";bs: :T2Jzb2xldGUgbGluZSBmb2xkaW5nLg==:'),
    ],
)
def test_fields_are_those_of_the_rfc(component: str, line: str) -> None:
    """RFC 9421, sections 2.1 to 2.1.3: trimmed, unfolded, joined, and the examples byte by byte."""
    assert base(component, HEADERS) == line


def test_members_of_one_dictionary_may_be_covered_one_by_one() -> None:
    """Each line has its own member, and what is not covered may change on the way."""
    covered = '"example-dict";key="a" "example-dict";key="d"'
    assert base(covered, HEADERS) == '"example-dict";key="a": 1\n"example-dict";key="d": ?1'
    assert base(covered, [(b"example-dict", b"d, a=1, e=2")]) == base(covered, HEADERS)


def test_a_dictionary_that_is_known_has_a_canonical_spelling() -> None:
    """RFC 9421, section 2.1.1: "sf" is for whoever knows the type; of a field that could be any, nobody does."""
    headers = [(b"content-digest", b"a=1,    b=2;x=1;y=2,   c=(a   b   c), d;q"), (b"x-dict", b"a=1")]
    assert base('"content-digest";sf', headers) == '"content-digest";sf: a=1, b=2;x=1;y=2, c=(a b c), d;q'
    assert refused('"x-dict";sf', headers) == "malformed"


@pytest.mark.parametrize(
    ("component", "url", "value"),
    [
        ("@method", URL, "POST"),
        ("@target-uri", URL, URL),
        ("@target-uri", "https://www.example.com", "https://www.example.com/"),
        ("@target-uri", "https://www.example.com/?", "https://www.example.com/?"),
        ("@target-uri", "https://me:pw@www.example.com/", "https://www.example.com/"),
        ("@authority", URL, "www.example.com"),
        ("@authority", "https://WWW.Example.com:443/", "www.example.com"),
        ("@authority", "http://www.example.com:80/", "www.example.com"),
        ("@authority", "http://www.example.com:443/", "www.example.com:443"),
        ("@authority", "https://www.example.com:8443/", "www.example.com:8443"),
        ("@authority", "https://www.example.com:/", "www.example.com"),
        ("@authority", "https://user@[::1]:8443/", "[::1]:8443"),
        ("@authority", "https://[2001:DB8::443]/", "[2001:db8::443]"),
        ("@authority", "wss://www.example.com/", "www.example.com"),
        ("@scheme", "HTTPS://www.example.com/", "https"),
        ("@request-target", URL, "/path?param=value"),
        ("@request-target", "/path?", "/path?"),
        ("@request-target", "/path", "/path"),
        ("@request-target", "*", "*"),
        ("@path", URL, "/path"),
        ("@path", "https://www.example.com", "/"),
        ("@path", "/a%2Fb//c", "/a%2Fb//c"),
        ("@query", "/path?param=value&foo=bar&baz=bat%2Dman", "?param=value&foo=bar&baz=bat%2Dman"),
        ("@query", "/path?queryString", "?queryString"),
        ("@query", "/path?", "?"),
        ("@query", "/path", "?"),
    ],
)
def test_what_is_no_header_is_that_of_the_rfc(component: str, url: str, value: str) -> None:
    """RFC 9421, sections 2.2.1 to 2.2.7."""
    assert base(f'"{component}"', url=url) == f'"{component}": {value}'


@pytest.mark.parametrize(
    ("url", "name", "value"),
    [
        ("/path?param=value&foo=bar&baz=batman&qux=", "baz", "batman"),
        ("/path?param=value&foo=bar&baz=batman&qux=", "qux", ""),
        ("/path?param=value&foo=bar&baz=batman&qux=", "param", "value"),
        ("/p?var=this%20is%20a%20big%0Amultiline%20value", "var", "this%20is%20a%20big%0Amultiline%20value"),
        ("/p?bar=with+plus+whitespace", "bar", "with%20plus%20whitespace"),
        ("/p?fa%C3%A7ade%22%3A%20=something", "fa%C3%A7ade%22%3A%20", "something"),
        ("/p?a=~*-._%7e%2a", "a", "%7E*-._%7E*"),
        ("/p?flag&a=b=c", "flag", ""),
        ("/p?flag&a=b=c", "a", "b%3Dc"),
    ],
)
def test_query_parameters_are_encoded_anew(url: str, name: str, value: str) -> None:
    """RFC 9421, section 2.2.8, with its examples."""
    component = f'"@query-param";name="{name}"'
    assert base(component, url=url) == f"{component}: {value}"


def test_bytes_that_are_no_text_are_not_all_the_same() -> None:
    """A decoder makes one sign of all that is not UTF-8; one parameter would pass for another."""
    assert base('"@query-param";name="a"', url="/p?a=%FF") != base('"@query-param";name="a"', url="/p?a=%FE")


@pytest.mark.parametrize(
    "component",
    [
        '"absent"',
        '"Host"',
        '"host";req',
        '"host";tr',
        '"host";bs;sf',
        '"host";bs=1',
        '"host";bs=?0',
        '"host";key=a',
        '"host";key="a"',
        '"example-dict";key="z"',
        '"example-dict";key=1',
        '"@method";req',
        '"@method";name="a"',
        '"@status"',
        '"@signature-params"',
        '"@request-response"',
        '"@query-param"',
        '"@query-param";name=a',
        '"@query-param";name="param";req',
        '"@query-param";name="absent"',
        '"@query-param";name=""',
        "host",
        ":aG9zdA==:",
        "1",
        '"host" "host"',
        '"@method" "date" "@method"',
        '"host";bs;key="a" "host";key="a";bs',
    ],
)
def test_components_that_no_request_has_are_refused(component: str) -> None:
    """Nothing is signed that is not there, that is of a response or a trailer, or that is there twice."""
    assert refused(component, HEADERS) == "malformed"


@pytest.mark.parametrize("url", ["/p", "/p?", "/p?&a=1&"])
def test_between_two_separators_there_is_no_parameter(url: str) -> None:
    """A form has no field without a name and a value; nor does a query."""
    assert refused('"@query-param";name=""', url=url) == "malformed"
    assert base('"@query-param";name=""', url="/p?=1") == '"@query-param";name="": 1'


def test_a_parameter_that_is_there_twice_is_refused() -> None:
    """RFC 9421, section 2.2.8: two readers could believe two different ones."""
    assert refused('"@query-param";name="a"', url="/p?a=1&a=1") == "malformed"
    assert refused('"@query-param";name="a"', url="/p?a=1&%61=2") == "malformed"


@pytest.mark.parametrize("component", ["@target-uri", "@authority", "@scheme"])
@pytest.mark.parametrize("url", ["/path", "", "//example.com/path", "https:///path", "https://me@/path"])
def test_the_host_header_is_not_believed(component: str, url: str) -> None:
    """What only a public URL tells is not computed from what anybody wrote into the request."""
    assert refused(f'"{component}"', [(b"host", b"example.com")], url=url) == "no_supported_signature"


def test_a_value_cannot_begin_another_component() -> None:
    """A line feed in a value would let it pass for a component of its own; nothing but printable ASCII is signed."""
    forged = b'a\n"@method": DELETE'
    for bad in (forged, b"a\r\n" + forged[2:], b"a\rb", b"a\x00b", b"caf\xe9", b"a\r\n", b"\x7f"):
        assert refused('"x"', [(b"x", bad)]) == "malformed"
    assert refused('"@method"', method="POST\nx") == "malformed"
    assert refused('"@method"', method="PÖST") == "malformed"
    assert refused('"@path"', url="/a\nb") == "malformed"
    assert refused('"@path"', url="/caf\xe9") == "malformed"
    assert refused('"@path"', url="/\ud800") == "malformed"
    assert refused('"@path"', url="/a#b") == "malformed"
    assert base('"x"', [(b"x", b"a\tb")]) == '"x": a\tb'
    assert base('"x"', [(b"x", b"a\r\n ")]) == '"x": a'


def test_there_are_not_too_many_components() -> None:
    """What a stranger may ask us to compute has an end."""
    named = [f"x{number}" for number in range(65)]
    headers = [(name.encode(), b"") for name in named]
    assert base(" ".join(f'"{name}"' for name in named[:64]), headers).count("\n") == 63
    assert refused(" ".join(f'"{name}"' for name in named), headers) == "malformed"


def test_a_field_is_read_once() -> None:
    """A stranger may ask for each member of a long dictionary; it costs hardly more than to ask for one."""
    headers = [(b"long", b", ".join(b"k%d" % number for number in range(3000)))]

    def seconds(asked: int) -> float:
        components = " ".join(f'"long";key="k{number}"' for number in range(asked))
        started = perf_counter()
        base(components, headers)
        return perf_counter() - started

    assert min(seconds(60) for _ in range(5)) < 10 * min(seconds(1) for _ in range(5))


def test_the_last_line_is_what_was_signed_with_it() -> None:
    """RFC 9421, section 2.5: the parameters are a part of the base, in their order and in their one spelling."""
    signed = InnerList((Item("@method"), Item("x", {"bs": True})), {"created": 7, "keyid": 'a"b'})
    assert Message(Delivery(b"", [(b"x", b"y")])).base(signed) == (
        b'"@method": POST\n"x";bs: :eQ==:\n"@signature-params": ("@method" "x";bs);created=7;keyid="a\\"b"'
    )


components = st.sampled_from(
    ["@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query", "@query-param", "x", "y"]
)
texts = st.text(max_size=20) | st.from_regex(r"(https?://[a-zA-Z@:\[\]0-9.]{0,9})?/?[a-z%+&=?#~]{0,12}", fullmatch=True)


@given(
    st.lists(st.builds(Item, components, st.sampled_from([{}, {"name": "a"}, {"bs": True}, {"key": "a"}]))),
    st.lists(st.tuples(st.sampled_from([b"x", b"y"]), st.binary(max_size=20)), max_size=3),
    texts,
    texts,
)
def test_a_base_is_made_or_refused(
    signed: list[Item], headers: list[tuple[bytes, bytes]], method: str, url: str
) -> None:
    """For any components of any request there is a base of as many lines, in ASCII, or a refusal."""
    try:
        made = Message(Delivery(b"", headers, method, url)).base(InnerList(tuple(signed)))
    except WebhookRejected as rejected:
        assert rejected.reason in ("malformed", "no_supported_signature")
    else:
        assert made.isascii()
        assert len(made.split(b"\n")) == len(signed) + 1
