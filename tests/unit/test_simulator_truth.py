"""The Formula Student simulator's frames, read by cantools, against the physical state that they tell of."""

import numpy as np
import pytest
from tests.unit.simulated import log

from ved.canbus.simulation.formula_student.car import STEP_S, Car

CHUNK_STEPS = 400
SECONDS = 40.0
SEED = 11
LOG = log("fs", SECONDS, SEED)


@pytest.fixture(scope="module")
def states():
    car = Car(SEED)
    return [car.run(CHUNK_STEPS) for _ in range(round(SECONDS / (CHUNK_STEPS * STEP_S)))]


TRUTHS = {
    ("VehicleMotion", "Speed"): lambda s: 3.6 * s.motion.speed_m_s,
    ("VehicleMotion", "Distance"): lambda s: s.motion.distance_m,
    ("Inverter", "MotorSpeed"): lambda s: s.powertrain.motor_rad_s * 30 / np.pi,
    ("Inverter", "TorqueCommand"): lambda s: s.powertrain.torque_nm,
    ("InverterInput", "Power"): lambda s: s.powertrain.inverter_w / 1000,
    ("MotorControl", "CurrentQCommand"): lambda s: s.powertrain.current_q_a,
    ("BatteryPack", "Voltage"): lambda s: s.battery.voltage_v,
    ("BatteryPack", "StateOfCharge"): lambda s: 100 * s.battery.soc,
    ("BatteryPower", "Power"): lambda s: s.battery.voltage_v * s.battery.current_a / 1000,
    ("BatteryPower", "EnergyUsed"): lambda s: s.battery.energy_wh / 1000,
    ("CellVoltages", "Cell01"): lambda s: s.battery.cell_v[:, 0],
    ("CellVoltages", "Cell96"): lambda s: s.battery.cell_v[:, 95],
    ("CellTemperatures", "Sensor18"): lambda s: s.battery.sensor_c[:, 17],
    ("CellSummary", "MinimumVoltage"): lambda s: s.battery.cell_v.min(axis=1),
    ("WheelSlip", "RearLeft"): lambda s: 100 * s.dynamics.slip[:, 2],
    ("WheelLoads", "FrontRight"): lambda s: s.dynamics.load_n[:, 1],
    ("DamperTravel", "FrontLeft"): lambda s: s.dynamics.damper_mm[:, 0],
    ("LapTimer", "Lap"): lambda s: s.motion.lap,
    ("Regeneration", "Torque"): lambda s: np.minimum(s.powertrain.torque_nm, 0),
    ("EnergyMeter", "Current"): lambda s: s.battery.current_a,
    ("CurrentSensor", "Current"): lambda s: s.battery.current_a,
    ("InverterTemperatures", "ModuleB"): lambda s: s.heat.module_c,
    ("LowVoltage", "StateOfCharge"): lambda s: 100 * s.low_voltage.soc,
    ("BrakePressures", "Front"): lambda s: s.dynamics.front_bar,
    ("Steering", "Angle"): lambda s: s.dynamics.steering_deg,
}
NOISE = {
    ("EnergyMeter", "Current"): 0.2,
    ("CurrentSensor", "Current"): 0.25,
    ("InverterTemperatures", "ModuleB"): 0.5,
    ("BrakePressures", "Front"): 0.25,
    ("Steering", "Angle"): 0.5,
}


@pytest.mark.parametrize(("name", "signal"), TRUTHS, ids=lambda part: part)
def test_an_independent_reader_finds_the_cars_state(states, name, signal):
    truth = np.concatenate([TRUTHS[name, signal](state) for state in states])
    times, values = LOG.values(name, signal)
    # A frame tells of the step in which its control unit sampled: a little before it was on the bus.
    last = np.minimum((times / STEP_S).astype(int), len(truth) - 1)
    steps = np.stack([np.maximum(last - back, 0) for back in range(3)])
    definition = LOG.messages[name][1].get_signal_by_name(signal)
    slack = (
        NOISE.get((name, signal), 0.0)
        + (0 if definition.is_float else 0.51 * definition.scale)
        + 1e-6 * np.abs(truth).max()
    )
    assert len(values) > 30
    assert np.all(values >= truth[steps].min(axis=0) - slack)
    assert np.all(values <= truth[steps].max(axis=0) + slack)
    assert np.ptp(values) > 0 or np.ptp(truth) < 10 * slack


def test_gps_stays_near_the_car(states):
    """Decoded latitude and longitude against the car's place in metres, through an independent projection."""
    x = np.concatenate([state.dynamics.x_m for state in states])
    y = np.concatenate([state.dynamics.y_m for state in states])
    track = states[0].track
    times, latitude = LOG.values("GpsPosition", "Latitude")
    _, longitude = LOG.values("GpsPosition", "Longitude")
    steps = np.minimum((times / STEP_S).astype(int), len(x) - 1)
    north = (latitude - track.latitude_deg) * 111_195.0
    east = (longitude - track.longitude_deg) * 111_195.0 * np.cos(np.radians(track.latitude_deg))
    error = np.hypot(east - x[steps], north - y[steps])
    assert 0.01 < np.median(error) < 2.0
    assert error.max() < 4.0
    assert set(LOG.values("GpsStatus", "FixValid")[1]) == {1.0}


def test_measured_quantities_agree_with_one_another():
    """As an engineer would check a log: power from U and I, speed from wheels and GPS, energy from power."""
    times, power = LOG.values("BatteryPower", "Power")
    _, energy = LOG.values("BatteryPower", "EnergyUsed")
    assert energy[-1] - energy[0] == pytest.approx(power.sum() * 0.01 / 3600, rel=0.01)
    meter_t, volts = LOG.values("EnergyMeter", "Voltage")
    _, amps = LOG.values("EnergyMeter", "Current")
    assert np.interp(times, meter_t, volts * amps / 1000) == pytest.approx(power, abs=2.5)
    gps_t, gps = LOG.values("GpsMotion", "Speed")
    motion_t, speed = LOG.values("VehicleMotion", "Speed")
    assert np.interp(gps_t, motion_t, speed) == pytest.approx(gps, abs=1.5)
    _, distance = LOG.values("VehicleMotion", "Distance")
    assert distance[-1] - distance[0] == pytest.approx(speed.sum() / 3.6 * 0.01, rel=0.005)
