"""The solar prototype: the sun where it stands, power that goes somewhere, and a day that follows from both."""

import numpy as np
import pytest
from tests.unit.simulated import Day, log

from ved.canbus.faults import Fault
from ved.canbus.simulation.solar.array import EFFICIENCY, EFFICIENCY_PER_K, STRINGS, SolarArray
from ved.canbus.simulation.solar.car import BEGINS_S, BODY, PACK, STEP_S, SolarCar
from ved.canbus.simulation.solar.sun import DAY_OF_YEAR, Light, Sky, clear_beam_w_m2, sun_vector
from ved.canbus.simulation.track import Place
from ved.canbus.simulator import START_UTC_US
from ved.errors import UserError

CHUNK = 200


@pytest.fixture(scope="module")
def day():
    return Day(SolarCar(1), 600)


def elevation_deg(utc_h, latitude=48.62, longitude=2.2446):
    return float(np.degrees(np.arcsin(sun_vector(np.array([utc_h * 3600.0]), latitude, longitude)[2][0])))


def test_the_simulated_day_is_the_one_that_the_log_says():
    stamp = np.datetime64(START_UTC_US, "us")
    midnight = stamp.astype("datetime64[D]")
    assert (midnight - stamp.astype("datetime64[Y]").astype("datetime64[D]")).astype(int) + 1 == DAY_OF_YEAR
    assert (stamp - midnight).astype("timedelta64[s]").astype(int) == BEGINS_S


def test_the_sun_stands_where_almanacs_say():
    """1 June, south of Paris: declination 22.1°, equation of time +2.2 min, rise 3:53 and set 19:45 UTC."""
    noon_h = 12 - 2.2446 / 15 - 2.2 / 60
    assert elevation_deg(noon_h) == pytest.approx(90 - 48.62 + 22.1, abs=0.2)
    hours = np.arange(0, 24, 1 / 60)
    heights = np.array([elevation_deg(hour) for hour in hours])
    assert hours[heights.argmax()] == pytest.approx(noon_h, abs=0.1)
    up = hours[heights > -0.83]  # half its disc and refraction, as almanacs count
    assert up[0] == pytest.approx(3 + 53 / 60, abs=0.1)
    assert up[-1] == pytest.approx(19 + 45 / 60, abs=0.1)


def test_the_suns_vector_is_one_long_and_goes_from_east_over_south_to_west():
    east, north, up = sun_vector(np.array([6.0, 11.8, 17.5]) * 3600, 48.62, 2.2446)
    assert np.hypot(np.hypot(east, north), up) == pytest.approx(1)
    assert east[0] > 0.5
    assert east[2] < -0.5
    assert abs(east[1]) < 0.03
    assert north[1] < 0


def test_a_clear_sky_gives_a_kilowatt_at_the_most_and_nothing_at_night():
    up = np.sin(np.radians([-10, 0, 5, 30, 60, 90]))
    beam = clear_beam_w_m2(up)
    assert np.all(np.diff(beam[1:]) > 0)
    assert beam[0] == 0
    assert beam[1] < 40
    assert beam[-1] == pytest.approx(1_353 * 0.7, rel=1e-3)
    sky = Sky(48.62, 2.2446, np.random.default_rng(1))
    night = sky.run(np.full(100, 23.5 * 3600), STEP_S)
    assert np.all(night.horizontal_w_m2 == 0)


def test_clouds_come_and_go_and_never_jump(day):
    sky = Sky(48.62, 2.2446, np.random.default_rng(3))
    light = [sky.run(BEGINS_S + chunk * 2 + np.arange(CHUNK) * STEP_S, STEP_S) for chunk in range(2_400)]
    cloud = np.concatenate([part.cloud for part in light])
    assert cloud.min() < 0.01
    assert cloud.max() > 0.99
    assert 0.05 < cloud.mean() < 0.4
    assert np.abs(np.diff(cloud)).max() < 0.02
    changes = np.count_nonzero(np.diff((cloud > 0.5).astype(int)) == 1)
    assert 10 < changes < 200  # in eighty minutes
    global_w = day["light.horizontal_w_m2"]
    assert 100 < global_w.min() < global_w.max() < 1_000


