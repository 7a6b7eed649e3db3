"""What exceptions stand for that carry no code, by package and name.

Modules within a package move from release to release, so `"sqlalchemy:NoResultFound"` names the class wherever it is.
"""

from __future__ import annotations

from gatewright.faults.fault import FaultKind

__all__ = ["DATABASES", "MYSQL_DRIVERS", "by_general_name", "by_name", "is_of"]

MYSQL_DRIVERS: frozenset[str] = frozenset({"pymysql", "aiomysql", "asyncmy", "MySQLdb", "mysql", "mariadb", "peewee"})
DATABASES: frozenset[str] = MYSQL_DRIVERS | {
    "advanced_alchemy", "asyncpg", "django", "mongoengine", "psycopg", "psycopg2", "psycopg_pool", "pymongo",
    "sqlalchemy", "sqlite3", "tortoise",
}  # fmt: skip

_HTTPX: dict[str, FaultKind] = {
    "HTTPStatusError": "upstream",
    "LocalProtocolError": "internal",
    "RequestError": "upstream",
    "TimeoutException": "upstream_timeout",
    "UnsupportedProtocol": "internal",
}
_NAMES: dict[str, FaultKind] = {
    "advanced_alchemy:NotFoundError": "not_found",
    "advanced_alchemy:MultipleResultsFoundError": "several_found",
    "asyncpg:DataError": "bad_data",
    # The server spoke out of turn: to say good-bye, mostly.
    "asyncpg:InternalClientError": "unavailable",
    "django:ObjectDoesNotExist": "not_found",
    "django:MultipleObjectsReturned": "several_found",
    "mongoengine:DoesNotExist": "not_found",
    "mongoengine:MultipleObjectsReturned": "several_found",
    "mongoengine:NotUniqueError": "unique",
    # The connection is closed; what a client does wrong otherwise has a number.
    "MySQLdb:InterfaceError": "unavailable",
    "pymysql:InterfaceError": "unavailable",
    "peewee:DoesNotExist": "not_found",
    "psycopg:OperationalError": "unavailable",
    "psycopg2:OperationalError": "unavailable",
    "pymongo:DuplicateKeyError": "unique",
    "pymongo:ConnectionFailure": "unavailable",
    "pymongo:ExecutionTimeout": "timeout",
    "pymongo:WTimeoutError": "timeout",
    "sqlalchemy:NoResultFound": "not_found",
    "sqlalchemy:MultipleResultsFound": "several_found",
    "sqlalchemy:ObjectDeletedError": "stale",
    "sqlalchemy:StaleDataError": "stale",
    # Of its pool.
    "sqlalchemy:TimeoutError": "unavailable",
    "tortoise:DBConnectionError": "unavailable",
    "tortoise:DoesNotExist": "not_found",
    "tortoise:MultipleObjectsReturned": "several_found",
    # HTTP clients. An address or a header that cannot be sent is a mistake of ours.
    "aiohttp:ClientError": "upstream",
    "aiohttp:InvalidURL": "internal",
    "aiohttp:NonHttpUrlClientError": "internal",
    "aiohttp:ServerTimeoutError": "upstream_timeout",
    "requests:InvalidHeader": "internal",
    "requests:InvalidSchema": "internal",
    "requests:InvalidURL": "internal",
    "requests:MissingSchema": "internal",
    "requests:RequestException": "upstream",
    "requests:Timeout": "upstream_timeout",
    # httpx goes on under another name.
    **{f"{package}:{name}": kind for package in ("httpx", "httpx2") for name, kind in _HTTPX.items()},
}

# Of the DB-API (PEP 249), for drivers and wrappers that tell no code.
_GENERAL: dict[str, FaultKind] = {"IntegrityError": "integrity", "DataError": "bad_data"}


def is_of(packages: frozenset[str], cls: type) -> bool:
    """Say whether a class, or one above it, is of one of these packages."""
    return any(base.__module__.partition(".")[0] in packages for base in cls.__mro__)


def by_name(cls: type) -> FaultKind | None:
    """Return what a class stands for; the nearest along the MRO decides."""
    for base in cls.__mro__:
        name = f"{base.__module__.partition('.')[0]}:{base.__name__}"
        if name in _NAMES:
            return _NAMES[name]
    return None


def by_general_name(cls: type) -> FaultKind | None:
    """Return what a class of a database's stands for by a name that all of them use."""
    if is_of(DATABASES, cls):
        for base in cls.__mro__:
            if base.__name__ in _GENERAL:
                return _GENERAL[base.__name__]
    return None
