"""A vehicle folder: vehicle.toml and its DBC files, read into a `Vehicle`."""

import difflib
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from ved.analysis.maths.channelset import MathsSet
from ved.config.alarms import read_rules
from ved.dbc.formats import decode_text
from ved.dbc.load import DbcSet, DbcSource, load_set
from ved.errors import UserError
from ved.model.channel import Channel
from ved.model.gpsclock import FrameField, GpsSignals
from ved.model.maths import MATHS_NAME, MathsDef
from ved.model.vehicle import NAME_PATTERN, ChannelTexts, ChartPanel, MapChannels, Vehicle, VehicleBus

VEHICLE_FILE: Final = "vehicle.toml"
MAX_DBC_BYTES: Final = 16 << 20

SimulatorModel = Literal["formula_student", "efficiency_prototype", "solar_prototype"]

_Name = Annotated[str, StringConstraints(pattern=rf"^{NAME_PATTERN.pattern}$")]
_Text = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
_ChannelName = Annotated[str, StringConstraints(pattern=r"^[^.\s]+(\.[^.\s]+)+$")]

_ALLOWED: Final = {
    "name": "a-z first, then a-z, 0-9, _ or -, at most 32 characters",
    "title_en": "a text of 1 to 100 characters without zero bytes",
    "title_fr": "a text of 1 to 100 characters without zero bytes",
    "bus": "1 to 256 [[bus]] tables",
    "index": "a whole number from 0 to 255",
    "bitrate_hz": "a whole number from 10000 to 1000000",
    "interface": "a network interface name of at most 15 characters, kind:channel of python-can, or kind://...",
    "sensors": "[[sensors]] tables",
    "dbc": 'a list of file names in the vehicle\'s folder, like ["car.dbc"]',
    "map": "a [map] table",
    "clock": "a [clock] table",
    "utc": "a channel written Message.Signal",
    "latitude": "a channel written Message.Signal",
    "longitude": "a channel written Message.Signal",
    "valid": "a channel written Message.Signal",
    "chart": "[[chart]] tables",
    "channels": "a list of 1 to 16 channels written Message.Signal",
    "simulator": "a [simulator] table",
    "maths": "[[maths]] tables",
    "alias": "[[alias]] tables",
    "target": "a channel written Message.Signal",
    "alarm": "[[alarm]] tables",
    "channel": "[[channel]] tables",
    "unit_en": "a text of at most 20 characters",
    "unit_fr": "a text of at most 20 characters",
    "expression": "an expression over channels, like Voltage * Current",
    "unit": "a unit, like kW",
    "comment": "a text of at most 200 characters",
    "model": " or ".join(get_args(SimulatorModel)),
}


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class BusTable(_Table):
    """One [[bus]]."""

    index: int = Field(ge=0, le=255)
    name: _Name
    bitrate_hz: int = Field(ge=10_000, le=1_000_000)
    interface: Annotated[str, StringConstraints(pattern=r"^([^\s/:]{1,15}|[a-z0-9_]+:\S{1,300})$")] | None = None
    dbc: list[Annotated[str, StringConstraints(min_length=1)]] = []


class SensorsTable(_Table):
    """One [[sensors]]."""

    interface: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+://\S{1,300}$")]


class MapTable(_Table):
    """The [map]."""

    latitude: _ChannelName
    longitude: _ChannelName
    valid: _ChannelName | None = None


class ClockTable(_Table):
    """The [clock]."""

    utc: _ChannelName
    valid: _ChannelName | None = None


class ChartTable(_Table):
    """One [[chart]]."""

    title_en: _Text
    title_fr: _Text
    channels: list[_ChannelName] = Field(min_length=1, max_length=16)


class AliasTable(_Table):
    """One [[alias]]."""

    name: Annotated[str, StringConstraints(pattern=r"^[^\s*]{1,100}$")]
    target: _ChannelName


class MathsTable(_Table):
    """One [[maths]]."""

    name: Annotated[str, StringConstraints(pattern=rf"^{MATHS_NAME.pattern}$")]
    expression: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    unit: Annotated[str, StringConstraints(max_length=20)] = ""
    comment: Annotated[str, StringConstraints(max_length=200)] = ""


