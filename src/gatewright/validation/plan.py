"""From what a handler asks for to the readers that fill it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from gatewright._core.handler import Handler, Want, read_for
from gatewright._core.hidden import HIDDEN
from gatewright.errors import ConfigurationError
from gatewright.validation.bodies import BodyReader, JsonReader
from gatewright.validation.compiled import compiled
from gatewright.validation.files import files_of
from gatewright.validation.forms import FormReader
from gatewright.validation.inputs import InputReader
from gatewright.validation.manner import Manner
from gatewright.validation.named import Entries, MalformedError, NamedReader, Part, texts
from gatewright.validation.parts import Terms, absent, form_parts_of, parts_of
from gatewright.validation.sources import SOURCES, Body, Cookie, File, Form, Header, Input, Path, Query

if TYPE_CHECKING:
    from gatewright._core.call import Call

__all__ = ["body_reader", "check", "readers"]


def check(handler: Handler) -> None:
    """Refuse what cannot be validated.

    Raises:
        ConfigurationError: for a handler that asks for the body twice, or for what is not defined.
    """
    for name in handler.unresolved:
        written = str(handler.others[name].annotation)
        if any(repr(source()) in written for source in SOURCES):
            raise ConfigurationError(
                f"{handler.name}: {name}: {written} names something that is not defined; define or import it at "
                "module level, not under TYPE_CHECKING"
            )
    bodies = handler.wanting(Body, Input)
    forms = [*handler.wanting(Form), *(handler.wanting(File) if handler.wanting(Body) else ())]
    if len(bodies) > 1:
        names = ", ".join(want.name for want in bodies)
        raise ConfigurationError(f"{handler.name}: {names} are two bodies; write one model that holds them all")
    if bodies and forms:
        raise ConfigurationError(
            f"{handler.name}: {bodies[0].name} and {forms[0].name} both read the body; "
            "write FromBody or FromForm, or FromInput for either"
        )


def body_reader(handler: Handler, manner: Manner) -> BodyReader | None:
    """Return what reads the body; None where the handler wants none of it."""
    forms, inputs = handler.wanting(Form), handler.wanting(Input)
    files = files_of(handler.wanting(File), handler.name)
    terms = Terms(reserved=HIDDEN, drops_empty=manner.drops_empty, strict="input" in manner.strict)
    if forms or (files and not inputs):
        terms = replace(terms, strict="form" in manner.strict)
        return FormReader.of(form_parts_of(forms, handler.name, terms), files)
    for want in handler.wanting(Body, Input):
        json = JsonReader(want.name, compiled(want.schema, handler.name, want.name), absent(want))
        if not inputs:
            return replace(json, strict="body" in manner.strict)
        form = FormReader.of(form_parts_of(inputs, handler.name, terms), files)
        return InputReader(replace(json, strict=terms.strict, accepted=f"application/json, {form.accepted}"), form)
    return None


def readers(handler: Handler, manner: Manner) -> tuple[NamedReader, ...]:
    """Return what reads the head: path, query, headers, cookies."""
    makers: list[tuple[type, Callable[[list[Want], Handler, Manner], NamedReader]]] = [
        (Path, _path),
        (Query, _query),
        (Header, _headers),
        (Cookie, _cookies),
    ]
    wanted = [(make, handler.wanting(source)) for source, make in makers]
    return tuple(make(wants, handler, manner) for make, wants in wanted if wants)


def _path(wants: list[Want], handler: Handler, manner: Manner) -> NamedReader:
    parts = parts_of(wants, handler.name, Terms(repeats=False, strict="path" in manner.strict))
    needed = frozenset[str]().union(*(part.required for part in parts))

    def entries(call: Call) -> Entries:
        parameters = call.scope.get("path_params", {})
        if not needed <= parameters.keys():
            missing = ", ".join(f"{{{name}}}" for name in sorted(needed - parameters.keys()))
            raise ConfigurationError(f"{handler.name}: the route has no {missing}; write it into the route's path")
        if any(isinstance(value, str) and not _is_text(value) for value in parameters.values()):
            raise MalformedError("The path is not UTF-8")
        return {name: [value] for name, value in parameters.items()}

    return NamedReader(entries, parts)


def _is_text(value: str) -> bool:
    """Say whether a server decoded it whole: half a surrogate pair stands for a byte, and cannot be written."""
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)


def _query(wants: list[Want], handler: Handler, manner: Manner) -> NamedReader:
    reserved = frozenset(name for want in handler.wants.values() for name in read_for(want))
    terms = Terms(reserved=reserved, drops_empty=manner.drops_empty, strict="query" in manner.strict)

    def entries(call: Call) -> Entries:
        raw: bytes = call.scope.get("query_string", b"")
        return texts(raw, "query string") if raw else {}

    return NamedReader(entries, parts_of(wants, handler.name, terms))


def _headers(wants: list[Want], handler: Handler, manner: Manner) -> NamedReader:
    parts = parts_of(wants, handler.name, Terms(named=_header_name, strict="header" in manner.strict))
    asked = _asked(parts)

    def entries(call: Call) -> Entries:
        return {name: [value.decode("latin-1") for value in call.header_values(raw)] for name, raw in asked}

    return NamedReader(entries, parts)


def _header_name(key: str) -> str:
    return key.replace("_", "-").lower()


def _cookies(wants: list[Want], handler: Handler, manner: Manner) -> NamedReader:
    parts = parts_of(wants, handler.name, Terms(repeats=False, strict="cookie" in manner.strict))
    asked = _asked(parts)

    def entries(call: Call) -> Entries:
        found = ((name, call.cookie(raw)) for name, raw in asked)
        return {name: [value.decode("latin-1")] for name, value in found if value is not None}

    return NamedReader(entries, parts)


def _asked(parts: tuple[Part, ...]) -> tuple[tuple[str, bytes], ...]:
    names = sorted({name for part in parts for name in part.names.values()})
    return tuple((name, name.encode("latin-1")) for name in names)
