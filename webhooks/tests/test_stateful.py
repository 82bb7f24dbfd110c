"""Random lives of a booking on the real code with the sandbox's providers; at the end the books and an oracle agree.

How many lives are drawn, and how one is drawn again: seeds.py.
"""

import pytest
from django.utils import timezone

from operations import books
from webhooks.tests import oracle
from webhooks.tests.seeds import seeds
from webhooks.tests.walk import walking
from webhooks.tests.world import World

USUAL_RUNS = 15
STEPS = 30


def test_every_life_ends_as_the_oracle_says(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in seeds(USUAL_RUNS):
        with walking(world, seed, monkeypatch) as walk:
            try:
                for _ in range(STEPS):
                    walk.step()
                walk.come_to_rest()
                assert [str(one) for one in books.findings(timezone.now())] == []
                oracle.check(walk)
            except Exception as error:
                steps = "\n".join(walk.steps)
                raise AssertionError(f"SLOTPAY_SEED={seed} walks it again:\n{steps}") from error
