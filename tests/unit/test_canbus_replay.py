"""Replay: pace, gaps between files, loops, clocks; with a clock that the test turns."""

import time
from pathlib import Path

import numpy as np
import pytest

from ved.canbus.replay import ReplaySource
from ved.canbus.source import Source
from ved.errors import UserError
from ved.model.clockmap import ClockPair
from ved.model.frames import FrameColumns
from ved.model.records import ClockSource

UTC_S = 1_690_000_000


class Clock:
    """Monotonic time that only sleeping moves."""

    def __init__(self) -> None:
        self.now_ns = 5_000_000_000
        self.slept: list[float] = []

    def mono_ns(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.now_ns += round(seconds * 1e9)


def log(path: Path, times_s: list[float], start_s: float = UTC_S, bus: str = "can0") -> Path:
    path.write_text("".join(f"({start_s + t:.6f}) {bus} 001#{row:02X}\n" for row, t in enumerate(times_s)))
    return path


def take_all(source: Source, limit: int = 10_000) -> FrameColumns:
    parts = []
    while (frames := source.read(0.1)) is not None and sum(map(len, parts)) < limit:
        parts.append(frames)
    return FrameColumns.concatenate(parts)


def test_without_a_pace_everything_comes_at_once(tmp_path):
    clock = Clock()
    source = ReplaySource([log(tmp_path / "a.log", [0, 1, 2])], speed=0, sleep=clock.sleep, mono_ns=clock.mono_ns)
    assert not source.is_realtime
    source.open(clock.now_ns)
    assert take_all(source).t_us.tolist() == [0, 1_000_000, 2_000_000]
    assert source.read(0.1) is None
    assert clock.slept == []


@pytest.mark.parametrize("speed", [0.5, 1.0, 10.0])
def test_frames_come_when_they_are_due_never_earlier(tmp_path, speed):
    clock = Clock()
    times = [0.0, 0.0, 0.25, 0.26, 2.0]
    source = ReplaySource([log(tmp_path / "a.log", times)], speed=speed, sleep=clock.sleep, mono_ns=clock.mono_ns)
    origin = clock.now_ns
    source.open(origin)
    seen: list[int] = []
    while (frames := source.read(0.1)) is not None:
        due_us = (clock.now_ns - origin) * speed / 1000
        assert all(t <= due_us + 1 for t in frames.t_us)
        seen += frames.t_us.tolist()
    assert seen == [round(t * 1e6) for t in times]
    assert max(clock.slept) <= 0.1
    assert (clock.now_ns - origin) / 1e9 == pytest.approx(2.0 / speed, abs=0.11)


def test_a_later_file_keeps_its_gap_and_an_earlier_one_follows_at_once(tmp_path):
    paths = [
        log(tmp_path / "a.log", [0, 1]),
        log(tmp_path / "b.log", [0, 0.5], UTC_S + 60),
        log(tmp_path / "c.log", [0, 0.5], UTC_S - 60),
        log(tmp_path / "d.log", [0], UTC_S + 60.2),
    ]
    source = ReplaySource(paths, speed=0)
    source.open(0)
    expected = [0, 1_000_000, 60_000_000, 60_500_000, 60_501_000, 61_001_000, 61_002_000]
    assert take_all(source).t_us.tolist() == expected
    assert source.clock(0) == ClockPair(0, UTC_S * 1_000_000, ClockSource.RECORDED)


def test_loop_goes_on_after_the_end(tmp_path):
    paths = [log(tmp_path / "a.log", [0, 1]), log(tmp_path / "b.log", [0], UTC_S + 60)]
    source = ReplaySource(paths, speed=0, loop=True)
    source.open(0)
    found = take_all(source, limit=8).t_us.tolist()
    first_round = [0, 1_000_000, 60_000_000]
    second_start = 60_001_000
    assert found[:6] == [*first_round, second_start, second_start + 1_000_000, second_start + 1_001_000]
    assert np.all(np.diff(found) >= 0)
    source.close()
    assert source.read(0.0) is None
    source.close()


def test_time_that_steps_back_is_kept_and_does_not_block(tmp_path):
    clock = Clock()
    times = [0.0, 0.4, 0.1, 0.5]
    source = ReplaySource([log(tmp_path / "a.log", times)], sleep=clock.sleep, mono_ns=clock.mono_ns)
    source.open(clock.now_ns)
    assert take_all(source).t_us.tolist() == [0, 400_000, 100_000, 500_000]


def test_moved_to_now_tells_the_time_of_opening(tmp_path):
    source = ReplaySource([log(tmp_path / "a.log", [0])], speed=0, moved_to_now=True)
    before = time.time_ns() // 1000
    source.open(0)
    pair = source.clock(0)
    assert pair is not None
    assert before <= pair.utc_us <= time.time_ns() // 1000
    assert (pair.t_us, pair.source) == (0, ClockSource.HOST)


def test_a_recording_without_a_clock_has_no_pair(tmp_path):
    source = ReplaySource([log(tmp_path / "a.log", [0, 1], start_s=0)], speed=0)
    source.open(0)
    assert source.clock(0) is None
    assert take_all(source).t_us.tolist() == [0, 1_000_000]


def test_buses_counts_and_problems_are_those_of_all_files(tmp_path):
    first = log(tmp_path / "a.log", [0, 1])
    second = log(tmp_path / "b.log", [0], bus="can3")
    second.write_text(second.read_text() + "(1690000")
    source = ReplaySource([first, second], speed=0)
    assert source.buses == {0: "can0", 3: "can3"}
    assert source.frame_count is None
    source.open(0)
    assert len(take_all(source)) == 3
    assert len(source.problems) == 1
    assert "b.log" in source.problems[0]


@pytest.mark.parametrize("speed", [-1.0, float("nan"), float("inf")])
def test_impossible_speed_is_refused(tmp_path, speed):
    with pytest.raises(UserError, match="speed"):
        ReplaySource([log(tmp_path / "a.log", [0])], speed=speed)


def test_no_files_or_a_missing_one_is_refused(tmp_path):
    with pytest.raises(UserError, match="at least one"):
        ReplaySource([])
    with pytest.raises(UserError, match="no such file"):
        ReplaySource([tmp_path / "a.log"])


def test_buses_are_numbered_by_name_over_all_files(tmp_path: Path):
    first, second = tmp_path / "a.log", tmp_path / "b.log"
    first.write_text("(1.000000) alpha 100#01\n(1.000001) gamma 100#02\n")
    second.write_text("(2.000000) beta 100#03\n(2.000001) gamma 100#04\n")
    source = ReplaySource([first, second], speed=0)
    source.number_buses({"beta": 7})
    assert {name: number for number, name in source.buses.items()} == {"alpha": 0, "beta": 7, "gamma": 1}
    frames = FrameColumns.concatenate(list(source.one_round()))
    assert list(zip(frames.bus.tolist(), frames.payload[:, 0].tolist(), strict=True)) == [
        (0, 1),
        (1, 2),
        (7, 3),
        (1, 4),
    ]


def test_a_time_that_no_record_may_tell_is_named_in_one_line(tmp_path):
    far = tmp_path / "far.asc"
    far.write_text(
        "date Mon Jan 1 00:00:00 2024\nbase hex timestamps absolute\n"
        "0.000000 1 123 Rx d 1 00\n99999999999.000000 1 123 Rx d 1 00\n"
    )
    with pytest.raises(UserError, match=r"far\.asc: holds a frame 3223 years"):
        list(ReplaySource([far], speed=0).one_round())
    near = log(tmp_path / "near.log", [0, 1])
    source = ReplaySource([near, log(tmp_path / "late.log", [0], 9_999_999_000)], speed=0)
    source.open(0)
    assert take_all(source).t_us.tolist() == [0, 1_000_000, (9_999_999_000 - UTC_S) * 1_000_000]
    odd = log(tmp_path / "odd.log", [0, 1])
    odd.write_text(odd.read_text() + "(99999999999.000000) can0 001#00\n")  # its last digit of seconds is too much
    source = ReplaySource([odd], speed=0)
    assert [len(one) for one in source.one_round()] == [2]
    assert source.problems
