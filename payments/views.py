"""The doors of payments: the API's two, and the page behind a pay link (contract section 1.1; DESIGN 5, 6.7, 6.8)."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_GET, require_http_methods
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from api.errors import ApiError, BookingNotFound, NotFound
from bookings import who
from bookings.facts import AsyncResult
from bookings.locked import Cause
from bookings.models import Booking
from bookings.serializers import utc
from payments.checkouts import read_again, request_checkout
from payments.models import Checkout, Payment
from payments.pages import page_of
from payments.serializers import CreateCheckoutSerializer


class Checkouts(ViewSet):
    """Paying through Stripe Checkout, for API clients."""

    def create(self, request: Request) -> Response:
        """`POST create-checkout-session`: the open session of a booking, or a new one."""
        serializer = CreateCheckoutSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        body = serializer.validated_data
        booking = who.their_booking(who.user_of(request), body["bookingId"])
        checkout, verdict = request_checkout(
            booking,
            who.cause_of(request),
            return_url=body.get("returnUrl", ""),
            cancel_url=body.get("cancelUrl", ""),
        )
        return Response(
            {
                "success": True,
                "sessionId": checkout.session_id,
                "url": checkout.url,
                "expiresAt": utc(verdict.hold_ends_at or checkout.expires_at),
            }
        )

    def status(self, request: Request, session_id: str) -> Response:
        """`GET session-status/:sessionId`; one that we hold open is read from Stripe, at most every 10 s."""
        checkout = Checkout.objects.filter(pk=session_id).first()
        try:
            flow = who.their_flow(who.user_of(request), checkout.flow_id if checkout else "")
        except BookingNotFound:
            raise NotFound("There is no such checkout session.") from None
        read_again(session_id, who.cause_of(request))
        checkout = Checkout.objects.get(pk=session_id)
        payment = Payment.objects.filter(flow=flow, pk=checkout.payment_intent_id or "-").first()
        failed = checkout.async_result == AsyncResult.FAILED
        paid = payment is not None and payment.captured_minor > 0
        return Response(
            {
                "success": True,
                "sessionId": checkout.session_id,
                "status": str(checkout.status).upper(),
                "paymentStatus": "PAID" if paid else "FAILED" if failed else "UNPAID",
                "paymentIntentId": checkout.payment_intent_id or None,
                "receiptUrl": (payment.receipt_url if payment else "") or None,
            }
        )


@never_cache
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def pay(request: HttpRequest, booking_id: str) -> HttpResponse:
    """`/pay/{bookingId}`: a page with a button, for mail scanners follow links; the button opens the checkout.

    No sign-in: the id is the key. So there is no personal data on it.
    """
    booking = get_object_or_404(Booking.objects.select_related("flow"), pk=booking_id)
    if request.method == "POST":
        try:
            checkout, _ = request_checkout(booking, _visitor(request))
        except ApiError as error:
            booking = Booking.objects.select_related("flow").get(pk=booking_id)
            return render(request, "pay/pay.html", page_of(booking, problem=error.message), status=error.status)
        return HttpResponseRedirect(checkout.url, status=303)
    return render(request, "pay/pay.html", page_of(booking))


@never_cache
@require_GET
def pay_return(request: HttpRequest, booking_id: str) -> HttpResponse:
    """`/pay/{bookingId}/return`: where Stripe sends the client back. Reads the session again, and goes on.

    To the `returnUrl` or `cancelUrl` that was given last, or shows the state here.
    """
    booking = get_object_or_404(Booking.objects.select_related("flow"), pk=booking_id)
    session_id = request.GET.get("session", "").replace("\x00", "")  # which PostgreSQL refuses
    if Checkout.objects.filter(pk=session_id, flow_id=booking.flow_id).exists():
        read_again(session_id, _visitor(request))
        booking = Booking.objects.select_related("flow").get(pk=booking_id)
    onward = booking.flow.cancel_url if "left" in request.GET else booking.flow.return_url
    if onward:
        return HttpResponseRedirect(onward, status=303)
    return render(request, "pay/pay.html", page_of(booking, returned="left" not in request.GET))


def _visitor(request: HttpRequest) -> Cause:
    return Cause.request(getattr(request, "request_id", ""), "client")
