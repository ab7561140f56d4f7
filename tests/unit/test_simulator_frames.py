"""The simulator's frames, read by cantools, against the physical state that they tell of."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cantools
import numpy as np
import pytest

from ved.canbus.simulation.bus_timing import frame_bits
from ved.canbus.simulation.formula_student.car import STEP_S, Car
from ved.canbus.simulator import simulate_columns
from ved.config.vehicle import load_vehicle
from ved.errors import UserError
from ved.model.frames import FrameColumns, FrameFlag

FS = Path(__file__).parents[2] / "vehicles" / "fs"
VEHICLE = load_vehicle(FS)
CHUNK_STEPS = 400
SECONDS = 40.0
SEED = 11

DATABASES = {bus.index: cantools.database.load_string(bus.dbc_texts[0], "dbc", strict=True) for bus in VEHICLE.buses}
MESSAGES = {message.name: (bus, message) for bus, database in DATABASES.items() for message in database.messages}


@pytest.fixture(scope="module")
def frames():
    return FrameColumns.concatenate(list(simulate_columns(VEHICLE, SECONDS, SEED)))


@pytest.fixture(scope="module")
def states():
    car = Car(SEED)
    return [car.run(CHUNK_STEPS) for _ in range(round(SECONDS / (CHUNK_STEPS * STEP_S)))]


def of_message(frames, name):
    bus, message = MESSAGES[name]
    extended = int(FrameFlag.EXTENDED) if message.is_extended_frame else 0
    return frames.take((frames.bus == bus) & (frames.arbitration_id == message.frame_id) & (frames.flags == extended))


def decoded(frames, name, signal):
    """Times in s and values, by cantools; frames whose page lacks the signal are left out."""
    _, message = MESSAGES[name]
    own = of_message(frames, name)
    assert set(own.length.tolist()) == {message.length}
    out = []
    for t_us, payload in zip(own.t_us.tolist(), own.payload, strict=True):
        values = message.decode(payload[: message.length].tobytes(), decode_choices=False)
        if signal in values:
            out.append((t_us / 1e6, float(values[signal])))
    times, values = np.array(out).T
    return times, values


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
def test_an_independent_reader_finds_the_cars_state(frames, states, name, signal):
    truth = np.concatenate([TRUTHS[name, signal](state) for state in states])
    times, values = decoded(frames, name, signal)
    # A frame tells of the step in which its control unit sampled: a little before it was on the bus.
    last = np.minimum((times / STEP_S).astype(int), len(truth) - 1)
    steps = np.stack([np.maximum(last - back, 0) for back in range(3)])
    definition = MESSAGES[name][1].get_signal_by_name(signal)
    slack = (
        NOISE.get((name, signal), 0.0)
        + (0 if definition.is_float else 0.51 * definition.scale)
        + 1e-6 * np.abs(truth).max()
    )
    assert len(values) > 30
    assert np.all(values >= truth[steps].min(axis=0) - slack)
    assert np.all(values <= truth[steps].max(axis=0) + slack)
    assert np.ptp(values) > 0 or np.ptp(truth) < 10 * slack


def test_every_message_comes_in_its_rhythm(frames):
    for name, (_, message) in MESSAGES.items():
        own = of_message(frames, name)
        assert len(own) == pytest.approx(SECONDS * 1000 / message.cycle_time, abs=2), name
        steps = np.diff(own.t_us)
        assert np.abs(steps - message.cycle_time * 1000).max() < 2_500, name
        assert np.ptp(steps) > 10, name  # and not like a metronome
    assert len(frames) == pytest.approx(6_040 * SECONDS, rel=0.001)


def test_no_frame_comes_that_the_files_do_not_know(frames):
    total = sum(len(of_message(frames, name)) for name in MESSAGES)
    assert total == len(frames)


def test_frames_are_in_order_and_do_not_overlap_on_a_bus(frames):
    assert np.all(np.diff(frames.t_us) >= 0)
    bits = {(bus, m.frame_id): frame_bits(m.length, m.is_extended_frame) for bus, m in MESSAGES.values()}
    for bus in VEHICLE.buses:
        own = frames.take(frames.bus == bus.index)
        duration_us = np.array([bits[bus.index, key] for key in own.arbitration_id.tolist()]) * 1e6 / bus.bitrate_hz
        assert np.all(np.diff(own.t_us) >= np.floor(duration_us[1:]))


def test_payload_beyond_the_length_is_nought(frames):
    columns = np.arange(frames.payload.shape[1])
    assert not frames.payload[columns >= frames.length[:, None]].any()


def test_no_value_leaves_the_bounds_that_its_file_states(frames):
    for name, (_, message) in MESSAGES.items():
        own = of_message(frames, name)
        for payload in own.payload[:: max(1, len(own) // 60)]:
            values = message.decode(payload[: message.length].tobytes(), decode_choices=False)
            for signal, value in values.items():
                definition = message.get_signal_by_name(signal)
                assert definition.minimum <= value <= definition.maximum, f"{name}.{signal} = {value}"


def test_value_tables_have_a_text_for_every_value(frames):
    for name, (_, message) in MESSAGES.items():
        own = of_message(frames, name)
        for payload in own.payload[:: max(1, len(own) // 60)]:
            values = message.decode(payload[: message.length].tobytes())
            for signal, value in values.items():
                if message.get_signal_by_name(signal).choices:
                    assert isinstance(value, cantools.database.namedsignalvalue.NamedSignalValue), (
                        f"{name}.{signal} = {value}"
                    )


def test_counters_count_every_frame(frames):
    counted = [name for name, (_, message) in MESSAGES.items() if any(s.name == "Counter" for s in message.signals)]
    assert len(counted) >= 6
    for name in counted:
        _, values = decoded(frames, name, "Counter")
        assert np.all(np.diff(values) % 16 == 1), name


def test_the_checksum_is_crc8_sae_j1850(frames):
    """Bit by bit, as the standard writes it, not by the table that made it."""
    assert crc8_by_bits(b"123456789") == 0x4B  # the published check value
    own = of_message(frames, "TorqueDemand")
    for payload in own.payload[::50]:
        assert crc8_by_bits(payload[:7].tobytes()) == payload[7]


def crc8_by_bits(data):
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1D if crc & 0x80 else crc << 1) & 0xFF
    return crc ^ 0xFF


def test_pages_follow_one_another(frames):
    for name, pages in {"CellVoltages": 32, "CellTemperatures": 3}.items():
        _, values = decoded(frames, name, "Page")
        assert np.all(np.diff(values) % pages == 1), name


def test_gps_stays_near_the_car(frames, states):
    """Decoded latitude and longitude against the car's place in metres, through an independent projection."""
    x = np.concatenate([state.dynamics.x_m for state in states])
    y = np.concatenate([state.dynamics.y_m for state in states])
    track = states[0].track
    times, latitude = decoded(frames, "GpsPosition", "Latitude")
    _, longitude = decoded(frames, "GpsPosition", "Longitude")
    steps = np.minimum((times / STEP_S).astype(int), len(x) - 1)
    north = (latitude - track.latitude_deg) * 111_195.0
    east = (longitude - track.longitude_deg) * 111_195.0 * np.cos(np.radians(track.latitude_deg))
    error = np.hypot(east - x[steps], north - y[steps])
    assert 0.01 < np.median(error) < 2.0
    assert error.max() < 4.0
    assert set(decoded(frames, "GpsStatus", "FixValid")[1]) == {1.0}