class ChannelTable(_Table):
    """One [[channel]]."""

    name: _ChannelName
    title_en: Annotated[str, StringConstraints(max_length=100)] = ""
    title_fr: Annotated[str, StringConstraints(max_length=100)] = ""
    unit_en: Annotated[str, StringConstraints(max_length=20)] = ""
    unit_fr: Annotated[str, StringConstraints(max_length=20)] = ""


class SimulatorTable(_Table):
    """The [simulator]."""

    model: SimulatorModel


class VehicleTable(_Table):
    """The whole file. docs/vehicle.sample.toml explains each key."""

    name: _Name
    title_en: _Text
    title_fr: _Text
    bus: list[BusTable] = Field(min_length=1, max_length=256)
    sensors: list[SensorsTable] = Field(default=[], max_length=64)
    map: MapTable | None = None
    clock: ClockTable | None = None
    chart: list[ChartTable] = []
    simulator: SimulatorTable | None = None
    maths: list[MathsTable] = []
    alias: list[AliasTable] = []
    alarm: list[dict[str, Any]] = []
    channel: list[ChannelTable] = []


_TABLES: Final[dict[str, type[_Table]]] = {
    "bus": BusTable,
    "sensors": SensorsTable,
    "map": MapTable,
    "clock": ClockTable,
    "chart": ChartTable,
    "simulator": SimulatorTable,
    "maths": MathsTable,
    "channel": ChannelTable,
}


def load_vehicle(folder: Path) -> Vehicle:
    """Read `folder`/vehicle.toml and the DBC files that it names.

    Raises UserError, one line: the file, the key, what is allowed there.
    """
    file = folder / VEHICLE_FILE
    table = _read_table(file)
    _check_unique(file, "index", [bus.index for bus in table.bus])
    _check_unique(file, "name", [bus.name for bus in table.bus])
    vehicle = Vehicle(
        name=table.name,
        title_en=table.title_en,
        title_fr=table.title_fr,
        buses=tuple(_read_bus(file, number, bus) for number, bus in enumerate(table.bus)),
        map=MapChannels(table.map.latitude, table.map.longitude, table.map.valid or "") if table.map else None,
        charts=tuple(ChartPanel(chart.title_en, chart.title_fr, tuple(chart.channels)) for chart in table.chart),
        simulator=table.simulator.model if table.simulator else "",
        sensors=tuple(one.interface for one in table.sensors),
        maths=tuple(MathsDef(one.name, one.expression, one.unit, one.comment) for one in table.maths),
        aliases=tuple((one.name, one.target) for one in table.alias),
        texts=tuple(
            ChannelTexts(one.name, one.title_en, one.title_fr, one.unit_en, one.unit_fr) for one in table.channel
        ),
    )
    loaded = _load_dbcs(file, vehicle)
    if loaded.channels:
        _check_channels(file, table, vehicle, loaded.channels)
    gps = _read_clock(file, table.clock, loaded) if table.clock else None
    return replace(vehicle, rules=read_rules(file, table.alarm, loaded.channels), gps=gps)


def read_dbc(file: Path) -> str:
    """The text of a DBC file, as `decode_text` reads it. Raises UserError when it cannot be read."""
    try:
        if file.stat().st_size > MAX_DBC_BYTES:
            raise UserError(f"{file}: larger than {MAX_DBC_BYTES >> 20} MiB, so surely no DBC file")
        return decode_text(file.read_bytes())
    except OSError as error:
        raise UserError(f"{file}: cannot read this DBC file: {error.strerror}") from None


def _read_table(file: Path) -> VehicleTable:
    try:
        data = tomllib.loads(file.read_bytes().decode())
    except OSError as error:
        raise UserError(f"{file}: cannot read this vehicle file: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{file}: not UTF-8 text; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{file}: not valid TOML: {' '.join(str(error).split())}") from None
    try:
        return VehicleTable.model_validate(data)
    except ValidationError as error:
        details = error.errors()
        # An unknown key is told first: it is often the misspelt one that is "missing".
        unknown = [detail for detail in details if detail["type"] == "extra_forbidden"]
        raise UserError(f"{file}: {_explain((unknown or details)[0])}") from None


