"""A blog on Starlette: accounts, sessions, posts, a webhook, and pages to log in and out.

Read `handlers.py` first: every handler of the API is there, with the decorators that harden it. `accounts.py` has all
that has to do with passwords, `pages.py` what browsers see. `routes.py` gives the handlers their paths and `app.py`
makes the app; the other modules know nothing of HTTP.
"""
