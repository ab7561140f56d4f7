"""Track, driver and motion: a closed lap, driven within the limits of grip, in a way that adds up."""

import numpy as np
import pytest

from ved.canbus.simulation.formula_student.course import ENDURANCE
from ved.canbus.simulation.formula_student.driver import GRAVITY, Driver, LapKind
from ved.canbus.simulation.formula_student.motion import FIRST_STOP_S, PIT_STOP_S, Drive
from ved.canbus.simulation.track import EARTH_RADIUS_M, STEP_M, build_track

TRACK = build_track(ENDURANCE)
STEP_S = 0.005


def drive(seconds, seed=1, low_after_s=None):
    """Motion of a drive, sampled chunk by chunk as the simulator does."""
    car = Drive(TRACK, Driver(TRACK, seed))
    times, parts = np.arange(0, seconds, STEP_S), []
    for chunk in np.array_split(times, max(1, round(seconds))):
        car.is_battery_low = low_after_s is not None and chunk[0] >= low_after_s
        parts.append(car.sample(chunk))
    names = type(parts[0]).__slots__
    return times, {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}


def test_the_track_is_a_closed_loop_of_equal_steps():
    ahead = np.hypot(np.roll(TRACK.x_m, -1) - TRACK.x_m, np.roll(TRACK.y_m, -1) - TRACK.y_m)
    assert 950 < TRACK.length_m < 1_100
    assert ahead == pytest.approx(STEP_M, rel=0.01)
    assert TRACK.curvature_per_m.sum() * STEP_M == pytest.approx(2 * np.pi, rel=1e-3)


def test_the_track_has_hairpins_and_straights_that_rules_allow():
    radius = 1 / np.abs(TRACK.curvature_per_m).max()
    assert 4.5 < radius < 12
    straight = np.abs(TRACK.curvature_per_m) < 1 / 200
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate(([0], straight.astype(int), [0])))))[::2] * STEP_M
    assert 40 < runs.max() < 90


def test_the_track_lies_in_france_and_keeps_its_size_in_degrees():
    latitude, longitude = TRACK.to_geographic(TRACK.x_m, TRACK.y_m)
    assert 48.9 < latitude.min() < latitude.max() < 49.1
    assert 2.4 < longitude.min() < longitude.max() < 2.6
    # Great-circle distance (haversine) between neighbours, an independent way to the length of the lap.
    lat, lon = np.radians(latitude), np.radians(longitude)
    half = (
        np.sin(np.diff(lat, append=lat[:1]) / 2) ** 2
        + np.cos(lat) * np.cos(np.roll(lat, -1)) * np.sin(np.diff(lon, append=lon[:1]) / 2) ** 2
    )
    assert (2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(half))).sum() == pytest.approx(TRACK.length_m, rel=0.01)


def test_heading_gains_one_turn_per_lap_and_points_along_the_track():
    distance = np.arange(0, 2 * TRACK.length_m, 0.1)
    heading = TRACK.heading_at(distance)
    assert np.abs(np.diff(heading)).max() < 0.03
    assert heading[-1] - heading[0] == pytest.approx(4 * np.pi, abs=0.01)
    x, y = TRACK.at(TRACK.x_m, distance), TRACK.at(TRACK.y_m, distance)
    along = np.cos(heading[:-1]) * np.diff(x) + np.sin(heading[:-1]) * np.diff(y)
    assert along.min() > 0.09


def test_speed_integrates_to_distance_and_acceleration_to_speed():
    _, motion = drive(180)
    speed, distance = motion["speed_m_s"], motion["distance_m"]
    way = np.concatenate(([0], np.cumsum((speed[1:] + speed[:-1]) / 2 * STEP_S)))
    assert np.abs(way - distance).max() < 0.01
    pull = motion["acceleration_m_s2"]
    gained = np.concatenate(([0], np.cumsum((pull[1:] + pull[:-1]) / 2 * STEP_S)))
    assert np.abs(gained - speed).max() < 0.6


