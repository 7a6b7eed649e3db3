"""What the blog is told by its environment.

A secret that is not set is made up, and lasts as long as this process: good for a first look, not for production.
"""

from __future__ import annotations

import atexit
import os
import secrets
import tempfile


def _temporary_database() -> str:
    directory = tempfile.TemporaryDirectory(prefix="blog-")
    atexit.register(directory.cleanup)
    return os.path.join(directory.name, "blog.db")


DATABASE = os.environ.get("BLOG_DATABASE") or _temporary_database()
# Limits and ended sessions; what is kept in memory is forgotten with the process, and known to no other worker.
STORAGE = os.environ.get("BLOG_STORAGE", "memory://")
SECRET_KEY = os.environ.get("BLOG_SECRET_KEY") or secrets.token_urlsafe(32)
STRIPE_SECRET = os.environ.get("BLOG_STRIPE_SECRET") or f"whsec_{secrets.token_urlsafe(32)}"

# The administrator's account is made when the blog starts, if both are set.
ADMIN_EMAIL = os.environ.get("BLOG_ADMIN_EMAIL")
ADMIN_PASSWORD = os.environ.get("BLOG_ADMIN_PASSWORD")
