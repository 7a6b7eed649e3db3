"""Failed attempts at an account: who may try again, and when."""

from gatewright.lockout.attempt import Attempt as Attempt
from gatewright.lockout.attempt import Attempts as Attempts
from gatewright.lockout.guard import Failures as Failures
from gatewright.lockout.guard import Lockout as Lockout
from gatewright.lockout.guard import lockout as lockout

__all__ = ["Attempt", "Attempts", "Failures", "Lockout", "lockout"]
