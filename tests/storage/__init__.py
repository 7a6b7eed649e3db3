"""Where limits, leases and records lie."""
