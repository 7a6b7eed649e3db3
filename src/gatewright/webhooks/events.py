"""The event of a verified delivery, as the handler's annotation has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, get_args, get_origin

from pydantic import Discriminator, Field, TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, from_json

from gatewright._core.handler import Marker
from gatewright.errors import ConfigurationError, InvalidInput
from gatewright.webhooks.scheme import Path

if TYPE_CHECKING:
    from gatewright._core.handler import Handler

__all__ = ["Event", "EventMarker", "EventReader", "UnknownEvent"]

T = TypeVar("T")
_USUAL_TAG = "type"
_LOGGED_ERRORS, _LOGGED_CHARACTERS = 5, 100


@dataclass(frozen=True, slots=True)
class EventMarker(Marker):
    """Mark the parameter that takes the event.

    Args:
        tag: the field that tells the models of a union apart; each has it as a `Literal`. None is the one in which the
            sender says what happened, and where that is none at the top, "type".
    """

    __injected_by__: ClassVar[str] = "@verify_webhook(...)"
    place: ClassVar[str] = "body"

    tag: str | None = None


Event = Annotated[T, EventMarker()]
"""Take the verified body as a `T`: a model, or a union of models that are told apart by a `Literal` field.

That is the one in which the sender says what happened, such as Stripe's `type` and Paddle's `event_type`. An event of
another type is logged and answered with 200, so that the sender stops; one of a known type that does not fit its model
is refused. `Annotated[Paid | Voided, EventMarker("kind")]` names another field; a union that has its own
`Field(discriminator=...)` keeps it.
"""


class UnknownEvent(Exception):
    """Say that an event is of a type that the handler does not take."""

    def __init__(self, event_type: str) -> None:
        super().__init__(event_type)
        self.event_type = event_type


@dataclass(frozen=True, slots=True)
class EventReader:
    """Read events for one handler.

    Args:
        parameter: the handler's parameter that takes them.
        tag: the field that tells types apart.
        adapter: reads a body.
    """

    parameter: str
    tag: str
    adapter: TypeAdapter[Any] = field(repr=False)

    @classmethod
    def of(cls, handler: Handler, path: Path | None) -> EventReader | None:
        """Return what reads *handler*'s event; None where it asks for none.

        Args:
            handler: who takes the event.
            path: where the body says what happened; the marker has the last word.

        Raises:
            ConfigurationError: where it asks for two, or for a type that pydantic cannot read.
        """
        wants = handler.wanting(EventMarker)
        if not wants:
            return None
        if len(wants) > 1:
            names = " and ".join(want.name for want in wants)
            raise ConfigurationError(f"{handler.name}: {names} ask for one body; write one Event[A | B]")
        want = wants[0]
        marked = want.marker.tag if isinstance(want.marker, EventMarker) else None
        tag = marked or (path[0] if path is not None and len(path) == 1 else _USUAL_TAG)
        try:
            return cls(want.name, tag, _adapter(want.schema, tag))
        except (PydanticUserError, PydanticUndefinedAnnotation) as error:
            raise ConfigurationError(
                f"{handler.name}: {want.name}: pydantic cannot read {want.schema}: {error}"
            ) from error

    def read(self, body: bytes, *, known: bool = False) -> Any:
        """Return the event in *body*.

        Args:
            body: JSON.
            known: whether somebody saw that the handler takes events of this type.

        Raises:
            UnknownEvent: for one of a type that the handler does not take.
            InvalidInput: for what is no JSON (RFC 8259, so no NaN), or does not fit; nothing of it is told.
        """
        _refuse_nan(body)
        try:
            return self.adapter.validate_json(body)
        except ValidationError as error:
            details = error.errors(include_url=False)
        for detail in () if known else details:
            if (unknown := self._unknown(detail)) is not None:
                raise UnknownEvent(unknown[:_LOGGED_CHARACTERS])
        raise InvalidInput("The event is not valid", reason=f"event: {_summary(details)}")

    def _unknown(self, error: ErrorDetails) -> str | None:
        if error["type"] == "union_tag_invalid" and not error["loc"]:
            return str(error.get("ctx", {}).get("tag"))
        if error["type"] == "literal_error" and error["loc"] == (self.tag,) and isinstance(error["input"], str):
            return error["input"]
        return None


def _refuse_nan(body: bytes) -> None:
    """Refuse the constants that pydantic reads and RFC 8259 does not know."""
    if b"NaN" not in body and b"Infinity" not in body:
        return
    try:
        # The words may stand in a string; only a strict parser can tell.
        from_json(body, allow_inf_nan=False)
    except ValueError:
        raise InvalidInput("The event is not valid", reason="event: not JSON") from None


def _adapter(schema: Any, tag: str) -> TypeAdapter[Any]:
    if not _discriminated(schema):
        try:
            return _complete(Annotated[schema, Field(discriminator=tag)])
        except (PydanticUserError, TypeError):
            # Not a union, or one without a common tag: pydantic's own way of choosing is the best there is.
            pass
    return _complete(schema)


def _complete(schema: Any) -> TypeAdapter[Any]:
    adapter: TypeAdapter[Any] = TypeAdapter(schema)
    # Where a model names what is not defined yet, pydantic would wait until the first event to say so.
    adapter.rebuild()
    return adapter


def _discriminated(schema: Any) -> bool:
    metadata = get_args(schema)[1:] if get_origin(schema) is Annotated else ()
    return any(isinstance(item, Discriminator) or _has_discriminator(item) for item in metadata)


def _has_discriminator(item: object) -> bool:
    return isinstance(item, FieldInfo) and item.discriminator is not None


def _summary(details: list[ErrorDetails]) -> str:
    """Return where and what is wrong, for the log; never a value."""
    errors = [f"{'.'.join(str(step) for step in detail['loc']) or 'body'} {detail['type']}" for detail in details]
    return ", ".join(errors[:_LOGGED_ERRORS])
