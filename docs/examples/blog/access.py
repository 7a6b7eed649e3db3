"""Who may do what: requirements that the handlers of all the blogs share."""

from __future__ import annotations

from blog import posts
from gatewright import is_self, owned, role

administrator = role("admin")
own_account = is_self("user_id")

# Everybody may read posts: that one is there is no secret, so a stranger is told 403, and not the 404 of a missing one.
own_post = owned(posts.find, owner="author_id", reveal=True)
