"""A pipeline prints its guards as one writes them."""

from __future__ import annotations

import pytest

from gatewright import (
    ConfigurationError,
    FromBody,
    HeaderPolicy,
    PageParams,
    Principal,
    Result,
    SessionCookie,
    Verified,
    by_principal,
    compose,
    limit_body,
    ok,
    paginate,
    require,
    role,
    security_headers,
    validate,
    verify_webhook,
    with_auth,
    with_rate_limit,
)
from gatewright.result import Page
from gatewright.starlette import GuardedRoute
from gatewright.webhooks import github


async def _unique(body: int) -> None:
    """Find nothing wrong."""


async def _handler(body: FromBody[int], page: PageParams, principal: Principal, hook: Verified) -> Result[None]:
    return ok()


@pytest.mark.parametrize(
    ("decorator", "written"),
    [
        (compose(validate), "PARSE validate"),
        (validate(refine=_unique), "PARSE validate(refine=[_unique])"),
        (compose(paginate), "PARSE paginate(default_limit=10, max_limit=100)"),
        (limit_body(10), "ADMIT limit_body(10)"),
        (security_headers(), "OBSERVE security_headers()"),
        (verify_webhook(github(), secrets="s" * 32), "VERIFY verify_webhook(github)"),
        (
            with_auth(SessionCookie()),
            "IDENTIFY with_auth(__Host-session) > SHIELD cross_origin() for ambient credentials",
        ),
        (require(role("admin")), "AUTHORIZE require(role('admin'))"),
        (with_rate_limit("5/minute"), "ADMIT with_rate_limit('5/minute', by=by_address)"),
        (
            with_rate_limit("5/minute", by=by_principal),
            "ADMIT with_rate_limit('5/minute', by=by_principal) for every 401 > "
            "METER with_rate_limit('5/minute', by=by_principal)",
        ),
    ],
)
def test_guards_print_as_they_are_written(decorator: object, written: str) -> None:
    """`repr(pipeline)` is what a reader compares with the source."""
    assert repr(decorator(_handler).pipeline) == written  # type: ignore[operator]  # a decorator


def test_a_policy_of_ones_own_is_shown() -> None:
    """Two policies are told apart."""
    policy = HeaderPolicy(frame_options=None)
    assert "frame_options=None" in repr(security_headers(policy)(_handler).pipeline)


def test_a_page_needs_paginate() -> None:
    """A handler that declares a page and never reads which one is refused before it serves."""

    async def unpaged() -> Result[Page[int]]:
        return ok(Page([], 0))

    with pytest.raises(ConfigurationError, match="add @paginate"):
        GuardedRoute("/", with_rate_limit("5/minute")(unpaged))
