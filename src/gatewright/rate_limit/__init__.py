"""How often a handler may be called: counted by address before anybody is known, by principal after."""

from gatewright._core.callers import by_address as by_address
from gatewright._core.callers import by_header as by_header
from gatewright._core.callers import by_principal as by_principal
from gatewright._core.callers import by_principal_or_address as by_principal_or_address
from gatewright._core.callers import metered as metered
from gatewright.rate_limit.limiter import Allowance as Allowance
from gatewright.rate_limit.limiter import RateLimiter as RateLimiter
from gatewright.rate_limit.limiter import with_rate_limit as with_rate_limit
from gatewright.rate_limit.meter import Meter as Meter

__all__ = [
    "Allowance",
    "Meter",
    "RateLimiter",
    "by_address",
    "by_header",
    "by_principal",
    "by_principal_or_address",
    "metered",
    "with_rate_limit",
]