def test_the_car_stays_within_its_grip():
    _, motion = drive(240)
    lateral = TRACK.at(TRACK.curvature_per_m, motion["distance_m"]) * motion["speed_m_s"] ** 2
    total = np.hypot(motion["acceleration_m_s2"], lateral) / GRAVITY
    assert 1.0 < total.max() < 2.0
    assert np.abs(np.diff(motion["speed_m_s"])).max() < 2.0 * GRAVITY * STEP_S
    assert 80 < motion["speed_m_s"].max() * 3.6 < 110


def test_it_waits_then_drives_lap_after_lap_and_no_two_are_alike():
    times, motion = drive(300)
    stands = motion["lap"] == 0
    assert times[stands].max() == pytest.approx(FIRST_STOP_S, abs=0.01)
    assert np.all(motion["speed_m_s"][stands] == 0)
    lap_times = [motion["last_lap_s"][motion["lap"] == lap][0] for lap in range(2, 6)]
    assert all(45 < seconds < 75 for seconds in lap_times)
    assert len({round(seconds, 2) for seconds in lap_times}) == len(lap_times)
    assert lap_times[0] > min(lap_times[1:])  # the first one began at rest


def test_a_lap_ends_where_it_began():
    _, motion = drive(300)
    for lap in range(2, 6):
        rows = np.flatnonzero(motion["lap"] == lap)
        gone = motion["distance_m"][rows[-1] + 1] - motion["distance_m"][rows[0]]
        assert gone == pytest.approx(TRACK.length_m, abs=0.2)
        place = motion["distance_m"][rows[[0, -1]]]
        x, y = TRACK.at(TRACK.x_m, place), TRACK.at(TRACK.y_m, place)
        assert np.hypot(*np.diff(np.stack((x, y)))[:, 0]) < 0.5


def test_nothing_jumps_from_lap_to_lap():
    _, motion = drive(300)
    starts = np.flatnonzero(np.diff(motion["lap"]) == 1)[1:]
    for name, most in {"speed_m_s": 0.05, "offset_m": 0.05, "acceleration_m_s2": 1.0}.items():
        assert np.abs(np.diff(motion[name]))[starts].max() < most


def test_an_empty_battery_ends_the_stint_at_the_start_line_and_the_next_one_follows():
    times, motion = drive(300, low_after_s=100)
    stops = np.flatnonzero((motion["lap"][1:] == 0) & (motion["lap"][:-1] > 0))
    assert len(stops) == 1
    stop = stops[0] + 1
    assert motion["speed_m_s"][stop] == 0
    assert motion["speed_m_s"][stop - 1] < 0.1
    assert motion["distance_m"][stop] % TRACK.length_m == pytest.approx(0, abs=0.01)
    leaves = times[stop] + PIT_STOP_S
    assert motion["speed_m_s"][np.searchsorted(times, leaves + 2)] > 3
    assert np.all(np.diff(motion["distance_m"]) >= 0)


def test_the_seed_decides():
    _, one = drive(120, seed=5)
    _, same = drive(120, seed=5)
    _, other = drive(120, seed=6)
    assert np.array_equal(one["distance_m"], same["distance_m"])
    assert not np.allclose(one["distance_m"], other["distance_m"], atol=0.5)


def test_how_finely_it_is_asked_does_not_change_the_way():
    times = np.arange(0, 130, STEP_S)
    whole = Drive(TRACK, Driver(TRACK, 3)).sample(times)
    pieces = Drive(TRACK, Driver(TRACK, 3))
    parts = [pieces.sample(chunk) for chunk in np.array_split(times, 77)]
    assert np.array_equal(np.concatenate([part.distance_m for part in parts]), whole.distance_m)


def test_a_lap_to_the_pit_ends_at_rest_and_one_from_it_begins_so():
    driver, steps = Driver(TRACK, 1), len(TRACK.x_m)
    out = driver.plan(LapKind.OUT, None)
    flying = driver.plan(LapKind.FLYING, out)
    back = driver.plan(LapKind.IN, flying)
    assert out.speed_squared[0] == 0
    assert out.speed_squared[1] > 0
    assert flying.speed_squared[: steps + 1].min() > 5**2
    assert back.speed_squared[steps] == 0
    assert back.speed_squared[steps // 2] < flying.speed_squared[steps // 2]
