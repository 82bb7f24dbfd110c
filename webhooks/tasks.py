"""The worker's part of the inbox. A job is only a knock: it looks at a row, and losing it loses nothing."""

from django.utils import timezone
from procrastinate.contrib.django import app

from payments.jobs import LOST_CONNECTIONS, knock
from webhooks.calendly_news import read_calendly
from webhooks.inbox import PROCESS, due_deliveries
from webhooks.inbox import process as process_delivery
from webhooks.models import Delivery
from webhooks.stripe_news import read_stripe

MOST_PER_SWEEP = 200


@app.task(name=PROCESS, retry=LOST_CONNECTIONS)
def process(delivery_id: str) -> None:
    process_delivery(delivery_id, _read)


@app.periodic(cron="* * * * * */5")
@app.task(name="webhooks.sweep", queueing_lock="webhooks.sweep", retry=LOST_CONNECTIONS)
def sweep(timestamp: int) -> None:
    """Knock for deliveries that a lost job or a crash left behind (R24)."""
    for delivery_id in due_deliveries(timezone.now(), MOST_PER_SWEEP):
        knock(PROCESS, delivery_id, delivery_id=delivery_id)


@app.task(name="webhooks.sweep_now")
def sweep_now() -> int:
    """Work on every delivery that is due, here and now; how many (`manage.py sweep`)."""
    due = due_deliveries(timezone.now(), MOST_PER_SWEEP)
    for delivery_id in due:
        process_delivery(delivery_id, _read)
    return len(due)


def _read(delivery: Delivery) -> str:
    return read_calendly(delivery) if delivery.provider == "calendly" else read_stripe(delivery)
