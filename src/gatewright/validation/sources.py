"""Where a parameter is read from. `FromBody[T]` is `T` to a type checker, and a schema to us."""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeAlias, TypeVar

from gatewright._core.handler import Marker

__all__ = [
    "SOURCES",
    "Body",
    "Cookie",
    "File",
    "Form",
    "FromBody",
    "FromCookie",
    "FromFile",
    "FromForm",
    "FromHeader",
    "FromInput",
    "FromPath",
    "FromQuery",
    "Header",
    "Input",
    "Path",
    "Query",
    "Source",
]

T = TypeVar("T")


class Source(Marker):
    """Say which part of the request fills a parameter.

    Attributes:
        place: the part, in the words of OpenAPI.
    """

    __injected_by__ = "@validate"
    place: ClassVar[str]

    def __repr__(self) -> str:
        return f"From{type(self).__name__}"


class Body(Source):
    """The request body, as JSON."""

    place = "body"


class Form(Source):
    """The request body, as a form: URL-encoded, or multipart."""

    place = "form"


class Input(Source):
    """The request body, as a form or as JSON: whatever the client sends."""

    place = "input"


class File(Source):
    """The files of a multipart form."""

    place = "file"


class Query(Source):
    """The query string."""

    place = "query"


class Path(Source):
    """The parameters of the matched route."""

    place = "path"


class Header(Source):
    """The request headers."""

    place = "header"


class Cookie(Source):
    """The cookies."""

    place = "cookie"


SOURCES = (Body, Form, Input, File, Query, Path, Header, Cookie)

FromBody: TypeAlias = Annotated[T, Body()]
"""Read a parameter from the JSON body; the body is one value of this type.

JSON has no NaN. `1e999` is infinite, as RFC 8259, section 6, leaves open: write `FiniteFloat` where that matters.
"""

FromForm: TypeAlias = Annotated[T, Form()]
"""Read a parameter from the form: a model takes all of it, anything else the entry of the parameter's name."""

FromFile: TypeAlias = Annotated[T, File()]
"""Read a file, or a list of files, from a multipart form: `FromFile[UploadFile]`; closed when the call is over."""

FromInput: TypeAlias = Annotated[T, Input()]
"""Read a parameter from the body, whether that is a form or JSON; a model takes all of it."""

FromQuery: TypeAlias = Annotated[T, Query()]
"""Read a parameter from the query string: a model takes all of it, a list every entry of its name."""

FromPath: TypeAlias = Annotated[T, Path()]
"""Read a parameter from the route's path."""

FromHeader: TypeAlias = Annotated[T, Header()]
"""Read a parameter from a header; `x_token` reads `X-Token`."""

FromCookie: TypeAlias = Annotated[T, Cookie()]
"""Read a parameter from a cookie."""
