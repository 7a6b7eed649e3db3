"""The blog as a Starlette app: `uvicorn blog.app:app --app-dir docs/examples`, then look at /."""

from __future__ import annotations

from starlette.applications import Starlette

from blog.gate import gate
from blog.routes import lifespan, routes
from gatewright import protect

app = Starlette(routes=routes, lifespan=lifespan)
gate.install(app)
protect(app, {})  # every route says itself who may come in; one that does not stays closed
