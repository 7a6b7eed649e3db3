"""Sending a browser somewhere: a value that a handler returns, and nothing that is raised."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import quote, urlsplit

from pydantic_core import CoreSchema, core_schema

from gatewright.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

    from gatewright.cookie import Cookie

__all__ = ["Redirect", "is_place", "redirect"]

# One slash and then none: "//host" is another host, and browsers read a backslash as a slash and drop tabs and line
# breaks (WHATWG URL). So: printable ASCII, which is what they send, without backslash.
_PLACE = re.compile(r"/(?!/)[!-\[\]-~]*")
# Of what others may have a say in, and of what the app says itself: a title of 400 letters, encoded.
_LONGEST, _LONGEST_OWN = 2_001, 8_000
# As browsers write one, which is how a place is compared with it.
_ORIGIN = re.compile(r"https?://(?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?")
_KEPT = "/-._~!$&'()*+,;=:@?#[]%"


def is_place(raw: object) -> bool:
    """Say whether *raw* is a path on this host, spelled as browsers send one, and can lead nowhere else."""
    return isinstance(raw, str) and len(raw) <= _LONGEST and _PLACE.fullmatch(raw) is not None


@dataclass(frozen=True, slots=True)
class Redirect:
    """Send the client somewhere with a GET (303, RFC 9110, section 15.4.4); make one with `redirect(...)`.

    Attributes:
        to: the place, fit for a `Location` header.
        headers: further response headers.
        cookies: cookies to set.
    """

    status: ClassVar[Literal[303]] = 303

    to: str
    headers: Mapping[str, str] | None = None
    cookies: Sequence[Cookie] = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let frameworks read it in a return annotation; it has no body, so that there is nothing to document."""
        return core_schema.is_instance_schema(cls, metadata={"pydantic_js_functions": [_undocumented]})


def _undocumented(*_: Any) -> dict[str, Any]:
    return {"not": {}}


def redirect(
    to: str,
    /,
    *,
    otherwise: str | None = None,
    origins: Collection[str] = (),
    headers: Mapping[str, str] | None = None,
    cookies: Sequence[Cookie] = (),
) -> Redirect:
    """Answer with a redirect to a place on this host.

    Args:
        to: a path of this app, with its query. What a URL cannot hold, such as a space, is encoded.
        otherwise: where to go if *to* is no path on this host; with it, *to* may come from a request.
        origins: other origins that *to* may lead to, such as `["https://checkout.example.com"]`.
        headers: further response headers.
        cookies: cookies to set.

    Raises:
        ConfigurationError: for a place that is not on this host, nor in *origins*, where nothing else is said; for
            origins that are none.
    """
    if not isinstance(to, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # a route's URL, or None
        raise ConfigurationError(f"redirect({to!r}): write a path, such as redirect('/posts')")
    _check_origins(origins)
    if otherwise is not None:
        fit = is_place(to) or _is_in(origins, to)
        return redirect(to if fit else otherwise, origins=origins, headers=headers, cookies=cookies)
    place = quote(to, safe=_KEPT, errors="replace")
    if not (_PLACE.fullmatch(place) or _is_in(origins, to)) or len(place) > _LONGEST_OWN:
        raise ConfigurationError(
            f"redirect({to[:80]!r}) leads off this host; write a path such as redirect('/posts'), "
            "redirect(to, otherwise='/') where a request has a say, or origins=['https://...']"
        )
    return Redirect(place, headers, cookies)


def _check_origins(origins: Collection[str]) -> None:
    wrong = [origins] if isinstance(origins, str) else [one for one in origins if not _ORIGIN.fullmatch(one)]
    if wrong:
        raise ConfigurationError(
            f"redirect(origins={origins!r}): {wrong[0]!r} is no list, or no origin; write scheme, host and port, "
            "if it has one, and no path: origins=['https://checkout.example.com']"
        )


def _is_in(origins: Collection[str], to: str) -> bool:
    if not origins or not to.isascii() or not to.isprintable() or "\\" in to or " " in to:
        return False
    try:
        parts = urlsplit(to)
    except ValueError:
        return False
    return f"{parts.scheme}://{parts.netloc}" in origins
