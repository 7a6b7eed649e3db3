"""A blog's API on Starlette: accounts, sessions, posts, and a webhook.

Read `handlers.py` first: every handler is there, with the decorators that harden it. `routes.py` gives them their
paths and `app.py` makes the app; the other modules know nothing of HTTP.
"""
