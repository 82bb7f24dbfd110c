"""Amounts and currencies. Pure.

Inside, money is an integer in the currency's minor unit, in Stripe's sense of it, beside an upper-case ISO 4217 code:
the same integer in our rows and in what we send (https://docs.stripe.com/currencies). Outside it is a number in major
units. Functions raise `ValueError` for what is not such a code, because `jpy` taken for a currency with cents would
be wrong by a hundred.
"""

import re
from decimal import Decimal

ZERO_DECIMAL = frozenset(
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"]
)
THREE_DECIMAL = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])
WHOLE_ONLY = frozenset({"ISK", "UGX"})
"""No fraction of these exists, yet Stripe takes them with two digits, which must be 00."""

_SMALLEST_CHARGES = {
    30: "GBP",
    50: "ARS AUD BRL CAD CHF COP EUR IDR ILS INR JPY KRW NZD PHP RUB SGD USD ZAR",
    200: "AED MYR PLN RON",
    250: "DKK",
    300: "NOK SEK",
    400: "HKD",
    1_000: "MXN THB",
    1_500: "CZK",
    17_500: "HUF",
}
MINIMUM_CHARGE = {currency: amount for amount, codes in _SMALLEST_CHARGES.items() for currency in codes.split()}
"""Stripe's smallest charges in minor units (https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts).
They hold in the currency that the account settles in, after conversion: what passes here may still be too small."""

LARGEST_CHARGE = 99_999_999
"""Stripe takes eight digits."""


def exponent(currency: str) -> int:
    """How many decimal digits the minor unit stands for: 2 for USD, 0 for JPY, 3 for KWD."""
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise ValueError(f"{currency!r} is not an upper-case currency code")
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def smallest_step(currency: str) -> int:
    """The amount, in minor units, that everything sent to Stripe must be a multiple of.

    100 where only whole units exist; 10 for three decimals, of which Stripe wants the last to be 0; else 1.
    """
    if currency in WHOLE_ONLY:
        return 100
    return 10 if exponent(currency) == 3 else 1


def to_major(amount_minor: int, currency: str) -> Decimal:
    """The amount in major units, with all digits of the currency: 5000 USD is 50.00, 5000 JPY is 5000."""
    return Decimal(amount_minor).scaleb(-exponent(currency))


def from_major(amount: Decimal, currency: str) -> int:
    """The amount in minor units. `ValueError` if it has digits that the currency has not, or more than Stripe takes."""
    if not (amount.is_finite() and -LARGEST_CHARGE <= amount <= LARGEST_CHARGE):
        raise ValueError(f"{amount} is not an amount that can be charged")
    minor = int(amount.scaleb(exponent(currency)))
    # Comparing is exact, where shifting rounds to 28 digits and `int` cuts off.
    if to_major(minor, currency) != amount or minor % smallest_step(currency) or abs(minor) > LARGEST_CHARGE:
        raise ValueError(f"{amount} is not an amount of {currency}")
    return minor


def minimum_charge(currency: str) -> int:
    """The smallest amount, in minor units, that Stripe charges; the smallest step where it names none."""
    return MINIMUM_CHARGE.get(currency) or smallest_step(currency)
