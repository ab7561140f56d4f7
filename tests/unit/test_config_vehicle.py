"""The vehicle folder: what loads, and what a person is told about each mistake."""

import re
import shutil
import tomllib
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest

from ved.config.vehicle import (
    AliasTable,
    BusTable,
    ChannelTable,
    ChartTable,
    ClockTable,
    MapTable,
    MathsTable,
    SensorsTable,
    SimulatorTable,
    VehicleTable,
    load_vehicle,
    read_dbc,
)
from ved.errors import UserError
from ved.model.alarmrule import Guard, Rule
from ved.model.gpsclock import FrameField, GpsSignals
from ved.model.vehicle import ChartPanel, MapChannels

ROOT = Path(__file__).parents[2]
VEHICLES = ROOT / "vehicles"
FS = VEHICLES / "fs"
SAMPLE = ROOT / "docs" / "vehicle.sample.toml"

DBC = """VERSION ""
BU_: ECU
BO_ 256 Gps: 8 ECU
 SG_ Latitude : 0|32@1- (1e-07,0) [-90|90] "deg" ECU
 SG_ Longitude : 32|32@1- (1e-07,0) [-180|180] "deg" ECU
"""

GOOD = """
name = "kart"
title_en = "Kart"
title_fr = "Karting"
[[bus]]
index = 0
name = "main"
bitrate_hz = 500000
interface = "can0"
dbc = ["kart.dbc"]
[[bus]]
index = 3
name = "spare"
bitrate_hz = 250000
[map]
latitude = "Gps.Latitude"
longitude = "Gps.Longitude"
[[chart]]
title_en = "Place"
title_fr = "Lieu"
channels = ["Gps.Latitude", "Gps.Longitude"]
"""


def folder_with(tmp_path, text, dbc=DBC):
    folder = tmp_path / "kart"
    folder.mkdir()
    (folder / "vehicle.toml").write_text(text, encoding="utf-8")
    (folder / "kart.dbc").write_text(dbc, encoding="utf-8")
    return folder


