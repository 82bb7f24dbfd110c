"""What goes wrong, and that the same seed makes the same go wrong."""

from typing import Any

import pytest

from sandbox.faults import CALL_FAULTS, Faults, parse_rates

RATES = {"drop": 0.3, "delay": 0.3, "duplicate": 0.3, "reorder": 0.3, "fail_before": 0.3, "fail_after": 0.3}


def calls(faults: Faults) -> list[str | None]:
    return [faults.for_call("POST", "/v1/refunds") for _ in range(50)]


def test_nothing_goes_wrong_unless_told():
    faults = Faults("1")
    assert calls(faults) == [None] * 50
    fate = faults.for_letter("charge.succeeded")
    assert (fate.drop, fate.wait, fate.copies, fate.behind) == (False, 0.0, 1, False)


def test_the_same_seed_decides_the_same():
    first, again, other = Faults("1", RATES), Faults("1", RATES), Faults("2", RATES)
    assert calls(first) == calls(again)
    assert calls(first) != calls(other)


def test_one_more_call_does_not_change_the_fate_of_the_letters():
    first, again = Faults("1", RATES), Faults("1", RATES)
    calls(again)
    assert [first.for_letter("e") for _ in range(20)] == [again.for_letter("e") for _ in range(20)]


def test_every_way_to_fail_comes_up():
    faults = Faults("1", {"slow": 0.2, "fail_before": 0.4, "fail_after": 0.5, "rate_limit": 0.2})
    assert {faults.for_call("GET", "/") for _ in range(400)} == {None, *CALL_FAULTS}


def test_exact_faults_are_used_up_in_order_where_they_fit():
    faults = Faults("1")
    faults.configure(
        {
            "next": [
                {"method": "POST", "path": "/v1/checkout/sessions/*/expire", "do": "reset_after"},
                {"event": "charge.*", "do": "drop"},
                {"do": "slow"},
            ]
        }
    )
    assert faults.for_letter("refund.created").drop is False
    assert faults.for_letter("charge.succeeded").drop is True
    assert faults.for_letter("charge.succeeded").drop is False
    assert faults.for_call("POST", "/v1/checkout/sessions/cs_1/expire") == "reset_after"
    assert faults.for_call("POST", "/v1/checkout/sessions/cs_1/expire") == "slow"
    assert faults.for_call("POST", "/v1/checkout/sessions/cs_1/expire") is None


@pytest.mark.parametrize(
    "change",
    [
        {"rate": {}},
        {"rates": {"dorp": 1}},
        {"next": [{"do": "explode"}]},
        {"next": [{"event": "*", "do": "fail_after"}]},
        {"next": [{"do": "slow", "verb": "GET"}]},
    ],
)
def test_what_is_not_known_is_refused(change: dict[str, Any]):
    with pytest.raises(ValueError, match=r"unknown|cannot do"):
        Faults("1").configure(change)


def test_rates_are_read_from_one_line():
    assert parse_rates("") == {}
    assert parse_rates("drop=0.1, delay=0.2,delay_seconds=5") == {"drop": 0.1, "delay": 0.2, "delay_seconds": 5.0}
    with pytest.raises(ValueError, match="not a rate: drop"):
        parse_rates("drop")
