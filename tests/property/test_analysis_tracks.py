"""Laps on known and learned tracks: the same for any cuts of the positions, and again over history."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.analysis.distance import ReferenceLine, to_globe, to_plane
from ved.analysis.fixes import FixReader, GeoFixes
from ved.analysis.tracks import LapFinder, origin_of, reference_of
from ved.model.track import Track, TrackLine
from ved.model.vehicle import MapChannels

ORIGIN = (48.9, 2.5)


def drive(lap_s, *, rate_hz=10.0, out_s=12.0, noise_m=0.2, gap=None):
    """Out of the pits along a straight into an oval of 2 x 200 m straights, then laps of these times."""
    ends = np.append(0.0, np.cumsum(lap_s))
    t_s = np.arange(-out_s, ends[-1] + 3.0, 1 / rate_hz)
    turns = np.interp(t_s, np.append(ends, ends[-1] + 100), np.append(np.arange(len(ends)), len(lap_s) + 2.0))
    angle = 2 * np.pi * turns
    x = np.where(t_s < 0, 100.0 + 0.0 * t_s, 100 * np.cos(angle) + 0.0)
    y = np.where(t_s < 0, 15.0 * t_s, 60 * np.sin(angle))
    rng = np.random.default_rng(3)
    x, y = x + noise_m * rng.standard_normal(len(x)), y + noise_m * rng.standard_normal(len(y))
    t_us = np.rint((t_s + out_s) * 1e6).astype(np.int64)
    fixes = GeoFixes(t_us, *to_globe(x, y, ORIGIN))
    if gap is not None:
        kept = (t_us < gap[0]) | (t_us > gap[1])
        fixes = GeoFixes(*(axis[kept] for axis in fixes))
    return fixes


def run(fixes, tracks, cuts=()):
    finder, laps, starts = LapFinder(tracks), [], []
    for rows in np.split(np.arange(len(fixes.t_us)), sorted(cuts)):
        step = finder.step(GeoFixes(*(axis[rows] for axis in fixes)))
        laps += step.laps
        starts += step.starts
    return finder, laps, starts


cuts = st.lists(st.integers(0, 1500), max_size=8)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(20.0, 40.0), min_size=3, max_size=4), cuts, st.sampled_from([None, (40_000_000, 44_000_000)]))
def test_any_cuts_give_the_same_laps_and_the_learned_track_gives_them_again(lap_s, borders, gap):
    fixes = drive(lap_s, gap=gap)
    whole, laps, starts = run(fixes, [])
    cut, cut_laps, cut_starts = run(fixes, [], borders)
    assert whole.learned is not None
    assert cut.learned == whole.learned
    assert cut_laps == laps
    assert [one.number for one in cut_starts] == [one.number for one in starts]
    known, known_laps, _ = run(fixes, [whole.learned], borders)
    assert known.track == whole.learned
    assert known.learned is None
    first = next(at for at, lap in enumerate(laps) if lap.is_whole)  # before it only the line was known
    assert known_laps[first:] == laps[first:]
    assert [lap.number for lap in known_laps] == [lap.number for lap in laps]


def test_laps_and_sectors_of_a_learned_track():
    finder, laps, starts = run(drive([30.0, 28.0, 26.0]), [])
    assert [lap.number for lap in laps] == [1, 2, 3]
    assert [(lap.t_to_us - lap.t_from_us) / 1e6 for lap in laps] == pytest.approx([30, 28, 26], abs=0.6)
    assert [start.number for start in starts] == [1, 2, 3, 4]
    for lap in laps:
        assert len(lap.sectors_us) == 3
        assert sum(lap.sectors_us) == pytest.approx(lap.t_to_us - lap.t_from_us, abs=2)
        assert min(lap.sectors_us) > 7_000_000
    reference = reference_of(finder.track)
    assert reference.length_m == pytest.approx(laps[0].length_m, rel=0.02)


def test_a_known_track_far_away_is_not_looked_for_and_the_first_line_crossed_holds():
    fixes = drive([30.0, 28.0, 26.0])
    far = Track("far", "far", (TrackLine((10.0, 2.0), (10.0, 2.001)),))
    learned = run(fixes, [far])[0]
    assert learned.learned is not None
    assert learned.track.id != "far"
    latitudes, longitudes = to_globe(np.array([80.0, 120.0]), np.array([-60.0, -60.0]), ORIGIN)
    drawn = Track("drawn", "drawn", (TrackLine((latitudes[0], longitudes[0]), (latitudes[1], longitudes[1])),))
    finder, laps, _ = run(fixes, [learned.learned, drawn])
    assert finder.track.id == "drawn"  # crossed on the way out
    assert laps == []


def test_a_sector_that_was_not_crossed_is_not_known():
    finder, _, _ = run(drive([30.0, 28.0, 26.0]), [])
    _, laps, _ = run(drive([30.0, 28.0, 26.0], gap=(55_000_000, 63_000_000)), [finder.learned])
    assert [lap.is_whole for lap in laps] == [True, False, True]
    assert -1 in laps[1].sectors_us


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 0.999), min_size=1, max_size=40), st.floats(-3, 3))
def test_distance_is_projected_on_the_reference_line(shares, beside_m):
    angle = np.arange(0, 2 * np.pi, 2 * np.pi / 400)
    line = ReferenceLine(100 * np.cos(angle), 100 * np.sin(angle))
    turns = np.array(shares) * 2 * np.pi
    found = line.project((100 + beside_m) * np.cos(turns), (100 + beside_m) * np.sin(turns))
    apart = np.abs(found / line.length_m - np.array(shares))
    assert np.minimum(apart, 1 - apart).max() < 1e-3
    assert line.project(*(np.array([axis]) for axis in line.place_at(123.0)))[0] == pytest.approx(123.0, abs=0.01)


def test_where_the_track_crosses_itself_the_driven_way_decides():
    angle = np.arange(0, 2 * np.pi, 2 * np.pi / 800)
    line = ReferenceLine(200 * np.sin(angle), 100 * np.sin(2 * angle))  # an eight
    middle = np.zeros(2)
    found = line.project(middle, middle, np.array([20.0, line.length_m / 2 - 20]))
    assert found[0] == pytest.approx(0.0, abs=3) or found[0] == pytest.approx(line.length_m, abs=3)
    assert found[1] == pytest.approx(line.length_m / 2, abs=3)


@settings(max_examples=25, deadline=None)
@given(cuts, st.integers(0, 2**32 - 1))
def test_positions_do_not_depend_on_cuts(borders, seed):
    rng = np.random.default_rng(seed)
    t_us = np.arange(100) * 100_000
    columns = {
        "latitude": (t_us, np.where(rng.random(100) < 0.1, np.nan, 48.0 + rng.random(100))),
        "longitude": (t_us + rng.choice([0, 5_000]), 2.0 + rng.random(100)),
        "valid": (t_us[::10], (rng.random(10) < 0.7).astype(float)),
    }
    names = MapChannels("latitude", "longitude", "valid")
    whole = FixReader(names).step(columns)
    reader, parts, before = FixReader(names), [], -1
    for border in [*sorted(one * 7_000 for one in borders), 1 << 60]:
        now = {}
        for name, (times, values) in columns.items():
            rows = (times > before) & (times <= border)
            now[name] = (times[rows], values[rows])
        parts.append(reader.step(now, border))
        before = border
    for axis in range(3):
        np.testing.assert_array_equal(np.concatenate([part[axis] for part in parts]), whole[axis])


def test_the_lines_of_a_track_lie_where_they_were_learned():
    finder, _, _ = run(drive([30.0, 28.0]), [])
    place = origin_of(finder.learned)
    x_m, y_m = to_plane(np.array([place[0]]), np.array([place[1]]), ORIGIN)
    assert x_m[0] == pytest.approx(100.0, abs=2.0)
    assert -180 < y_m[0] < 60