def error_of(folder):
    with pytest.raises(UserError) as caught:
        load_vehicle(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_all_of_a_vehicle_file_is_read(tmp_path):
    vehicle = load_vehicle(folder_with(tmp_path, GOOD))

    assert (vehicle.name, vehicle.title_en, vehicle.title_fr, vehicle.simulator) == ("kart", "Kart", "Karting", "")
    main, spare = vehicle.buses
    assert (main.index, main.name, main.bitrate_hz, main.interface) == (0, "main", 500_000, "can0")
    assert (main.dbc_names, main.dbc_texts) == (("kart.dbc",), (DBC,))
    assert (spare.index, spare.name, spare.interface, spare.dbc_names) == (3, "spare", "", ())
    assert vehicle.map == MapChannels("Gps.Latitude", "Gps.Longitude", "")
    assert vehicle.charts == (ChartPanel("Place", "Lieu", ("Gps.Latitude", "Gps.Longitude")),)
    assert vehicle.gps is None


TIME_DBC = """BO_ 2147484160 Time: 8 ECU
 SG_ Page m0 : 48|8@1+ (1,0) [0|0] "" ECU
 SG_ Sort M : 56|8@1+ (1,0) [0|0] "" ECU
 SG_ Seconds : 7|40@0+ (0.001,1577836800) [0|0] "s" ECU
"""


def test_the_clock_says_where_its_bits_lie(tmp_path):
    text = GOOD + '[clock]\nutc = "Time.Seconds"\nvalid = "Gps.Latitude"\n'
    vehicle = load_vehicle(folder_with(tmp_path, text, DBC + TIME_DBC))
    assert vehicle.gps == GpsSignals(
        FrameField(0, 0x200, True, 0, 40, is_little_endian=False, scale=0.001, offset=1577836800),
        FrameField(0, 256, False, 0, 32, is_signed=True, scale=1e-7),
    )


@pytest.mark.parametrize(
    ("clock", "told"),
    [
        (
            'utc = "Time.Second"',
            "key 'clock.utc' names 'Time.Second', which no DBC file of this vehicle has; did",
        ),
        ('utc = "Time.Seconds"\nvalid = "Gps.Fix"', "key 'clock.valid' names 'Gps.Fix', which no DBC file"),
        ('utc = "Time.Page"', "key 'clock.utc' names 'Time.Page', which is multiplexed; name a signal of every frame"),
        ('valid = "Time.Seconds"', "key 'clock.utc' is missing; it must be a channel written Message.Signal"),
        ("utc = 5", "key 'clock.utc' is 5; it must be a channel written Message.Signal"),
        ('utc = "Time.Seconds"\nutx = 1', "unknown key 'clock.utx' (did you mean 'utc'?); allowed keys are utc, valid"),
    ],
)
def test_a_wrong_clock_is_told(tmp_path, clock, told):
    assert told in error_of(folder_with(tmp_path, f"{GOOD}[clock]\n{clock}\n", DBC + TIME_DBC))


def test_a_clock_needs_a_dbc(tmp_path):
    text = GOOD.split("[map]", maxsplit=1)[0].replace('dbc = ["kart.dbc"]\n', "") + '[clock]\nutc = "Time.Seconds"\n'
    assert "no [[bus]] of this vehicle has a DBC file" in error_of(folder_with(tmp_path, text))


@pytest.mark.parametrize(
    ("name", "model"), [("fs", "formula_student"), ("pe", "efficiency_prototype"), ("ps", "solar_prototype")]
)
def test_the_shipped_vehicles_load_with_a_map_charts_and_a_model(name, model):
    vehicle = load_vehicle(VEHICLES / name)

    assert vehicle.name == name
    assert all(bus.dbc_texts for bus in vehicle.buses)
    assert vehicle.map is not None
    assert len(vehicle.charts) >= 6
    assert vehicle.simulator == model


MISTAKES = [
    ('name = "kart"\n', 'name = "Kart"\n', "key 'name' is 'Kart'; it must be a-z first"),
    ('title_en = "Kart"', r'title_en = "Kart\u0000"', "key 'title_en' is 'Kart\\x00'; it must be a text of"),
    ('title_fr = "Karting"\n', "", "key 'title_fr' is missing; it must be a text of 1 to 100 characters"),
    ("index = 3", "index = 0", "key 'bus[1].index' is 0 a second time"),
    ("index = 3", "index = 256", "key 'bus[1].index' is 256; it must be a whole number from 0 to 255"),
    ("index = 3", 'index = "3"', "key 'bus[1].index' is '3'; it must be a whole number from 0 to 255"),
    ('name = "spare"', 'name = "main"', "key 'bus[1].name' is 'main' a second time"),
    ("bitrate_hz = 250000", "bitrate_hz = 250", "'bus[1].bitrate_hz' is 250; it must be a whole number from 10000 to"),
    (
        "bitrate_hz = 250000",
        "bitrate = 250000",
        "unknown key 'bus[1].bitrate' (did you mean 'bitrate_hz'?); allowed keys are",
    ),
    (
        'interface = "can0"',
        'interface = "a name that is too long"',
        "'bus[0].interface' is 'a name that is too long'; it must",
    ),
    ('dbc = ["kart.dbc"]', 'dbc = "kart.dbc"', "key 'bus[0].dbc' is 'kart.dbc'; it must be a list of file names"),
    ('dbc = ["kart.dbc"]', 'dbc = ["cart.dbc"]', "key 'bus[0].dbc' names cart.dbc, which is not in"),
    ('latitude = "Gps.Latitude"', 'latitude = "Latitude"', "key 'map.latitude' is 'Latitude'; it must be a channel"),
    ('latitude = "Gps.Latitude"', 'latitude = "Gps.Lattitude"', "did you mean 'Gps.Latitude'?"),
    ('["Gps.Latitude", "Gps.Longitude"]', "[]", "key 'chart[0].channels' is []; it must be a list of 1 to 16 channels"),
    (
        '["Gps.Latitude", "Gps.Longitude"]',
        '["Motor.Speed"]',
        "key 'chart[0].channels' names 'Motor.Speed', which no DBC",
    ),
    ("[map]", "[mapp]", "unknown key 'mapp' (did you mean 'map'?); allowed keys are name, title_en"),
    ("[map]", '[simulator]\nmodel = "kart"\n[map]', "key 'simulator.model' is 'kart'; it must be formula_student"),
    ("[map]", '[simulator]\nengine = "x"\n[map]', "unknown key 'simulator.engine'; allowed keys are model"),
    ("[map]", "[map", "not valid TOML"),
]


@pytest.mark.parametrize(("right", "wrong", "told"), MISTAKES, ids=[told for _, _, told in MISTAKES])
def test_a_mistake_is_told_with_file_key_and_what_is_allowed(tmp_path, right, wrong, told):
    assert right in GOOD
    folder = folder_with(tmp_path, GOOD.replace(right, wrong, 1))

    message = error_of(folder)

    assert message.startswith(str(folder / "vehicle.toml"))
    assert told in message


def test_a_vehicle_without_a_bus_is_refused(tmp_path):
    text = 'name = "kart"\ntitle_en = "Kart"\ntitle_fr = "Karting"\n'
    assert "key 'bus' is missing; it must be 1 to 256 [[bus]] tables" in error_of(folder_with(tmp_path, text))


def test_a_missing_folder_is_told(tmp_path):
    assert "cannot read this vehicle file: No such file" in error_of(tmp_path / "none")


def test_a_file_in_another_encoding_is_told(tmp_path):
    folder = folder_with(tmp_path, GOOD)
    (folder / "vehicle.toml").write_bytes(GOOD.replace("Lieu", "Où").encode("latin-1"))
    assert "not UTF-8 text" in error_of(folder)


def test_a_dbc_file_without_any_message_is_told(tmp_path):
    assert "kart.dbc: no" in error_of(folder_with(tmp_path, GOOD, dbc="this is a letter\n"))


def test_dbc_text_is_read_as_utf8_or_windows_1252(tmp_path):
    modern, old = tmp_path / "modern.dbc", tmp_path / "old.dbc"
    modern.write_bytes("\ufeff°C".encode())
    old.write_bytes("°C".encode("cp1252"))
    assert read_dbc(modern) == read_dbc(old) == "°C"


def test_a_zero_byte_in_a_dbc_is_replaced(tmp_path):
    vehicle = load_vehicle(folder_with(tmp_path, GOOD, dbc=DBC + 'CM_ BO_ 256 "a\0b";\n'))
    assert vehicle.buses[0].dbc_texts == (DBC + 'CM_ BO_ 256 "a\ufffdb";\n',)
    old = tmp_path / "old.dbc"
    old.write_bytes("°\0C".encode("cp1252"))
    assert read_dbc(old) == "°\ufffdC"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('kind = "abov"', "key 'kind' must be one of above, below"),
        ('channel = "CellSummary.MinimumVoltag"', "did you mean 'CellSummary.MinimumVoltage'"),
        ("limit = true", "key 'limit' must be a number"),
        ("mask = 1", "kind 'below' has no key 'mask'"),
        ("hysterese = 1", "unknown key 'hysterese'"),
        ("on_delay_ms = 1.5", "key 'on_delay_ms' must be a whole number of milliseconds"),
        ('guard = { channel = "A.b", above = 1, below = 2 }', "'guard' must be a table"),
        ('expression = "A"', "kind 'below' has no key 'expression'"),
    ],
)
def test_a_wrong_alarm_is_told(tmp_path, line, told):
    rule = {"id": '"low"', "kind": '"below"', "title_en": '"l"', "title_fr": '"b"', "limit": "3"}
    rule["channel"] = '"CellSummary.MinimumVoltage"'
    key, _, value = line.partition(" = ")
    text = "\n".join(f"{name} = {given}" for name, given in {**rule, key: value}.items())
    folder = tmp_path / "fs"
    shutil.copytree(FS, folder)
    base = (FS / "vehicle.toml").read_text(encoding="utf-8").split("# Alarm rules.")[0]
    (folder / "vehicle.toml").write_text(f"{base}\n[[alarm]]\n{text}\n", encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(told)):
        load_vehicle(folder)


