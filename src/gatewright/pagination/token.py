"""Cursors: a position in a list, signed, and worth nothing in another list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from pydantic_core import core_schema

from gatewright._core.tokens import TokenError, TokenSigner
from gatewright.errors import ConfigurationError
from gatewright.pagination.values import pack, unpack

__all__ = ["Cursors"]

_PURPOSE = "gatewright.cursor"
_VERSION = 1
_MOST = 8_192


class _Record(TypedDict):
    v: int
    list: str
    back: bool
    at: list[Any]


_SCHEMA = core_schema.typed_dict_schema(
    {
        "v": core_schema.typed_dict_field(core_schema.literal_schema([_VERSION])),
        "list": core_schema.typed_dict_field(core_schema.str_schema(strict=True)),
        "back": core_schema.typed_dict_field(core_schema.bool_schema(strict=True)),
        "at": core_schema.typed_dict_field(core_schema.list_schema(strict=True)),
    },
    extra_behavior="forbid",
)


class Cursors:
    """Sign positions, and read them back.

    Args:
        keys: secrets, newest first: the first one signs, all of them verify.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._signer: TokenSigner[_Record] = TokenSigner(keys, _PURPOSE, _SCHEMA, _MOST)

    def sign(self, which: str, position: Sequence[object], *, backward: bool) -> str:
        """Return the cursor of a position.

        Args:
            which: the list.
            position: the values of the keys; none at the edge from which the reading starts.
            backward: whether it reads what comes before.

        Raises:
            ConfigurationError: for values that do not fit into a cursor.
        """
        record: Mapping[str, object] = {"v": _VERSION, "list": which, "back": backward, "at": pack(position)}
        cursor = self._signer.sign(record)
        if len(cursor) > _MOST:
            raise ConfigurationError(
                f"a cursor of {len(cursor)} bytes does not fit into an address ({_MOST}); order by something shorter"
            )
        return cursor

    def read(self, cursor: bytes, which: str, *, backward: bool, size: int) -> tuple[object, ...]:
        """Return the position of a cursor.

        Args:
            cursor: as the client sent it.
            which: the list that it has to be of.
            backward: the direction that it has to be for.
            size: how many keys the list has.

        Raises:
            TokenError: for any other, and for anything else.
        """
        record = self._signer.read(cursor)
        if record["list"] != which:
            raise TokenError("of another path, order or filter")
        if record["back"] is not backward:
            raise TokenError("for the other direction")
        try:
            position = unpack(record["at"])
        except ValueError as exc:
            raise TokenError(str(exc)) from exc
        if len(position) not in (0, size):
            raise TokenError("not a position in this order")
        return position
