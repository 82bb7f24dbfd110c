from operations.management.reconcile_command import ReconcileCommand
from operations.reconciling import CALENDLY


class Command(ReconcileCommand):
    help = (
        "Reads Calendly back and records what was missed. Exits with 0: nothing was, 1: it is recorded, 2: something is"
        " left for a person."
    )
    sides = (CALENDLY,)
