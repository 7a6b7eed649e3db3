"""Texts without the secrets that they hold, and without the characters that forge a log line."""

from __future__ import annotations

import re

from gatewright._core.names import Names

__all__ = ["REDACTED", "neutral", "scrub"]

REDACTED = "[redacted]"
_CAP = 4096

_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,16}-----|\Z)", re.S
)

# Lower-case words follow "basic" in prose, never in a header; after "bearer" only these do.
_SCHEME = re.compile(
    r"(?<![A-Za-z0-9])((?i:bearer))[ \t]+(?!auth|challenge|credential|format|scheme|tokens?\b)[\w.~+/\-]{6,}=*"
    r"|(?<![A-Za-z0-9])((?i:basic|negotiate))[ \t]+(?=[a-z]*[A-Z0-9+/=])[\w.~+/\-]{4,}=*"
)

# The password of a URL ends at the last @ before the path; one that holds a slash, at the first @, unless it is a port.
_USERINFO = re.compile(
    r'://(?:([^\s:/?#@"<>]*+:)(?:[^\s/?#"<>]*@|(?!\d{1,5}[/?#])(?:(?!://)[^\s"<>]){0,1024}?@)|[^\s:/?#@"<>]{20,}@)'
)

_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"eyJ[\w\-]{8,}[\w.\-=]*"  # JSON in base64: a JWT, a signed cookie
    r"|[sr]k_(?:live|test)_\w{4,}|whsec_[\w+/=\-]{4,}"  # Stripe, Standard Webhooks
    r"|gh[opsur]_\w{8,}|github_pat_\w{8,}|glpat-[\w\-]{8,}|npm_\w{16,}|pypi-[\w\-]{16,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{12,}|AIza[\w\-]{20,}|ya29\.[\w\-]{16,}|dop_v1_\w{16,}"
    r"|xox[abeoprs]-[\w\-]{8,}|SG\.[\w\-]{8,}\.[\w\-]{8,}|shp(?:at|ca|pa|ss)_\w{16,}|hf_\w{16,}"
    r"|sk-(?=[\w\-]{0,64}\d)[\w\-]{16,}"
    r"|[0-9A-Za-z]{17}_[0-9A-Za-z]{49}(?![0-9A-Za-z])"  # our own API keys; the prefix is public
    r")"
)

_DIGITS = re.compile(r"(?<![A-Za-z0-9.])\d(?:[ \-]?\d){12,}(?![A-Za-z0-9])")
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)

# `name=`, `name: `, `"name": `, `\"name\": `, `(name)=`, `name => `; the value is read by `_end_of_value`.
_NAMED = re.compile(r"""(?<![\w.\-\[\]%])([\w.\-\[\]%]++)\\{0,4}["')]{0,2}\s{0,8}(?:=>|[=:])\s{0,8}""")
_ENCODED = re.compile(
    r"""((?:%[0-9A-Fa-f]{2}|(?<![\w.\-%]))([\w.\-]++)%3[Dd])(?:[^\s&%"']|%(?!23|26|3[Bb])[0-9A-Fa-f]{2})++"""
)
_QUOTED = re.compile(
    r"""[bBfFrRuU]{0,2}(?:"(?:[^"\\]|\\.?)*+(?:"|\Z)|'(?:[^'\\]|\\.?)*+(?:'|\Z)|(?P<mark>\\+["']).*?(?:(?P=mark)|\Z))""",
    re.S,
)
_OPENED = re.compile(r"[\w.]*+[\[({<]")
_BRACKET = re.compile(rf"(?P<open>[\[({{<])|(?P<close>[\])}}]|(?<![\-=])>)|{_QUOTED.pattern}", re.S)
# A comma, a semicolon or a quote may belong to a password; they divide where what follows says so.
_STOP = re.compile(r"""[\s&]|[,;](?=[\s"'\[\](){}]|\Z|[\w.\-\[\]%]{1,64}["']?\s?[=:])|\\*["'](?=[\s,;:&\])}>]|\Z)""")
_LINE_END = re.compile(r"[\r\n]")
_WHOLE_LINE = ("authorization", "cookie")


