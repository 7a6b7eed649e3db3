"""Where limits, leases and records are kept: in this process, in Redis, or in what `limits` knows."""
