"""The car's physics: what goes in comes out, and every figure agrees with the others."""

from dataclasses import fields

import numpy as np
import pytest

from ved.canbus.faults import Fault
from ved.canbus.simulation.battery import Battery
from ved.canbus.simulation.formula_student.car import PACK, STEP_S, Car
from ved.canbus.simulation.formula_student.dynamics import MASS_KG
from ved.canbus.simulation.formula_student.heat import DISC_J_K
from ved.canbus.simulation.formula_student.powertrain import DC_DC_EFFICIENCY, GEAR_EFFICIENCY

CHUNK = 400


def run(seconds, seed=1, faults=(), car=None):
    car = car or Car(seed, faults)
    return [car.run(CHUNK) for _ in range(round(seconds / (CHUNK * STEP_S)))]


def column(states, group, name):
    return np.concatenate([getattr(getattr(state, group), name) for state in states])


@pytest.fixture(scope="module")
def stint():
    return run(300)


def test_terminal_power_is_voltage_times_current(stint):
    power = column(stint, "battery", "voltage_v") * column(stint, "battery", "current_a")
    asked = np.concatenate([state.powertrain.battery_w for state in stint])
    assert np.abs(power - asked).max() < 0.02 * np.abs(asked).max()
    assert power.sum() == pytest.approx(asked.sum(), rel=1e-3)


def test_pack_voltage_is_the_sum_of_the_cells(stint):
    cells = column(stint, "battery", "cell_v")
    assert cells.shape[1] == PACK.cells
    assert cells.sum(axis=1) == pytest.approx(column(stint, "battery", "voltage_v"))
    spread = cells.max(axis=1) - cells.min(axis=1)
    assert spread.min() > 0.002
    assert spread.max() < 0.1
    assert 3.0 < cells.min() < cells.max() < 4.2


def test_charge_and_energy_are_the_integrals_of_current_and_power(stint):
    current, voltage = column(stint, "battery", "current_a"), column(stint, "battery", "voltage_v")
    soc, energy = column(stint, "battery", "soc"), column(stint, "battery", "energy_wh")
    assert soc[0] - soc[-1] == pytest.approx(current[:-1].sum() * STEP_S / 3600 / PACK.capacity_ah, rel=1e-3)
    assert energy[-1] == pytest.approx((current * voltage)[:-1].sum() * STEP_S / 3600, rel=1e-3)
    recovered = column(stint, "battery", "recovered_wh")[-1]
    assert 0.05 < recovered / energy[-1] < 0.4


def test_inverter_power_is_shaft_power_and_losses(stint):
    shaft = column(stint, "powertrain", "torque_nm") * column(stint, "powertrain", "motor_rad_s")
    losses = sum(column(stint, "powertrain", name) for name in ("winding_loss_w", "iron_loss_w", "inverter_loss_w"))
    power = column(stint, "powertrain", "inverter_w")
    assert power == pytest.approx(shaft + losses)
    pulls = shaft > 10_000
    efficiency = shaft[pulls] / power[pulls]
    assert 0.85 < efficiency.min() < efficiency.max() < 0.99


def test_energy_at_the_road_is_what_the_motion_needs(stint):
    """Motor and brakes pay for drag, rolling and the change of kinetic energy: summed over the whole stint."""
    speed = column(stint, "motion", "speed_m_s")
    motor, brake, drag = (column(stint, "dynamics", name) for name in ("motor_n", "brake_n", "drag_n"))
    given = ((motor - brake) * speed).sum() * STEP_S
    spent = (drag * speed).sum() * STEP_S + 0.018 * MASS_KG * 9.80665 * column(stint, "motion", "distance_m")[-1]
    kinetic = 0.5 * MASS_KG * 1.05 * speed[-1] ** 2
    assert given == pytest.approx(spent + kinetic, rel=0.03)


def test_force_and_torque_agree_through_the_gear(stint):
    """Shaft power is the road's, plus what tyre slip and the gear take."""
    shaft = column(stint, "powertrain", "torque_nm") * column(stint, "powertrain", "motor_rad_s")
    road = column(stint, "dynamics", "motor_n") * column(stint, "motion", "speed_m_s")
    pulls = road > 5_000
    share = road[pulls] / shaft[pulls]
    assert share.max() < GEAR_EFFICIENCY * 1.01
    assert share.min() > 0.85


