from django.urls import path, register_converter

from api.ids import IdConverter
from payments import views


class SessionIdConverter(IdConverter):
    """Stripe's ids are longer than ours."""

    regex = r"[A-Za-z0-9_]{1,255}"


register_converter(SessionIdConverter, "session_id")

api_patterns = [
    path("stripe/create-checkout-session", views.Checkouts.as_view({"post": "create"}), name="create-checkout"),
    path(
        "stripe/session-status/<session_id:session_id>",
        views.Checkouts.as_view({"get": "status"}),
        name="session-status",
    ),
]
urlpatterns = [
    path("pay/<id:booking_id>", views.pay, name="pay"),
    path("pay/<id:booking_id>/return", views.pay_return, name="pay-return"),
]
