"""The efficiency prototype: an attempt that adds up, driven as one would for the least energy."""

import numpy as np
import pytest
from tests.unit.simulated import Day, log

from ved.canbus.simulation.efficiency.car import BODY, PACK, SCHEDULE, STEP_S, EfficiencyCar
from ved.canbus.simulation.efficiency.pilot import ALLOWED_S, LATERAL_M_S2, Phase
from ved.canbus.simulation.prototype.ride import GRAVITY


@pytest.fixture(scope="module")
def day():
    """A whole attempt, the stop after it and the beginning of the next."""
    return Day(EfficiencyCar(1), 2_540, chunk_s=10.0)


def attempt(day):
    """Rows of the first attempt."""
    lap = day["ride.lap"]
    begin = np.flatnonzero(lap > 0)[0]
    return slice(begin, begin + np.flatnonzero(lap[begin:] == 0)[0])


def test_forces_along_the_way_are_exactly_the_kinetic_energy(day):
    mean = day["ride.mean_m_s"]
    against = sum(day[f"ride.{name}_n"] for name in ("brake", "air", "rolling", "slope"))
    given_j = np.cumsum((day["ride.drive_n"] - against) * mean) * STEP_S
    kinetic_j = 0.5 * BODY.inertia_kg * day["ride.speed_m_s"] ** 2
    assert np.abs(given_j[:-1] - kinetic_j[1:]).max() < 1e-3
    assert np.all(day["ride.brake_n"] >= 0)
    assert np.all(day["ride.rolling_n"][mean > 0.05] > 0)


def test_hills_give_back_what_they_took(day):
    rows = attempt(day)
    slope_j = (day["ride.slope_n"] * day["ride.mean_m_s"])[rows].sum() * STEP_S
    taken_j = np.maximum(day["ride.slope_n"] * day["ride.mean_m_s"], 0)[rows].sum() * STEP_S
    assert taken_j > 10_000
    assert abs(slope_j) < 0.06 * taken_j
    climbed = BODY.mass_kg * GRAVITY * day.track.height_m
    assert np.ptp(climbed) > 2_000


def test_the_joulemeter_is_the_integral_of_voltage_and_current(day):
    rows = attempt(day)
    power = (day["battery.voltage_v"] * day["battery.current_a"])[rows]
    joules = day["joules"][rows]
    assert np.abs(joules - np.concatenate(([0], np.cumsum(power[:-1]))) * STEP_S).max() < 0.5
    assert np.all(np.diff(joules) >= -1e-6)


def test_battery_power_is_shaft_power_and_losses(day):
    losses = sum(day[f"motor.{name}_w"] for name in ("copper", "iron", "controller"))
    shaft = day["motor.torque_nm"] * day["motor.rad_s"]
    assert np.allclose(day["motor.electric_w"], shaft + losses)
    terminal = day["battery.voltage_v"] * day["battery.current_a"]
    assert np.abs(terminal - day["motor.electric_w"]).max() < 2.0
    assert terminal.sum() == pytest.approx(day["motor.electric_w"].sum(), rel=1e-3)
    assert np.allclose(shaft, day["ride.drive_n"] * day["ride.mean_m_s"])


def test_the_motor_is_used_where_it_is_good_or_not_at_all(day):
    shaft, electric = day["motor.torque_nm"] * day["motor.rad_s"], day["motor.electric_w"]
    rolling = (day["ride.drive_n"] == BODY.drive_n) & (day["ride.speed_m_s"] > 5)
    assert (shaft / np.maximum(electric, 1))[rolling].min() > 0.83
    gliding = day["ride.phase"] == Phase.GLIDE
    assert np.median(electric[gliding]) < 2.0  # the controller's own
    assert shaft[gliding].sum() < 0.02 * shaft.sum()
    assert 0.5 < gliding[attempt(day)].mean() < 0.9


