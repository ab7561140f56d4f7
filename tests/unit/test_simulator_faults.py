"""Faults show where they should, when they should, and nowhere else."""

import numpy as np
import pytest
from tests.unit.simulated import log, messages, vehicle

from ved.canbus.faults import Fault, FaultKind
from ved.canbus.simulation.formula_student.car import STEP_S, Car
from ved.canbus.simulation.formula_student.signals import powertrain_signals
from ved.canbus.simulation.signals import Noise
from ved.canbus.simulator import SimulatorSource
from ved.errors import UserError

VEHICLE = vehicle("fs")
MESSAGES = messages("fs")
CHUNK_STEPS = 400
SECONDS = 24.0
START, END = 12.0, 20.0


def simulate(*faults):
    return log("fs", SECONDS, 3, *faults)


@pytest.fixture(scope="module")
def healthy():
    return simulate()


def test_a_dropout_silences_one_message_in_its_time_and_changes_no_other(healthy):
    faulty = simulate(f"sensor_dropout:BrakePressures@{START}+{END - START}")

    times = faulty.of("BrakePressures").t_us / 1e6
    assert np.sum((times > START + 0.01) & (times < END - 0.01)) == 0
    expected = healthy.of("BrakePressures")
    outside = (expected.t_us / 1e6 < START - 0.01) | (expected.t_us / 1e6 > END + 0.01)
    assert np.count_nonzero((times < START - 0.01) | (times > END + 0.01)) == pytest.approx(outside.sum(), abs=2)
    for name in MESSAGES.keys() - {"BrakePressures"}:
        assert np.array_equal(faulty.of(name).payload, healthy.of(name).payload), name


def test_the_counter_shows_how_much_a_dropout_took():
    times, counter = simulate("sensor_dropout:Pedals@15+0.05").values("Pedals", "Counter")
    steps = np.diff(counter) % 16
    jumps = np.flatnonzero(steps != 1)
    assert len(jumps) == 1
    assert times[jumps[0]] == pytest.approx(15.0, abs=0.01)
    assert steps[jumps[0]] == 11  # ten frames of 5 ms are missing


def test_wheel_speeds_drop_out_unless_another_message_is_named(healthy):
    faulty = simulate("sensor_dropout@12+6")
    assert len(faulty.of("WheelSpeeds")) == pytest.approx(len(healthy.of("WheelSpeeds")) * 0.75, rel=0.01)


def test_a_sagging_cell_shows_in_its_own_voltage_and_the_summary(healthy):
    faulty = simulate(f"cell_sag:17@{START}+{END - START}")

    times, minimum = faulty.values("CellSummary", "MinimumVoltage")
    _, before = healthy.values("CellSummary", "MinimumVoltage")
    # Its resistance has grown too: while the car recovers energy, the cell may even stand above the others.
    during = (times > START + 0.02) & (times < END - 0.02) & (faulty.values("BatteryPack", "Current")[1] > 1)
    assert during.sum() > 200
    assert np.all(minimum[during] < before[during] - 0.1)
    assert minimum[during].min() < before[during].min() - 0.4
    assert minimum[times < START - 0.02] == pytest.approx(before[times < START - 0.02])
    assert minimum[times > END + 0.02] == pytest.approx(before[times > END + 0.02], abs=2e-3)
    _, number = faulty.values("CellSummary", "MinimumCell")
    assert set(number[during]) == {17}
    cell_t, cell = faulty.values("CellVoltages", "Cell17")
    _, cell_before = healthy.values("CellVoltages", "Cell17")
    ill = (cell_t > START + 0.02) & (cell_t < END - 0.02)
    assert (cell - cell_before)[ill].min() < -0.2
    assert cell[~ill] == pytest.approx(cell_before[~ill], abs=2e-3)
    for other in ("Cell16", "Cell18", "Cell42"):
        _, theirs = faulty.values("CellVoltages", other)
        assert theirs == pytest.approx(healthy.values("CellVoltages", other)[1], abs=2e-3), other
    _, state = faulty.values("BatteryPack", "State")
    state_t = faulty.of("BatteryPack").t_us / 1e6
    assert set(state[during]) == {5}  # Warning
    assert 5 not in set(state[(state_t < START - 0.02) | (state_t > END + 0.02)])


