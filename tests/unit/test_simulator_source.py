"""The simulator as a source: its pace, its end, its clock. Time is a number that the test moves."""

from pathlib import Path

import pytest

from ved.canbus.simulator import START_UTC_US, SimulatorSource, simulate_columns
from ved.canbus.source import Source
from ved.config.vehicle import load_vehicle
from ved.errors import UserError
from ved.model.frames import FrameColumns
from ved.model.records import ClockSource

VEHICLE = load_vehicle(Path(__file__).parents[2] / "vehicles" / "fs")
ORIGIN_NS = 5_000_000_000_000


class World:
    """A clock that moves when someone sleeps."""

    def __init__(self, source):
        self.now_ns, self.slept_s = ORIGIN_NS, []
        source._sleep, source._mono_ns = self.sleep, lambda: self.now_ns
        source._utc_ns = lambda: 1_000 * START_UTC_US + self.now_ns

    def sleep(self, seconds):
        assert seconds >= 0
        self.slept_s.append(seconds)
        self.now_ns += round(seconds * 1e9)


def opened(**options):
    source = SimulatorSource(VEHICLE, **options)
    world = World(source)
    source.open(ORIGIN_NS)
    return source, world


def test_it_is_a_source():
    source: Source = SimulatorSource(VEHICLE)
    assert source.is_realtime
    assert not SimulatorSource(VEHICLE, speed=0).is_realtime
    assert not SimulatorSource(VEHICLE, speed=10).is_realtime


def test_in_real_time_no_frame_comes_early_and_none_late():
    source, world = opened(duration_s=5.0)
    parts = []
    while (part := source.read(0.1)) is not None:
        now_us = (world.now_ns - ORIGIN_NS) // 1000
        assert len(part) == 0 or part.t_us[-1] <= now_us
        assert len(part) == 0 or now_us - part.t_us[0] <= 25_000
        parts.append(part)
    frames = FrameColumns.concatenate(parts)
    assert frames.equals(FrameColumns.concatenate(list(simulate_columns(VEHICLE, 5.0))))
    assert 4.9 < sum(world.slept_s) < 5.1
    assert len(parts) < 5.0 * 120  # a read is worth waking for


def test_a_read_waits_no_longer_than_it_was_told():
    source, world = opened()
    source.read(0.1)
    world.slept_s.clear()
    world.now_ns = ORIGIN_NS
    source._held = source._held.take(source._held.t_us > 1_000_000)
    assert len(source.read(0.003)) == 0
    assert world.slept_s == [0.003]


def test_a_reader_that_was_away_gets_all_that_it_missed():
    source, world = opened()
    got = [source.read(0.1)]
    world.now_ns += 7_000_000_000
    got += [source.read(0.1) for _ in range(5)]
    frames = FrameColumns.concatenate(got)
    assert frames.t_us[-1] > 6_900_000
    expected = FrameColumns.concatenate(list(simulate_columns(VEHICLE, 10.0)))
    assert frames.equals(expected.take(slice(0, len(frames))))


def test_at_ten_times_the_speed_ten_seconds_take_one():
    source, world = opened(speed=10.0, duration_s=10.0)
    while source.read(0.1) is not None:
        pass
    assert 0.98 < sum(world.slept_s) < 1.05


def test_at_full_speed_nobody_sleeps_and_the_frames_are_the_same():
    source, world = opened(speed=0, duration_s=5.0)
    parts = []
    while (part := source.read(0.1)) is not None:
        parts.append(part)
    assert world.slept_s == []
    assert FrameColumns.concatenate(parts).equals(FrameColumns.concatenate(list(simulate_columns(VEHICLE, 5.0))))


def test_in_real_time_the_clock_is_the_hosts():
    source, world = opened()
    asked_ns = ORIGIN_NS + 3_000_000_000
    world.now_ns = asked_ns + 40_000  # the call comes a little after the reading
    pair = source.clock(asked_ns)
    assert pair.source is ClockSource.HOST
    assert pair.t_us == 3_000_000
    assert pair.utc_us == START_UTC_US + asked_ns // 1000


def test_at_any_other_speed_the_day_begins_at_a_fixed_time():
    source, _ = opened(speed=0)
    pair = source.clock(ORIGIN_NS + 9_000_000_000)
    assert (pair.t_us, pair.utc_us, pair.source) == (0, START_UTC_US, ClockSource.RECORDED)


def test_after_closing_it_is_over():
    source, _ = opened()
    source.read(0.1)
    source.close()
    source.close()
    assert source.read(0.1) is None


@pytest.mark.parametrize("speed", [-1.0, float("inf"), float("nan")])
def test_an_impossible_speed_is_refused(speed):
    with pytest.raises(UserError, match="give a positive factor or max"):
        SimulatorSource(VEHICLE, speed=speed)


def test_a_negative_seed_is_refused():
    with pytest.raises(UserError, match="seed -1 is not possible"):
        SimulatorSource(VEHICLE, seed=-1)