def neutral(text: str) -> str:
    """Return *text* with every character escaped that is not printed: line ends, terminal escapes, lone surrogates."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def scrub(text: str, names: Names) -> str:
    """Return *text* without secrets, printable, and cut where it is very long.

    Secret are the values of secret *names* in queries, JSON, reprs and header lines, the passwords of URLs,
    credentials after `Bearer` and `Basic`, private keys, card numbers, and tokens that carry a known prefix.
    """
    length = len(text)
    if length > _CAP:
        text = _shortened(text)
    if "PRIVATE KEY" in text:
        text = _PEM.sub(REDACTED, text)
    if " " in text or "\t" in text:
        text = _SCHEME.sub(lambda match: f"{match[1] or match[2]} {REDACTED}", text)
    if "=" in text or ":" in text:
        text = _without_named(text, names)
    if "%3" in text:
        text = _ENCODED.sub(lambda match: f"{match[1]}{REDACTED}" if names.secret(match[2]) else match[0], text)
    if "://" in text and "@" in text:
        text = _USERINFO.sub(lambda match: f"://{match[1] or ''}{REDACTED}@", text)
    text = _TOKEN.sub(REDACTED, text)
    if length > 12:
        text = _DIGITS.sub(_without_cards, text)
    return neutral(text) if length <= _CAP else f"{neutral(text)}[{length} characters]"


def _shortened(text: str) -> str:
    """Cut *text* before its last word, so that no secret is left in a half that nothing recognises."""
    text = text[:_CAP]
    word = max(text.rfind(" "), text.rfind("\n"), len(text) - 512)
    return text[:word].rstrip("0123456789- ")


def _without_named(text: str, names: Names) -> str:
    """Replace what follows the name of a secret, in whatever notation."""
    kept: list[str] = []
    at = 0
    while (match := _NAMED.search(text, at)) is not None:
        kept.append(text[at : match.end()])
        at = match.end()
        if names.secret(match[1]):
            end = _end_of_value(text, at, match[1])
            if end > at:
                kept.append(REDACTED)
                at = end
    return "".join((*kept, text[at:])) if kept else text


def _end_of_value(text: str, at: int, name: str) -> int:
    """Return where a value ends: after its quotes or brackets, or before what divides it from the next."""
    if quoted := _QUOTED.match(text, at):
        return quoted.end()
    if name.casefold().endswith(_WHOLE_LINE):
        return _first(_LINE_END, text, at)
    start = at
    if _OPENED.match(text, at):
        at = _end_of_brackets(text, at)
    end = _first(_STOP, text, at)
    # A bracket that the value did not open closes what it stands in.
    while end > max(at, start + 1) and text[end - 1] in ")]}>":
        end -= 1
    return end


def _end_of_brackets(text: str, at: int) -> int:
    depth = 0
    for token in _BRACKET.finditer(text, at):
        if token["open"]:
            depth += 1
        elif token["close"]:
            depth -= 1
            if depth <= 0:
                return token.end()
    return len(text)


def _first(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.search(text, at)
    return len(text) if match is None else match.start()


def _without_cards(match: re.Match[str]) -> str:
    """Replace card numbers (ISO/IEC 7812: 13 to 19 digits, in groups or not, that check) in a run of digits.

    The first group has four digits or more, so that a long run of short ones costs little.
    """
    run = match[0]
    groups = [group.span() for group in re.finditer(r"\d+", run)]
    kept: list[str] = []
    at = 0
    for first, (start, stop) in enumerate(groups):
        if start < at or stop - start < 4:
            continue
        for _, end in groups[first:]:
            digits = [int(c) for c in run[start:end] if c.isdecimal()]
            if len(digits) > 19:
                break
            if len(digits) >= 13 and _is_card(digits):
                kept += (run[at:start], REDACTED)
                at = end
                break
    return "".join((*kept, run[at:]))


def _is_card(digits: list[int]) -> bool:
    # What payment cards begin with; so ids and timestamps of the same length are left alone.
    begins = 10 * digits[0] + digits[1]
    return (22 <= begins <= 27 or 30 <= begins <= 69) and not (
        sum(digits[-1::-2]) + sum(_DOUBLED[digit] for digit in digits[-2::-2])
    ) % 10