def test_a_sagging_cell_leaves_the_chassis_alone(healthy):
    faulty = simulate(f"cell_sag@{START}+{END - START}")
    for name, (bus, _) in MESSAGES.items():
        if bus.index == 1:
            assert np.array_equal(faulty.of(name).payload, healthy.of(name).payload), name


def test_over_temperature_heats_the_motor_and_stops_the_coolant(healthy):
    faulty = simulate(f"over_temperature@{START}+{END - START}")

    flow_t, flow = faulty.values("Cooling", "FlowRate")
    during = (flow_t > START + 0.02) & (flow_t < END - 0.02)
    assert flow[during].max() < 1.0
    assert flow[~during & (flow_t > 5) & (np.abs(flow_t - START) > 0.05) & (np.abs(flow_t - END) > 0.05)].min() > 8.0
    heat_t, winding = faulty.values("MotorTemperatures", "Winding")
    _, cool = healthy.values("MotorTemperatures", "Winding")
    assert winding[heat_t < START] == pytest.approx(cool[heat_t < START])
    at_end = np.searchsorted(heat_t, END)
    assert winding[at_end] > cool[at_end] + 8
    excess = (winding - cool)[heat_t > END]
    assert excess[-1] < excess[0] - 0.2  # it cools down again
    for name in ("WheelSpeeds", "GpsPosition", "BrakeTemperatures", "TyreTemperaturesFront", "Steering"):
        assert np.array_equal(faulty.of(name).payload, healthy.of(name).payload), name


def test_half_a_minute_of_over_temperature_makes_a_warm_car_derate():
    car, derating = Car(3, [Fault.parse("over_temperature@300+30")]), []
    for _ in range(170):
        state = car.run(CHUNK_STEPS)
        signals = powertrain_signals(state, Noise(np.random.default_rng(0), CHUNK_STEPS))
        derating.append(signals["VehicleControl"]["Derating"])
        in_inverter = signals["Inverter"]["State"] == 4
        assert np.array_equal(in_inverter, derating[-1] == 1)
    times = np.arange(170 * CHUNK_STEPS) * STEP_S
    derating = np.concatenate(derating)
    assert not derating[times < 310].any()
    assert derating[(times > 327) & (times < 331)].all()


def test_faults_are_written_as_kind_target_and_time():
    assert Fault.parse("over_temperature@60+30") == Fault(FaultKind.OVER_TEMPERATURE, 60.0, 30.0)
    assert Fault.parse(" cell_sag:7@1.5+0.25 ") == Fault(FaultKind.CELL_SAG, 1.5, 0.25, "7")
    assert Fault.parse("sensor_dropout:GpsPosition@0+5").target == "GpsPosition"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "write it KIND"),
        ("over_temperature", "write it KIND"),
        ("over_temperature@60", "write it KIND"),
        ("over_temperature@60+", "write it KIND"),
        ("over_temperature@-1+5", "write it KIND"),
        (
            "overheating@60+30",
            "no kind 'overheating'; the kinds are over_temperature, cell_sag, string_loss",
        ),
        ("over_temperature:motor@1+1", "over_temperature takes no target; leave ':motor' out"),
    ],
)
def test_a_fault_that_cannot_be_read_is_told(text, told):
    with pytest.raises(UserError, match=told):
        Fault.parse(text)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("cell_sag:97@1+1", "no cell '97'; cells are numbered 1 to 96"),
        ("cell_sag:0@1+1", "no cell '0'"),
        ("cell_sag:left@1+1", "no cell 'left'"),
        ("string_loss@1+1", "vehicle fs cannot have it, only over_temperature, cell_sag, sensor_dropout"),
        ("sensor_dropout:Steerin@1+1", "no message 'Steerin'; messages are Inverter,"),
    ],
)
def test_a_fault_with_a_wrong_target_is_refused_before_the_car_starts(fault, told):
    with pytest.raises(UserError, match=told):
        SimulatorSource(VEHICLE, faults=[Fault.parse(fault)])
