"""The gate: what all decorators of the blog share."""

from __future__ import annotations

from blog import settings, users
from gatewright import ErrorMapper, Gate, NotFound, SessionCookie
from gatewright.auth import Revoker

errors = (
    ErrorMapper()
    # SQLite names the column of a violated constraint, other databases the constraint.
    .constraint("users.email", field="email", message=users.EMAIL_TAKEN)
    .constraint("users.name", field="name", message=users.NAME_TAKEN)
    # Somebody else deleted the row in between.
    .register("sqlalchemy.orm.exc:StaleDataError", lambda exc: NotFound())
)

gate = Gate(keys=[settings.SECRET_KEY], storage=settings.STORAGE, errors=errors)

# A session is looked up twice with each request: whether it was ended, and whether its account is still there.
session = SessionCookie(load_user=users.of_session, revoker=Revoker(), login_page="/login")
