"""The deliberate exception."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from gatewright import ConfigurationError, Ok, Principal, SessionCookie, ok, verify_webhook, with_auth
from gatewright.auth.authority.public import public
from gatewright.testing import call
from gatewright.webhooks import github
from tests.auth.authority.support import ask, bearer

pytestmark = pytest.mark.anyio


async def anybody(request: Request) -> Ok[str]:
    """Answer everybody."""
    return ok("hello")


async def test_everybody_may_come_in() -> None:
    """It does nothing but say so."""
    handler = public(anybody)
    assert (await call(handler)).json["data"] == "hello"
    assert repr(handler.pipeline) == "OBSERVE public"
    assert [guard.vouches for guard in handler.pipeline.guards] == [True]


@pytest.mark.parametrize(
    "other", [with_auth(bearer), verify_webhook(github(), secrets="a secret of github's, long enough")]
)
def test_it_does_not_go_with_a_guard_that_lets_only_some_come_in(other: object) -> None:
    """In either order: one of the two is not meant."""
    for first, second in ((public, other), (other, public)):
        with pytest.raises(ConfigurationError, match="everybody may come in, or only some"):
            first(second(anybody))  # type: ignore[operator]


async def test_it_goes_with_authentication_that_is_optional() -> None:
    """Which may know nobody."""

    @public
    @with_auth(bearer, SessionCookie(keys=["a key of thirty-two bytes or more!"]), optional=True)
    async def greet(principal: Principal | None) -> Ok[str]:
        return ok(principal.sub if principal else "stranger")

    assert (await ask(greet, "ada")).json["data"] == "ada"
    assert (await ask(greet)).json["data"] == "stranger"


def test_written_twice_it_is_there_once() -> None:
    """It is one value."""
    assert len(public(public(anybody)).pipeline.guards) == 1