def standing(heading_rad, steps=CHUNK):
    zero = np.zeros(steps)
    return Place(zero, zero, zero, zero + heading_rad)


def light_from(east, north, up, beam=900.0, diffuse=90.0, steps=CHUNK):
    columns = [np.full(steps, value) for value in (east, north, up, beam, diffuse, 0.0)]
    return Light(*columns)


def test_array_power_is_irradiance_area_efficiency_and_tracking():
    array, time_s = SolarArray(25.0), np.arange(CHUNK) * STEP_S
    cells_c = array._cell_c.copy()
    state = array.run(time_s, light_from(0, 0, 1), standing(0.0), np.zeros(CHUNK), 0.5)
    area = np.array([string.area_m2 for string in STRINGS])
    tilt = np.radians([string.forward_deg for string in STRINGS])
    plane = 900 * np.cos(tilt) + 90 * (1 + np.cos(tilt)) / 2
    assert state.plane_w_m2 == pytest.approx(np.broadcast_to(plane, (CHUNK, 3)))
    best = plane * area * EFFICIENCY * (1 + EFFICIENCY_PER_K * (cells_c - 25))
    assert state.available_w == pytest.approx(np.broadcast_to(best, (CHUNK, 3)))
    tracked = state.input_w / state.available_w
    assert 0.995 < tracked.min() < tracked.max() <= 1
    assert state.input_a * state.input_v == pytest.approx(state.input_w)
    converted = state.output_w / state.input_w
    assert 0.96 < converted.min() < converted.max() < 0.976
    assert state.total_w == pytest.approx(state.output_w.sum(axis=1))
    assert area.sum() == pytest.approx(4.0)


def test_strings_lean_towards_the_sun_or_away_from_it():
    time_s = np.arange(CHUNK) * STEP_S
    low = light_from(0.8, 0.0, 0.6)  # in the east
    eastwards, westwards = (
        SolarArray(25.0).run(time_s, low, standing(heading), np.zeros(CHUNK), 0.5).plane_w_m2[0]
        for heading in (0.0, np.pi)
    )
    assert eastwards[0] > eastwards[1] > eastwards[2]
    assert westwards[0] < westwards[1] < westwards[2]
    assert eastwards[1] == pytest.approx(westwards[1])


def test_hot_cells_give_less_and_wind_cools_them():
    time_s = np.arange(CHUNK) * STEP_S
    results = []
    for speed in (0.0, 18.0):
        array = SolarArray(25.0)
        for _ in range(300):
            state = array.run(time_s, light_from(0, 0, 1), standing(0.0), np.full(CHUNK, speed), 0.5)
        results.append(state)
    still, driven = results
    assert 60 < still.cell_c[-1].mean() < 85
    assert 28 < driven.cell_c[-1].mean() < 45
    assert still.total_w.mean() < 0.93 * driven.total_w.mean()
    assert still.input_v.mean() < driven.input_v.mean()


def test_at_rest_the_heat_of_a_cell_is_what_the_air_takes():
    array, time_s = SolarArray(25.0), np.arange(CHUNK) * STEP_S
    for _ in range(1_500):
        state = array.run(time_s, light_from(0, 0, 1), standing(0.0), np.zeros(CHUNK), 0.5)
    area = np.array([string.area_m2 for string in STRINGS])
    heat = 0.88 * state.plane_w_m2[-1] - state.input_w[-1] / area
    assert heat == pytest.approx(11.0 * (state.cell_c[-1] - 25.0), rel=0.02)


def test_a_full_battery_takes_no_more():
    time_s = np.arange(CHUNK) * STEP_S
    shares = [
        SolarArray(25.0).run(time_s, light_from(0, 0, 1), standing(0.0), np.zeros(CHUNK), soc)
        for soc in (0.9, 0.965, 1)
    ]
    open_w, limited_w, full_w = (state.total_w.mean() for state in shares)
    assert 0.4 * open_w < limited_w < 0.6 * open_w
    assert full_w == 0
    assert shares[1].input_v.mean() > shares[0].input_v.mean()