def test_behind_the_freewheel_the_rotor_runs_out(day):
    gliding = np.flatnonzero((day["ride.phase"] == Phase.GLIDE) & (day["ride.drive_n"] == 0))
    wheel = day["ride.mean_m_s"] / 0.239
    rotor = day["motor.rad_s"]
    assert np.all(rotor[gliding] <= wheel[gliding] * 1.2)
    assert (rotor[gliding] < 0.05 * wheel[gliding]).mean() > 0.7
    drives = day["ride.drive_n"] > 0
    assert np.allclose(rotor[drives], wheel[drives])


def test_the_attempt_keeps_its_time_its_way_and_its_place(day):
    rows = attempt(day)
    seconds = (rows.stop - rows.start) * STEP_S
    assert ALLOWED_S - 60 < seconds < ALLOWED_S
    assert day["ride.distance_m"][rows.stop] == pytest.approx(SCHEDULE.laps * day.track.length_m, abs=0.1)
    assert list(np.unique(day["ride.lap"][rows])) == list(range(1, SCHEDULE.laps + 1))
    per_kwh = day["ride.gone_m"][rows.stop - 1] / day["joules"][rows.stop - 1] * 3_600
    assert 400 < per_kwh < 1_200  # km/kWh: between a first season and the best of the field


def test_pulses_are_few_and_begin_slow_and_end_fast(day):
    rows = attempt(day)
    pulses = np.flatnonzero(np.diff((day["ride.phase"][rows] == Phase.PULSE).astype(int)) == 1)
    assert 2.5 * SCHEDULE.laps < len(pulses) < 6 * SCHEDULE.laps
    speed = day["ride.speed_m_s"][rows]
    ends = np.flatnonzero(np.diff((day["ride.phase"][rows] == Phase.PULSE).astype(int)) == -1)
    assert speed[pulses].mean() + 1 < speed[ends].mean()
    assert speed.max() < 9.5


def test_corners_are_taken_with_care_and_the_brake_is_hardly_used(day):
    assert np.abs(day["ride.curvature_per_m"] * day["ride.speed_m_s"] ** 2).max() < LATERAL_M_S2 + 0.3
    rows = attempt(day)
    brake_j = (day["ride.brake_n"] * day["ride.mean_m_s"])[rows].sum() * STEP_S
    drive_j = (day["ride.drive_n"] * day["ride.mean_m_s"])[rows].sum() * STEP_S
    assert brake_j < 0.15 * drive_j


def test_lap_times_and_lap_energies_sum_to_the_attempts(day):
    rows = attempt(day)
    lap, energy = day["ride.lap"][rows], day["lap_joules"][rows]
    ends = np.append(np.flatnonzero(np.diff(lap)), len(lap) - 1)
    assert energy[ends].sum() == pytest.approx(day["joules"][rows.stop - 1], rel=1e-3)
    last = day["ride.last_lap_s"]
    times = [last[rows.start + end + 1] for end in ends]
    assert sum(times) == pytest.approx((rows.stop - rows.start) * STEP_S, abs=0.05)
    assert len({round(seconds, 2) for seconds in times}) == SCHEDULE.laps  # no two laps are alike


def test_after_an_attempt_a_charged_battery_goes_in_and_the_meter_starts_at_nought(day):
    rows = attempt(day)
    assert day["battery.soc"][rows.stop - 1] < 0.85
    stands = slice(rows.stop + 1_000, rows.stop + round(SCHEDULE.stop_s / STEP_S) - 1_000)
    assert day["battery.soc"][stands].min() > 0.92
    assert np.all(day["joules"][stands] == 0)
    assert np.all(day["ride.speed_m_s"][stands] == 0)
    assert day["ride.speed_m_s"][-1] > 3
    assert 0 < day["joules"][-1] < 20_000


