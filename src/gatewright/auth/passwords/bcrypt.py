"""bcrypt, for hashes from elsewhere and for those who must.

bcrypt reads 72 bytes of a password, and most of its implementations stop at the first NUL. A password with more to it
is refused when it is chosen, and matches nothing when it is compared. To cut it would let in whoever knows how it
begins (ASVS 5.0, 6.2.8). To hash it beforehand would make hashes that no other bcrypt verifies, and that the unsalted
hashes of another site help to crack (OWASP, Password Storage). 64 ASCII characters fit (ASVS 5.0, 6.2.9); for all
others there is argon2id.
"""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass
from hmac import compare_digest

from gatewright.errors import ConfigurationError

__all__ = ["Bcrypt", "bcrypt"]

_LEAST_COST, _MOST_COST = 10, 16
_CHEAPEST, _DEAREST = 4, 31
_MOST_BYTES = 72
# The last character of the salt carries two bits, and nothing verifies one that claims more.
_STORED = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")


def bcrypt(cost: int = 12, *, weak_for_tests: bool = False) -> Bcrypt:
    """Hash with bcrypt, for passwords of 72 bytes at most.

    Args:
        cost: the work, as a power of two.
        weak_for_tests: take a cost that is fast and protects nobody.

    Raises:
        ConfigurationError: for a cost below 10 or above 31, and where bcrypt is not installed.
    """
    return Bcrypt(cost, weak_for_tests=weak_for_tests)


@dataclass(frozen=True)
class Bcrypt:
    """Hash with bcrypt; the arguments are those of `bcrypt`."""

    cost: int
    _: KW_ONLY
    weak_for_tests: bool = False

    name = "bcrypt"

    def __post_init__(self) -> None:
        if not (_CHEAPEST if self.weak_for_tests else _LEAST_COST) <= self.cost <= _DEAREST:
            raise ConfigurationError(
                f"bcrypt(cost={self.cost}): write 12, and no less than {_LEAST_COST}; "
                f"in tests, weak_for_tests=True and {_CHEAPEST}"
            )
        try:
            import bcrypt as bcrypt
        except ImportError as missing:
            raise ConfigurationError('bcrypt() needs bcrypt: pip install "gatewright[passwords]"') from missing

    @property
    def work(self) -> int:
        """Return the number of rounds."""
        return 1 << self.cost

    def work_of(self, stored: str) -> int:
        """Return how many rounds comparing with *stored* takes; 0 where it is no hash, or takes too many."""
        found = _STORED.fullmatch(stored)
        cost = 0 if found is None else int(found[1])
        return 1 << cost if _CHEAPEST <= cost <= max(_MOST_COST, self.cost) else 0

    def refusal(self, password: bytes) -> str | None:
        """Return why bcrypt would not look at all of *password*."""
        if len(password) > _MOST_BYTES:
            return f"Should have at most {_MOST_BYTES} bytes; letters beyond ASCII take two or more"
        return "Should have no NUL characters" if b"\0" in password else None

    def hash(self, password: bytes) -> str:
        """Return a hash with a new salt."""
        import bcrypt

        return bcrypt.hashpw(password, bcrypt.gensalt(self.cost)).decode("ascii")

    def matches(self, stored: str, password: bytes) -> bool:
        """Say whether *stored* was made of *password*; of no hash, where bcrypt would not look at all of it."""
        import bcrypt

        taken = self.refusal(password) is None
        salted = stored.encode("ascii")
        # With its salt, prefix and cost; the answer of a password that is not taken does not count, but its time does.
        made = bcrypt.hashpw(password if taken else b"", salted)
        return compare_digest(made, salted) and taken

    def is_weaker(self, stored: str) -> bool:
        """Say whether *stored* took fewer rounds."""
        return self.work_of(stored) < self.work

    def spend(self, work: int) -> None:
        """Do so many rounds: of hashes whose costs are the bits of the number."""
        import bcrypt

        for cost in range(_CHEAPEST, max(work, 0).bit_length()):
            if work >> cost & 1:
                bcrypt.hashpw(b"", b"$2b$%02d$" % cost + b"." * 22)