def test_a_directory_is_no_dbc_file(tmp_path):
    with pytest.raises(UserError, match="cannot read this DBC file"):
        read_dbc(tmp_path)


TABLES = {
    "bus": BusTable,
    "sensors": SensorsTable,
    "map": MapTable,
    "clock": ClockTable,
    "chart": ChartTable,
    "simulator": SimulatorTable,
    "maths": MathsTable,
    "alias": AliasTable,
    "channel": ChannelTable,
}


def allowed_keys():
    """Every key that a vehicle file may have, as table.key."""
    keys = set(VehicleTable.model_fields)
    for name, table in TABLES.items():
        assert table.__name__ in str(VehicleTable.model_fields[name].annotation)
        keys |= {f"{name}.{key}" for key in table.model_fields}
    keys |= {f"alarm.{field.name}" for field in fields(Rule)} | {f"alarm.guard.{field.name}" for field in fields(Guard)}
    nested = {name for name, field in VehicleTable.model_fields.items() if "Table" in str(field.annotation)}
    assert nested == set(TABLES)
    return keys


def keys_in(table, prefix=""):
    for name, value in table.items():
        yield prefix + name
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                yield from keys_in(part, f"{prefix}{name}.")


def test_every_option_stands_in_the_sample_file_with_a_comment():
    text = SAMPLE.read_text(encoding="utf-8")

    assert set(keys_in(tomllib.loads(text))) == allowed_keys()
    lines = text.splitlines()
    found = [(re.match(r"\[*(\w+)", line), above) for above, line in pairwise(lines)]
    explained = {key[1] for key, above in found if key and above.startswith("#")}
    share_a_comment = {"guard", "high", "title_fr", "unit_fr", "longitude"}
    assert explained | share_a_comment >= {key.rpartition(".")[2] for key in allowed_keys()}


def test_the_sample_file_loads(tmp_path):
    folder = tmp_path / "fs"
    shutil.copytree(FS, folder)
    shutil.copy(SAMPLE, folder / "vehicle.toml")
    with (folder / "chassis.dbc").open("a") as chassis:
        chassis.write('BO_ 419 GpsTime: 8 Gps\n SG_ UnixTime : 0|64@1+ (0.001,0) [0|0] "s" Logger\n')

    vehicle = load_vehicle(folder)

    assert vehicle.name == "fs"
    assert vehicle.simulator == "formula_student"


def test_a_maths_channel_that_is_wrong_is_told_with_its_position(tmp_path):
    folder = tmp_path / "fs"
    shutil.copytree(ROOT / "vehicles" / "fs", folder)
    file = folder / "vehicle.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"lap_integral(Maths.Power)"', '"lap_integral(Maths.Powr)"'), encoding="utf-8")

    with pytest.raises(UserError, match=r"key 'maths\[1\]\.expression' of LapEnergy: position 14: .*did you mean"):
        load_vehicle(folder)
