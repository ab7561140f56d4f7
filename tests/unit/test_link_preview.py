"""Previews: when they begin and end, and that they hold the latest frame of each id."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.codec.batch import decode_preview
from ved.codec.link import Space
from ved.link.preview import FIRST_TRY_S, LAST_TRY_S, Overload, Previews, latest_frames
from ved.link.span import Span
from ved.model.frames import FrameColumns, FrameFlag

EPOCH = bytes(range(16))


def columns(rows: list[tuple[int, int, int]], first_us: int = 0) -> FrameColumns:
    """Frames of (bus, id, flags), whose payload and time tell which one it was."""
    count = len(rows)
    number = np.arange(first_us, first_us + count, dtype=np.int64)
    bus, ids, flags = (np.array([row[at] for row in rows], np.int64) for at in range(3))
    is_remote = (flags & FrameFlag.REMOTE) != 0
    payload = number.astype("<u8").view(np.uint8).reshape(count, 8).copy()
    payload[is_remote] = 0
    length = np.full(count, 8, np.uint8)
    return FrameColumns(number, bus.astype(np.uint8), ids.astype(np.uint32), flags.astype(np.uint8), length, payload)


FLAGS = st.sampled_from([0, FrameFlag.EXTENDED, FrameFlag.REMOTE, FrameFlag.ERROR])
ROWS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0, 5, 0x7FF]), FLAGS), max_size=40)


@settings(max_examples=100, deadline=None)
@given(ROWS)
def test_the_latest_data_frame_of_each_bus_and_id(rows: list[tuple[int, int, int]]) -> None:
    expected = {row: at for at, row in enumerate(rows) if not row[2] & (FrameFlag.REMOTE | FrameFlag.ERROR)}
    assert latest_frames(columns(rows)).equals(columns(rows).take(np.array(sorted(expected.values()), np.intp)))


def test_previews_merge_until_one_is_sent_and_are_numbered() -> None:
    previews = Previews("fs", EPOCH)
    assert previews.take() is None
    previews.add(columns([(0, 1, 0), (0, 2, 0)]))
    previews.add(columns([(0, 1, 0)], first_us=50))
    taken = previews.take()
    assert taken is not None
    record, span = taken
    assert span == Span(Space.PREVIEW, 1, 1)
    preview = decode_preview(record)
    assert (preview.vehicle, preview.epoch, preview.number) == ("fs", EPOCH, 1)
    assert preview.frames.t_us.tolist() == [1, 50]
    assert previews.take() is None
    previews.add(columns([(0, 1, FrameFlag.REMOTE)]))
    assert previews.take() is None
    previews.add(columns([(0, 1, 0)]))
    taken = previews.take()
    assert taken is not None
    assert taken[1].first == 2


def overload_at(overload: Overload, now_s: float) -> None:
    for late_s in (0.0, 0.5, 1.0):
        assert not overload.is_thinned(now_s + late_s)
        overload.note(now_s + late_s)


def test_an_uplink_that_carries_almost_all_is_too_slow() -> None:
    """A seventh too much has waited 0.4 s after less than 3 s, again and again."""
    overload = Overload()
    for now_s in (10.0, 12.8, 15.6):
        assert not overload.is_thinned(now_s)
        overload.note(now_s)
    assert overload.is_thinned(15.6)


class SlowLane:
    """`rate` bytes/s for records of `record_bytes`, one each 0.1 s; at most `window_s` are on their way."""

    def __init__(self, rate: float, record_bytes: int, window_s: float = 0.46) -> None:
        self.rate, self.record_bytes, self.window_s = rate, record_bytes, window_s
        self.way_s = 0.0
        self.overload = Overload()
        self.arrives: deque[tuple[float, float]] = deque()
        self.now_s = self.free_s = 100.0

    def run(self, seconds: float, dead_s: float = 0.0) -> float | None:
        """When previews began, from now; `dead_s`: nothing gets through for so long at first."""
        began_s = self.now_s
        self.free_s = max(self.free_s, self.now_s) + dead_s
        while self.now_s < began_s + seconds:
            self.now_s += 0.1
            while self.arrives and self.arrives[0][0] <= self.now_s:
                at_s, sent_s = self.arrives.popleft()
                self.overload.note_trip(at_s - sent_s - 0.05, at_s)
                if self.overload.is_thinned(at_s):
                    return at_s - began_s
            if self.free_s - self.now_s < self.window_s:
                self.free_s = max(self.free_s, self.now_s) + self.record_bytes / self.rate
                self.arrives.append((self.free_s + 0.05 + self.way_s, self.now_s))
        return None


@pytest.mark.parametrize("share", [1.12, 1.2, 1.4])
def test_an_uplink_that_becomes_too_slow_is_noticed_within_seconds(share: float) -> None:
    """The queue on the way grows until the window is full, and longer is waited for nothing."""
    lane = SlowLane(250_000.0, 2250)
    assert lane.run(10) is None
    lane.rate = 22_500 / share
    began_s = lane.run(10)
    assert began_s is not None
    assert began_s < 3.6


def test_dead_zones_and_longer_ways_are_no_overload() -> None:
    lane = SlowLane(50_000.0, 2250, window_s=5.0)
    for dead_s in (0.5, 0.9, 2.0, 4.0):
        assert lane.run(10, dead_s) is None
    for _ in range(20):
        assert lane.run(1, 0.45) is None
    for way_s in (0.2, 0.5, 0.9, 0.3):
        lane.way_s = way_s
        assert lane.run(10) is None
    lane.rate = 22_600.0  # all fits, just
    assert lane.run(30, 0.5) is None


def test_three_times_within_ten_seconds_and_tried_again_ever_later() -> None:
    overload = Overload()
    for now_s in (10.0, 16.0, 22.0, 28.0):
        overload.note(now_s)
        assert not overload.is_thinned(now_s)  # a dead zone now and then
    overload_at(overload, 100.0)
    assert overload.is_thinned(101.0 + FIRST_TRY_S - 0.1)
    overload_at(overload, 101.0 + FIRST_TRY_S)
    assert overload.is_thinned(102.0 + 3 * FIRST_TRY_S - 0.1)
    begin_s = 102.0 + 3 * FIRST_TRY_S
    for _ in range(5):
        overload_at(overload, begin_s)
        begin_s += 1.0 + LAST_TRY_S
    overload_at(overload, begin_s + 200.0)
    assert not overload.is_thinned(begin_s + 201.0 + FIRST_TRY_S)
