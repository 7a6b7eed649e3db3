"""Security headers, prebuilt, and the one place where an answer gets what belongs to every answer."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from gatewright._core.outcome import RawHeader, RawHeaders
from gatewright.errors import ConfigurationError

__all__ = ["API", "HeaderPolicy", "dress"]

_VALUE = re.compile(r"[\x20-\x7e]+")

_API_CSP = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# A page that a framework serves beside the API (its interactive docs) needs its scripts; it is still not framed.
_PAGE_CSP = b"base-uri 'none'; frame-ancestors 'none'; object-src 'none'"

_CSP, _TYPE, _HSTS = b"content-security-policy", b"content-type", b"strict-transport-security"
_TO_NOBODY, _TO_ITSELF = (b"referrer-policy", b"no-referrer"), (b"referrer-policy", b"same-origin")
_SEVERAL = frozenset({b"set-cookie", b"link", b"vary", b"www-authenticate", b"server-timing"})
_REQUEST_ID = b"x-request-id"


@dataclass(frozen=True, slots=True)
class HeaderPolicy:
    """Name the security headers of an API's answers; None leaves one out.

    The defaults follow ASVS 5.0 (3.4.1 to 3.4.6) and the OWASP Secure Headers project for answers that are
    data, not pages. `text/html` gets a content security policy that lets a page work and keeps it unframed, and in
    place of `no-referrer` a referrer policy with which its forms say where they are from.

    Args:
        content_security_policy: for everything but `text/html`.
        strict_transport_security: sent over HTTPS only.
        referrer_policy: `Referrer-Policy`.
        frame_options: `X-Frame-Options`, for browsers without `frame-ancestors`.
        cross_origin_resource_policy: `Cross-Origin-Resource-Policy`.
        cross_origin_opener_policy: `Cross-Origin-Opener-Policy`.
        permissions_policy: `Permissions-Policy`.

    Raises:
        ConfigurationError: for a value that a header cannot carry.
    """

    content_security_policy: str | None = _API_CSP
    strict_transport_security: str | None = "max-age=63072000; includeSubDomains"
    referrer_policy: str | None = "no-referrer"
    frame_options: str | None = "DENY"
    cross_origin_resource_policy: str | None = "same-origin"
    cross_origin_opener_policy: str | None = "same-origin"
    permissions_policy: str | None = None
    http: tuple[RawHeader, ...] = field(init=False, repr=False, compare=False)
    https: tuple[RawHeader, ...] = field(init=False, repr=False, compare=False)
    names: frozenset[bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, value in self._named():
            if value is not None and not _VALUE.fullmatch(value):
                raise ConfigurationError(f"security_headers: {value!r} cannot stand in {name}; write printable ASCII")
        # Prebuilt, because every answer gets them.
        https = tuple((name.encode(), value.encode()) for name, value in self._named() if value is not None)
        object.__setattr__(self, "https", https)
        object.__setattr__(self, "names", frozenset(name for name, _ in https))
        object.__setattr__(self, "http", tuple(pair for pair in https if pair[0] != _HSTS))

    def _named(self) -> list[tuple[str, str | None]]:
        return [
            ("content-security-policy", self.content_security_policy),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", self.referrer_policy),
            ("x-frame-options", self.frame_options),
            ("cross-origin-resource-policy", self.cross_origin_resource_policy),
            ("cross-origin-opener-policy", self.cross_origin_opener_policy),
            ("permissions-policy", self.permissions_policy),
            ("strict-transport-security", self.strict_transport_security),
        ]


API = HeaderPolicy()


def dress(headers: RawHeaders, added: RawHeaders, request_id: str, policy: HeaderPolicy | None, secure: bool) -> None:
    """Append to *headers* what is not there yet; of headers added twice, the inner one, added last, wins."""
    present = dict(headers)
    for pair in reversed(added):
        name = pair[0]
        if name in _SEVERAL:
            if pair not in headers:
                headers.append(pair)
        elif name not in present:
            present[name] = pair[1]
            headers.append(pair)
    if _REQUEST_ID not in present:
        headers.append((_REQUEST_ID, request_id.encode("ascii")))
    if policy is None:
        return
    standard = policy.https if secure else policy.http
    page = _TYPE in present and present[_TYPE].startswith(b"text/html")
    if not page and policy.names.isdisjoint(present):
        headers += standard
    else:
        headers += [_for_page(pair) if page else pair for pair in standard if pair[0] not in present]


def _for_page(pair: RawHeader) -> RawHeader:
    if pair[0] == _CSP:
        return _CSP, _PAGE_CSP
    # Under the stricter policy, browsers send a page's own forms with `Origin: null`.
    return _TO_ITSELF if pair == _TO_NOBODY else pair