def test_measured_quantities_agree_with_one_another(frames):
    """As an engineer would check a log: power from U and I, speed from wheels and GPS, energy from power."""
    times, power = decoded(frames, "BatteryPower", "Power")
    _, energy = decoded(frames, "BatteryPower", "EnergyUsed")
    assert energy[-1] - energy[0] == pytest.approx(power.sum() * 0.01 / 3600, rel=0.01)
    meter_t, volts = decoded(frames, "EnergyMeter", "Voltage")
    _, amps = decoded(frames, "EnergyMeter", "Current")
    assert np.interp(times, meter_t, volts * amps / 1000) == pytest.approx(power, abs=2.5)
    gps_t, gps = decoded(frames, "GpsMotion", "Speed")
    motion_t, speed = decoded(frames, "VehicleMotion", "Speed")
    assert np.interp(gps_t, motion_t, speed) == pytest.approx(gps, abs=1.5)
    _, distance = decoded(frames, "VehicleMotion", "Distance")
    assert distance[-1] - distance[0] == pytest.approx(speed.sum() / 3.6 * 0.01, rel=0.005)


def test_the_seed_makes_the_frames(frames):
    again = FrameColumns.concatenate(list(simulate_columns(VEHICLE, 6.0, SEED)))
    assert again.equals(frames.take(slice(0, len(again))))
    other = FrameColumns.concatenate(list(simulate_columns(VEHICLE, 6.0, SEED + 1)))
    assert not other.equals(again)