def test_wheels_turn_with_the_road_but_for_slip(stint):
    wheels, speed = column(stint, "dynamics", "wheel_m_s"), column(stint, "motion", "speed_m_s")
    fast = speed > 8
    assert wheels[fast].mean(axis=1) == pytest.approx(speed[fast], rel=0.08)
    pulls = fast & (column(stint, "dynamics", "motor_n") > 1_000)
    brakes = fast & (column(stint, "dynamics", "brake_n") > 1_000)
    assert np.all(wheels[pulls, 2:].mean(axis=1) > wheels[pulls, :2].mean(axis=1))
    assert np.all(wheels[brakes, :2].mean(axis=1) < speed[brakes])
    left_turn = fast & (column(stint, "dynamics", "lateral_m_s2") > 5)
    assert np.all(wheels[left_turn, 0] < wheels[left_turn, 1])
    load = column(stint, "dynamics", "load_n")
    assert np.all(load[left_turn, 0] < load[left_turn, 1])


def test_discs_take_the_energy_of_the_brakes(stint):
    """What the four discs hold can never be more than what the brakes gave, and is a good part of it at first."""
    disc = column(stint, "heat", "disc_c")
    first = 5_000  # 25 s: little has been given to the air
    brake_j = (column(stint, "dynamics", "brake_n") * column(stint, "motion", "speed_m_s"))[:first].sum() * STEP_S
    held_j = ((disc[first] - disc[0]) * DISC_J_K).sum()
    assert 0.5 * brake_j < held_j < 1.05 * brake_j
    assert disc.max() < 450


def test_everything_warms_and_nothing_boils(stint):
    for name, most in {"winding_c": 105, "module_c": 75, "water_c": 60, "tyre_c": 130}.items():
        values = column(stint, "heat", name)
        assert values[-1].mean() > values[0].mean() + 2, name
        assert values.max() < most, name
    assert 0.5 < column(stint, "battery", "sensor_c")[-1].mean() - column(stint, "battery", "sensor_c")[0].mean() < 25


def test_the_converter_feeds_the_12_volt_side_while_power_is_on(stint):
    on = column(stint, "sequence", "closed")
    current, voltage = column(stint, "low_voltage", "current_a"), column(stint, "low_voltage", "voltage_v")
    assert np.all(current[~on] > 0)
    assert np.all(current[on] < 0)
    assert voltage[~on].max() < voltage[on].min()
    load, dc_dc = column(stint, "powertrain", "low_voltage_w"), column(stint, "powertrain", "dc_dc_w")
    assert np.all(dc_dc[on] * DC_DC_EFFICIENCY > load[on])


def test_power_up_goes_step_by_step(stint):
    link = column(stint, "sequence", "link_share")
    precharge, closed, ready = (column(stint, "sequence", name) for name in ("precharge", "closed", "ready"))
    order = [int(np.flatnonzero(steps)[0]) for steps in (precharge, closed, ready)]
    assert order == sorted(set(order))
    assert np.all(link[: order[0]] == 0)
    assert link[order[1] - 1] > 0.95
    moving = column(stint, "motion", "speed_m_s") > 0
    assert np.all(ready[moving])


def test_lap_energy_begins_at_nought_and_sums_to_the_battery_energy(stint):
    lap, energy = column(stint, "motion", "lap"), np.concatenate([state.lap_energy_wh for state in stint])
    starts = np.flatnonzero(np.diff(lap)) + 1
    assert energy[starts] == pytest.approx(0.0)
    total = energy[starts[1:] - 1].sum() + energy[starts[0] - 1] + energy[-1]
    assert total == pytest.approx(column(stint, "battery", "energy_wh")[-1], rel=0.01)


def test_all_columns_have_one_value_per_step_and_no_holes(stint):
    state = stint[3]
    for group in (
        state.motion,
        state.dynamics,
        state.sequence,
        state.powertrain,
        state.battery,
        state.heat,
        state.low_voltage,
    ):
        for field in fields(group):
            values = np.asarray(getattr(group, field.name))
            assert values.ndim == 0 or len(values) == CHUNK, field.name
            assert np.all(np.isfinite(values)), field.name


