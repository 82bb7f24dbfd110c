"""Jobs that look after the jobs, read everything back, and check the books."""

import logging
from datetime import datetime, timedelta

from django.utils import timezone
from procrastinate import JobContext
from procrastinate.contrib.django import app

from operations import books
from operations.reconciling import BOTH, CALENDLY, STRIPE, Side
from operations.reconciling.findings import Findings
from payments.jobs import LOST_CONNECTIONS

logger = logging.getLogger(__name__)

SECONDS_WITHOUT_HEARTBEAT = 15
RECENT = timedelta(hours=2)
"""What the hourly look at the books covers: what the one before saw is seen once more."""


@app.periodic(cron="* * * * * */15")
@app.task(name="operations.rescue", queueing_lock="operations.rescue", pass_context=True)
async def rescue(context: JobContext, timestamp: int) -> None:
    """Put back the jobs of killed workers. Without a lock: a stalled rescue with one would block itself."""
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=SECONDS_WITHOUT_HEARTBEAT):
        await manager.retry_job(job)


@app.periodic(cron="*/5 * * * *")
@app.task(name="operations.poll_calendly", queueing_lock="operations.poll_calendly", retry=LOST_CONNECTIONS)
def poll_calendly(timestamp: int) -> None:
    """Hear of bookings without Calendly's webhooks, which it switches off after a day of failures (LIFECYCLE R2)."""
    _read_back("poll of Calendly", timedelta(days=1), CALENDLY)


@app.periodic(cron="50 * * * *")
@app.task(name="operations.poll_stripe", queueing_lock="operations.poll_stripe", retry=LOST_CONNECTIONS)
def poll_stripe(timestamp: int) -> None:
    """Read what Stripe made lately and what is unfinished here: as good as its undelivered events, and in one way."""
    _read_back("poll of Stripe", timedelta(hours=3), STRIPE)


@app.periodic(cron="20 3 * * *")
@app.task(name="operations.reconcile", queueing_lock="operations.reconcile", retry=LOST_CONNECTIONS)
def reconcile(timestamp: int) -> None:
    """Read everything of the last weeks and all that is to come back from both providers."""
    _read_back("nightly reconcile", timedelta(days=30), *BOTH)


def _read_back(name: str, back: timedelta, *sides: Side) -> None:
    findings = Findings(logger.info)
    for side in sides:
        side.everything(findings, timezone.now() - back, None)
    logger.log(logging.WARNING if findings.left else logging.INFO, "%s: %s", name, findings.summary)


@app.periodic(cron="7 * * * *")
@app.task(name="operations.verify_recent", queueing_lock="operations.verify_recent", retry=LOST_CONNECTIONS)
def verify_recent(timestamp: int) -> None:
    """Check the books of the flows that changed lately, and of those that somebody has forgotten."""
    now = timezone.now()
    _verify(now, now - RECENT)


@app.periodic(cron="37 3 * * *")
@app.task(name="operations.verify_all", queueing_lock="operations.verify_all", retry=LOST_CONNECTIONS)
def verify_all(timestamp: int) -> None:
    """Check all books."""
    _verify(timezone.now(), None)


def _verify(now: datetime, since: datetime | None) -> None:
    """What does not hold is an error of ours, for whoever reads the log; there is nothing that staff could resolve."""
    for finding in books.findings(now, since):
        logger.error("the books do not hold: %s", finding)
