"""Every address of the service. Those of the contract end without a slash, and none of them redirects."""

from django.contrib import admin
from django.urls import include, path

from api.views import healthz
from payments.urls import api_patterns

urlpatterns = [
    path("api/", include("api.urls")),
    path("api/", include("bookings.urls")),
    path("api/", include(api_patterns)),
    path("api/", include("webhooks.urls")),
    path("", include("payments.urls")),
    path("healthz", healthz, name="healthz"),
    path("admin/", admin.site.urls),
]
