"""Where sessions are kept: Django's own rows, looked up only by what can be a key of ours."""

from django.contrib.sessions.backends.db import SessionStore as DatabaseSessions


class SessionStore(DatabaseSessions):
    """Django unescapes a cookie, so a key may hold a NUL, which PostgreSQL refuses: nobody's session, not an error."""

    def _validate_session_key(self, key: str) -> bool:
        known = bool(super()._validate_session_key(key))  # type: ignore[misc]  # the stubs lack it
        return known and key.isascii() and key.isalnum()
