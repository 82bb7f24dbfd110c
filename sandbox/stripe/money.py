"""Currencies as Stripe takes them: exponents, smallest and largest charges, and what reaches the account's balance.

Minor-unit rules: https://docs.stripe.com/currencies. The smallest charges are those of the same page.
"""

from sandbox.stripe.errors import StripeError


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ZERO_DECIMAL = _words("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf")
THREE_DECIMAL = _words("bhd jod kwd omr tnd")
WHOLE_UNITS_ONLY = _words("isk ugx")
"""Written with two decimals, which must be zeros."""

TWO_DECIMAL = _words(
    "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf cny cop crc"
    " cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr isk jmd kes kgs khr"
    " kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk"
    " php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah ugx usd"
    " uyu uzs wst xcd yer zar zmw"
)
CURRENCIES = ZERO_DECIMAL | THREE_DECIMAL | TWO_DECIMAL

SMALLEST = dict.fromkeys(_words("usd eur cad aud nzd chf sgd brl inr jpy ars cop idr ils krw php rub zar"), 50) | {
    "gbp": 30,
    "aed": 200,
    "pln": 200,
    "ron": 200,
    "myr": 200,
    "dkk": 250,
    "nok": 300,
    "sek": 300,
    "hkd": 400,
    "mxn": 1000,
    "thb": 1000,
    "czk": 1500,
    "huf": 17500,
}
LARGEST = 99_999_999

SETTLEMENT = "usd"
"""The balance is kept in the account's currency, so balance transactions are not in the charge's."""
US_DOLLARS_FOR_ONE = {"usd": 1.0, "eur": 1.08, "gbp": 1.27, "jpy": 0.0067, "chf": 1.12, "pln": 0.25, "kwd": 3.25}
"""Made-up but steady rates; a currency that is not here is taken one for one."""


def exponent(currency: str) -> int:
    """How many decimals the currency's amounts have."""
    return 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2


def written(amount: int, currency: str) -> str:
    """An amount in minor units, for people: `45.00 EUR`, `500 JPY`."""
    places = exponent(currency)
    return f"{amount / 10**places:,.{places}f} {currency.upper()}"


def check_amount(amount: int, currency: str) -> None:
    """Raise StripeError unless Stripe would take a charge of this amount."""
    least = SMALLEST.get(currency, 1)
    if amount < least:
        raise StripeError(
            f"The Checkout Session's total amount must convert to at least {written(least, currency)}.",
            code="amount_too_small",
        )
    if amount > LARGEST:
        raise StripeError(
            f"The Checkout Session's total amount due must be no more than {written(LARGEST, currency)}.",
            code="amount_too_large",
        )
    step = 10 if currency in THREE_DECIMAL else 100 if currency in WHOLE_UNITS_ONLY else 1
    if amount % step:
        raise StripeError(f"Invalid amount: {currency} amounts must be divisible by {step}.", param="amount")


def settled(amount: int, currency: str) -> tuple[int, float | None]:
    """The amount in the balance's minor units, and the exchange rate, None if none was needed."""
    if currency == SETTLEMENT:
        return amount, None
    rate = US_DOLLARS_FOR_ONE.get(currency, 1.0)
    return round(amount / 10 ** exponent(currency) * rate * 100), rate


def fee(settled_amount: int) -> int:
    """Stripe's fee for a card payment, in the balance's minor units. It is not returned with a refund."""
    return round(settled_amount * 0.029) + 30
