"""The blog as a Starlette app: `uvicorn blog.app:app --app-dir docs/examples`."""

from __future__ import annotations

from starlette.applications import Starlette

from blog.gate import gate
from blog.routes import lifespan, routes

app = Starlette(routes=routes, lifespan=lifespan)
gate.install(app)