def test_what_the_sun_gives_goes_to_motor_auxiliaries_and_battery(day):
    motor, array = day["motor.electric_w"], day["array.total_w"]
    auxiliary = day.states[0].auxiliary_w
    terminal = day["battery.voltage_v"] * day["battery.current_a"]
    assert np.abs(terminal - (motor + auxiliary - array)).max() < 0.005 * np.abs(motor).max()
    assert terminal.sum() == pytest.approx((motor + auxiliary - array).sum(), rel=2e-3, abs=100)
    hours = len(motor) * STEP_S / 3600
    balance_wh = day["array_wh"][-1] - day["motor_wh"][-1] - auxiliary * hours
    assert balance_wh == pytest.approx(-day["battery.energy_wh"][-1], abs=0.5)
    assert day["recovered_wh"][-1] == pytest.approx(np.maximum(-motor, 0)[:-1].sum() * STEP_S / 3600)


def test_forces_along_the_way_are_exactly_the_kinetic_energy(day):
    against = sum(day[f"ride.{name}_n"] for name in ("brake", "air", "rolling", "slope"))
    given_j = np.cumsum((day["ride.drive_n"] - against) * day["ride.mean_m_s"]) * STEP_S
    kinetic_j = 0.5 * BODY.inertia_kg * day["ride.speed_m_s"] ** 2
    assert np.abs(given_j[:-1] - kinetic_j[1:]).max() < 1e-2


def test_motor_and_recovery_lose_both_ways(day):
    shaft, electric = day["motor.torque_nm"] * day["motor.rad_s"], day["motor.electric_w"]
    drives, recovers = (shaft > 300) & (day["ride.speed_m_s"] > 8), shaft < -300
    assert recovers.sum() > 100
    efficiency = shaft[drives] / electric[drives]
    assert 0.7 < efficiency.min() < efficiency.max() < 0.98
    assert (electric[recovers] / shaft[recovers]).max() < 0.98
    assert day["motor.back_emf_v"].max() < day["battery.voltage_v"].min()


def test_the_car_cruises_at_what_sun_and_battery_allow(day):
    speed = day["ride.speed_m_s"]
    assert 15 < speed[-10_000:].mean() < 21
    assert np.abs(day["ride.curvature_per_m"] * speed**2).max() < 3.6
    assert np.abs(day["ride.acceleration_m_s2"]).max() < 1.2
    lap = day["ride.last_lap_s"][np.flatnonzero(day["ride.lap"] == 3)[0]]
    assert day.track.length_m / lap == pytest.approx(speed[day["ride.lap"] == 2].mean(), rel=1e-3)


def test_a_dark_day_is_driven_slower():
    bright, dark = SolarCar(1), SolarCar(1)
    dark._sun_w, dark._battery.soc = 100.0, 0.3
    speeds = [Day(car, 240).states[-1].target_m_s for car in (bright, dark)]
    assert speeds[1] < speeds[0] - 3


def later(car, utc_h):
    """Move the car's clock of the sky."""
    car._step = round((utc_h * 3600 - BEGINS_S) / STEP_S)
    return car


def test_in_the_evening_the_car_is_called_in_and_stays():
    car = SolarCar(1)
    day = Day(car, 300)
    assert day["ride.speed_m_s"][-1] > 5
    evening = Day(later(car, 19.2), 700)
    assert evening["ride.lap"][-1] == 0
    laps = evening["ride.distance_m"][-1] / day.track.length_m
    assert laps == pytest.approx(round(laps), abs=1e-4)
    assert np.all(evening["ride.speed_m_s"][-1_000:] == 0)


def test_with_a_low_battery_the_car_waits_for_the_sun():
    car = SolarCar(1)
    car._battery.soc = 0.14
    waits = Day(car, 60)
    assert np.all(waits["ride.speed_m_s"] == 0)
    assert np.all(waits["battery.current_a"] < -3)
    car._battery.soc = 0.45
    assert np.all(Day(car, 20)["ride.speed_m_s"] == 0)
    car._battery.soc = 0.51
    assert Day(car, 20)["ride.speed_m_s"][-1] > 2


