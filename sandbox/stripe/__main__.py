"""`python -m sandbox.stripe`: the local Stripe as a process of its own. Its switches are in sandbox/README.md."""

import argparse
import os
from pathlib import Path

from sandbox.faults import Faults, parse_rates
from sandbox.serving import run
from sandbox.state import State
from sandbox.stripe.app import DEFAULT_KEY, local_stripe


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.stripe", description="A local Stripe.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=12111, help="0 is any free one")
    parser.add_argument("--state", type=Path, help="keep everything in this file, over restarts")
    told = parser.parse_args()
    state = State(seed=os.environ.get("SANDBOX_SEED", ""), path=told.state)
    faults = Faults(state.seed, parse_rates(os.environ.get("SANDBOX_FAULTS", "")))
    stripe = local_stripe(
        state,
        faults,
        secret_key=os.environ.get("SANDBOX_STRIPE_KEY") or DEFAULT_KEY,
        webhook_secret=os.environ.get("SANDBOX_STRIPE_WEBHOOK_SECRET", ""),
    )
    run("Stripe", stripe.app, stripe.courier, host=told.host, port=told.port, tick=stripe.tick)


if __name__ == "__main__":
    main()
