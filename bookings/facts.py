"""What is known about one booking flow, and what follows from it: the words that `lifecycle.py` speaks in.

Plain values, no ORM: `payments/settlement.py` fills `FlowFacts` from the rows and writes a `Verdict` back.
All money is in minor units of the flow's currency unless a field says otherwise; all times are aware UTC.
LIFECYCLE 3 names the facts and how two reports of one join; here they are already joined.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class BookingStatus(StrEnum):
    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    CANCELLED = "CANCELLED"
    RESCHEDULED = "RESCHEDULED"
    COMPLETED = "COMPLETED"


class CalendlyStatus(StrEnum):
    ACTIVE = "ACTIVE"
    CANCELLED = "CANCELLED"


class PaymentStatus(StrEnum):
    UNPAID = "UNPAID"
    PENDING = "PENDING"
    PAID = "PAID"
    FAILED = "FAILED"
    REFUNDED = "REFUNDED"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"


class RefundStatus(StrEnum):
    """How far the money that should go back has come (`refundStatus` of cancel-booking)."""

    NOT_APPLICABLE = "NOT_APPLICABLE"
    PENDING = "PENDING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class CheckoutStatus(StrEnum):
    OPEN = "open"
    COMPLETE = "complete"
    EXPIRED = "expired"


class AsyncResult(StrEnum):
    """What became of a delayed payment method."""

    NONE = ""
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class IntentKind(StrEnum):
    """One call to a provider that we decided on (LIFECYCLE 6). What `target` names is said beside each."""

    OPEN_CHECKOUT = "open_checkout"  # nothing: the flow
    READ_CHECKOUT = "read_checkout"  # the checkout session
    EXPIRE_CHECKOUT = "expire_checkout"  # the checkout session
    READ_PAYMENT = "read_payment"  # the payment intent
    CANCEL_EVENT = "cancel_event"  # the scheduled event
    REFUND = "refund"  # the payment intent


class Outcome(StrEnum):
    OPEN = "open"
    DONE = "done"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class Party(StrEnum):
    """Who ended a flow (`cancelledBy`)."""

    CLIENT = "client"
    HOST = "host"
    STAFF = "staff"
    SYSTEM = "system"


class AttentionKind(StrEnum):
    """What a person must look at. Those that `decide` derives close by themselves."""

    AMOUNT_MISMATCH = "AMOUNT_MISMATCH"
    UNMATCHED_PAYMENT = "UNMATCHED_PAYMENT"
    EVENT_GONE = "EVENT_GONE"
    SUCCESSOR_UNSEEN = "SUCCESSOR_UNSEEN"
    CHAIN_INCOMPLETE = "CHAIN_INCOMPLETE"
    SEVERAL_TIPS = "SEVERAL_TIPS"
    UNPAID_SESSION = "UNPAID_SESSION"
    PAID_UNSEEN = "PAID_UNSEEN"
    EVENT_TYPE_CHANGED = "EVENT_TYPE_CHANGED"
    UNEXPLAINED_CANCEL = "UNEXPLAINED_CANCEL"
    SHARED_EVENT = "SHARED_EVENT"
    CANCEL_UNCONFIRMED = "CANCEL_UNCONFIRMED"
    EXTERNAL_FULL_REFUND = "EXTERNAL_FULL_REFUND"
    REFUND_FAILED = "REFUND_FAILED"
    REFUND_HELD = "REFUND_HELD"
    REFUND_BLOCKED = "REFUND_BLOCKED"
    REFUND_SLOW = "REFUND_SLOW"
    CALL_REFUSED = "CALL_REFUSED"
    CALL_OVERDUE = "CALL_OVERDUE"
    DIRECT_BOOKING = "DIRECT_BOOKING"
    # Not derived by `decide`: recorded by the rooms that meet them, closed by staff or by the same room.
    DELIVERY_PARKED = "DELIVERY_PARKED"
    UNPLACED_INVITEE = "UNPLACED_INVITEE"
    PROVIDER_FORBIDDEN = "PROVIDER_FORBIDDEN"
    FRAUD_WARNING = "FRAUD_WARNING"


@dataclass(frozen=True, slots=True)
class Tier:
    """One line of a cancellation policy: at least so long before the start, so much comes back."""

    notice: timedelta
    percent: int


@dataclass(frozen=True, slots=True)
class InviteeCancelled:
    at: datetime
    by_host: bool
    """False when the invitee cancelled or when it is unknown who did."""
    reference: str | None = None
    """The id of the cancel intent of ours that the reason ends in, if it does."""


@dataclass(frozen=True, slots=True)
class BookingFacts:
    """One invitee in one scheduled event; unseen (`invitee_id` None) while only store-event spoke of it."""

    id: str
    recorded_at: datetime
    """When we first heard of it (our clock)."""
    invitee_id: str | None = None
    event_id: str = ""
    event_type_id: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    created_at: datetime | None = None
    """When the invitee was made (Calendly's clock)."""
    cancelled: InviteeCancelled | None = None
    rescheduled: bool = False
    left_at: datetime | None = None
    """When we first heard that it was cancelled or rescheduled (our clock)."""
    gone: bool = False
    shared: bool = False
    """Whether the scheduled event has other active invitees."""

    @property
    def seen(self) -> bool:
        return self.invitee_id is not None


@dataclass(frozen=True, slots=True)
class CheckoutFacts:
    session_id: str
    intent_id: str | None
    status: CheckoutStatus
    expires_at: datetime
    """Stripe's own, never earlier than the hold's end."""
    paid: bool = False
    async_result: AsyncResult = AsyncResult.NONE
    completed_at: datetime | None = None
    """When we first heard that it was complete (our clock)."""
    read_at: datetime | None = None

    @property
    def awaits_result(self) -> bool:
        """Submitted with a delayed method, and the bank has not answered."""
        return self.status is CheckoutStatus.COMPLETE and not self.paid and not self.async_result

    @property
    def live(self) -> bool:
        return self.status is CheckoutStatus.OPEN or self.awaits_result


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    payment_intent_id: str
    captured: int
    currency: str
    recorded_at: datetime
    intent_id: str | None = None
    """The open-checkout intent that it was made for; None for a payment that names no intent of ours."""
    captured_at: datetime | None = None
    provisional: bool = True
    """Whether `captured_at` is still the `created` of an event and not of the charge."""
    accepted: bool = False
    read_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RefundFacts:
    refund_id: str
    payment_intent_id: str
    amount: int
    status: str
    """Stripe's word; an unknown one counts as pending."""
    recorded_at: datetime
    intent_id: str | None = None
    """None: made outside (dashboard)."""

    @property
    def failed(self) -> bool:
        return self.status in ("failed", "canceled")

    @property
    def succeeded(self) -> bool:
        return self.status == "succeeded"

    @property
    def pending(self) -> bool:
        return not self.failed and not self.succeeded


@dataclass(frozen=True, slots=True)
class DisputeFacts:
    dispute_id: str
    payment_intent_id: str
    amount: int
    inquiry: bool
    status: str
    """Stripe's word (`needs_response`, `won`, `lost`, `warning_closed` ...)."""
    refundable: bool = False
    """Stripe's `is_charge_refundable`."""
    recorded_at: datetime | None = None
    """When we first heard of it (our clock)."""

    @property
    def closed(self) -> bool:
        return self.status in ("won", "lost", "warning_closed", "prevented")

    @property
    def lost(self) -> bool:
        return self.status == "lost"


@dataclass(frozen=True, slots=True)
class IntentFacts:
    id: str
    kind: IntentKind
    target: str
    outcome: Outcome
    created_at: datetime
    amount: int = 0
    automatic: bool = True
    """False for a refund that staff asked for."""
    awaits_approval: bool = False
    started: bool = False
    """Whether it was ever claimed, so that the provider may have heard of it."""
    replaces: str | None = None
    closed_at: datetime | None = None

    @property
    def open(self) -> bool:
        return self.outcome is Outcome.OPEN


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """A client or staff asked to end the flow."""

    at: datetime
    by: Party
    refund_requested: bool = True
    percent: int | None = None
    """Staff's choice; None: the policy's."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The end of a flow, written once (LIFECYCLE 4)."""

    row: str
    """D1 to D4."""
    percent: int
    at: datetime
    by: Party
    unseen: bool = False
    """Whether the tip was unseen when it was decided."""


@dataclass(frozen=True, slots=True)
class FlowFacts:
    """All that is known about one client's purchase of one session."""

    id: str
    price: int
    currency: str
    tiers: tuple[Tier, ...]
    hold: timedelta
    event_type_id: str
    direct: bool = False
    """Booked straight on Calendly, with no flow of ours before it."""
    client_known: bool = True
    waived: bool = False
    decision: Decision | None = None
    cancel_asked: CancelAsked | None = None
    bookings: tuple[BookingFacts, ...] = ()
    edges: frozenset[tuple[str, str]] = frozenset()
    """Reschedules, as (old invitee id, new invitee id)."""
    checkouts: tuple[CheckoutFacts, ...] = ()
    payments: tuple[PaymentFacts, ...] = ()
    refunds: tuple[RefundFacts, ...] = ()
    disputes: tuple[DisputeFacts, ...] = ()
    intents: tuple[IntentFacts, ...] = ()
    resolved: frozenset[tuple[AttentionKind, str]] = frozenset()
    """Attentions that staff have resolved, as (kind, object id); they are not raised again."""


@dataclass(frozen=True, slots=True)
class BookingVerdict:
    row: str
    """B1 to B7: the first that holds."""
    status: BookingStatus
    calendly_status: CalendlyStatus
    cancellation_pending: bool = False


@dataclass(frozen=True, slots=True)
class NewIntent:
    """A call that has become due and has no intent yet."""

    kind: IntentKind
    target: str = ""
    booking_id: str | None = None
    amount: int = 0
    expires_at: datetime | None = None
    """For a checkout: Stripe's `expires_at`, frozen on the intent."""
    why: str = ""
    """The row or rule that made it due, for the timeline (LIFECYCLE I9)."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What a cancel asked now would bring back, beside what has come back already."""

    amount: int
    already: int
    percent: int
    notice: timedelta | None
    """Of the policy's tier that counts; None: less notice than any of them asks for."""
    valid_until: datetime | None
    """The last moment at which the percentage is this one; None while the start is unknown or once it is decided."""
    by: Party


@dataclass(frozen=True, slots=True)
class Verdict:
    """Everything that follows from the facts at one time."""

    decision: Decision | None
    payment_row: str
    """P1 to P8: the first that holds."""
    payment_status: PaymentStatus
    refund_status: RefundStatus
    disputed: bool
    bookings: dict[str, BookingVerdict]
    hold_ends_at: datetime | None
    payable: bool
    intents: tuple[NewIntent, ...] = ()
    withdrawn: frozenset[str] = frozenset()
    """Open intents that were never started and are no longer wanted."""
    attentions: frozenset[tuple[AttentionKind, str]] = frozenset()
    wake_at: datetime | None = None
    """When the passing of time alone would change this verdict; None: never."""
    due: int = 0
    captured: int = 0
    refunded: int = 0
    reserved: dict[str, int] = field(default_factory=dict)
    """Per payment: our own refund intents that are open, pending or succeeded (`refund_intended_minor`)."""
