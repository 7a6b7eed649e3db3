"""From what a handler asks for to the readers that fill it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gatewright._core.handler import Handler, Want
from gatewright.errors import ConfigurationError
from gatewright.result import PageParams
from gatewright.validation.bodies import BodyReader, JsonReader
from gatewright.validation.compiled import compiled
from gatewright.validation.forms import FormReader
from gatewright.validation.named import Entries, NamedReader, Part, texts
from gatewright.validation.parts import Terms, absent, parts_of
from gatewright.validation.sources import SOURCES, Body, Cookie, Form, Header, Path, Query

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["body_reader", "check", "readers"]

_PAGE = frozenset({"page", "limit"})


def check(handler: Handler) -> None:
    """Refuse what cannot be validated.

    Raises:
        ConfigurationError: for a handler that asks for nothing, or for the body twice.
    """
    for name in handler.unresolved:
        written = str(handler.others[name].annotation)
        if any(repr(source()) in written for source in SOURCES):
            raise ConfigurationError(
                f"{handler.name}: {name}: {written} names something that is not defined; define or import it at "
                "module level, not under TYPE_CHECKING"
            )
    if not handler.wanting(*SOURCES):
        raise ConfigurationError(
            f"{handler.name}: @validate has nothing to validate; annotate a parameter, such as body: FromBody[Model]"
        )
    bodies, forms = handler.wanting(Body), handler.wanting(Form)
    if len(bodies) > 1:
        names = ", ".join(want.name for want in bodies)
        raise ConfigurationError(f"{handler.name}: {names} are two bodies; write one model that holds them all")
    if bodies and forms:
        raise ConfigurationError(
            f"{handler.name}: {bodies[0].name} and {forms[0].name} both read the body; write FromBody or FromForm"
        )


def body_reader(handler: Handler) -> BodyReader | None:
    """Return what reads the body; None where the handler wants none of it."""
    forms = handler.wanting(Form)
    if forms:
        return FormReader.of(parts_of(forms, handler.name, Terms()))
    for want in handler.wanting(Body):
        return JsonReader(want.name, compiled(want.schema, handler.name, want.name), absent(want))
    return None


def readers(handler: Handler) -> tuple[NamedReader, ...]:
    """Return what reads the head: path, query, headers, cookies."""
    makers: list[tuple[type, Callable[[list[Want], Handler], NamedReader]]] = [
        (Path, _path),
        (Query, _query),
        (Header, _headers),
        (Cookie, _cookies),
    ]
    wanted = [(make, handler.wanting(source)) for source, make in makers]
    return tuple(make(wants, handler) for make, wants in wanted if wants)


def _path(wants: list[Want], handler: Handler) -> NamedReader:
    parts = parts_of(wants, handler.name, Terms(repeats=False))
    needed = frozenset[str]().union(*(part.required for part in parts))

    def entries(call: Call) -> Entries:
        parameters = call.scope.get("path_params", {})
        if not needed <= parameters.keys():
            missing = ", ".join(f"{{{name}}}" for name in sorted(needed - parameters.keys()))
            raise ConfigurationError(f"{handler.name}: the route has no {missing}; write it into the route's path")
        return {name: [value] for name, value in parameters.items()}

    return NamedReader(entries, parts)


def _query(wants: list[Want], handler: Handler) -> NamedReader:
    reserved = _PAGE if handler.wanting(PageParams) else frozenset[str]()

    def entries(call: Call) -> Entries:
        raw: bytes = call.scope.get("query_string", b"")
        return texts(raw, "query string") if raw else {}

    return NamedReader(entries, parts_of(wants, handler.name, Terms(reserved=reserved)))


def _headers(wants: list[Want], handler: Handler) -> NamedReader:
    parts = parts_of(wants, handler.name, Terms(named=_header_name))
    asked = _asked(parts)

    def entries(call: Call) -> Entries:
        return {name: [value.decode("latin-1") for value in call.header_values(raw)] for name, raw in asked}

    return NamedReader(entries, parts)


def _header_name(key: str) -> str:
    return key.replace("_", "-").lower()


def _cookies(wants: list[Want], handler: Handler) -> NamedReader:
    parts = parts_of(wants, handler.name, Terms(repeats=False))
    asked = _asked(parts)

    def entries(call: Call) -> Entries:
        found = ((name, call.cookie(raw)) for name, raw in asked)
        return {name: [value.decode("latin-1")] for name, value in found if value is not None}

    return NamedReader(entries, parts)


def _asked(parts: tuple[Part, ...]) -> tuple[tuple[str, bytes], ...]:
    names = sorted({name for part in parts for name in part.names.values()})
    return tuple((name, name.encode("latin-1")) for name in names)
