"""The browser half of actions: a script that sends a page's forms, and shows the answer where the form is."""

from __future__ import annotations

import gzip
import re
from base64 import b64encode
from hashlib import sha384
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from gatewright.auth.authority.public import public

__all__ = ["INTEGRITY", "SCRIPT", "browser_script"]

SCRIPT: Final = files(__name__).joinpath("gatewright.js").read_bytes()
"""The script: an ES module that imports nothing."""

INTEGRITY: Final = f"sha384-{b64encode(sha384(SCRIPT).digest()).decode()}"
"""What the script is (W3C Subresource Integrity): for `integrity="..."`, and for the `script-src` of a page's CSP."""

# No date in it, so that every process sends the same bytes.
_PACKED: Final = gzip.compress(SCRIPT, mtime=0)
# Weak (RFC 9110, section 8.8.3), because it names the script, and not the coding that it is sent in.
_TAG: Final = f'"{sha384(SCRIPT).hexdigest()[:32]}"'
_HEADERS: Final = {
    # A page that names another integrity than this one's sends its forms without the script meanwhile.
    "Cache-Control": "public, max-age=3600",
    "ETag": f"W/{_TAG}",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}
_REFUSED = re.compile(r"\s*q=0(\.0*)?\s*")


@public
async def browser_script(request: Request) -> Response:
    """Serve the script, open to everybody: `Route("/gatewright.js", browser_script)`.

    A page needs it as a module, `<script type="module" src="/gatewright.js"></script>`, and a Content-Security-Policy
    such as `script-src 'self'; connect-src 'self'`. Browsers keep it for an hour, and then ask whether it has changed.
    """
    if _is_there(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=_HEADERS)
    if _takes_gzip(request.headers.get("accept-encoding", "")):
        return Response(_PACKED, headers=_HEADERS | {"Content-Encoding": "gzip"}, media_type="text/javascript")
    return Response(SCRIPT, headers=_HEADERS, media_type="text/javascript")


def _is_there(tags: str) -> bool:
    """Say whether one of a client's *tags* is the script's, or any (RFC 9110, section 13.1.2)."""
    return any(tag.strip().removeprefix("W/") in (_TAG, "*") for tag in tags[:1024].split(","))


def _takes_gzip(accepted: str) -> bool:
    """Say whether a client takes gzip (RFC 9110, section 12.5.3); the script as it is, every client takes."""
    for item in accepted[:1024].lower().split(","):
        coding, _, weight = item.partition(";")
        if coding.strip() == "gzip":
            return _REFUSED.fullmatch(weight) is None
    return False