def test_through_night_and_the_next_day_all_stays_in_bounds():
    car, socs, moved = SolarCar(2), [], []
    for quarter in range(96):
        state = later(car, 10 + quarter / 4 + 0.001).run(CHUNK)
        socs.append(state.battery.soc[-1])
        moved.append(state.array.total_w.mean())
        assert np.all(np.isfinite(state.battery.voltage_v))
    assert min(moved) == 0
    assert max(moved) > 500
    assert 0 < min(socs) < max(socs) < 1


def test_an_engineer_finds_the_balance_again_in_the_log():
    """From the frames alone, by cantools: trackers, array, motor, battery and energy agree."""
    drive = log("ps", 120.0, 2)
    times, array = drive.values("PowerBalance", "Array")
    _, motor = drive.values("PowerBalance", "Motor")
    _, auxiliary = drive.values("PowerBalance", "Auxiliary")
    _, battery = drive.values("PowerBalance", "Battery")
    assert array + battery == pytest.approx(motor + auxiliary, abs=1.01)
    volt_t, volts = drive.values("BatteryPack", "Voltage")
    out = sum(np.interp(times, *drive.values(f"Mppt{name}", "OutputCurrent")) for name in ("Front", "Middle", "Rear"))
    assert out * np.interp(times, volt_t, volts) == pytest.approx(array, rel=0.02)
    _, total = drive.values("EnergyTotals", "Array")
    assert total[-1] == pytest.approx(np.trapezoid(array, times) / 3600, rel=0.01)
    _, sun = drive.values("Irradiance", "Horizontal")
    assert array / (sun * 4.0) == pytest.approx(0.2, abs=0.035)
    for name in ("Front", "Middle", "Rear"):
        tracker_t, string_v = drive.values(f"Mppt{name}", "InputVoltage")
        _, string_a = drive.values(f"Mppt{name}", "InputCurrent")
        _, into_a = drive.values(f"Mppt{name}", "OutputCurrent")
        assert into_a * np.interp(tracker_t, volt_t, volts) == pytest.approx(string_v * string_a, rel=0.05)


def test_a_lost_string_gives_nothing_and_the_others_as_before():
    ill, well = log("ps", 40.0, 1, "string_loss:3@10+20"), log("ps", 40.0, 1)
    times, amps = ill.values("MpptRear", "InputCurrent")
    during = (times > 10.1) & (times < 30)
    assert np.all(amps[during] == 0)
    assert amps[(times < 9.9) | (times > 30.1)].min() > 1
    assert set(ill.values("MpptRear", "State")[1][during]) == {0}
    for name in ("MpptFront", "MpptMiddle"):
        assert ill.values(name, "InputCurrent")[1] == pytest.approx(well.values(name, "InputCurrent")[1], abs=0.05)
    power_t, power = ill.values("PowerBalance", "Array")
    _, usual = well.values("PowerBalance", "Array")
    lost = (power_t > 10.2) & (power_t < 29.8)
    assert (power / usual)[lost] == pytest.approx(0.7, abs=0.06)
    _, current = ill.values("BatteryPack", "Current")
    _, before = well.values("BatteryPack", "Current")
    assert (current - before).mean() > 0.5  # the battery stands in


def test_only_strings_that_there_are_can_be_lost():
    with pytest.raises(UserError, match="no string '4'; strings are numbered 1 to 3"):
        SolarArray(20.0, [Fault.parse("string_loss:4@1+1")])


def test_the_winding_gets_hot_and_the_car_takes_care():
    ill = log("ps", 130.0, 1, "over_temperature@50+60")
    times, winding = ill.values("MotorTemperatures", "Winding")
    assert winding[times < 50].max() < 60
    assert winding.max() > 82
    _, state = ill.values("MotorController", "State")
    assert 4 in set(state)


def test_a_sagging_cell_is_named():
    ill = log("ps", 60.0, 1, "cell_sag@20+30")
    times, number = ill.values("CellSummary", "MinimumCell")
    assert set(number[(times > 20.3) & (times < 50)]) == {PACK.cells // 2}
