"""What comes in, and what goes out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from annotated_types import Interval
from pydantic import BaseModel, GetPydanticSchema, SecretStr, StringConstraints

from blog.db import Post, User

Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$"),
]
Name = Annotated[str, StringConstraints(min_length=2, max_length=30, pattern=r"^[A-Za-z0-9_-]+$")]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
PostId = Annotated[int, Interval(ge=1, lt=2**63)]  # what SQLite can count


class Registration(BaseModel):
    """A new account; whether the password will do, `accounts.passwords` says."""

    name: Name
    email: Email
    password: SecretStr


class Credentials(BaseModel):
    """A login. Any text will do here: what is wrong with it is not told."""

    email: str
    password: SecretStr


class LoginForm(Credentials):
    """A login on the page, and where to go then."""

    next: str = "/"


class PasswordChange(BaseModel):
    """Another password; who changes it has to know the present one."""

    current: SecretStr
    new: SecretStr


class UserChanges(BaseModel):
    """What people may change about themselves."""

    name: Name


class PostIn(BaseModel):
    """A new post."""

    title: Title
    text: Text


class PostChanges(BaseModel):
    """What is to be changed; what is left out stays."""

    title: Title | None = None
    text: Text | None = None


class UserFields(BaseModel):
    """What everybody may know of an account; its email address and its password's hash are not here."""

    id: str
    name: str
    is_supporter: bool


class PostFields(BaseModel):
    """What everybody may know of a post."""

    id: int
    title: str
    text: str
    author_id: str
    created_at: datetime


def shown_as(model: type[BaseModel]) -> GetPydanticSchema:
    """Let a handler return a row of the database, of which only what *model* names leaves."""
    return GetPydanticSchema(lambda _, handler: handler.generate_schema(model))


UserOut = Annotated[User, shown_as(UserFields)]
PostOut = Annotated[Post, shown_as(PostFields)]
