"""`python -m sandbox.calendly`: the local Calendly as a process of its own. See README.md for the environment."""

import argparse
import os
from pathlib import Path

from sandbox.calendly.app import Calendly
from sandbox.calendly.letters import Shape
from sandbox.faults import Faults, parse_rates
from sandbox.serving import run
from sandbox.state import State


def main() -> None:
    """Serve until SIGTERM."""
    options = argparse.ArgumentParser(prog="python -m sandbox.calendly", description=__doc__)
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=12112)
    options.add_argument("--state", type=Path, help="keep everything in this file, and begin with what is in it")
    asked = options.parse_args()

    state = State(seed=os.environ.get("SANDBOX_SEED", ""), path=asked.state)
    faults = Faults(state.seed, parse_rates(os.environ.get("SANDBOX_FAULTS", "")))
    calendly = Calendly(
        state,
        faults,
        token=os.environ.get("SANDBOX_CALENDLY_TOKEN") or "calendly_sandbox_token",
        shape=Shape(os.environ.get("SANDBOX_CALENDLY_SHAPE") or Shape.V2),
    )
    run("Calendly", calendly.app, calendly.courier, host=asked.host, port=asked.port, tick=calendly.tick)


if __name__ == "__main__":
    main()
