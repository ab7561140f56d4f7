"""Laps: on made-up tracks whose laps are known, and on the simulated car against its own lap timer."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.simulated import log

from ved.analysis.distance import thin_path, to_plane
from ved.analysis.laps import FIX_GAP_US, HALF_WIDTH_M, Fixes, Line, best_lap, find_laps, learn_line


def circle(
    lap_s: list[float],
    radius_m: float = 60.0,
    rate_hz: float = 20.0,
    noise_m: float = 0.0,
    start: float = 0.0,
    more_s=0.0,
):
    """Laps of these times, each at its own constant speed; t = 0 is at angle `start` (turns) before the east."""
    ends_s = np.append(0.0, np.cumsum(lap_s))
    t_s = np.arange(0, ends_s[-1] + more_s, 1 / rate_hz)
    turns = np.interp(t_s, np.append(ends_s, ends_s[-1] + 10), np.append(np.arange(len(ends_s)), len(lap_s) + 0.5))
    angle = 2 * np.pi * (turns - start)
    rng, radius_m = np.random.default_rng(1), 60.0
    return Fixes(
        np.rint(t_s * 1e6).astype(np.int64),
        radius_m * np.cos(angle) + noise_m * rng.standard_normal(len(t_s)),
        radius_m * np.sin(angle) + noise_m * rng.standard_normal(len(t_s)),
    )


EAST = Line(50.0, 0.0, 70.0, 0.0, is_one_way=True)
"""Crossed towards north, as a circle to the left does in the east."""


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(20.0, 90.0), min_size=2, max_size=8), st.floats(5.0, 50.0), st.floats(0.02, 0.9))
def test_laps_are_timed_between_the_samples(lap_s, rate_hz, start):
    """Whatever the rate, at constant speed: better than a twentieth of the interval between positions."""
    fixes = circle(lap_s, rate_hz=rate_hz, start=start)
    crossings = np.append(0.0, np.cumsum(lap_s))
    speeds = 1 / np.array(lap_s)
    passed = [crossings[k] + start / speeds[k] for k in range(len(lap_s))]  # the line, `start` into each lap
    found = find_laps(fixes, EAST)
    assert len(found) == len(lap_s) - 1
    for lap, begin, end in zip(found, passed, passed[1:], strict=False):
        assert lap.t_from_us / 1e6 == pytest.approx(begin, abs=0.05 / rate_hz + 2e-6)
        assert lap.t_to_us / 1e6 == pytest.approx(end, abs=0.05 / rate_hz + 2e-6)
        assert lap.is_whole
        assert lap.length_m == pytest.approx(2 * math.pi * 60, rel=0.02)
    best = best_lap(found)
    assert best is not None
    assert best.t_to_us - best.t_from_us == min(lap.t_to_us - lap.t_from_us for lap in found)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(25.0, 60.0), min_size=3, max_size=6), st.floats(0, 1))
def test_a_learned_line_finds_each_lap_once(lap_s, start):
    fixes = circle(lap_s, noise_m=0.1, start=start, more_s=2.0)
    line = learn_line(fixes)
    assert line is not None
    assert math.hypot(line.to_x_m - line.from_x_m, line.to_y_m - line.from_y_m) == pytest.approx(2 * HALF_WIDTH_M)
    found = find_laps(fixes, line)
    assert len(found) == len(lap_s)
    for lap, expected in zip(found, lap_s, strict=True):
        assert (lap.t_to_us - lap.t_from_us) / 1e6 == pytest.approx(expected, abs=1.5)  # the line may lie in a lap


def test_no_closed_lap_no_line():
    t_us = np.arange(0, 60_000_000, 50_000)
    there = t_us / 1e6 * 20
    assert learn_line(Fixes(t_us, there, np.zeros(len(t_us)))) is None
    back = np.minimum(there, 1200 - there)
    assert learn_line(Fixes(t_us, back, np.zeros(len(t_us)))) is None  # there and back is no lap
    still = np.random.default_rng(1).normal(0, 0.3, (2, len(t_us)))
    assert learn_line(Fixes(t_us, *still)) is None
    none = np.empty(0)
    assert learn_line(Fixes(t_us[:0], none, none)) is None
    assert find_laps(Fixes(t_us[:0], none, none), EAST) == []
    assert best_lap([]) is None


def test_the_wrong_way_and_beside_the_line_do_not_count():
    fixes = circle([30.0] * 4, start=0.5)
    mirrored = Fixes(fixes.t_us, fixes.x_m, -fixes.y_m)
    assert len(find_laps(fixes, EAST)) == 3
    assert find_laps(mirrored, EAST) == []
    both = Line(50.0, 0.0, 70.0, 0.0)
    assert len(find_laps(mirrored, both)) == len(find_laps(fixes, both)) == 3
    assert find_laps(fixes, Line(70.0, 0.0, 90.0, 0.0)) == []


def test_waiting_on_the_line_belongs_to_no_lap():
    """40 s of wobbling across the line between two laps, as at a driver change."""
    fixes = circle([30.0] * 2, more_s=2.0)
    whole = fixes.t_us <= 30_000_000
    wait = np.arange(0, 40_000_000, 50_000)
    wobble = 0.3 * np.sin(np.arange(len(wait)) * 1.7)
    rest = fixes.t_us > 30_000_000
    joined = Fixes(
        np.r_[fixes.t_us[whole], 30_050_000 + wait, fixes.t_us[rest] + 40_050_000],
        np.r_[fixes.x_m[whole], np.full(len(wait), 60.0), fixes.x_m[rest]],
        np.r_[fixes.y_m[whole], wobble, fixes.y_m[rest]],
    )
    before = Fixes(np.array([-1_000_000]), np.array([60.0]), np.array([-5.0]))
    joined = Fixes(*(np.r_[a, b] for a, b in zip(
        (before.t_us, before.x_m, before.y_m), (joined.t_us, joined.x_m, joined.y_m), strict=True
    )))  # fmt: skip
    found = [(lap.t_to_us - lap.t_from_us) / 1e6 for lap in find_laps(joined, EAST)]
    assert found == pytest.approx([30.0, 30.0], abs=0.3)


def test_a_lap_with_positions_missing_is_said_to_be_so():
    fixes = circle([30.0] * 4, start=0.5)
    away = (fixes.t_us > 50_000_000) & (fixes.t_us < 50_000_000 + 2 * FIX_GAP_US)  # far from the line
    kept = Fixes(fixes.t_us[~away], fixes.x_m[~away], fixes.y_m[~away])
    assert [lap.is_whole for lap in find_laps(kept, EAST)] == [True, False, True]
    on_line = (fixes.t_us > 43_000_000) & (fixes.t_us < 47_000_000)
    kept = Fixes(fixes.t_us[~on_line], fixes.x_m[~on_line], fixes.y_m[~on_line])
    found = find_laps(kept, EAST)
    assert [(round((lap.t_to_us - lap.t_from_us) / 1e6), lap.is_whole) for lap in found] == [(60, False), (30, True)]


def test_the_simulated_cars_laps_are_those_of_its_own_timer():
    drive = log("fs", 190, 3)
    t_s, latitude = drive.values("GpsPosition", "Latitude")
    longitude = drive.values("GpsPosition", "Longitude")[1]
    fixes = Fixes((t_s * 1e6).astype(np.int64), *to_plane(latitude, longitude, (latitude[0], longitude[0])))
    line = learn_line(fixes)
    assert line is not None
    found = [(lap.t_to_us - lap.t_from_us) / 1e6 for lap in find_laps(fixes, line)]
    last = drive.values("LapTimer", "LastTime")[1]
    own = last[np.flatnonzero(np.diff(last)) + 1]
    assert len(found) == len(own) == 3
    assert found[1:] == pytest.approx(own[1:].tolist(), abs=0.15)  # half a metre of drift between two passages
    assert found[0] == pytest.approx(own[0], abs=2.0)  # from rest: the line lies 4 m on
    lengths = [lap.length_m for lap in find_laps(fixes, line)]
    assert lengths == pytest.approx([1_020.0] * 3, rel=0.02)


def test_a_flat_map_and_ways_on_it():
    x_m, y_m = to_plane(np.array([48.0, 48.0, 48.001]), np.array([2.0, 2.001, 2.0]), (48.0, 2.0))
    assert x_m.tolist() == pytest.approx([0, 111.19493 * math.cos(math.radians(48)), 0], abs=1e-3)
    assert y_m.tolist() == pytest.approx([0, 0, 111.19493], abs=1e-3)
    across = to_plane(np.array([0.0]), np.array([-179.9995]), (0.0, 179.9995))[0]
    assert across[0] == pytest.approx(111.19493, abs=1e-3)
    assert thin_path(np.array([0.0, 1, 2, 3, 3, 9]), np.zeros(6), 2.0).tolist() == [0, 2, 5]