def test_a_charged_battery_is_fitted_while_the_power_is_off():
    car = Car(1)
    run(20, car=car)
    car._battery.soc = 0.12
    states = run(200, car=car)
    soc, closed = column(states, "battery", "soc"), column(states, "sequence", "closed")
    change = np.flatnonzero(np.diff(soc) > 0.4)
    assert len(change) == 1
    assert not closed[change[0] : change[0] + 2].any()
    assert column(states, "motion", "speed_m_s")[change[0]] == 0
    assert soc[-1] > 0.8
    after = [state for state in states if state.cycles > states[0].cycles]
    assert after[0].battery.energy_wh[0] == 0
    assert column(states, "motion", "speed_m_s")[-1] > 0


def battery(faults=()):
    return Battery(PACK, np.random.default_rng(0), 20.0, faults)


def test_a_resting_battery_keeps_its_charge_and_open_voltage():
    pack = battery()
    time_s = np.arange(2_000) * STEP_S
    state = pack.run(time_s, STEP_S, np.zeros(2_000), np.zeros(2_000))
    assert np.all(state.current_a == 0)
    assert np.ptp(state.voltage_v) == 0
    assert 96 * 4.0 < state.voltage_v[0] < 96 * 4.2


def test_chemical_energy_is_terminal_energy_and_losses():
    """Open-circuit voltage times current must be what leaves at the terminals plus what becomes heat."""
    pack = battery()
    total_j = lost_j = chemical_j = 0.0
    for chunk in range(40):
        time_s = (chunk * CHUNK + np.arange(CHUNK)) * STEP_S
        state = pack.run(time_s, STEP_S, np.full(CHUNK, 20_000.0), np.full(CHUNK, 15.0))
        total_j += (state.voltage_v * state.current_a).sum() * STEP_S
        lost_j += state.loss_w.sum() * STEP_S
        rested = battery()
        rested.soc = float(state.soc[0])
        open_v = rested.run(time_s[:1], STEP_S, np.zeros(1), np.zeros(1)).voltage_v[0]
        chemical_j += open_v * state.current_a.sum() * STEP_S
    assert total_j == pytest.approx(20_000 * 40 * CHUNK * STEP_S, rel=1e-3)
    assert total_j + lost_j == pytest.approx(chemical_j, rel=2e-3)


def test_voltage_sags_under_load_and_comes_back_slowly():
    pack = battery()
    power = np.concatenate((np.zeros(400), np.full(2_000, 30_000.0), np.zeros(2_000)))
    parts = [pack.run(np.arange(400) * STEP_S, STEP_S, chunk, np.zeros(400)) for chunk in power.reshape(-1, 400)]
    voltage = np.concatenate([part.voltage_v for part in parts])
    assert voltage[399] - voltage[401] > 10  # series resistance: at once
    assert voltage[401] - voltage[2_399] > 2  # the RC pair and the charge: over seconds
    assert voltage[2_401] < voltage[-1] < voltage[399]


def test_a_sagging_cell_is_low_alone_and_only_in_its_time():
    fault = Fault.parse("cell_sag:7@1+1")
    time_s, power = np.arange(800) * STEP_S, np.full(800, 15_000.0)
    well = battery().run(time_s, STEP_S, power, np.zeros(800))
    ill = battery([fault]).run(time_s, STEP_S, power, np.zeros(800))
    during = fault.is_active(time_s)
    assert np.all(ill.cell_v[during, 6] < well.cell_v[during, 6] - 0.1)
    assert np.all(ill.cell_v.argmin(axis=1)[during] == 6)
    assert ill.cell_v[~during] == pytest.approx(well.cell_v[~during], abs=2e-3)
    others = np.delete(np.arange(PACK.cells), 6)
    assert ill.cell_v[:, others] == pytest.approx(well.cell_v[:, others], abs=2e-3)
    assert ill.current_a[during].mean() > well.current_a[during].mean()  # the same power at less voltage
