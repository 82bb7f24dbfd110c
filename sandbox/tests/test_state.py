"""Tables, clock and ids of a local provider."""

import time
from pathlib import Path

from sandbox.state import State


def test_a_file_brings_everything_back(tmp_path: Path):
    file = tmp_path / "state.json"
    state = State(path=file)
    with state.changing():
        state.table("charge")["ch_1"] = {"amount": 4500}
        before = state.new_id("ch_")
    state.advance(60)
    again = State(path=file)
    assert again.table("charge") == {"ch_1": {"amount": 4500}}
    assert again.now() > time.time() + 59
    assert again.new_id("ch_") != before
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_the_file_is_written_once_the_outermost_change_is_over(tmp_path: Path):
    file = tmp_path / "state.json"
    state = State(path=file)
    with state.changing():
        with state.changing():
            state.table("a")["1"] = {}
        assert not file.exists()
    assert file.exists()


def test_the_same_seed_gives_the_same_ids_and_no_seed_gives_others():
    assert [State(seed="1").new_id("x_") for _ in range(2)] == [State(seed="1").new_id("x_") for _ in range(2)]
    assert State(seed="1").new_id("x_") != State(seed="2").new_id("x_")
    assert State().new_uuid() != State().new_uuid()
    state = State(seed="1")
    assert len({state.new_id("x_") for _ in range(1000)}) == 1000


def test_a_reset_keeps_what_is_named_and_begins_the_ids_anew():
    state = State(seed="1")
    first = state.new_id("x_")
    state.table("kept")["1"] = {}
    state.table("gone")["1"] = {}
    state.advance(3600)
    state.reset(seed="1", keep=["kept"])
    assert (state.table("kept"), state.table("gone")) == ({"1": {}}, {})
    assert abs(state.now() - time.time()) < 5
    assert state.new_id("x_") == first
