"""Authentication as FastAPI's people know it: a dependency, and security schemes in the OpenAPI document."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket

from gatewright import (
    ApiKey,
    BearerToken,
    ConfigurationError,
    Gate,
    Principal,
    Result,
    SessionCookie,
    limit_body,
    ok,
    protect,
    public,
    with_auth,
)
from gatewright._core.call import Call
from gatewright.auth import ABSENT, Absent, Authenticator, Basic, HeaderToken
from gatewright.fastapi import CurrentPrincipal, GuardedRoute, principal_of
from gatewright.testing import EventList, call, handshake
from tests.auth.support import KEY

pytestmark = pytest.mark.anyio

bearer = BearerToken(lambda token: Principal("ada") if token == "good" else None)
partner = HeaderToken(lambda token: Principal("partner") if token == "good" else None, header="X-Partner")
session: SessionCookie = SessionCookie(keys=[KEY])

GOOD = {"Authorization": "Bearer good"}
Caller = Annotated[Principal, Depends(principal_of(bearer, partner))]
Anybody = Annotated[Principal | None, Depends(principal_of(bearer, optional=True))]


def app_of(how: str, *endpoints: Callable[..., Any], path: str = "/{name}", **options: Any) -> FastAPI:
    """Serve *endpoints* under /v1, each under its name, in one of the three ways there are."""
    router = APIRouter(route_class=GuardedRoute) if how == "route class" else APIRouter()
    for endpoint in endpoints:
        router.get(path.format(name=endpoint.__name__), **options)(endpoint)
    app = FastAPI()
    app.include_router(router, prefix="/v1")
    if how == "installed":
        Gate(keys=[KEY], log=EventList()).install(app)
    return app


HOWS = pytest.mark.parametrize("how", ["plain", "route class", "installed"])
DOCUMENTED = pytest.mark.parametrize("how", ["route class", "installed"])


# The dependency


async def mine(principal: Caller) -> str:
    return f"{principal.sub} by {principal.method}"


async def anybodys(principal: Anybody) -> str | None:
    return None if principal is None else principal.sub


@with_auth(bearer, partner)
async def decorated(principal: Principal) -> Result[str]:
    return ok(principal.sub)


@HOWS
async def test_the_dependency_says_who_is_calling(how: str) -> None:
    """One of several authenticators is enough, whichever it is."""
    app = app_of(how, mine)
    assert (await call(app, path="/v1/mine", headers=GOOD)).json == "ada by bearer"
    assert (await call(app, path="/v1/mine", headers={"X-Partner": "good"})).json == "partner by header_token"


@HOWS
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer bad"},
        {"Authorization": "Bearer abc def"},
        {"Authorization": "Bearer abc, Basic x"},
        {"Authorization": "Bearer\tabc"},
        {"Authorization": "Basic x"},
        [("Authorization", "Bearer good"), ("Authorization", "Bearer good")],
        {**GOOD, "X-Partner": "good"},
    ],
)
async def test_the_dependency_refuses_as_the_decorator_does(how: str, headers: Any) -> None:
    """Story: fastapi/fastapi#2026, #10177: 403 in place of 401, no challenge, and the first of two headers counts."""
    app = app_of(how, mine, decorated)
    refused = await call(app, path="/v1/mine", headers=headers)
    by_decorator = await call(app, path="/v1/decorated", headers=headers)
    assert refused.status == by_decorator.status and refused.status in (400, 401)
    assert refused.headers["www-authenticate"] == by_decorator.headers["www-authenticate"]
    assert refused.headers["cache-control"] == "no-store" and "X-Partner" in refused.headers["vary"]
    for reply in (refused, by_decorator):
        envelope = reply.json if how == "installed" else reply.json.get("detail", reply.json)
        assert envelope["code"] in ("unauthorized", "invalid_token", "invalid_request")
    if how == "installed":
        assert refused.json["code"] == by_decorator.json["code"]


