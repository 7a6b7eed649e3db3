"""What a page shows of the last attempt: what was entered, and what was wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["ActionState", "dotted"]

_BRACKET = re.compile(r"\[([^\[\].]*)\]")


def dotted(name: str) -> str:
    """Return the name of a form's entry as a path: `items[0].name` and `items[0][name]` are `items.0.name`."""
    return _BRACKET.sub(r".\1", name).strip(".")


@dataclass(frozen=True, slots=True)
class ActionState:
    """Tell a page with a form what came of the last attempt; without arguments, that there was none.

    Attributes:
        values: what was entered, by the entry's name as it was sent; a list where that name came more than once.
            Never passwords and other secrets, nor files.
        errors: messages by input path; `_root` is the form as a whole.
        message: what is wrong, in one sentence; "" where nothing is.
        code: the same for programs.
        status: the status of the answer.
    """

    values: Mapping[str, str | list[str]] = field(default_factory=dict[str, str | list[str]])
    errors: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    message: str = ""
    code: str = ""
    status: int = 200

    def __bool__(self) -> bool:
        """Say whether there was an attempt, and it failed."""
        return self.status >= 400

    def value(self, name: str, default: str = "") -> str:
        """Return what was entered under *name*, the first where there are several; *default* where nothing was."""
        return next(iter(self._all(name)), default)

    def checked(self, name: str, value: str = "on", default: bool = False) -> bool:
        """Say whether the box, or the option, *name* with this *value* was chosen; before an attempt, *default*."""
        return value in self._all(name) if self else default

    def error(self, name: str) -> str:
        """Return what is wrong with the entry *name*, spelled as in the form or as a path; "" where nothing is.

        For a name that comes more than once, what is wrong with each of its entries (`tags.0`) counts, too.
        """
        path = dotted(name)
        own = re.compile(rf"{re.escape(path)}(\.\d+)?")
        texts = [text for at, messages in self.errors.items() if own.fullmatch(at) for text in messages]
        return "; ".join(dict.fromkeys(texts))

    def _all(self, name: str) -> Sequence[str]:
        found = self.values.get(name)
        if found is None:
            path = dotted(name)
            found = next((value for key, value in self.values.items() if dotted(key) == path), None)
        if found is None:
            return ()
        return (found,) if isinstance(found, str) else found
