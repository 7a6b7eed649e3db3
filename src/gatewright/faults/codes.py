"""What the databases' codes stand for.

Sources: PostgreSQL, appendix A; MySQL and MariaDB, error references; SQLite, result codes; MongoDB, error_codes.yml.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from gatewright.faults.fault import FaultKind

__all__ = ["MONGO", "MYSQL", "SQLITE", "SQLSTATE", "SQLSTATE_CLASS"]

Code = TypeVar("Code", str, int)


def _by_code(kinds: Mapping[FaultKind, tuple[Code, ...]]) -> dict[Code, FaultKind]:
    return {code: kind for kind, codes in kinds.items() for code in codes}


SQLSTATE: dict[str, FaultKind] = _by_code({
    "unique": ("23505",),
    "exclusion": ("23P01",),
    # 23503 is raised for both ends of a foreign key, and only a translated text tells which.
    "foreign_key": ("23503",),
    "still_referenced": ("23001",),
    "not_null": ("23502",),
    "check": ("23514",),
    "bad_data": (
        # 22000 is asyncpg's own, for a value that it cannot send.
        "22000", "22001", "22003", "22007", "22008", "22009", "22021", "22026", "22030", "22032",
        "22P02", "22P03", "22P05",
        # A regular expression, or an escape in LIKE, that a client wrote.
        "2201B", "22025",
    ),
    "serialization": ("40001",),
    "deadlock": ("40P01",),
    "locked": ("55P03",),
    "timeout": ("57014", "25P04"),
    # 40003: whether it was completed is unknown. 25P03, 57P05: the server hung up on an idle connection.
    "unavailable": ("40003", "57P01", "57P02", "57P03", "57P05", "25P03"),
})  # fmt: skip

# For the states of a class that are not above; those of other classes are mistakes of ours.
SQLSTATE_CLASS: dict[str, FaultKind] = {"08": "unavailable", "23": "integrity", "53": "unavailable"}

MYSQL: dict[int, FaultKind] = _by_code({
    "unique": (1062, 1169, 1586),
    "still_referenced": (1217, 1451),
    "missing_reference": (1216, 1452),
    "not_null": (1048, 1364),
    # 4025 is MariaDB's.
    "check": (3819, 4025),
    "bad_data": (1264, 1265, 1292, 1366, 1406, 1411, 1690, 3140),
    # 1020: MariaDB's, where a snapshot is held to (innodb_snapshot_isolation).
    "serialization": (1020,),
    "deadlock": (1213,),
    # 1205 undoes the statement alone; whoever runs the transaction again has rolled it back before.
    "locked": (1205, 3572),
    # 1317: somebody ended the query (KILL QUERY).
    "timeout": (1317, 1969, 3024),
    "unavailable": (1040, 1047, 1053, 1203, 1226, 1927, 2002, 2003, 2006, 2013, 2055, 4031),
})  # fmt: skip

# Extended result codes; of the others, what their lowest byte says.
SQLITE: dict[int, FaultKind] = _by_code({
    "unique": (1555, 2067, 2579),
    # SQLite counts what dangles and does not know at which end.
    "foreign_key": (787,),
    "not_null": (1299,),
    "check": (275,),
    # 3091: a STRICT table.
    "bad_data": (18, 20, 3091),
    "integrity": (19,),
    "locked": (5, 6),
    # The snapshot that was read from is not the last one any more.
    "serialization": (517,),
})  # fmt: skip

MONGO: dict[int, FaultKind] = _by_code({
    "unique": (11000, 11001),
    # A validator of the collection's.
    "check": (121,),
    "serialization": (112, 246, 251),
    "locked": (24,),
    "timeout": (50, 262),
    "unavailable": (6, 7, 89, 91, 189, 9001, 10107, 11600, 11602, 13435, 13436),
})  # fmt: skip
