"""Kernel stamps on the monotonic clock, also when the real-time clock jumps while frames wait."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.canbus.stamps import StampClock

MS = 1_000_000
S = 1_000 * MS


class Clocks:
    """A monotonic clock and a real-time clock that can be moved."""

    def __init__(self, offset_ns: int) -> None:
        self.mono_ns = 5_000 * S
        self.offset_ns = offset_ns

    def real_ns(self) -> int:
        return self.mono_ns + self.offset_ns

    def stamp_clock(self) -> StampClock:
        return StampClock(lambda: self.mono_ns, self.real_ns)


def test_a_steady_clock_gives_exact_times() -> None:
    clocks = Clocks(1_700_000_000 * S)
    clock = clocks.stamp_clock()
    start_ns = clocks.mono_ns
    clocks.mono_ns += 10 * MS
    assert clock.sample() == clocks.real_ns()
    stamps = np.array([start_ns + 1, start_ns + 3 * MS, start_ns + 10 * MS]) + clocks.offset_ns
    assert clock.to_mono_ns(stamps).tolist() == [start_ns + 1, start_ns + 3 * MS, start_ns + 10 * MS]


@pytest.mark.parametrize("jump_s", [1_700_000_000, -40, 3_600, -1_699_999_000, 0.2])
def test_a_jump_between_two_samples_moves_no_frame(jump_s: float) -> None:
    """A board that boots in 1970 and learns the time; a summer-time mistake; a small step."""
    clocks = Clocks(0 if jump_s > 0 else 1_700_000_000 * S)
    clock = clocks.stamp_clock()
    start_ns = clocks.mono_ns
    before = np.array([start_ns + 1 * MS, start_ns + 2 * MS]) + clocks.offset_ns
    clocks.offset_ns += round(jump_s * S)
    after = np.array([start_ns + 8 * MS, start_ns + 9 * MS]) + clocks.offset_ns
    clocks.mono_ns += 10 * MS
    clock.sample()
    expected = [start_ns + at * MS for at in (1, 2, 8, 9)]
    assert clock.to_mono_ns(np.concatenate([before, after])).tolist() == expected
    clocks.mono_ns += 10 * MS
    clock.sample()
    assert clock.to_mono_ns(np.array([start_ns + 15 * MS]) + clocks.offset_ns).tolist() == [start_ns + 15 * MS]


def test_what_waits_over_several_batches_keeps_its_times() -> None:
    """The reader stood still for 2 s: the second batch is as old as the first one."""
    clocks = Clocks(1_700_000_000 * S)
    clock = clocks.stamp_clock()
    start_ns = clocks.mono_ns
    clocks.mono_ns += 2 * S
    times_ns = start_ns + np.arange(1, 2_000) * MS
    got: list[int] = []
    for batch in np.array_split(times_ns, 5):
        clocks.mono_ns += 1 * MS
        clock.sample(is_drained=batch[-1] == times_ns[-1])
        got += clock.to_mono_ns(batch + clocks.offset_ns).tolist()
    assert got == times_ns.tolist()


def test_once_nothing_waits_a_stamp_from_before_is_wrong() -> None:
    clocks = Clocks(1_700_000_000 * S)
    clock = clocks.stamp_clock()
    start_ns = clocks.mono_ns
    for is_drained in (False, True, True):
        clocks.mono_ns += 1 * S
        clock.sample(is_drained=is_drained)
    before = np.array([start_ns + 500 * MS]) + clocks.offset_ns
    assert clock.to_mono_ns(before).tolist() == [start_ns + 2 * S - 50 * MS]


def test_a_jump_while_several_batches_wait_moves_no_frame() -> None:
    clocks = Clocks(0)
    clock = clocks.stamp_clock()
    start_ns = clocks.mono_ns
    before = start_ns + np.arange(1, 9) * 10 * MS
    clocks.mono_ns += 100 * MS
    clocks.offset_ns = 1_700_000_000 * S
    for batch, is_drained in ((before[:4], False), (before[4:], True)):
        clocks.mono_ns += 1 * MS
        clock.sample(is_drained=is_drained)
        assert clock.to_mono_ns(batch).tolist() == batch.tolist()


def test_a_disturbed_sample_does_not_move_the_offset() -> None:
    """The reader was stopped between looking at the two clocks: the sample only says that nothing changed much."""
    clocks = Clocks(1_700_000_000 * S)
    looks = iter([5_000 * S, 5_000 * S])
    slow_real = iter([clocks.real_ns(), clocks.real_ns() + 3 * S])
    clock = StampClock(lambda: next(looks), lambda: next(slow_real))
    looks = iter([5_001 * S, 5_004 * S])
    clock.sample()
    stamp = np.array([5_000 * S + 500 * MS + clocks.offset_ns])
    assert clock.to_mono_ns(stamp).tolist() == [5_000 * S + 500 * MS]


def test_a_stamp_of_another_clock_is_replaced_by_the_time_of_receipt() -> None:
    clocks = Clocks(1_700_000_000 * S)
    clock = clocks.stamp_clock()
    start_ns = clocks.mono_ns
    clocks.mono_ns += 10 * MS
    clock.sample()
    device = np.array([123 * S, 124 * S])
    received = np.array([start_ns + 4 * MS, start_ns + 5 * MS])
    assert clock.to_mono_ns(device, received).tolist() == received.tolist()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 200 * MS), st.integers(-(10**18), 10**18) | st.integers(-50 * MS, 50 * MS), st.booleans()
        ),
        min_size=1,
        max_size=8,
    ),
    st.lists(st.integers(0, 10**18), min_size=1, max_size=30),
)
def test_whatever_happens_times_stay_between_the_samples_and_in_order(
    moves: list[tuple[int, int, bool]], stamps: list[int]
) -> None:
    """Not before the last sample at which nothing was left waiting."""
    clocks = Clocks(10**18)
    clock = clocks.stamp_clock()
    drained_ns = clocks.mono_ns
    for step_ns, jump_ns, is_drained in moves:
        clocks.mono_ns += step_ns
        clocks.offset_ns += jump_ns
        clock.sample(is_drained=is_drained)
        out = clock.to_mono_ns(np.array(stamps, np.int64))
        assert (np.diff(out) >= 0).all()
        assert out[0] >= drained_ns - 50 * MS
        assert out[-1] <= clocks.mono_ns
        drained_ns = clocks.mono_ns if is_drained else drained_ns
