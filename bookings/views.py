"""The doors of bookings: parse, check who is asking, call one function, answer."""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django.utils import timezone
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from api.errors import InvalidRequest, NotFound
from bookings import who
from bookings.facts import BookingStatus, Party
from bookings.flows import begin_flow
from bookings.models import Booking, BookingFlow, Client, SessionType
from bookings.neighbours import neighbours_of
from bookings.paging import NewestFirst
from bookings.serializers import (
    BookingSerializer,
    CancelBookingSerializer,
    InitiateBookingSerializer,
    SessionTypeSerializer,
    StoreEventSerializer,
    offer_json,
    quote_json,
    status_json,
    utc,
)
from payments.cancelling import cancellation_quote, request_cancel
from payments.checkouts import pay_url, payment_url
from payments.storing import store_event
from payments.summary import money_of


class SessionTypes(ViewSet, GenericAPIView[SessionType]):
    """What can be booked: `GET session-types`, and one of them."""

    queryset = SessionType.objects.filter(active=True)
    serializer_class = SessionTypeSerializer
    pagination_class = NewestFirst

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def retrieve(self, request: Request, session_type_id: str) -> Response:
        session_type = self.get_queryset().filter(pk=session_type_id).first()
        if session_type is None:
            raise NotFound("There is no such session type.")
        return Response({"success": True, "sessionType": self.get_serializer(session_type).data})


class Bookings(ViewSet, GenericAPIView[Booking]):
    """Somebody's own bookings: `GET bookings`, and one of them."""

    serializer_class = BookingSerializer
    pagination_class = NewestFirst

    def list(self, request: Request) -> Response:
        bookings = who.their_bookings(who.user_of(request))
        if status := request.query_params.get("status"):
            if status not in list(BookingStatus):
                raise InvalidRequest(details={"fields": {"status": [f"One of {', '.join(BookingStatus)}."]}})
            bookings = bookings.filter(status=status)
        return self.get_paginated_response(_booking_json(self.paginate_queryset(bookings) or []))

    def retrieve(self, request: Request, booking_id: str) -> Response:
        booking = who.their_booking(who.user_of(request), booking_id)
        return Response({"success": True, "booking": _booking_json([booking])[0]})


class Scheduling(ViewSet):
    """The way through Calendly (contract section 1.1)."""

    def initiate(self, request: Request) -> Response:
        """`POST initiate-booking`: a flow with its snapshot, and the link that carries its id."""
        body = _checked(InitiateBookingSerializer, request)
        session_types = SessionType.objects.select_related("policy").filter(active=True)
        session_type = session_types.filter(pk=body["sessionTypeId"]).first()
        if session_type is None:
            raise NotFound("There is no such session type.")
        if session_type.builder_id != body["builderProfileId"]:
            raise InvalidRequest(details={"fields": {"builderProfileId": ["Not the builder of this session type."]}})
        # Last, for it may make a client: a request that is refused writes nothing.
        client = who.client_for(who.user_of(request), body.get("clientId"))
        flow = begin_flow(session_type, client, now=timezone.now(), utm=body.get("utmParams"))
        return Response(
            {
                "success": True,
                "bookingFlowId": flow.id,
                "calendlyUrl": _scheduling_link(flow, client),
                "sessionType": offer_json(flow, flow.session_type_id),
                "expiresAt": utc(flow.expires_at),
            }
        )

    def store_event(self, request: Request) -> Response:
        """`POST store-event`: the client says that she has a slot; Calendly is asked (DESIGN 6.3)."""
        body = _checked(StoreEventSerializer, request)
        info = body.get("clientInfo", {})
        flow = who.their_flow(who.user_of(request), body["bookingFlowId"])
        booking, verdict = store_event(
            flow.id,
            who.cause_of(request),
            event_uri=body["calendlyEventUri"],
            invitee_uri=body["calendlyInviteeUri"],
            start=body.get("scheduledTime"),
            phone=info.get("phoneNumber", ""),
            notes=info.get("notes", ""),
        )
        return Response(
            {
                "success": True,
                "bookingId": booking.id,
                "nextAction": "REDIRECT_TO_PAYMENT" if verdict.payable else "AWAIT_WEBHOOK",
                "paymentUrl": payment_url(booking) if verdict.payable else None,
                "expiresAt": utc(verdict.hold_ends_at),
            }
        )

    def status(self, request: Request, booking_id: str) -> Response:
        """`GET booking-status/:bookingId`."""
        return Response(status_json(who.their_booking(who.user_of(request), booking_id)))


class Cancellations(ViewSet):
    """Ending a booking, and what would come back (contract section 1.1; DESIGN 5 and 6.9)."""

    def create(self, request: Request) -> Response:
        """`POST cancel-booking`: ends it at Calendly, and sends back what the policy says."""
        body = _checked(CancelBookingSerializer, request)
        booking = who.their_booking(who.user_of(request), body["bookingId"])
        ended = request_cancel(
            booking,
            who.cause_of(request),
            by=Party.CLIENT,
            reason=body.get("reason", ""),
            refund_requested=body.get("refundRequested", True),
        )
        return Response(
            {
                "success": True,
                "bookingId": booking.id,
                "status": ended.status,
                "refundStatus": ended.refund_status,
                "refundId": ended.refund_id,
            }
        )

    def quote(self, request: Request, booking_id: str) -> Response:
        """`GET bookings/{id}/cancellation-quote`."""
        booking = who.their_booking(who.user_of(request), booking_id)
        return Response(quote_json(booking, cancellation_quote(booking, who.cause_of(request), by=Party.CLIENT)))


def _checked(serializer_class: Any, request: Request) -> dict[str, Any]:
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    checked: dict[str, Any] = serializer.validated_data
    return checked


def _scheduling_link(flow: BookingFlow, client: Client) -> str:
    """Calendly's page with the flow's id where Calendly passes it on, and the client's name and e-mail filled in."""
    base = urlsplit(flow.session_type.scheduling_url)
    parameters = {f"utm_{name}": value for name, value in flow.utm.items() if value}
    parameters["utm_content"] = flow.id
    parameters |= {"name": client.name} if client.name else {}
    parameters |= {"email": client.email} if client.email else {}
    kept = {name: value for name, value in parse_qsl(base.query) if name not in parameters}
    query = urlencode(kept | parameters)
    return urlunsplit((base.scheme, base.netloc, base.path, query, ""))


def _booking_json(bookings: list[Booking]) -> list[dict[str, Any]]:
    """A page of bookings, with what other rows say of them read in a fixed number of statements."""
    context = {
        "money": money_of({booking.flow_id for booking in bookings}),
        "neighbours": neighbours_of(bookings),
        "pay_urls": {
            booking.id: pay_url(booking.id)
            for booking in bookings
            if booking.status == BookingStatus.PENDING and booking.flow.price_minor and not booking.cancellation_pending
        },
    }
    serializer = BookingSerializer(context=context)
    return [serializer.to_representation(booking) for booking in bookings]