def _explain(detail: ErrorDetails) -> str:
    """One line for a wrong key: where it stands, what stands there, what may."""
    location = detail["loc"]
    key = next((part for part in reversed(location) if isinstance(part, str)), "")
    where = _where(location)
    if detail["type"] == "extra_forbidden":
        allowed = list(_table_of(location).model_fields)
        close = difflib.get_close_matches(key, allowed, 1)
        hint = f" (did you mean '{close[0]}'?)" if close else ""
        return f"unknown key '{where}'{hint}; allowed keys are {', '.join(allowed)}"
    if detail["type"] == "missing":
        return f"key '{where}' is missing; it must be {_ALLOWED[key]}"
    return f"key '{where}' is {_shown(detail['input'])}; it must be {_ALLOWED[key]}"


def _where(location: tuple[int | str, ...]) -> str:
    """bus[0].index for ("bus", 0, "index"): counted from 0, as in TOML paths."""
    out = ""
    for part in location:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else part
    return out


def _table_of(location: tuple[int | str, ...]) -> type[_Table]:
    return _TABLES[str(location[0])] if len(location) > 1 else VehicleTable


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _check_unique(file: Path, key: str, values: Sequence[int | str]) -> None:
    for number, value in enumerate(values):
        if value in values[:number]:
            raise UserError(f"{file}: key 'bus[{number}].{key}' is {value!r} a second time; each bus has its own")


def _load_dbcs(file: Path, vehicle: Vehicle) -> DbcSet:
    """The vehicle's DBC files; a set without channels where there is none."""
    sources = [
        DbcSource(bus.index, bus.name, str(file.parent / name), text)
        for bus in vehicle.buses
        for name, text in zip(bus.dbc_names, bus.dbc_texts, strict=True)
    ]
    return load_set(sources)


def _check_channels(file: Path, table: VehicleTable, vehicle: Vehicle, channels: Sequence[Channel]) -> None:
    """Every channel that the file names must come from its DBC files."""
    known = [channel.name for channel in channels]
    named = [(f"chart[{number}].channels", name) for number, chart in enumerate(table.chart) for name in chart.channels]
    named += [(f"alias[{number}].target", one.target) for number, one in enumerate(table.alias)]
    named += [(f"channel[{number}].name", one.name) for number, one in enumerate(table.channel)]
    for where, places in (("map", table.map), ("clock", table.clock)):
        named += [(f"{where}.{key}", value) for key, value in places or () if value is not None]
    for key, name in named:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; channels are written like {known[0]!r}"
            raise UserError(f"{file}: key '{key}' names {name!r}, which no DBC file of this vehicle has{hint}")
    errors = MathsSet.build(vehicle.maths, channels).errors
    for number, one in enumerate(vehicle.maths):
        if one.name in errors:
            raise UserError(f"{file}: key 'maths[{number}].expression' of {one.name}: {errors[one.name]}")


def _read_clock(file: Path, clock: ClockTable, loaded: DbcSet) -> GpsSignals:
    utc = _frame_field(file, "clock.utc", clock.utc, loaded)
    return GpsSignals(utc, _frame_field(file, "clock.valid", clock.valid, loaded) if clock.valid else None)


def _frame_field(file: Path, key: str, name: str, loaded: DbcSet) -> FrameField:
    """Where the bits of a channel lie, for a program that decodes nothing else."""
    number = loaded.channel_index(name)
    if number is None:
        raise UserError(f"{file}: key '{key}' names {name!r}, but no [[bus]] of this vehicle has a DBC file")
    message = loaded.message_of(number)
    assert message.bus is not None  # each file of a vehicle belongs to a bus
    signal = next(one for one in message.signals if one.name == loaded.channels[number].signal)
    if signal.multiplexer is not None:
        raise UserError(f"{file}: key '{key}' names {name!r}, which is multiplexed; name a signal of every frame")
    return FrameField(
        message.bus,
        message.arbitration_id,
        message.is_extended,
        signal.first_bit,
        signal.length_bits,
        signal.is_little_endian,
        is_signed=signal.raw_type == "signed",
        is_float=signal.raw_type == "float",
        scale=signal.scale,
        offset=signal.offset,
    )


def _read_bus(file: Path, number: int, bus: BusTable) -> VehicleBus:
    texts = []
    for name in bus.dbc:
        path = file.parent / name
        if not path.is_file():
            raise UserError(f"{file}: key 'bus[{number}].dbc' names {name}, which is not in {file.parent}")
        texts.append(read_dbc(path))
    return VehicleBus(bus.index, bus.name, bus.bitrate_hz, bus.interface or "", tuple(bus.dbc), tuple(texts))
