"""What somebody entered is shown again; what is secret, and what nobody may have read, is not."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypeVar

import anyio
import pytest
from fastapi import Form as FastAPIForm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    Secret,
    SecretBytes,
    SecretStr,
)
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass as pydantic_dataclass
from starlette.requests import Request
from typing_extensions import TypeAliasType, TypedDict

from gatewright import (
    ActionState,
    Call,
    FromForm,
    FromInput,
    Principal,
    Result,
    action,
    by_principal,
    err,
    limit_body,
    require,
    role,
    with_rate_limit,
)
from gatewright._core.guard import Guard
from gatewright._core.handler import Handler
from gatewright._core.phase import Phase
from gatewright.actions.secrecy import secret_fields
from gatewright.guards import guarded_by
from gatewright.testing import call, chunked, disconnecting
from tests.actions.kit import BROWSER, HOSTS, Blog, Host, PostIn
from tests.forms import BOUNDARY, in_parts
from tests.toys import Identify

pytestmark = pytest.mark.anyio


class Seen:
    """A page that remembers what it was shown."""

    def __init__(self) -> None:
        self.states: list[ActionState] = []

    def __call__(self, call: Call, state: ActionState) -> str:
        """Show the values."""
        self.states.append(state)
        return repr(dict(state.values))

    @property
    def values(self) -> dict[str, str | list[str]]:
        """Return the values of the last attempt."""
        return dict(self.states[-1].values)


def _form(*entries: tuple[str, str]) -> dict[str, Any]:
    sent = in_parts(*entries)
    return {"data": sent.body, "headers": {"content-type": sent.kind}}


async def _refusing(seen: Seen, **sent: Any) -> dict[str, str | list[str]]:
    @action(page=seen)
    async def handler(form: FromInput[PostIn]) -> Result[None]:
        return err("No")

    reply = await Blog().post(handler, **sent)
    assert 400 <= reply.status < 500
    return seen.values


async def test_values_are_kept_as_they_came() -> None:
    """Texts, not what they were parsed to: `007` is not 7, and what does not fit is what has to be mended."""
    sent = {"title": "  Ähm <b> ", "stars": "007", "empty": "", "items[0].name": "x", "items[1][name]": "y"}
    assert await _refusing(Seen(), form=sent) == sent
    assert await _refusing(Seen(), form={"title": "a", "stars": "many"}) == {"title": "a", "stars": "many"}
    assert await _refusing(Seen(), **_form(("title", "a"), ("stars", "many"))) == {"title": "a", "stars": "many"}


async def test_a_name_that_comes_again_has_a_list() -> None:
    """Boxes of one name, and a select with several options."""
    assert await _refusing(Seen(), form={"title": "a", "tags": ["x", "y"]}) == {"title": "a", "tags": ["x", "y"]}


async def test_files_are_not_kept() -> None:
    """No browser lets a page fill them in, and a page is no place for what is in them."""
    sent = in_parts(("title", "a"), ("stars", "many"), files=[("photo", "secret bytes")])
    kept = await _refusing(Seen(), data=sent.body, headers={"content-type": sent.kind})
    assert kept == {"title": "a", "stars": "many"}


async def test_entries_for_guards_are_not_kept() -> None:
    """A page writes them anew each time."""
    sent = {"title": "a", "_once": "k", "_previous": "t", "csrf_token": "c"}
    assert await _refusing(Seen(), form=sent) == {"title": "a"}


class Address(BaseModel):
    """Something inside."""

    street: str = ""
    door: SecretStr = SecretStr("")


@dataclasses.dataclass
class Card:
    """Something inside that is no model."""

    holder: str = ""
    digits: SecretStr | None = None


class Extra(TypedDict, total=False):
    """Something inside that is a dict."""

    hint: Secret[int]


class Account(BaseModel):
    """A model with secrets in many places."""

    name: str
    phrase: SecretStr
    raw: SecretBytes | None = None
    spelled: SecretStr = Field(SecretStr(""), alias="spelt")
    chosen: SecretStr = Field(SecretStr(""), validation_alias=AliasChoices("one", AliasPath("two", 0)))
    listed: list[Annotated[SecretStr, Field(max_length=9)]] = []
    addresses: list[Address] = []
    card: Card | None = None
    extra: Extra = {}
    parent: Account | None = None


Phrase = TypeAliasType("Phrase", SecretStr)
Code = NewType("Code", SecretStr)
Holder = TypeAliasType("Holder", Card)


class Aliased(BaseModel):
    """A model that says elsewhere what its fields are."""

    a: Phrase
    b: list[Code]
    c: Holder | None = None
    d: str = ""


SECRET = {"phrase", "raw", "spelled", "spelt", "chosen", "one", "two", "listed", "door", "digits", "hint"}


async def _with_aliases(form: FromInput[Aliased]) -> None: ...


async def _with_account(form: FromForm[Account], pin2: FromForm[SecretStr]) -> None: ...


async def _with_account_input(form: FromInput[Account | None] = None) -> None: ...


def test_secret_fields_are_found_however_deep() -> None:
    """In models, dataclasses and typed dicts, under every name that they can be sent by."""
    assert secret_fields(Handler.read(_with_account)) == SECRET | {"pin2"}
    assert secret_fields(Handler.read(_with_account_input)) == SECRET
    assert secret_fields(Handler.read(_with_aliases)) == {"a", "b", "digits"}


T = TypeVar("T")


class Pair(NamedTuple):
    """Something inside that may be sent by position."""

    label: str
    digits: SecretStr


@pydantic_dataclass(config=ConfigDict(alias_generator=to_camel))
class Made:
    """Something whose aliases nobody wrote."""

    recovery_code: SecretStr
    type: str = ""
    metadata: SecretStr | None = None
    spelled: SecretStr = Field(SecretStr(""), validation_alias=AliasPath("path", 0))
    chosen: SecretStr = Field(SecretStr(""), validation_alias=AliasChoices("one", AliasPath("two", 0)))


@pydantic_dataclass
class Box(Generic[T]):
    """Something that may hold anything."""

    held: T
    count: int = 0


class Node(BaseModel):
    """A model that holds itself, and one of two."""

    model_config = ConfigDict(alias_generator=to_camel)

    next_node: Node | None = None
    inner_part: Named | Coded | None = Field(None, discriminator="type")


class Named(TypedDict):
    """One of two."""

    type: Literal["default"]
    own: Annotated[Secret[int], Field(alias="hers")]


class Coded(BaseModel):
    """The other."""

    type: Literal["type"] = "type"
    serialization: Annotated[SecretStr, PlainSerializer(str)] = SecretStr("")


SecretList = TypeAliasType("SecretList", "list[SecretStr | SecretList]")


async def _aliased_single(
    code: FromForm[Annotated[SecretStr, Field(alias="recovery")]], n: FromForm[int] = 0
) -> None: ...


async def _with_made(form: FromForm[Made]) -> None: ...


async def _with_pair(name: FromForm[str], pair: FromForm[Pair]) -> None: ...


async def _with_box(form: FromForm[Box[SecretStr]]) -> None: ...


async def _with_node(form: FromInput[Node]) -> None: ...


async def _with_itself(mine: FromForm[SecretList], other: FromForm[list[int]]) -> None: ...


@pytest.mark.parametrize(
    ("handler", "secret"),
    [
        (_aliased_single, {"code", "recovery"}),
        (_with_made, {"recovery_code", "recoveryCode", "metadata", "spelled", "path", "chosen", "one", "two"}),
        (_with_pair, {"pair"}),
        (_with_box, {"held"}),
        (_with_node, {"own", "hers", "serialization"}),
        (_with_itself, {"mine"}),
    ],
)
def test_secret_fields_have_every_name_that_pydantic_knows(handler: Any, secret: set[str]) -> None:
    """Aliases of a parameter, made ones, and those of what is no model; and what a type variable stands for."""
    assert secret_fields(Handler.read(handler)) >= secret
    assert not secret_fields(Handler.read(handler)) & {"label", "type", "count", "name", "n", "other", "nextNode"}


async def test_a_recovery_code_by_its_alias_is_not_echoed() -> None:
    """What the form calls it, and not what the handler does."""
    seen = Seen()

    @action(page=seen)
    async def handler(
        title: FromForm[str], code: FromForm[Annotated[SecretStr, Field(alias="recovery")]]
    ) -> Result[None]:
        return err("No")

    await Blog().post(handler, form={"title": "a", "recovery": "hunter2"})
    assert seen.values == {"title": "a"}


def test_what_cannot_be_looked_into_is_secret() -> None:
    """Better to have it entered again than to show it."""

    class Inner(BaseModel): ...

    @dataclasses.dataclass
    class Outer:
        holder: str
        inner: Inner

    async def handler(form: FromInput[Any]) -> None: ...

    handler.__annotations__["form"] = FromInput[Outer]
    assert secret_fields(Handler.read(handler)) == {"holder", "inner"}


async def test_a_name_that_no_form_has_is_not_kept() -> None:
    """It would take long to look at, and nobody asks for it."""
    long = ".".join(map(str, range(20_000)))
    assert await _refusing(Seen(), form={"title": "a", "x" * 200: "b", "x" * 201: "c", long: "d"}) == {
        "title": "a",
        "x" * 200: "b",
    }


async def test_secrets_are_never_kept() -> None:
    """By type, by name, by the gate's own names, and by what the author says; anywhere in a name."""
    seen = Seen()

    @action(page=seen, forget=["diary"])
    async def handler(form: FromInput[Account]) -> Result[None]:
        return err("No")

    secret = dict.fromkeys(SECRET | {"diary", "password", "api_token", "cc_number", "shoe_size"}, "hunter2")
    deep = {
        "addresses[0].door": "hunter2",
        "addresses.1.door": "hunter2",
        "card[digits]": "hunter2",
        "diary[0]": "hunter2",
        "user[password][0]": "hunter2",
        "PASSWORD": "hunter2",
        "newPassword2": "hunter2",
    }
    shown = {"name": "ada", "addresses[0].street": "x", "email": "a@b.example"}
    blog = Blog(redact=["shoe_size", "owner.email"])
    await blog.post(handler, form={**shown, **secret, **deep, "owner[email]": "hunter2"})
    assert seen.values == shown


