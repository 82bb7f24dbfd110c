from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookings import money

CURRENCIES = ["USD", "EUR", "HUF", "TWD", "JPY", "KRW", "XPF", "KWD", "BHD", "TND", "ISK", "UGX"]


@pytest.mark.parametrize(
    ("currency", "minor", "major"),
    [
        ("USD", 5_000, "50.00"),
        ("JPY", 5_000, "5000"),
        ("KWD", 5_120, "5.120"),
        # Two digits at Stripe although no fraction exists.
        ("ISK", 500, "5.00"),
        ("UGX", 500, "5.00"),
        # Without digits in payouts only.
        ("HUF", 17_500, "175.00"),
        ("TWD", 3_000, "30.00"),
    ],
)
def test_minor_and_major_units_by_currency(currency, minor, major):
    assert str(money.to_major(minor, currency)) == major
    assert money.from_major(Decimal(major), currency) == minor


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("0.001", "USD"),
        ("0.5", "JPY"),
        ("1.2345", "KWD"),
        ("1.234", "KWD"),  # Stripe wants the third digit to be 0
        ("5.50", "ISK"),
        ("5.01", "UGX"),
        ("1.0000000000000000000000000000000000001", "USD"),
        ("1E-1000000", "USD"),
    ],
)
def test_digits_that_the_currency_has_not_are_refused(amount, currency):
    with pytest.raises(ValueError, match="is not an amount of"):
        money.from_major(Decimal(amount), currency)


@pytest.mark.parametrize("amount", ["NaN", "sNaN", "Infinity", "-Infinity", "1E+1000000", "100000000", "-1E+9"])
def test_what_nobody_can_be_charged_is_refused(amount):
    with pytest.raises(ValueError, match="can be charged"):
        money.from_major(Decimal(amount), "JPY")


def test_stripe_takes_eight_digits():
    assert money.from_major(Decimal("999999.99"), "USD") == 99_999_999
    with pytest.raises(ValueError, match="is not an amount of USD"):
        money.from_major(Decimal("1000000.00"), "USD")


def test_trailing_zeros_and_exponents_are_no_digits_too_many():
    assert money.from_major(Decimal("50.0000"), "USD") == 5_000
    assert money.from_major(Decimal("5E+3"), "JPY") == 5_000


@pytest.mark.parametrize("code", ["usd", "", "US", "USDT", "US1", "ÄÖÜ", "USD\n"])
def test_what_is_not_an_upper_case_code_is_refused(code):
    for function in (money.exponent, money.smallest_step, money.minimum_charge):
        with pytest.raises(ValueError, match="currency code"):
            function(code)


@given(st.sampled_from(CURRENCIES), st.integers(0, 99_999))
def test_what_can_be_charged_survives_the_way_out_and_back(currency, steps):
    minor = steps * money.smallest_step(currency)
    assert money.from_major(money.to_major(minor, currency), currency) == minor


@pytest.mark.parametrize(
    ("currency", "minimum"),
    [("USD", 50), ("GBP", 30), ("JPY", 50), ("HUF", 17_500), ("MXN", 1_000), ("KWD", 10), ("ISK", 100), ("VND", 1)],
)
def test_the_smallest_charge_by_currency(currency, minimum):
    assert money.minimum_charge(currency) == minimum


def test_every_smallest_charge_can_be_sent():
    for currency, minimum in money.MINIMUM_CHARGE.items():
        assert minimum % money.smallest_step(currency) == 0
