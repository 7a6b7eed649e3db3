"""The benchmarks compare like with like, and can be run. Nothing here is about time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatewright import BearerToken, Principal
from gatewright.auth.passwords.argon2 import Argon2id, argon2id
from gatewright.auth.passwords.bcrypt import bcrypt
from tests.benchmarks import (
    bare,
    credentials,
    enumeration,
    guards,
    hardened,
    imports,
    layers,
    limiter,
    logins,
    ours,
    pages,
    refusals,
    sources,
    webhooks,
    whoami_ours,
)
from tests.benchmarks.__main__ import main
from tests.benchmarks.candidates import HARDENED, PLAIN, missing
from tests.benchmarks.credentials import CANDIDATES
from tests.benchmarks.equivalence import shortcomings
from tests.benchmarks.method import Effort, Figures, measure, unheard
from tests.benchmarks.table import Table
from tests.benchmarks.whoami import Asked, misjudged, tokens
from tests.benchmarks.wire import serving
from tests.benchmarks.work import BODY, PLENTY, Served

LITTLE = Effort(rounds=1, count=1, warm=0, apart=False)
CHEAP = argon2id(1, 8, 1, weak_for_tests=True)
CHEAP_HASHERS = enumeration.Hashers(CHEAP, bcrypt(5, weak_for_tests=True), bcrypt(4, weak_for_tests=True))


@pytest.mark.parametrize("name", HARDENED)
def test_every_hardened_candidate_does_the_whole_work(name: str) -> None:
    """Data, envelope, security headers, request id, limit headers, one log line; 401, 400 or 422, and 429."""
    if package := missing(name):
        pytest.skip(f"needs {package}: it comes with the extra `bench`")
    assert shortcomings(HARDENED[name], hardened=True) == []


@pytest.mark.parametrize("name", [name for name, stack in PLAIN.items() if stack is not bare.nothing])
def test_every_bare_candidate_answers_the_same_data(name: str) -> None:
    """The baseline parses the same body into the same answer."""
    assert shortcomings(PLAIN[name], hardened=False) == []


def test_a_bare_candidate_is_not_taken_for_a_hardened_one() -> None:
    """The check sees what is missing: otherwise it would prove nothing."""
    found = " ".join(shortcomings(bare.starlette, hardened=True))
    for missed in ("401", "429", "raised", "content-security-policy", "request id", "rate limit", "0 log lines"):
        assert missed in found


def _without(header: bytes, app: ASGIApp) -> ASGIApp:
    async def without(scope: Scope, receive: Receive, send: Send) -> None:
        async def cut(message: Message) -> None:
            if "headers" in message:
                message["headers"] = [pair for pair in message["headers"] if pair[0] != header]
            await send(message)

        await app(scope, receive, cut)

    return without


@pytest.mark.parametrize(
    "header", [b"x-request-id", b"referrer-policy", b"ratelimit", b"retry-after", b"www-authenticate"]
)
def test_a_candidate_that_leaves_out_one_header_is_found_out(header: bytes) -> None:
    """Every header of the work counts."""

    def stack(limit: str) -> Served:
        served = ours.installed(limit)
        return Served(_without(header, served.app), served.cookie)

    assert shortcomings(stack, hardened=True)


def _misjudged(stack: Callable[[], Asked], *, guarded: bool) -> list[str]:
    with unheard():
        return asyncio.run(misjudged(stack, guarded=guarded))


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_says_who_is_asking_and_refuses_whoever_does_not_prove_it(name: str) -> None:
    """The same bytes from all for two users; 401 without a credential, and for one that was altered, or is over."""
    assert _misjudged(CANDIDATES[name].stack, guarded=CANDIDATES[name].base is not None) == []


def _delivered(name: str, event: str, *, forged: bool) -> int:
    """Return the status with which a candidate answers one event."""
    body = webhooks.BODY.replace(b"invoice.paid", event.encode())
    headers = webhooks.sent_by_stripe(webhooks.BODY if forged else body)
    with unheard():
        return asyncio.run(webhooks.delivered(webhooks.APPS[name].make(), body, headers)).status


@pytest.mark.parametrize("name", webhooks.APPS)
def test_every_candidate_takes_what_stripe_signed_and_nothing_else(name: str) -> None:
    """2 kB, signed and of a known type: 200. Of the same signature and another body: 400 or 401."""
    assert 1_900 < len(webhooks.BODY) < 2_100
    assert _delivered(name, "invoice.paid", forged=False) == 200
    assert _delivered(name, "invoice.voided", forged=False) == 200
    assert _delivered(name, "invoice.voided", forged=True) == (
        200 if "not verified" in name else 400 if "stripe-python" in name else 401
    )


def test_every_way_to_a_page_leads_to_the_same_rows() -> None:
    """By number and by cursor, at every depth; backward, to the rows before."""
    with pages.furnished(1_000) as url:
        for depth in pages.DEPTHS:
            skipped = int(1_000 * depth)
            forward = {way: pages.found(way, url, skipped) for way in pages.WAYS if "before" not in way}
            assert len(forward) == 3 and len(set(map(tuple, forward.values()))) == 1
            assert all(len(ids) == 10 for ids in forward.values())
        (back,) = [pages.found(way, url, 500) for way in pages.WAYS if "before" in way]
        (on,) = [pages.found(way, url, 489) for way in pages.WAYS if "after" in way]
        assert back == on


@pytest.mark.parametrize("source", sources.SOURCES)
@pytest.mark.parametrize("name", sources.MAKERS)
def test_every_candidate_reads_the_same_from_every_source(name: str, source: str) -> None:
    """The same data back, ours in its envelope; a count that is too small, or no number, is the client's mistake."""
    sent = sources.SOURCES[source]
    with unheard():
        app = sources.MAKERS[name](source)
        good = asyncio.run(sources.asked(app, sent))
        wrong = [asyncio.run(sources.asked(app, sent.with_count(count))).status for count in ("0", "1.5")]
    data = json.loads(good.body)
    assert (good.status, data.get("data", data)) == (200, {"name": "tea", "count": 7, "ratio": 0.5})
    assert all(400 <= status < 500 for status in wrong), wrong


