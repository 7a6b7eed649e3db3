"""A blog on Starlette: accounts, sessions, posts and a webhook, as an API and as pages with forms.

Read `handlers.py` first: every handler of the API is there, with the decorators that harden it. `pages/` has those of
what browsers see, and every form there is an action. `accounts.py` has all that has to do with passwords. `routes.py`
gives the handlers their paths and `app.py` makes the app; the other modules know nothing of HTTP.
"""
