"""The DBC files of the vehicle fs: clean for an independent reader, complete, and possible on their buses."""

import warnings
from pathlib import Path

import cantools
import pytest

from ved.canbus.simulation.bus_timing import frame_bits
from ved.config.vehicle import load_vehicle
from ved.dbc.load import DbcSource, load_set

FS = Path(__file__).parents[2] / "vehicles" / "fs"
VEHICLE = load_vehicle(FS)


def databases():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return {bus.name: cantools.database.load_file(str(FS / bus.dbc_names[0]), strict=True) for bus in VEHICLE.buses}


MESSAGES = [(bus, message) for bus, database in databases().items() for message in database.messages]
SIGNALS = [signal for _, message in MESSAGES for signal in message.signals]


def test_the_files_make_the_load_of_the_design():
    assert len(MESSAGES) == 60
    assert 300 <= len(SIGNALS) <= 360
    assert sum(1000 / message.cycle_time for _, message in MESSAGES) == pytest.approx(6_040)
    assert {message.cycle_time for _, message in MESSAGES} == {5, 10, 50, 100}


@pytest.mark.parametrize("bus", VEHICLE.buses, ids=lambda bus: bus.name)
def test_a_bus_is_never_loaded_beyond_70_percent(bus):
    bits_per_s = sum(
        frame_bits(message.length, message.is_extended_frame) * 1000 / message.cycle_time
        for name, message in MESSAGES
        if name == bus.name
    )
    assert 0.1 < bits_per_s / bus.bitrate_hz < 0.7


def test_everything_is_explained_and_bounded():
    assert all(message.comment for _, message in MESSAGES)
    assert all(signal.comment and signal.minimum < signal.maximum for signal in SIGNALS)
    unitless = {signal.name for signal in SIGNALS if not signal.unit and signal.length > 8}
    assert unitless == {"ModulationIndex", "Cycles", "Lap"}
    assert all(signal.unit != "" or signal.choices or signal.scale in {1, 0.0001} for signal in SIGNALS)


def test_a_signals_bounds_fit_into_its_bits():
    for signal in SIGNALS:
        if signal.is_float:
            continue
        least = -(1 << (signal.length - 1)) if signal.is_signed else 0
        most = least + (1 << signal.length) - 1
        assert least * signal.scale + signal.offset <= signal.minimum + 1e-9, signal.name
        assert most * signal.scale + signal.offset >= signal.maximum - 1e-9, signal.name


def test_every_kind_of_message_is_there():
    by_name = {message.name: message for _, message in MESSAGES}
    assert sum(message.is_extended_frame for message in by_name.values()) >= 5
    assert {signal.byte_order for signal in by_name["EnergyMeter"].signals} == {"big_endian"}
    assert [signal.is_float for signal in by_name["BatteryPower"].signals] == [True, True]
    for name, members in {"CellVoltages": 96, "CellTemperatures": 18}.items():
        assert by_name[name].is_multiplexed()
        assert len(by_name[name].signals) == members + 1
    position = by_name["GpsPosition"].signals
    assert {(signal.scale, signal.length, signal.is_signed) for signal in position} == {(1e-7, 32, True)}
    for name, signal in {
        "Inverter": "State",
        "BatteryPack": "State",
        "Safety": "ShutdownChain",
        "VehicleControl": "DriveMode",
    }.items():
        assert len(by_name[name].get_signal_by_name(signal).choices) >= 5


def test_our_own_reader_finds_nothing_to_complain_about():
    dbc_set = load_set(
        [DbcSource(bus.index, bus.name, bus.dbc_names[0], bus.dbc_texts[0]) for bus in VEHICLE.buses],
    )
    assert dbc_set.problems == ()
    theirs = sorted(f"{message.name}.{signal.name}" for _, message in MESSAGES for signal in message.signals)
    assert sorted(channel.name for channel in dbc_set.channels) == theirs


def test_charts_and_map_name_real_channels_and_charts_do_not_mix_too_many_units():
    units = {f"{message.name}.{signal.name}": signal.unit for _, message in MESSAGES for signal in message.signals}
    assert VEHICLE.map is not None
    assert {VEHICLE.map.latitude, VEHICLE.map.longitude, VEHICLE.map.valid} <= units.keys()
    for chart in VEHICLE.charts:
        assert len({units[name] for name in chart.channels}) <= 3
