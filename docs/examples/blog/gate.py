"""The gate: what all decorators of the blog share."""

from __future__ import annotations

from blog import settings, users
from gatewright import ErrorMapper, Gate, NotFound, SessionCookie

errors = (
    ErrorMapper()
    # SQLite names the column of a violated constraint, other databases the constraint.
    .constraint("users.email", field="email", message=users.EMAIL_TAKEN)
    .constraint("users.name", field="name", message=users.NAME_TAKEN)
    # Somebody else deleted the row in between.
    .register("sqlalchemy.orm.exc:StaleDataError", lambda exc: NotFound())
)

gate = Gate(keys=[settings.SECRET_KEY], errors=errors)
session = SessionCookie(load_user=users.of_session)
