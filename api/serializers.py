"""The fields of request and answer bodies. What is not exactly of the type that is asked for is refused, never bent."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rest_framework import serializers

from api import ids


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields that it does not know, by name, beside the errors of the fields that it knows.

    Django REST framework ignores them, so that `{"price": 1}` would look accepted.
    """

    def to_internal_value(self, data: Any) -> Any:
        errors: dict[str, Any] = {}
        if isinstance(data, Mapping):
            known = {field.field_name for field in self._writable_fields}
            # The first few will do: a body may hold thousands.
            errors = {name: ["This field is not known here."] for name in sorted(data.keys() - known)[:20]}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as refused:
            by_field: Any = refused.detail
            errors |= by_field
        if errors:
            raise serializers.ValidationError(errors)
        return value


class TextField(serializers.CharField):
    """A JSON string, kept as it came (not trimmed), with a length that must be given. NUL is refused."""

    def __init__(self, *, max_length: int, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return data


class IdField(TextField):
    """An id that may be looked up (`api.ids`)."""

    default_error_messages = {"not_an_id": "Not an id."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=ids.MAX_LENGTH, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not re.fullmatch(ids.CHARACTERS + "+", text):
            self.fail("not_an_id")
        return text


class TrueOrFalseField(serializers.BooleanField):
    """`true` or `false`. The framework's own field also takes "yes", "1" and 0."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class UtcDateTimeField(serializers.Field[datetime, str, str, Any]):
    """A moment. In: RFC 3339 with an offset. Out: UTC, `2026-11-23T10:00:00Z`; milliseconds where there are any.

    The rest of the microseconds is cut off, so that no answer names a moment after the one we mean.
    """

    default_error_messages = {
        "invalid": "Not a date and time with an offset, such as 2026-11-23T10:00:00Z.",
    }
    _RFC_3339 = re.compile(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})"
    )

    def to_internal_value(self, data: Any) -> datetime:
        if not isinstance(data, str) or not self._RFC_3339.fullmatch(data):
            self.fail("invalid")
        try:
            return datetime.fromisoformat(data).astimezone(UTC)
        except (ValueError, OverflowError):  # 30 February; the first hours of year 1
            self.fail("invalid")

    def to_representation(self, value: datetime) -> str:
        unit = "milliseconds" if value.microsecond >= 1000 else "seconds"
        return value.astimezone(UTC).isoformat(timespec=unit).replace("+00:00", "Z")
