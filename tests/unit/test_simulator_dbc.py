"""The DBC files of the shipped vehicles: clean for an independent reader, complete, and possible on their buses."""

import pytest
from tests.unit.simulated import NAMES, messages, vehicle

from ved.canbus.simulation.bus_timing import frame_bits
from ved.dbc.load import DbcSource, load_set

UNITLESS = {
    "fs": {"ModulationIndex", "Cycles", "Lap"},
    "pe": set(),
    "ps": set(),
}
BUSES = [(name, bus) for name in NAMES for bus in vehicle(name).buses]
LOADS = {"fs": (0.1, 0.7), "pe": (0.15, 0.3), "ps": (0.05, 0.3)}


def all_messages(name):
    return [message for _, message in messages(name).values()]


def all_signals(name):
    return [signal for message in all_messages(name) for signal in message.signals]


def frames_per_s(name):
    return sum(1000 / message.cycle_time for message in all_messages(name))


def test_the_files_make_the_load_of_the_design():
    assert len(all_messages("fs")) == 60
    assert 300 <= len(all_signals("fs")) <= 360
    assert frames_per_s("fs") == pytest.approx(6_040)
    assert {message.cycle_time for message in all_messages("fs")} == {5, 10, 50, 100}


def test_the_prototypes_send_a_few_hundred_frames_a_second():
    assert all(300 < frames_per_s(name) < 500 for name in ("pe", "ps"))


@pytest.mark.parametrize(("name", "bus"), BUSES, ids=[f"{name}-{bus.name}" for name, bus in BUSES])
def test_a_bus_is_never_loaded_beyond_what_arbitration_stands(name, bus):
    bits_per_s = sum(
        frame_bits(message.length, message.is_extended_frame) * 1000 / message.cycle_time
        for own, message in messages(name).values()
        if own == bus
    )
    least, most = LOADS[name]
    assert least < bits_per_s / bus.bitrate_hz < most


@pytest.mark.parametrize("name", NAMES)
def test_everything_is_explained_and_bounded(name):
    signals = all_signals(name)
    assert all(message.comment for message in all_messages(name))
    assert all(signal.comment and signal.minimum < signal.maximum for signal in signals)
    assert {signal.name for signal in signals if not signal.unit and signal.length > 8} == UNITLESS[name]
    assert all(signal.unit != "" or signal.choices or signal.scale in {1, 0.0001} for signal in signals)


@pytest.mark.parametrize("name", NAMES)
def test_a_signals_bounds_fit_into_its_bits(name):
    for signal in all_signals(name):
        if signal.is_float:
            continue
        least = -(1 << (signal.length - 1)) if signal.is_signed else 0
        most = least + (1 << signal.length) - 1
        assert least * signal.scale + signal.offset <= signal.minimum + 1e-9, signal.name
        assert most * signal.scale + signal.offset >= signal.maximum - 1e-9, signal.name


def test_every_kind_of_message_is_there():
    by_name = {message.name: message for message in all_messages("fs")}
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


def test_what_both_prototypes_send_is_the_same_for_both():
    pe, ps = messages("pe"), messages("ps")
    shared = pe.keys() & ps.keys()
    assert {"VehicleMotion", "Imu", "LapTimer", "GpsPosition", "Motor", "MotorController"} <= shared
    for name in shared - {"CellVoltages", "BatteryTemperatures", "DriverControls", "Strategy"}:
        assert [s.name for s in pe[name][1].signals] == [s.name for s in ps[name][1].signals], name


@pytest.mark.parametrize("name", NAMES)
def test_our_own_reader_finds_nothing_to_complain_about(name):
    dbc_set = load_set(
        [DbcSource(bus.index, bus.name, bus.dbc_names[0], bus.dbc_texts[0]) for bus in vehicle(name).buses],
    )
    assert dbc_set.problems == ()
    theirs = sorted(f"{message.name}.{signal.name}" for message in all_messages(name) for signal in message.signals)
    assert sorted(channel.name for channel in dbc_set.channels) == theirs


@pytest.mark.parametrize("name", NAMES)
def test_charts_and_map_name_real_channels_and_charts_do_not_mix_too_many_units(name):
    car = vehicle(name)
    units = {
        f"{message.name}.{signal.name}": signal.unit for message in all_messages(name) for signal in message.signals
    }
    assert car.map is not None
    assert {car.map.latitude, car.map.longitude, car.map.valid} <= units.keys()
    assert len(car.charts) >= 6
    for chart in car.charts:
        assert len({units[channel] for channel in chart.channels}) <= 3
        assert chart.title_fr != chart.title_en