ADA = {"x-caller": "ada"}


async def test_nothing_is_read_before_it_is_known_who_sends_it() -> None:
    """Neither of a flood, nor for a stranger, nor from another site: not a byte, and no page is made for them."""
    seen, blog = Seen(), Blog()

    @with_rate_limit("2/minute")
    @action(page=seen)
    async def handler(form: FromInput[PostIn], principal: Principal) -> Result[None]:
        return err("No")

    handler = _identified(handler)
    replies = [
        await blog.post(handler, form={"title": "phish"}, headers=headers)
        for headers in ({}, {**ADA, "sec-fetch-site": "cross-site"}, ADA)
    ]
    assert [(reply.status, reply.consumed) for reply in replies] == [(401, 0), (403, 0), (429, 0)]
    assert seen.states == []
    assert not any(b"phish" in reply.body for reply in replies)


async def _create(form: FromInput[PostIn]) -> Result[None]:
    return err("No")


async def test_who_is_over_his_limit_does_not_lose_what_he_wrote() -> None:
    """Nor who may not do this: he is known, and a long text was work. The plain page gives it back."""
    seen, blog = Seen(), Blog()

    @with_rate_limit("1/minute", by=by_principal)
    @action(page=seen)
    async def limited(form: FromInput[PostIn], principal: Principal) -> Result[None]:
        return err("No")

    handler = _identified(limited)
    assert (await blog.post(handler, form={"title": "long"}, headers=ADA)).status == 400
    sent = {"title": ["<long>", "text"], "password": "hunter2"}
    reply = await blog.post(handler, form=sent, headers=ADA)
    assert reply.status == 429
    assert b"title<br><textarea readonly>\n&lt;long&gt;\ntext</textarea>" in reply.body
    assert b"hunter2" not in reply.body

    @require(role("editor"))
    @action(page=seen)
    async def edits(form: FromInput[PostIn], principal: Principal) -> Result[None]:
        return err("No")

    reply = await blog.post(_identified(edits), form={"title": "mine"}, headers=ADA)
    assert reply.status == 403
    assert b">\nmine</textarea>" in reply.body
    assert [dict(state.values) for state in seen.states] == [{"title": "long"}]


