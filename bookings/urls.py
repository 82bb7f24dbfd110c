from django.urls import path

from bookings import views

urlpatterns = [
    path("scheduling/session-types", views.SessionTypes.as_view({"get": "list"}), name="session-types"),
    path(
        "scheduling/session-types/<id:session_type_id>",
        views.SessionTypes.as_view({"get": "retrieve"}),
        name="session-type",
    ),
    path("scheduling/bookings", views.Bookings.as_view({"get": "list"}), name="bookings"),
    path("scheduling/bookings/<id:booking_id>", views.Bookings.as_view({"get": "retrieve"}), name="booking"),
    path(
        "scheduling/bookings/<id:booking_id>/cancellation-quote",
        views.Cancellations.as_view({"get": "quote"}),
        name="cancellation-quote",
    ),
    path("scheduling/cancel-booking", views.Cancellations.as_view({"post": "create"}), name="cancel-booking"),
    path("scheduling/calendly/initiate-booking", views.Scheduling.as_view({"post": "initiate"}), name="initiate"),
    path("scheduling/calendly/store-event", views.Scheduling.as_view({"post": "store_event"}), name="store-event"),
    path(
        "scheduling/calendly/booking-status/<id:booking_id>",
        views.Scheduling.as_view({"get": "status"}),
        name="booking-status",
    ),
]