def test_cells_make_the_pack_and_charge_the_state_of_charge(day):
    rows = slice(0, attempt(day).stop)
    cells = day["battery.cell_v"]
    assert cells.shape[1] == PACK.cells
    assert np.allclose(cells.sum(axis=1), day["battery.voltage_v"])
    assert cells.max() * PACK.cells < 60  # the most that the rules allow
    soc, current = day["battery.soc"][rows], day["battery.current_a"][rows]
    assert soc[0] - soc[-1] == pytest.approx(current[:-1].sum() * STEP_S / 3600 / PACK.capacity_ah, rel=1e-3)


def test_the_seed_decides():
    one, same, other = (Day(EfficiencyCar(seed), 120) for seed in (5, 5, 6))
    assert np.array_equal(one["ride.distance_m"], same["ride.distance_m"])
    assert not np.allclose(one["ride.distance_m"], other["ride.distance_m"], atol=0.2)


def test_how_finely_it_is_asked_hardly_changes_the_way():
    """Only the pilot's look at the clock comes once a chunk."""
    whole, pieces = Day(EfficiencyCar(1), 120), Day(EfficiencyCar(1), 120, chunk_s=1.0)
    assert pieces["ride.distance_m"] == pytest.approx(whole["ride.distance_m"], abs=0.5)


def test_an_engineer_finds_the_energy_again_in_the_log():
    """From the frames alone, by cantools: joules from U and I, speed from wheel and satellites, km/kWh from both."""
    drive = log("pe", 300.0, 2)
    times, volts = drive.values("Joulemeter", "Voltage")
    _, amps = drive.values("Joulemeter", "Current")
    energy_t, joules = drive.values("JoulemeterEnergy", "Energy")
    counted = np.interp(energy_t, times, np.concatenate(([0], np.cumsum((volts * amps)[:-1] * np.diff(times)))))
    assert counted == pytest.approx(joules, abs=0.01 * joules[-1])
    _, power = drive.values("JoulemeterEnergy", "Power")
    assert np.median(np.abs(np.interp(energy_t, times, volts * amps) - power)) < 1.0
    gps_t, gps = drive.values("GpsMotion", "Speed")
    motion_t, speed = drive.values("VehicleMotion", "Speed")
    assert np.interp(gps_t, motion_t, speed) == pytest.approx(gps, abs=0.8)
    _, way = drive.values("VehicleMotion", "Distance")
    assert way[-1] == pytest.approx(speed.sum() / 3.6 * 0.02, rel=0.005)
    _, per_kwh = drive.values("Efficiency", "DistancePerEnergy")
    assert per_kwh[-1] == pytest.approx(3_600 * way[-1] / joules[-1], rel=0.01)


def test_a_shorted_transistor_shows_on_the_joulemeter_and_the_car_takes_care():
    ill, well = log("pe", 120.0, 1, "over_temperature@50+60"), log("pe", 120.0, 1)
    times, winding = ill.values("MotorTemperatures", "Winding")
    _, before = well.values("MotorTemperatures", "Winding")
    assert winding[times < 49] == pytest.approx(before[times < 49])
    assert winding.max() > 85
    assert winding[-1] < winding.max() - 1  # and cools down again
    power_t, power = ill.values("JoulemeterEnergy", "Power")
    _, usual = well.values("JoulemeterEnergy", "Power")
    during = (power_t > 51) & (power_t < 80)
    assert (power - usual)[during] == pytest.approx(300, abs=15)
    _, state = ill.values("MotorController", "State")
    assert 4 not in set(well.values("MotorController", "State")[1])
    assert 4 in set(state)


def test_a_sagging_cell_is_named():
    ill = log("pe", 60.0, 1, "cell_sag:5@20+30")
    times, number = ill.values("CellSummary", "MinimumCell")
    assert set(number[(times > 20.3) & (times < 50)]) == {5}
    assert 5 not in set(number[times < 20])
    state_t, state = ill.values("BatteryPack", "State")
    assert set(state[(state_t > 20.2) & (state_t < 50)]) == {5}
