"""Posts, their authors, and callers who are known by a token that is their name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from gatewright import BearerToken, Gate, NotFound, Principal
from gatewright.testing import EventList, FrozenClock, Reply, call

NOW = 1_800_000_000.0

PEOPLE = {
    "ada": Principal("ada", "bearer", scopes=frozenset({"read"}), auth_at=NOW - 60, tenant="acme"),
    "bob": Principal("bob", "bearer", scopes=frozenset({"read"}), auth_at=NOW - 3_600, tenant="acme"),
    "eve": Principal("eve", "bearer", auth_at=NOW - 60),
    "root": Principal("root", "bearer", roles=frozenset({"admin"}), auth_at=NOW - 60, tenant="acme"),
}
bearer = BearerToken(PEOPLE.get)


@dataclass(frozen=True)
class Post:
    """A post; that of nobody has no author."""

    id: int
    author_id: str | None
    tenant_id: str | None = None


@dataclass
class Posts:
    """Posts by number, and how often they were asked for."""

    asked: list[object] = field(default_factory=list[object])

    async def find(self, post_id: int) -> Post | None:
        """Find one: 1 is Ada's, 2 is Bob's, 3 is nobody's; there is no other."""
        self.asked.append(post_id)
        return {1: Post(1, "ada", "acme"), 2: Post(2, "bob", "acme"), 3: Post(3, None)}.get(post_id)

    async def get(self, post_id: int) -> Post:
        """Find one, or say so in its own words."""
        found = await self.find(post_id)
        if found is None:
            raise NotFound(f"There is no post {post_id}", code="no_such_post", headers={"X-Seen": "0"})
        return found

    def read(self, post_id: int) -> Post | None:
        """Find one, without the loop."""
        self.asked.append(post_id)
        return Post(1, "ada") if post_id == 1 else None


def gate(events: EventList | None = None) -> Gate:
    """Return a gate whose clock stands still."""
    return Gate(clock=FrozenClock(NOW), log=EventList() if events is None else events)


async def ask(
    target: Any, who: str | None = None, post: object = 1, events: EventList | None = None, **more: Any
) -> Reply:
    """Send a request to a handler as *who*, about a post."""
    headers = {} if who is None else {"Authorization": f"Bearer {who}"}
    more.setdefault("path_params", {"post_id": post})
    more.setdefault("gate", gate(events))
    return await call(target, headers=headers, **more)


def bare(reply: Reply) -> tuple[object, ...]:
    """Return all of a reply that does not tell one request from another."""
    headers = [(name, value) for name, value in reply.raw_headers if name != b"x-request-id"]
    body = reply.body.replace(reply.headers["x-request-id"].encode(), b"-")
    return reply.status, headers, body


def stale(principal: Principal, seconds: float) -> Principal:
    """Return *principal* as it authenticated that long ago."""
    return replace(principal, auth_at=NOW - seconds)