def _identified(handler: Any) -> Any:
    return guarded_by(Identify())(handler)


@pytest.mark.parametrize("host", [HOSTS["fastapi"], HOSTS["fastapi_route"]])
async def test_what_a_framework_reads_is_kept_as_well(host: Host) -> None:
    """FastAPI's own `Form()` parameters: it has drained the wire when it says what is wrong."""
    seen = Seen()

    @action(page=seen)
    async def handler(title: Annotated[str, FastAPIForm()], stars: Annotated[int, FastAPIForm()] = 0) -> Result[None]:
        return err("No")

    app = host(handler, Blog().gate)
    for stars in ("many", "5"):
        reply = await call(app, path="/posts", form={"title": "a", "stars": stars}, headers=BROWSER)
        assert (reply.status, seen.values) == (400, {"title": "a", "stars": stars})


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
async def test_what_a_handler_reads_itself_is_kept_as_well(host: Host) -> None:
    """Whole; where it reads a part only, nothing is, and nobody waits for what will not come."""
    seen = Seen()

    @action(page=seen)
    async def handler(request: Request) -> Result[None]:
        if "part" in request.query_params:
            await request.receive()
        else:
            await request.form()
        return err("No")

    app = host(handler, Blog().gate)
    head = {**BROWSER, "content-type": "application/x-www-form-urlencoded"}
    for query, values in (("", {"title": "ab"}), ("part", {})):
        reply = await call(app, method="POST", path="/posts", query=query, data=chunked(b"title=ab", 7), headers=head)
        assert (reply.status, seen.values) == (400, values)


