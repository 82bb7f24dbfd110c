"""The JSON of payments, in (contract section 1.1)."""

from urllib.parse import urlsplit

from django.conf import settings

from api.serializers import IdField, StrictSerializer, TextField


class ReturnUrlField(TextField):
    """Where a page of ours may send the client on to: absolute, and of an origin in RETURN_URL_ORIGINS."""

    default_error_messages = {"not_allowed": "Not an absolute URL of an allowed origin."}

    def __init__(self) -> None:
        super().__init__(max_length=2000, required=False)

    def to_internal_value(self, data: object) -> str:
        url = super().to_internal_value(data)
        try:
            parts = urlsplit(url)
            origin = f"{parts.scheme}://{parts.netloc}"
        except ValueError:
            self.fail("not_allowed")
        # Backslashes, white space and control characters are read differently by browsers than by us.
        harmless = url.isascii() and url.isprintable() and not any(character in url for character in ' \\"<>')
        if not harmless or origin not in settings.RETURN_URL_ORIGINS:
            self.fail("not_allowed")
        return url


class CreateCheckoutSerializer(StrictSerializer):
    bookingId = IdField()
    returnUrl = ReturnUrlField()
    cancelUrl = ReturnUrlField()
