from datetime import UTC, datetime, timedelta, timezone

import pytest
from rest_framework import serializers

from api.serializers import UtcDateTimeField
from api.tests.doors import Strict


def problems(**body):
    serializer = Strict(data={"text": "x"} | body)
    serializer.is_valid()
    return serializer.errors


def values(**body):
    serializer = Strict(data={"text": "x"} | body)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def test_unknown_fields_are_refused_by_name_beside_the_other_errors():
    assert problems(text=1, price=5, person={"name": "A", "admin": True}) == {
        "price": ["This field is not known here."],
        "text": ["Not a valid string."],
        "person": {"admin": ["This field is not known here."]},
    }


def test_an_answer_names_only_some_of_very_many_unknown_fields():
    assert len(problems(**{f"x{number}": 1 for number in range(5_000)})) == 20


@pytest.mark.parametrize("value", [1, 1.5, True, None, [], {}, ["x"], "", "x" * 21, "a\x00b", "\ud800"])
def test_a_text_is_a_string_and_nothing_else(value):
    assert "text" in problems(text=value)


@pytest.mark.parametrize("value", [" ", " x ", "\tx\n", "0", "e\u0301", "👩\u200d🚀"])
def test_a_text_is_kept_as_it_came(value):
    assert values(text=value)["text"] == value


@pytest.mark.parametrize("value", [1, True, "", " ", "a b", "a\n", "a\x00", "é", "a/b", "x" * 65, None, {}])
def test_what_cannot_be_an_id_is_refused(value):
    assert "id" in problems(id=value)


@pytest.mark.parametrize("value", ["bk_0123456789abcdef", "nonsense", "auth0|12", "a@example.com", "x" * 64])
def test_what_may_be_an_id_is_left_to_the_lookup(value):
    assert values(id=value)["id"] == value


@pytest.mark.parametrize("value", ["true", "yes", "1", 1, 0, 1.0, "", None, [], {}])
def test_only_true_and_false_are_true_or_false(value):
    assert "flag" in problems(flag=value)


def test_true_and_false_are_read():
    assert values(flag=True)["flag"] is True
    assert values(flag=False)["flag"] is False


@pytest.mark.parametrize(
    "value",
    ["2026-11-23T10:00:00Z", "2026-11-23T11:00:00+01:00", "2026-11-23T10:00Z", "2026-11-23T10:00:00.000000000Z"],
)
def test_a_moment_is_read_as_utc(value):
    moment = values(when=value)["when"]
    assert moment == datetime(2026, 11, 23, 10, tzinfo=UTC)
    assert moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-23T10:00:00",
        "2026-11-23",
        "2026-11-23 10:00:00Z",
        "2026-W48-1T10:00:00Z",
        "20261123T100000Z",
        "2026-02-30T10:00:00Z",
        "2026-11-23T24:30:00Z",
        "2026-11-23T10:00:00+99:00",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "٢٠٢٦-11-23T10:00:00Z",
        "2026-11-23T10:00:00Z\n",
        "now",
        "",
        1795428000,
        True,
        None,
        {},
    ],
)
def test_a_moment_without_an_offset_or_that_is_none_is_refused(value):
    assert "when" in problems(when=value)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 23, 10, tzinfo=UTC), "2026-11-23T10:00:00Z"),
        (datetime(2026, 11, 23, 10, tzinfo=timezone(timedelta(hours=-5))), "2026-11-23T15:00:00Z"),
        (datetime(2026, 11, 23, 10, 0, 0, 999, tzinfo=UTC), "2026-11-23T10:00:00Z"),
        (datetime(2026, 11, 23, 10, 0, 0, 1999, tzinfo=UTC), "2026-11-23T10:00:00.001Z"),
        (datetime(2026, 11, 23, 10, 0, 0, 999_999, tzinfo=UTC), "2026-11-23T10:00:00.999Z"),
    ],
)
def test_a_moment_is_written_in_utc_and_never_later_than_it_is(moment, text):
    assert UtcDateTimeField().to_representation(moment) == text


def test_a_body_that_is_no_object_is_refused():
    with pytest.raises(serializers.ValidationError):
        Strict(data=[]).is_valid(raise_exception=True)