async def test_what_a_guard_has_read_is_kept_as_well() -> None:
    """Such as one that looks for a token in the form."""
    seen = Seen()

    @dataclasses.dataclass(frozen=True)
    class Reads(Guard):
        name = "reads"
        phase = Phase.SHIELD

        async def enter(self, call: Call) -> None:
            await call.body()

    handler = guarded_by(Reads())(action(page=seen)(_create))
    assert (await Blog().post(handler, form={"title": "a"})).status == 400
    assert seen.values == {"title": "a"}


async def test_a_large_body_that_is_read_as_a_stream_is_not_held() -> None:
    """A file, most likely: it was not to be in memory."""
    seen = Seen()

    @limit_body(3 << 20)
    @action(page=seen)
    async def handler(request: Request) -> Result[None]:
        async for _ in request.stream():
            pass
        return err("No")

    head = {"content-type": "application/x-www-form-urlencoded"}
    sent = chunked(b"title=a&x=" + b"x" * (1 << 20), 1 << 18)
    reply = await Blog().post(handler, data=sent, headers=head)
    assert (reply.status, seen.values) == (400, {})


async def test_a_refusal_is_not_overruled_by_the_form_that_comes_with_it() -> None:
    """Too large, or broken off: what was said first is what is wrong."""
    seen = Seen()
    handler = _identified(require(role("editor"))(action(page=seen)(_create_as)))
    head = {**ADA, "content-type": "application/x-www-form-urlencoded"}
    for data in (b"a=" + b"x" * (2 << 20), chunked(b"a=" + b"x" * (1 << 20), 1 << 18), disconnecting(b"a=b")):
        reply = await Blog().post(handler, data=data, headers=head)
        assert (reply.status, seen.states, b"textarea" in reply.body) == (403, [], False)


async def _create_as(form: FromInput[PostIn], principal: Principal) -> Result[None]:
    return err("No")


async def test_a_form_that_is_too_large_is_a_page() -> None:
    """A browser is told in its own way that the body was refused; htmx gets the status of that refusal."""
    handler = action(page=Seen())(_create)
    for headers in (BROWSER, {"hx-request": "true"}):
        reply = await Blog().post(handler, client=headers, form={"title": "x" * (2 << 20)})
        assert (reply.status, reply.headers["content-type"]) == (413, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % n for n in range(2000))),
        (f"multipart/form-data; boundary={BOUNDARY}", b"--nothing"),
        ("multipart/form-data", b"--nothing"),
        ("text/plain", b"title=a"),
        ("application/json", b'{"title": 1}'),
    ],
)
async def test_what_is_no_form_leaves_an_empty_page(kind: str, body: bytes) -> None:
    """There is nothing to show, and it is no reason to fail."""
    assert await _refusing(Seen(), data=body, headers={"content-type": kind}) == {}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=200),
    kind=st.sampled_from(
        ["application/x-www-form-urlencoded", f"multipart/form-data; boundary={BOUNDARY}", "application/json", ""]
    ),
)
def test_no_bytes_are_too_hostile(body: bytes, kind: str) -> None:
    """Whatever comes for a form, the answer is a page, and never a fault of ours."""

    async def send() -> None:
        reply = await Blog().post(action(_create), data=body, headers={"content-type": kind} if kind else {})
        assert 400 <= reply.status < 500
        assert reply.headers["content-type"].startswith("text/html")

    anyio.run(send)
