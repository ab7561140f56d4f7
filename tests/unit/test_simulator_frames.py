"""The simulator's frames, read by cantools: as a bus would carry them, as the DBC files say, the same every time."""

import subprocess
import sys
from dataclasses import replace

import cantools
import numpy as np
import pytest
from tests.unit.simulated import NAMES, VEHICLES, log, vehicle

from ved.canbus.simulation.bus_timing import frame_bits
from ved.canbus.simulator import simulate_columns
from ved.errors import UserError
from ved.model.frames import FrameColumns

FS = VEHICLES / "fs"
VEHICLE = vehicle("fs")
SEED = 11
FRAMES_S = {"fs": 6_040, "pe": 412, "ps": 396}


@pytest.fixture(scope="module", params=NAMES)
def drive(request):
    return log(request.param, 40.0, SEED)


def test_every_message_comes_in_its_rhythm(drive):
    for name, (_, message) in drive.messages.items():
        own = drive.of(name)
        assert len(own) == pytest.approx(drive.seconds * 1000 / message.cycle_time, abs=2), name
        steps = np.diff(own.t_us)
        assert np.abs(steps - message.cycle_time * 1000).max() < 2_500, name
        assert np.ptp(steps) > 10, name  # and not like a metronome
    assert len(drive.frames) == pytest.approx(FRAMES_S[drive.vehicle.name] * drive.seconds, rel=0.001)


def test_no_frame_comes_that_the_files_do_not_know(drive):
    assert sum(len(drive.of(name)) for name in drive.messages) == len(drive.frames)


def test_frames_are_in_order_and_do_not_overlap_on_a_bus(drive):
    frames = drive.frames
    assert np.all(np.diff(frames.t_us) >= 0)
    bits = {(bus.index, m.frame_id): frame_bits(m.length, m.is_extended_frame) for bus, m in drive.messages.values()}
    for bus in drive.vehicle.buses:
        own = frames.take(frames.bus == bus.index)
        duration_us = np.array([bits[bus.index, key] for key in own.arbitration_id.tolist()]) * 1e6 / bus.bitrate_hz
        assert np.all(np.diff(own.t_us) >= np.floor(duration_us[1:]))


def test_payload_beyond_the_length_is_nought(drive):
    frames = drive.frames
    columns = np.arange(frames.payload.shape[1])
    assert not frames.payload[columns >= frames.length[:, None]].any()


def test_no_value_leaves_the_bounds_that_its_file_states(drive):
    for name, (_, message) in drive.messages.items():
        for payload in drive.some(name):
            values = message.decode(payload, decode_choices=False)
            for signal, value in values.items():
                definition = message.get_signal_by_name(signal)
                assert definition.minimum <= value <= definition.maximum, f"{name}.{signal} = {value}"


def test_value_tables_have_a_text_for_every_value(drive):
    for name, (_, message) in drive.messages.items():
        for payload in drive.some(name):
            values = message.decode(payload)
            for signal, value in values.items():
                if message.get_signal_by_name(signal).choices:
                    assert isinstance(value, cantools.database.namedsignalvalue.NamedSignalValue), (
                        f"{name}.{signal} = {value}"
                    )


def test_counters_count_every_frame(drive):
    counted = [
        name for name, (_, message) in drive.messages.items() if any(s.name == "Counter" for s in message.signals)
    ]
    assert len(counted) >= {"fs": 6, "pe": 2, "ps": 1}[drive.vehicle.name]
    for name in counted:
        _, values = drive.values(name, "Counter")
        assert np.all(np.diff(values) % 16 == 1), name


def test_the_checksum_is_crc8_sae_j1850():
    """Bit by bit, as the standard writes it, not by the table that made it."""
    assert crc8_by_bits(b"123456789") == 0x4B  # the published check value
    own = log("fs", 40.0, SEED).of("TorqueDemand")
    for payload in own.payload[::50]:
        assert crc8_by_bits(payload[:7].tobytes()) == payload[7]


def crc8_by_bits(data):
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1D if crc & 0x80 else crc << 1) & 0xFF
    return crc ^ 0xFF


def test_pages_follow_one_another(drive):
    paged = {name: message for name, (_, message) in drive.messages.items() if message.is_multiplexed()}
    assert "CellVoltages" in paged
    for name, message in paged.items():
        _, values = drive.values(name, "Page")
        pages = int(message.get_signal_by_name("Page").maximum) + 1
        assert np.all(np.diff(values) % pages == 1), name
        assert set(values) == set(range(pages))


def test_the_seed_makes_the_frames(drive):
    again = FrameColumns.concatenate(list(simulate_columns(drive.vehicle, 12.0, SEED)))
    assert again.equals(drive.frames.take(slice(0, len(again))))
    other = FrameColumns.concatenate(list(simulate_columns(drive.vehicle, 12.0, SEED + 1)))
    assert not other.equals(again)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seconds", [0.0, 0.5, 2.0, 3.25])
def test_just_as_much_as_was_asked_for(name, seconds):
    parts = list(simulate_columns(vehicle(name), seconds))
    frames = FrameColumns.concatenate(parts)
    assert len(frames) == pytest.approx(FRAMES_S[name] * seconds, rel=0.01, abs=60 if seconds else 0)
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
