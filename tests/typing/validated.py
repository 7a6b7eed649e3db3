"""What type checkers see of `@validate` with options, of files and of types of text; never run."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Annotated, Any, assert_type

from pydantic import BaseModel, Field
from starlette.datastructures import UploadFile

from gatewright import Checkbox, Checkboxes, FromFile, FromForm, Guarded, Result, ok, validate
from gatewright.text import Line, PlainText, Slug


class Post(BaseModel):
    """A form."""

    title: Annotated[Line, Field(max_length=80)]
    slug: Slug
    body: PlainText
    public: Checkbox = False
    topics: Checkboxes[str] = []


async def is_free(form: Post) -> dict[str, str] | None:
    """A check."""
    return {"slug": "is taken"} if form.slug == "new" else None


@validate(refine=is_free, refine_within=2.5, status=422, strict=["form"], empty="missing")
async def publish(
    form: FromForm[Post], cover: FromFile[UploadFile], more: FromFile[list[UploadFile]] | None = None
) -> Result[str]:
    """A file is an UploadFile, a line is a str, a box is a bool."""
    assert_type(form.title, str)
    assert_type(form.public, bool)
    assert_type(form.topics, list[str])
    assert_type(cover, UploadFile)
    assert_type(more, list[UploadFile] | None)
    return ok(form.slug)


def takes(handler: Guarded[[Post, UploadFile, list[UploadFile] | None], Coroutine[Any, Any, Result[str]]]) -> None:
    """Options leave the handler's type alone."""


takes(publish)
validate(empty="none")  # type: ignore[call-overload]
validate(status="422")  # type: ignore[call-overload]
