"""A real browser, driven against the running blog."""
