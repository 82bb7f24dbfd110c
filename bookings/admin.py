"""Staff's view of bookings. What the life cycle writes is read-only here: facts are recorded, never edited."""

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from bookings.models import (
    Attention,
    Booking,
    BookingFlow,
    Builder,
    CancellationPolicy,
    Client,
    Intent,
    SessionType,
    TimelineEntry,
)


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that staff may look at, with the permission to view them, and nobody may change."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Builder)
class BuilderAdmin(admin.ModelAdmin):
    list_display = ("name", "email", "id")


@admin.register(CancellationPolicy)
class CancellationPolicyAdmin(admin.ModelAdmin):
    list_display = ("name", "tiers")


@admin.register(SessionType)
class SessionTypeAdmin(admin.ModelAdmin):
    """What is offered. A change is for flows to come: those that have begun keep their snapshot."""

    list_display = ("name", "builder", "price_minor", "currency", "duration_minutes", "active")
    list_filter = ("active",)
    list_select_related = ("builder",)


@admin.register(Client)
class ClientAdmin(ReadOnlyAdmin):
    list_display = ("id", "name", "email")
    search_fields = ("=id", "=email")


class BookingsInline(admin.TabularInline):
    model = Booking
    fields = ("id", "status", "calendly_status", "start", "name", "email", "cancelled_at")
    readonly_fields = fields
    can_delete = False
    extra = 0
    show_change_link = True


class IntentsInline(admin.TabularInline):
    model = Intent
    fields = ("kind", "target", "amount_minor", "outcome", "why", "attempts", "next_at", "note")
    readonly_fields = fields
    can_delete = False
    extra = 0


class TimelineInline(admin.TabularInline):
    model = TimelineEntry
    fields = ("at", "who", "what", "cause_kind", "cause_id", "before", "after")
    readonly_fields = fields
    can_delete = False
    extra = 0
    ordering = ("-id",)


@admin.register(BookingFlow)
class BookingFlowAdmin(ReadOnlyAdmin):
    list_display = ("id", "name", "client", "payment_status", "decision_row", "created_at")
    list_filter = ("payment_status", "disputed")
    list_select_related = ("client",)
    search_fields = ("=id",)
    ordering = ("-created_at", "-id")
    inlines = (BookingsInline, IntentsInline, TimelineInline)


@admin.register(Booking)
class BookingAdmin(ReadOnlyAdmin):
    list_display = ("id", "status", "calendly_status", "start", "name", "flow")
    list_filter = ("status",)
    search_fields = ("=id", "=invitee_id", "=event_id")
    ordering = ("-created_at", "-id")


@admin.register(Attention)
class AttentionAdmin(ReadOnlyAdmin):
    list_display = ("kind", "object_id", "flow", "opened_at", "closed_at")
    list_filter = ("kind", ("closed_at", admin.EmptyFieldListFilter))
    ordering = ("-opened_at",)
