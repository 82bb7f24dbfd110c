"""What `load_demo` makes: two people who may sign in, and session types for the event types that Calendly offers."""

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction

from bookings import calendly_api
from bookings.models import Builder, CancellationPolicy, Client, SessionType


@dataclass(frozen=True, slots=True)
class Offer:
    """A demo session type, for the event type of that name."""

    event_type: str
    builder: str
    description: str
    price_minor: int
    currency: str


OFFERS = (
    Offer("1:1 Consultation", "Bo Builder", "An hour on your plan, from the idea to the first week.", 12_000, "USD"),
    Offer("Code review", "Mia Maker", "We read your code together and you leave with a list.", 9_050, "EUR"),
    Offer("Studio visit", "Mia Maker", "Come and see how it is made.", 8_000, "JPY"),
    Offer("Free intro call", "Bo Builder", "Fifteen minutes to find out whether we fit.", 0, "USD"),
)
PEOPLE = (
    ("client@example.com", "slotpay-client", "Casey Client", False),
    ("staff@example.com", "slotpay-staff", "Sam Staff", True),
)


@transaction.atomic
def load_people() -> None:
    """The demo client and the demo staff member. Their passwords are public, so they exist only beside the sandbox."""
    for email, password, name, staff in PEOPLE:
        user, made = User.objects.get_or_create(username=email, defaults={"email": email})
        if made:
            user.set_password(password)
            user.first_name, _, user.last_name = name.partition(" ")
            user.is_staff = user.is_superuser = staff
            user.save()
        if not staff:
            Client.objects.get_or_create(user=user, defaults={"email": email, "name": name})


def load_offers() -> int:
    """Session types for the demo's event types, under Calendly's present addresses; how many. Raises CallFailed."""
    offers = {offer.event_type: offer for offer in OFFERS}
    found = [one for one in calendly_api.list_event_types() if one.active and one.name in offers]
    with transaction.atomic():
        policy, _ = CancellationPolicy.objects.get_or_create(name="Standard")
        for event_type in found:
            offer = offers[event_type.name]
            builder, _ = Builder.objects.get_or_create(
                name=offer.builder, defaults={"email": f"{offer.builder.split()[0].lower()}@builders.example"}
            )
            SessionType.objects.update_or_create(
                event_type_id=event_type.event_type_id,
                defaults={"event_type_uri": event_type.uri, "scheduling_url": event_type.scheduling_url},
                create_defaults={
                    "builder": builder,
                    "name": event_type.name,
                    "description": offer.description,
                    "duration_minutes": event_type.duration_minutes or 60,
                    "price_minor": offer.price_minor,
                    "currency": offer.currency,
                    "event_type_uri": event_type.uri,
                    "scheduling_url": event_type.scheduling_url,
                    "policy": policy,
                },
            )
    return len(found)
