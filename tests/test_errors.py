"""The tree of errors: what each class says by default, and what it may be told."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from gatewright import errors
from gatewright.errors import ApiError, BadRequest, ConfigurationError, Conflict, InternalError, InvalidInput, NotFound
from gatewright.testing import call

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, ApiError)]


@pytest.mark.parametrize("kind", TREE)
def test_every_error_has_a_status_a_code_and_a_message(kind: type[ApiError]) -> None:
    """A refusal can be raised without an argument, and says something to programs and to people."""
    error = kind()
    assert error.status_code == kind.status >= 400
    assert error.code.isidentifier()
    assert error.message
    assert error.detail == error.message
    assert dict(error.details) == {}
    assert error.headers is None
    assert error.reason is None


def test_every_error_is_public() -> None:
    """Whoever catches an error can import it by name."""
    assert {kind.__name__ for kind in TREE} | {"ConfigurationError"} == set(errors.__all__)


@pytest.mark.parametrize("kind", [kind for kind in TREE if kind not in (ApiError, InvalidInput)])
def test_the_drawing_of_the_tree_is_true(kind: type[ApiError]) -> None:
    """The docstring's tree is what people read; it names each status and code."""
    assert f"{kind.__name__} " in (errors.__doc__ or "")
    (line,) = [line for line in (errors.__doc__ or "").splitlines() if f"── {kind.__name__} " in line]
    assert f"{kind.status} {kind.default_code}" in line


def test_what_an_error_is_told_wins_over_its_class() -> None:
    """Every default can be replaced, for one error at a time."""
    error = Conflict(
        "Taken",
        code="email_taken",
        status=422,
        details={"email": ["Taken"]},
        headers={"X-Hint": "1"},
        reason="uq_email",
    )
    assert (error.status_code, error.code, error.message) == (422, "email_taken", "Taken")
    assert error.details == {"email": ["Taken"]}
    assert error.headers == {"X-Hint": "1"}
    assert error.reason == "uq_email"
    assert Conflict().status_code == 409


def test_an_empty_message_is_a_message() -> None:
    """Only None asks for the default."""
    assert NotFound("").message == ""
    assert NotFound(code="").code == ""


def test_an_error_shows_its_status_code_and_message() -> None:
    """A traceback says what the client was told, and not why."""
    assert str(NotFound("No such post", reason="secret")) == "404 not_found: No such post"


@pytest.mark.parametrize("status", [0, 200, 302, 399])
def test_an_error_below_400_is_a_mistake(status: int) -> None:
    """A success is returned, not raised."""
    with pytest.raises(ConfigurationError, match=r"return ok\(\.\.\.\)"):
        ApiError(status=status)


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_survives_copies_and_processes(clone: object) -> None:
    """A task queue or a process pool hands an error over whole."""
    error = BadRequest("No", code="odd", details={"a": ["b"]}, headers={"X-A": "1"}, reason="r")
    twin = clone(error)  # type: ignore[operator]
    assert (twin.message, twin.code, twin.details, twin.headers, twin.reason) == (
        "No",
        "odd",
        {"a": ["b"]},
        {"X-A": "1"},
        "r",
    )
    assert twin.status_code == 400


def test_a_class_of_ones_own_needs_three_lines() -> None:
    """An app adds to the tree by naming a status, a code and a message."""

    class PaymentRequired(ApiError):
        status, default_code, default_message = 402, "payment_required", "Pay first"

    assert str(PaymentRequired()) == "402 payment_required: Pay first"
    assert isinstance(PaymentRequired(), HTTPException)


def test_a_configuration_error_is_no_answer() -> None:
    """A mistake of the developer's never turns into a refusal of the client's."""
    assert not issubclass(ConfigurationError, HTTPException)


@pytest.mark.anyio
async def test_an_error_renders_in_an_app_that_never_met_a_gate() -> None:
    """Starlette's own handler answers with the status, the message and the headers."""

    async def endpoint(request: Request) -> None:
        raise InternalError("Bad luck", headers={"Retry-After": "3"}, status=503)

    reply = await call(Starlette(routes=[Route("/", endpoint)]))
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (503, b"Bad luck", "3")
