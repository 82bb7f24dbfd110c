from django.urls import path

from webhooks import views

urlpatterns = [
    path("webhooks/calendly", views.calendly, name="calendly-webhook"),
    path("webhooks/stripe", views.stripe, name="stripe-webhook"),
]
