"""When a guard runs. The secure order is the only order."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Phase"]


class Phase(IntEnum):
    """Order guards by what they need to know, cheapest and most suspicious first.

    | phase | runs | why here |
    | --- | --- | --- |
    | OBSERVE | request id, access log, refusal rendering, response headers | must see every answer |
    | ORIGIN | hosts, CORS and preflights (apps and mounts) | needs nothing but the head |
    | ADMIT | size, concurrency, limits by address | a flood must cost nothing |
    | VERIFY | webhook signature | over raw bytes, before anything is parsed |
    | IDENTIFY | who is calling | before anything that depends on it |
    | SHIELD | cross-origin check | only where the credential that was used is ambient |
    | METER | limits by principal | needs the principal |
    | AUTHORIZE | roles and scopes | needs the principal |
    | PARSE | validate, paginate | only for callers who may |
    | REPLAY | idempotency | before anything that a retry would trip over |
    | ENCLOSE | handler timeout, transaction | around what follows |
    | REFINE | ownership and async checks | inside the transaction |
    | RECALL | cache | after every check |
    """

    OBSERVE = 0
    ORIGIN = 1
    ADMIT = 2
    VERIFY = 3
    IDENTIFY = 4
    SHIELD = 5
    METER = 6
    AUTHORIZE = 7
    PARSE = 8
    REPLAY = 9
    ENCLOSE = 10
    REFINE = 11
    RECALL = 12
