"""What an id that comes from outside may look like.

No prefix is asked for: an id that is well formed but names nothing is *unknown* (404), whoever made it up. Client ids
are the marketplace's own (DESIGN section 6, point 11). What is refused here could not be looked up at all (NUL) or is
no id (spaces, 10 kB).
"""

MAX_LENGTH = 64
"""Of the ids in bodies: ours and the marketplace's."""
CHARACTERS = "[!-.0-~]"
"""Printable ASCII without the slash, which paths are made of."""


class IdConverter:
    """`<id:booking_id>` in a URL pattern, known to all of them (`api.apps`). Anything else there is no URL of ours.

    Stripe's ids come this way too, and may have 255 characters.
    """

    regex = CHARACTERS + "{1,255}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value