@HOWS
async def test_an_optional_one_lets_strangers_pass_and_no_liars(how: str) -> None:
    """None where nothing was sent; a credential that proves nothing is refused all the same."""
    app = app_of(how, anybodys)
    assert (await call(app, path="/v1/anybodys")).json is None
    assert (await call(app, path="/v1/anybodys", headers=GOOD)).json == "ada"
    assert (await call(app, path="/v1/anybodys", headers={"Authorization": "Bearer bad"})).status == 401


async def test_it_is_bound_to_the_gate_that_is_installed() -> None:
    """Its keys and its log, not those of the default gate; and one event for each request."""
    cookies: SessionCookie = SessionCookie()
    owner = Depends(principal_of(cookies))

    async def who(principal: Principal = owner) -> str:
        return principal.sub

    log = EventList()
    gate = Gate(keys=[KEY], log=log)
    app = FastAPI()
    app.get("/who")(who)
    gate.install(app)
    cookie = cookies.create_session("ada").header(gate).decode().partition(";")[0].partition("=")
    assert (await call(app, path="/who", cookies={cookie[0]: cookie[2]})).json == "ada"
    assert [(event["principal"], event["status"]) for event in log] == [("ada", 200)]


def test_a_gate_that_lacks_what_it_needs_is_refused_when_it_is_installed() -> None:
    """At the start, not at the first request; wherever among the dependencies it stands."""
    keyless = Depends(principal_of(SessionCookie()))

    async def outer(principal: Principal = keyless) -> str:
        return principal.sub

    async def who(sub: str = Depends(outer)) -> str:
        return sub

    app = FastAPI()
    app.get("/who")(who)
    with pytest.raises(ConfigurationError, match="write Gate"):
        Gate(log=EventList()).install(app)


@HOWS
async def test_a_cookie_brings_its_check_of_origins_along(how: str) -> None:
    """What a browser sends by itself, another site can have sent: the dependency knows, as the decorator does."""

    owner = Depends(principal_of(session))

    async def change(principal: Principal = owner) -> str:
        return principal.sub

    router = APIRouter(route_class=GuardedRoute) if how == "route class" else APIRouter()
    router.post("/change")(change)
    app = FastAPI()
    app.include_router(router)
    gate = Gate(keys=[KEY], log=EventList())
    if how == "installed":
        gate.install(app)
    name, _, value = session.create_session("ada").header(gate).decode().partition(";")[0].partition("=")
    for site, status in (("same-origin", 200), ("cross-site", 403)):
        headers = {"Sec-Fetch-Site": site, "Origin": "https://evil.example"}
        assert (await call(app, method="POST", path="/change", headers=headers, cookies={name: value})).status == status


async def test_an_authenticator_is_asked_once_for_each_request() -> None:
    """The decorator, the dependency, and the dependency again: one lookup."""
    asked: list[str] = []

    async def lookup(token: str) -> Principal:
        asked.append(token)
        return Principal("ada")

    counted = BearerToken(lookup)
    who = Depends(principal_of(counted))

    async def again(principal: Principal = who) -> str:
        return principal.sub

    subject = Depends(again)

    @with_auth(counted)
    async def thrice(principal: Principal, by: Principal = who, sub: str = subject) -> Result[list[str]]:
        return ok([principal.sub, by.sub, sub])

    assert (await call(app_of("installed", thrice), path="/v1/thrice", headers=GOOD)).json["data"] == ["ada"] * 3
    assert asked == ["good"]


@HOWS
async def test_dependencies_after_it_know_the_principal(how: str) -> None:
    """`CurrentPrincipal` does not care who found out."""

    async def notes(principal: CurrentPrincipal) -> str:
        return f"notes of {principal.sub}"

    async def read(_: Caller, notes: str = Depends(notes)) -> str:
        return notes

    assert (await call(app_of(how, read), path="/v1/read", headers=GOOD)).json == "notes of ada"


@HOWS
async def test_it_can_be_overridden_in_a_test(how: str) -> None:
    """In FastAPI's way: `app.dependency_overrides`."""
    who = principal_of(bearer)
    owner = Depends(who)

    async def read(principal: Principal = owner) -> str:
        return principal.sub

    app = app_of(how, read)
    app.dependency_overrides[who] = lambda: Principal("impostor")
    assert (await call(app, path="/v1/read")).json == "impostor"


