"""Who is asking, and what is theirs (DESIGN 6.11)."""

from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from rest_framework.request import Request

from api.errors import BookingNotFound, Forbidden
from bookings.locked import Cause
from bookings.models import Booking, BookingFlow, Client

ACT_FOR_CLIENTS = "bookings.act_for_clients"


def user_of(request: Request) -> User:
    """The signed-in user. The permission classes have let nobody else in."""
    user: Any = request.user
    assert isinstance(user, User)  # noqa: S101  # IsAuthenticated is on every view that asks
    return user


def own_client(user: User) -> Client:
    """The client that a user is; made at the first need."""
    # Django lets a user's two names be longer together than ours.
    name = user.get_full_name()[:200]
    return Client.objects.get_or_create(user=user, defaults={"email": user.email.lower(), "name": name})[0]


def client_for(user: User, client_id: str | None) -> Client:
    """The client that a request acts for: oneself, or for the marketplace's back end anybody, made if not seen before.

    Raises Forbidden for anybody else who names another client.
    """
    if not client_id or Client.objects.filter(pk=client_id, user=user).exists():
        return own_client(user)
    if user.has_perm(ACT_FOR_CLIENTS):
        return Client.objects.get_or_create(pk=client_id)[0]
    raise Forbidden("You act for yourself only.")


def their_flow(user: User, flow_id: str) -> BookingFlow:
    """A flow that this user may act on. Raises BookingNotFound, for an unknown and a foreign one alike."""
    flow = BookingFlow.objects.select_related("client", "session_type").filter(pk=flow_id).first()
    if not _is_theirs(user, flow) or flow is None:
        raise BookingNotFound
    return flow


def their_booking(user: User, booking_id: str) -> Booking:
    """A booking that this user may act on, with its flow. Raises BookingNotFound, for unknown and foreign alike."""
    bookings = Booking.objects.select_related("flow__client", "flow__session_type")
    booking = bookings.filter(pk=booking_id).first()
    if not _is_theirs(user, booking.flow if booking else None) or booking is None:
        raise BookingNotFound
    return booking


def their_bookings(user: User) -> QuerySet[Booking]:
    """The user's own bookings; for the back end everybody's."""
    bookings = Booking.objects.select_related("flow__session_type")
    return bookings if user.has_perm(ACT_FOR_CLIENTS) else bookings.filter(flow__client__user=user)


def cause_of(request: Request) -> Cause:
    """The request as the cause of what it changes."""
    request_id: str = getattr(request._request, "request_id", "")
    return Cause.request(request_id, "client", user_of(request).pk)


def _is_theirs(user: User, flow: BookingFlow | None) -> bool:
    """Whether a user may act on a flow. An unknown one costs as many statements as a foreign one, so that the time
    that an answer takes tells nothing."""
    own = flow is not None and flow.client is not None and flow.client.user_id == user.pk
    return own or user.has_perm(ACT_FOR_CLIENTS)
