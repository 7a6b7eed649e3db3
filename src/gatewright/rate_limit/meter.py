"""What a handler may say of its own cost, once it knows it."""

from __future__ import annotations

from typing import ClassVar

from gatewright.errors import ConfigurationError

__all__ = ["Meter"]


class Meter:
    """Charge a call for more, or less, than it was charged when it began; ask for it by annotation.

    ::

        @with_rate_limit("100000/day", by=by_principal, unit="tokens")
        async def complete(body: FromBody[Prompt], meter: Meter) -> Result[str]:
            answer = await model.complete(body.text)
            meter.charge(answer.tokens, unit="tokens")
            return ok(answer.text)

    The correction is made after the answer was sent: at once for all limits of that unit, never below nothing or over
    the limit, and only in the windows that the call was charged to.
    """

    __injected_by__: ClassVar[str] = "@with_rate_limit"

    # A default on the class: most calls are never corrected.
    _corrections: dict[str, int | None] | None = None

    def __repr__(self) -> str:
        return f"<Meter {self.corrections}>"

    @property
    def corrections(self) -> dict[str, int | None]:
        """Return the corrections so far, by unit, for a unit test; None gives everything back."""
        return dict(self._corrections or {})

    def charge(self, amount: int, *, unit: str = "requests") -> None:
        """Charge more.

        Args:
            amount: how much, in units of the limit; 0 or more.
            unit: the limits with this `unit=` are charged.

        Raises:
            ConfigurationError: for what is no amount.
        """
        self._correct(_amount(amount), unit)

    def refund(self, amount: int | None = None, *, unit: str = "requests") -> None:
        """Give back, at most what the call was charged.

        Args:
            amount: how much, in units of the limit; everything by default.
            unit: the limits with this `unit=` give back.

        Raises:
            ConfigurationError: for what is no amount.
        """
        self._correct(None if amount is None else -_amount(amount), unit)

    def _correct(self, by: int | None, unit: str) -> None:
        if self._corrections is None:
            self._corrections = {}
        # After everything was given back, what follows is counted from nothing.
        self._corrections[unit] = None if by is None else (self._corrections.get(unit) or 0) + by


def _amount(amount: int) -> int:
    if type(amount) is not int or amount < 0:
        raise ConfigurationError(f"Meter: {amount!r} is no amount; write a number, 0 or more")
    return amount
