"""What the client, the slot and the money should be at the end of a walk, counted from what the providers hold.

Nothing of the service's own rules is used: prices, the standard policy and sums are written out once more.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from bookings.models import Booking, Intent
from payments.models import Refund
from webhooks.tests.walk import Walk
from webhooks.tests.world import PRICE, open_attention


class Truth:
    """What is so at Calendly and Stripe, whatever the service heard of it."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        calendly = walk.world.calendly.look("ledger")
        events = {one["uri"]: one for one in calendly["scheduled_events"]}
        self.chain = calendly["invitees"]
        self.starts = [_time(events[one["event"]]["start_time"]) for one in self.chain]
        self.moves = [_time(one["created_at"]) for one in self.chain[1:]]
        charges = [one for one in walk.objects("charge") if one["status"] == "succeeded"]
        self.money = [(datetime.fromtimestamp(one["created"], UTC), one["amount"]) for one in charges]
        self.refunds = [one for one in walk.objects("refund") if one["status"] == "succeeded"]
        self.lost = sum(one["amount"] for one in walk.objects("dispute") if one["status"] == "lost")

    @property
    def tip(self) -> Any:
        return self.chain[-1]

    @property
    def captured(self) -> int:
        return sum(amount for _, amount in self.money)

    @property
    def refunded(self) -> int:
        return sum(one["amount"] for one in self.refunds)

    def percentages(self, at: datetime) -> set[int]:
        """What the policy gives at a time: of the whole chain, or of as much of it as we may have heard."""
        found = set()
        for length in range(1, len(self.chain) + 1):
            left = [start - moved for start, moved in zip(self.starts, self.moves[: length - 1], strict=False)]
            found.add(min(_tier(notice) for notice in [self.starts[length - 1] - at, *left]))
        return found


def _time(said: str) -> datetime:
    return datetime.fromisoformat(said.replace("Z", "+00:00"))


def _tier(notice: timedelta) -> int:
    if notice >= timedelta(hours=24):
        return 100
    return 50 if notice >= timedelta(hours=12) else 0


def check(walk: Walk) -> None:
    """All that the oracle says."""
    truth = Truth(walk)
    check_end(walk, truth)
    check_slot(walk, truth)
    check_money(walk, truth)


def check_end(walk: Walk, truth: Truth) -> None:
    """That the flow ended for a reason that there was, and did not if there was none."""
    flow, tip = walk.flow, truth.tip
    if flow.decision_row == "":
        assert tip["status"] == "active", "Calendly says that it was cancelled"
        return
    at, percent = flow.decision_at, flow.decision_percent
    assert at is not None
    if flow.decision_row == "D1":
        asked = [(by, wanted) for when, by, wanted in walk.asked if when == at]
        assert asked, "nobody asked then"
        wanted = asked[0][1]
        assert percent in ({wanted} if wanted is not None else truth.percentages(at))
    elif flow.decision_row in ("D2", "D3"):
        assert tip["status"] == "canceled"
        said = tip["cancellation"]
        assert at == _time(said["created_at"])
        assert said["canceler_type"] == ("host" if flow.decision_row == "D2" else "invitee")
        whole_chain = min([_tier(truth.starts[-1] - at), *_left_behind(truth)])
        assert percent == (100 if flow.decision_row == "D2" else whole_chain)
    else:
        assert sum(amount for when, amount in truth.money if when < at) < PRICE, "it was paid in time"


def _left_behind(truth: Truth) -> list[int]:
    return [_tier(start - moved) for start, moved in zip(truth.starts, truth.moves, strict=False)]


def check_slot(walk: Walk, truth: Truth) -> None:
    """That the slot is free if the flow ended before it began, and what the client is told of it."""
    flow, tip = walk.flow, truth.tip
    booking = Booking.objects.get(invitee_id=tip["uri"].rpartition("/")[2])
    told = walk.casey.status(booking.id)
    if flow.decision_row == "":
        assert (tip["status"], told["status"]) == ("active", "COMPLETED")
    else:
        assert told["status"] == "CANCELLED"
        if flow.decision_at and flow.decision_at < truth.starts[-1] - timedelta(days=1):
            assert tip["status"] == "canceled", "nobody freed the slot"
    before = Booking.objects.filter(flow=flow).exclude(pk=booking.pk)
    assert {one.status for one in before} <= {"RESCHEDULED"}
    assert len(before) == len(truth.chain) - 1


def check_money(walk: Walk, truth: Truth) -> None:
    """That what went back is what should have, as far as nothing came between; and what the client is told of it."""
    flow = walk.flow
    kept = truth.captured - truth.refunded - truth.lost
    if truth.captured:
        expected = "REFUNDED" if kept <= 0 else "PAID" if kept >= PRICE else "PARTIALLY_REFUNDED"
        assert flow.payment_status == expected
    else:
        assert flow.payment_status in ("UNPAID", "FAILED")
    staff = set(Intent.objects.filter(flow=flow).exclude(requested_by=None).values_list("pk", flat=True))
    outside = sum(one["amount"] for one in truth.refunds if "intent" not in one["metadata"])
    by_staff = sum(one["amount"] for one in truth.refunds if one["metadata"].get("intent") in staff)
    if walk.calm:
        assert truth.refunded == min(truth.captured, max(should_return(walk, truth), outside) + by_staff)
    elif any(one["status"] == "failed" and "intent" in one["metadata"] for one in walk.objects("refund")):
        assert "REFUND_FAILED" in open_attention(walk.flow_id)
    ours = {one["id"] for one in walk.objects("refund")}
    assert set(Refund.objects.values_list("refund_id", flat=True)) == ours


def should_return(walk: Walk, truth: Truth) -> int:
    """What should have gone back by itself."""
    flow = walk.flow
    if flow.decision_row == "" or flow.decision_at is None:
        return max(0, truth.captured - PRICE)
    in_time = sum(amount for when, amount in truth.money if when <= flow.decision_at)
    on_time = 0 if flow.decision_row == "D4" else min(PRICE, in_time)
    return on_time * (flow.decision_percent or 0) // 100 + truth.captured - on_time
