"""The work that every candidate does, and who asks for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, Field
from starlette.types import ASGIApp

from gatewright import HeaderPolicy

__all__ = ["BODY", "ONCE", "PATH", "PLENTY", "SECRET", "SECURITY", "USERS", "CreatePost", "Envelope", "Post"]
__all__ += ["Served", "Stack", "post_by"]

T = TypeVar("T")

PATH = "/posts"
SECRET = "benchmarks sign with this, and nothing else does"
USERS = tuple(f"user-{number}" for number in range(100))
PLENTY, ONCE = "1000000/minute", "1/hour"

_FIELDS = {"title": "Hello", "tags": ["asgi", "python"], "text": ""}
BODY = json.dumps({**_FIELDS, "text": "x" * (200 - len(json.dumps(_FIELDS)))}).encode()
"""A JSON object of 200 bytes."""

SECURITY = list(HeaderPolicy().http)
"""The security headers, as raw pairs: for all candidates those that a gate sends over plain HTTP."""


class CreatePost(BaseModel):
    """What is sent."""

    title: str = Field(min_length=1, max_length=200)
    text: str
    tags: list[str] = []


class Post(BaseModel):
    """What comes back."""

    id: int
    title: str
    author: str


class Envelope(BaseModel, Generic[T]):
    """The envelope, where a framework wants it as a model."""

    success: Literal[True] = True
    data: T


def post_by(author: str, body: CreatePost) -> Post:
    """Stand for the business: as good as free, and the same for all."""
    return Post(id=1, title=body.title, author=author)


@dataclass(frozen=True)
class Served:
    """A candidate, ready for requests.

    Attributes:
        app: the app.
        cookie: returns the `Cookie` header of a user's session.
    """

    app: ASGIApp
    cookie: Callable[[str], bytes]


Stack = Callable[[str], Served]
"""Makes a candidate with a limit for each user, such as `"1/hour"`."""
