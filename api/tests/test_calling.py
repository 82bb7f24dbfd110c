"""The retries, waits and deadlines that both provider clients share. Only the clock is ours here."""

import pytest

from api.calling import Deadline, Refused, Unavailable, Unknown, timeouts, with_retries


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only when somebody sleeps; it notes the waits."""

    class Clock:
        def __init__(self):
            self.now = 1000.0
            self.waits = []

        def sleep(self, seconds):
            self.waits.append(seconds)
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr("api.calling.time.sleep", clock.sleep)
    monkeypatch.setattr("api.calling.time.monotonic", lambda: clock.now)
    return clock


class Call:
    """Ends as told, one outcome after the other; the last one again and again."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.made = 0

    def __call__(self):
        self.made += 1
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.mark.parametrize("failure", [Unknown("time-out"), Unavailable("refused connection")])
def test_what_may_pass_is_tried_again_with_doubling_waits(clock, failure):
    call = Call(failure, failure, "answer")
    assert with_retries(call, tries=5, first_wait=0.2) == "answer"
    assert clock.waits == [0.2, 0.4]


def test_the_last_failure_is_raised_without_another_wait(clock):
    call = Call(Unavailable("first"), Unavailable("second"), Unknown("third"))
    with pytest.raises(Unknown, match="third"):
        with_retries(call, tries=3, first_wait=0.1)
    assert call.made == 3
    assert clock.waits == [0.1, 0.2]


@pytest.mark.parametrize("last", [Unavailable("refused"), Unavailable("slow down", status=429, retry_after=60.0)])
def test_what_was_perhaps_done_stays_so_though_the_last_try_was_not(clock, last):
    with pytest.raises(Unknown, match=last.message) as raised:
        with_retries(Call(Unknown("time-out"), last), tries=2, first_wait=0.1)
    assert raised.value.status == last.status


def test_a_clear_no_is_not_tried_again(clock):
    call = Call(Refused("no", status=404))
    with pytest.raises(Refused):
        with_retries(call, tries=3, first_wait=0.1)
    assert call.made == 1


def test_a_rate_limit_is_left_to_the_worker(clock):
    call = Call(Unavailable("slow down", status=429, retry_after=0.0))
    with pytest.raises(Unavailable) as raised:
        with_retries(call, tries=3, first_wait=0.1)
    assert (call.made, raised.value.status, raised.value.retry_after) == (1, 429, 0.0)


def test_no_wait_is_begun_that_would_outlast_the_deadline(clock):
    call = Call(Unknown("time-out"))
    with pytest.raises(Unknown):
        with_retries(call, tries=5, first_wait=0.2, deadline=Deadline(0.5))
    # 0.2 of 0.5 s are waited; the next wait of 0.4 s would take more than is left.
    assert call.made == 2
    assert clock.waits == [0.2]


def test_a_deadline_shortens_both_time_outs(clock):
    deadline = Deadline(8.0)
    assert timeouts(None) == (3.0, 10.0)
    assert timeouts(deadline) == (3.0, 8.0)
    clock.now += 6.0
    assert timeouts(deadline) == (2.0, 2.0)
    clock.now += 6.0
    assert deadline.left() == 0.0
    assert timeouts(deadline) == (0.05, 0.05)  # zero would mean no time-out to `requests`