def test_every_candidate_is_compared_with_one_that_takes_part() -> None:
    """What its stack costs without a credential, and what its peer adds to that."""
    for one in CANDIDATES.values():
        assert one.base is None or CANDIDATES[one.base].base is None
        assert one.peer is None or "PyJWT" in one.peer or CANDIDATES[one.peer].base is not None


def test_a_candidate_that_lets_everybody_in_is_found_out() -> None:
    """Whatever is wrong with a credential counts, and so does whose it is."""

    def gullible() -> Asked:
        taking_all = BearerToken(lambda token: Principal("user-0", "bearer"))
        return tokens(whoami_ours.guarded(taking_all), "HS256")

    found = _misjudged(gullible, guarded=True)
    for missed in ("user-1", "expired", "never expires", "issuer", "another audience", "no audience", "altered"):
        assert any(missed in what for what in found), missed
    assert "none: 200 where 401 was due" in _misjudged(whoami_ours.open_to_all, guarded=True)


class _Forgetful(Argon2id):
    def matches(self, stored: str, password: bytes) -> bool:
        return False


def test_a_login_with_the_right_password_that_fails_is_no_sample() -> None:
    """What refuses everybody may well be fast."""
    with pytest.raises(RuntimeError, match="not let in"):
        logins.table(LITTLE, _Forgetful(1, 8, 1, weak_for_tests=True), logins=1)


def test_the_rank_statistic_is_the_one_of_the_textbook() -> None:
    """Mann and Whitney's U with its normal approximation: ten above ten others is √(300/21) standard deviations."""
    low, high = range(10), range(10, 20)
    assert enumeration.rank_z(high, low) == pytest.approx(3.7796, abs=1e-4)
    assert enumeration.rank_z(low, high) == pytest.approx(-3.7796, abs=1e-4)
    assert enumeration.rank_z(low, low) == 0


def test_the_body_has_the_size_that_the_work_names() -> None:
    """200 bytes."""
    assert len(BODY) == 200


@pytest.mark.parametrize(
    "table",
    [
        hardened.table,
        layers.table,
        refusals.table,
        guards.table,
        partial(limiter.table, most=1000),
        credentials.table,
        partial(logins.table, hasher=CHEAP, logins=2),
        partial(enumeration.table, hashers=CHEAP_HASHERS, floor=0.001),
        sources.table,
        partial(pages.table, rows=1_000),
        partial(imports.table, imports={"nothing": "pass", "json": "import json"}),
    ],
)
def test_every_table_can_be_measured_and_rendered(table: Callable[[Effort], Table]) -> None:
    """As many cells in each row as there are columns, and a first column that says what it is about."""
    with unheard():
        measured = table(LITTLE)
    lines = [line for line in str(measured).splitlines() if line.startswith("|")]
    assert len(lines) == len(measured.rows) + 2
    assert {line.count("|") for line in lines} == {len(measured.columns) + 1}
    assert all(row[0] for row in measured.rows)


def test_candidates_take_turns_in_processes_of_their_own() -> None:
    """The warm-up is dropped, and every other sample comes back from the process that did the work."""
    counting: dict[str, Any] = {"counting": partial(nullcontext, float)}
    assert measure(counting, Effort(rounds=2, count=3)) == {"counting": Figures((3.0, 3.0))}


def test_a_wrong_answer_is_no_sample() -> None:
    """A candidate that answers with an error fast is not fast."""
    with unheard(), serving(partial(ours.installed, PLENTY), 429) as work, pytest.raises(RuntimeError, match="201"):
        work(1)


def test_the_command_says_under_what_circumstances_it_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """Versions, and the functions that take longest."""
    main(["--profile", "--rounds", "1", "--count", "1"])
    said = capsys.readouterr().out
    assert "starlette 1" in said or "starlette 0" in said
    assert "tottime" in said


def test_the_command_refuses_a_table_that_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    """It names those that there are."""
    with pytest.raises(SystemExit):
        main(["speed"])
    assert "hardened, layers, refusals" in capsys.readouterr().err
