from django.urls import path

from payments import views

api_patterns = [
    path("stripe/create-checkout-session", views.Checkouts.as_view({"post": "create"}), name="create-checkout"),
    path(
        "stripe/session-status/<id:session_id>",
        views.Checkouts.as_view({"get": "status"}),
        name="session-status",
    ),
]
urlpatterns = [
    path("pay/<id:booking_id>", views.pay, name="pay"),
    path("pay/<id:booking_id>/return", views.pay_return, name="pay-return"),
]
