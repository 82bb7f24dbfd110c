"""Staff's view of the inbox. The bodies are not shown: they hold personal data."""

from django.contrib import admin

from bookings.admin import ReadOnlyAdmin
from webhooks.models import Delivery


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ("id", "name", "state", "attempts", "reason", "received_at", "flow_id")
    list_filter = ("state", "provider")
    search_fields = ("=id", "=flow_id")
    ordering = ("-received_at",)
    exclude = ("body",)