@pytest.mark.parametrize("installed", [False, True])
async def test_a_websocket_is_refused_before_it_is_accepted(installed: bool) -> None:
    """A handshake has headers like any request."""
    app = FastAPI()

    @app.websocket("/chat")
    async def chat(websocket: WebSocket, principal: Caller) -> None:
        await websocket.accept()
        await websocket.close()

    if installed:
        Gate(log=EventList()).install(app)
    assert (await handshake(app, path="/chat", headers=GOOD)).accepted
    assert not (await handshake(app, path="/chat")).accepted


def test_bad_configuration_is_refused_when_it_is_written() -> None:
    """As by `with_auth`."""
    with pytest.raises(ConfigurationError, match="lets nobody in"):
        principal_of()


# The document


def security(app: FastAPI, name: str) -> Any:
    """Return what the document says of the credentials of /v1/<name>, and look that every scheme is defined."""
    document = app.openapi()
    (operation,) = document["paths"][f"/v1/{name}"].values()
    required = operation.get("security")
    defined = document.get("components", {}).get("securitySchemes", {})
    assert {key for one in required or () for key in one} <= defined.keys()
    return required


@HOWS
@pytest.mark.parametrize(
    ("authenticator", "name", "scheme"),
    [
        (bearer, "bearer", {"type": "http", "scheme": "bearer"}),
        (Basic(lambda user, password: None), "basic", {"type": "http", "scheme": "basic"}),
        (partner, "X-Partner", {"type": "apiKey", "in": "header", "name": "X-Partner"}),
        (ApiKey(lambda key: None, prefix="k"), "X-API-Key", {"type": "apiKey", "in": "header", "name": "X-API-Key"}),
        (session, "__Host-session", {"type": "apiKey", "in": "cookie", "name": "__Host-session"}),
    ],
)
def test_every_authenticator_says_its_scheme(how: str, authenticator: Any, name: str, scheme: dict[str, str]) -> None:
    """By decorator and by dependency, however the route is served; and nothing else shows in the operation."""

    @with_auth(authenticator)
    async def by_decorator(principal: Principal) -> Result[str]:
        return ok(principal.sub)

    owner = Depends(principal_of(authenticator))

    async def by_dependency(principal: Principal = owner) -> str:
        return principal.sub

    app = app_of(how, by_decorator, by_dependency)
    assert app.openapi()["components"]["securitySchemes"] == {name: scheme}
    for endpoint in ("by_decorator", "by_dependency"):
        assert security(app, endpoint) == [{name: []}]
        assert "parameters" not in app.openapi()["paths"][f"/v1/{endpoint}"]["get"]


@HOWS
def test_one_of_several_is_enough(how: str) -> None:
    """In OpenAPI, alternatives are items of the list; decorator and dependency together show each once."""

    @with_auth(bearer, partner)
    async def both(principal: Principal, again: Caller) -> Result[str]:
        return ok(principal.sub)

    app = app_of(how, mine, decorated, both)
    for name in ("mine", "decorated", "both"):
        assert security(app, name) == [{"bearer": []}, {"X-Partner": []}]


@DOCUMENTED
def test_an_optional_credential_may_be_left_out(how: str) -> None:
    """The empty requirement says so (OpenAPI 3.1, section 4.8.30); not where another guard of the route wants one."""

    @with_auth(bearer, optional=True)
    async def decorated_too(principal: Principal | None) -> Result[None]:
        return ok()

    @with_auth(partner)
    async def wanted_after_all(principal: Principal, other: Anybody) -> Result[None]:
        return ok()

    app = app_of(how, anybodys, decorated_too, wanted_after_all)
    assert security(app, "anybodys") == security(app, "decorated_too") == [{"bearer": []}, {}]
    assert security(app, "wanted_after_all") == [{"X-Partner": []}, {"bearer": []}]


