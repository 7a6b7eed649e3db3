"""What browsers see: pages to read, and forms that work with JavaScript and without.

Every form is a handler with `@action`: it answers a browser with a page, a script with the envelope, and htmx with what
htmx understands. `posts.py` and `accounts.py` have the handlers, `html.py` makes pages of the templates.
"""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from blog.pages import accounts, posts
from gatewright.actions.browser import browser_script

__all__ = ["routes"]

routes: list[BaseRoute] = [
    Route("/", posts.list_posts),
    Route("/posts/new", posts.new_post),
    Route("/posts/new", posts.create_post, methods=["POST"]),
    Route("/posts/{post_id}", posts.read_post),
    Route("/posts/{post_id}/edit", posts.edit_post),
    Route("/posts/{post_id}/edit", posts.update_post, methods=["POST"]),
    Route("/posts/{post_id}/delete", posts.delete_post, methods=["POST"]),
    Route("/register", accounts.new_account),
    Route("/register", accounts.register, methods=["POST"]),
    Route("/login", accounts.login),
    Route("/login", accounts.log_in, methods=["POST"]),
    Route("/logout", accounts.log_out, methods=["POST"]),
    Route("/gatewright.js", browser_script),
]
