import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import renderers
from api.renderers import ExactJSONRenderer


def rendered(data: object) -> bytes:
    return ExactJSONRenderer().render(data)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("50.00", b"50.00"),
        ("5000", b"5000"),
        ("1.230", b"1.230"),
        ("0.05", b"0.05"),
        ("0", b"0"),
        ("-12.34", b"-12.34"),
        ("1E+3", b"1000"),
        ("1E-7", b"0.0000001"),
        ("90071992547409.93", b"90071992547409.93"),
        ("12345678901234567.89", b"12345678901234567.89"),  # a float would say ...568.0
    ],
)
def test_a_decimal_is_a_number_with_its_own_digits(number, text):
    assert rendered({"price": Decimal(number)}) == b'{"price":' + text + b"}"


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12))
def test_every_finite_decimal_reads_back_as_itself(number):
    assert json.loads(rendered([number]), parse_float=Decimal, parse_int=Decimal) == [number]


def test_decimals_are_found_at_any_depth_and_with_indentation():
    data = {"results": [{"price": Decimal("9.90")}, {"price": Decimal("120")}], "name": "9.90"}
    pretty = ExactJSONRenderer().render(data, "application/json; indent=2")
    for body in (rendered(data), pretty):
        assert json.loads(body) == {"results": [{"price": 9.9}, {"price": 120}], "name": "9.90"}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "sNaN"])
def test_what_json_has_no_number_for_is_refused(number):
    with pytest.raises(ValueError, match="not a JSON number"):
        rendered({"price": Decimal(number)})


def test_texts_that_look_like_numbers_stay_texts():
    assert rendered({"name": "50.00", "a": '"50.00"'}) == b'{"name":"50.00","a":"\\"50.00\\""}'


def test_the_mark_is_never_sent():
    assert renderers._MARK.encode() not in rendered({"a": Decimal("1.5"), "b": ["x", Decimal("2")], "c": None})


def test_an_empty_answer_stays_empty():
    assert rendered(None) == b""