def test_on_a_plain_route_an_optional_credential_looks_required() -> None:
    """Nobody has the route at hand there; FastAPI's own optional schemes look like this as well."""
    assert security(app_of("plain", anybodys), "anybodys") == [{"bearer": []}]


@DOCUMENTED
def test_what_the_route_says_of_security_is_kept(how: str) -> None:
    """`openapi_extra=` is the author's last word, which FastAPI adds to the schemes that it found."""
    app = app_of(how, anybodys, openapi_extra={"security": [{"bearer": ["read"]}], "x-own": 1})
    assert security(app, "anybodys") == [{"bearer": []}, {"bearer": ["read"]}]


@HOWS
def test_routes_without_credentials_say_nothing(how: str) -> None:
    """Neither an open route, nor one with other guards, nor one whose authenticator has nothing to say."""

    class Mtls:
        name, header, ambient = "mtls", "X-Subject", False

        def challenge(self) -> str:
            return "MutualTLS"

        def bind(self, gate: Gate) -> Mtls:
            return self

        def authenticate(self, call: Call) -> Absent:
            return ABSENT

    @with_auth(Mtls(), optional=True)
    async def by_certificate(principal: Principal | None) -> Result[None]:
        return ok()

    async def open_to_all() -> str:
        return "open"

    @limit_body(0)
    async def limited() -> Result[None]:
        return ok()

    app = app_of(how, by_certificate, open_to_all, limited)
    assert security(app, "open_to_all") is security(app, "limited") is None
    assert security(app, "by_certificate") == (None if how == "plain" else [{}])
    assert "securitySchemes" not in app.openapi().get("components", {})


def test_schemes_that_differ_are_two_and_such_as_are_the_same_one() -> None:
    """Two headers are two schemes; two lookups of one header are not. A name that a document cannot have is mended."""
    other = HeaderToken(lambda token: None, header="X-Other!")
    same = HeaderToken(lambda token: None, header="X-Partner")

    class Jwt(BearerToken):
        security_scheme = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}  # noqa: RUF012

    class OpenId(BearerToken):
        name = "openid"
        security_scheme = {"type": "openIdConnect", "openIdConnectUrl": "https://id.example/"}  # noqa: RUF012

    app = FastAPI()
    kinds: list[Authenticator] = [partner, same, other, bearer, Jwt(lambda token: None), OpenId(lambda token: None)]
    for number, one in enumerate(kinds):
        app.get(f"/v1/{number}", dependencies=[Depends(principal_of(one))])(lambda: None)
    assert [security(app, str(number)) for number in range(6)] == [
        [{"X-Partner": []}],
        [{"X-Partner": []}],
        [{"X-Other_": []}],
        [{"bearer": []}],
        [{"bearer-JWT": []}],
        [{"openid": []}],
    ]


@HOWS
async def test_a_route_with_the_dependency_is_guarded(how: str) -> None:
    """For `protect`, too: who may come in is said by a dependency as well as by a decorator."""

    async def nobodys() -> str:
        raise AssertionError("nobody said who may come here")

    app = app_of(how, mine, anybodys, nobodys)
    protect(app, {"/docs": public, "/docs/*": public, "/openapi.json": public, "/redoc": public})
    assert (await call(app, path="/v1/mine", headers=GOOD)).json == "ada by bearer"
    assert (await call(app, path="/v1/mine")).status == 401
    for path in ("/v1/nobodys", "/v1/anybodys"):
        assert (await call(app, path=path, headers=GOOD)).status == 403


async def test_a_function_that_was_decorated_before_fastapi_was_imported_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without schemes, because there was nothing yet that collects them."""
    with monkeypatch.context() as patched:
        patched.delitem(sys.modules, "fastapi")

        @with_auth(bearer)
        async def early(principal: Principal) -> Result[str]:
            return ok(principal.sub)

    app = app_of("installed", early)
    assert (await call(app, path="/v1/early", headers=GOOD)).json["data"] == "ada"
    assert security(app, "early") is None
