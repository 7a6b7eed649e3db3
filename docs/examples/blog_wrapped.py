"""The blog's whole app behind one gate, as any ASGI app can be: `uvicorn blog_wrapped:app --app-dir docs/examples`.

Nothing is installed in the app here, so nothing has to be known of it: it could be written with any framework, or
none. What stands in front of it holds for every request, and its handlers keep the guards of their own. The errors
that its framework makes itself, such as the 404 of an unknown path, stay the framework's, with the gate's headers.
"""

from __future__ import annotations

from blog.gate import gate
from blog.routes import lifespan, routes
from starlette.applications import Starlette

from gatewright import compose, limit_body, protect, with_rate_limit

hardened = compose(
    with_rate_limit("1000/minute"),
    limit_body(200_000),
)

blog = Starlette(routes=routes, lifespan=lifespan)
protect(blog, {})

app = gate.wrap(hardened(blog))