@pytest.mark.parametrize("seconds", [0.0, 0.5, 2.0, 3.25])
def test_just_as_much_as_was_asked_for(seconds):
    parts = list(simulate_columns(VEHICLE, seconds))
    frames = FrameColumns.concatenate(parts)
    assert len(frames) == pytest.approx(6_040 * seconds, rel=0.01, abs=60 if seconds else 0)
    assert len(frames) == 0 or frames.t_us[-1] < seconds * 1e6


def test_a_vehicle_without_a_model_is_refused():
    with pytest.raises(UserError, match=r'vehicle fs cannot be simulated.*"formula_student"'):
        simulate_columns(replace(VEHICLE, simulator=""), 1.0)


def edited(old, new):
    bus = VEHICLE.buses[0]
    assert old in bus.dbc_texts[0]
    return replace(VEHICLE, buses=(replace(bus, dbc_texts=(bus.dbc_texts[0].replace(old, new),)), *VEHICLE.buses[1:]))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            " Inverter: 8 Inverter",
            " Invertor: 8 Inverter",
            "message Inverter, which the vehicle's DBC files do not have",
        ),
        ("SG_ MotorTorque :", "SG_ MotorTorc :", "Inverter.MotorTorque, which the vehicle's DBC files do not have"),
        ('BA_ "GenMsgCycleTime" BO_ 160 5;', "", "message Inverter has no GenMsgCycleTime"),
    ],
)
def test_dbc_files_that_do_not_fit_the_model_are_refused(old, new, told):
    with pytest.raises(UserError, match=told):
        list(simulate_columns(edited(old, new), 1.0))


def test_a_message_that_the_model_does_not_send_is_refused():
    more = 'BO_ 2000 Extra: 1 VCU\n SG_ A : 0|8@1+ (1,0) [0|255] "" Logger\n\nBO_ 160 Inverter'
    vehicle = edited("BO_ 160 Inverter", more)
    bus = vehicle.buses[0]
    cycle = bus.dbc_texts[0] + 'BA_ "GenMsgCycleTime" BO_ 2000 100;\n'
    vehicle = replace(vehicle, buses=(replace(bus, dbc_texts=(cycle,)), *vehicle.buses[1:]))
    with pytest.raises(UserError, match="the simulator's car has no message Extra"):
        list(simulate_columns(vehicle, 1.0))


def test_it_needs_neither_numba_nor_pyarrow():
    program = (
        "import sys; from pathlib import Path; from ved.config.vehicle import load_vehicle;"
        "from ved.canbus.simulator import simulate_columns;"
        f"next(simulate_columns(load_vehicle(Path({str(FS)!r})), 1.0));"
        "print(sorted({'numba', 'pyarrow', 'cantools', 'pandas'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
