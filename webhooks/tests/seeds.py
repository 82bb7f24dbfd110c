"""How often the drawn tests are run, and how one draw is run again.

SLOTPAY_RUNS=500 runs each of them so often; SLOTPAY_SEED=17 runs only the draw of that number, as it was.
"""

import os
from collections.abc import Iterable


def seeds(usual_runs: int) -> Iterable[int]:
    """The numbers of the draws to run."""
    if "SLOTPAY_SEED" in os.environ:
        return [int(os.environ["SLOTPAY_SEED"])]
    return range(int(os.environ.get("SLOTPAY_RUNS", usual_runs)))
