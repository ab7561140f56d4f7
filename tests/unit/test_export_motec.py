"""MoTeC logs, read back by a reader that knows nothing but docs/spec/motec.md."""

import struct
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from ved.api.export_motec import MotecDetails, write_beacons, write_motec
from ved.api.frame import Frame
from ved.errors import UserError
from ved.model.channel import Channel

UTC0 = 1_700_000_000_000_000


def text(data: bytes, at: int, size: int) -> str:
    return data[at : at + size].split(b"\0")[0].decode("cp1252")


def read_log(data: bytes) -> tuple[dict[str, str], dict[str, tuple[str, int, np.ndarray]]]:
    u32 = lambda at: struct.unpack_from("<I", data, at)[0]  # noqa: E731
    assert u32(0) == 0x40
    event = u32(36)
    venue = struct.unpack_from("<H", data, event + 1152)[0]
    vehicle = struct.unpack_from("<H", data, venue + 1098)[0]
    about = {
        "date": text(data, 94, 16), "time": text(data, 126, 16), "driver": text(data, 158, 64),
        "vehicle": text(data, 222, 64), "venue": text(data, 350, 64), "comment": text(data, 1572, 64),
        "event": text(data, event, 64), "session": text(data, event + 64, 64), "track": text(data, venue, 64),
        "id": text(data, vehicle, 64),
    }  # fmt: skip
    channels, before, at = {}, 0, u32(8)
    while at:
        previous, following, where, count = struct.unpack_from("<4I", data, at)
        kind, size, rate = struct.unpack_from("<3H", data, at + 18)
        assert (previous, kind, size) == (before, 7, 4)
        assert struct.unpack_from("<4h", data, at + 24) == (0, 1, 1, 0)
        values = np.frombuffer(data, "<f4", count, where)
        channels[text(data, at + 32, 32)] = (text(data, at + 72, 12), rate, values)
        before, at = at, following
    assert len(channels) == u32(86)
    return about, channels


def channel(name: str, unit: str) -> Channel:
    return Channel(name, unit, "continuous", None, "", name, 0, False)


def frames(parts: list[dict[str, list[float]]], units: dict[str, str]) -> list[Frame]:
    out, at = [], UTC0
    for part in parts:
        n = len(next(iter(part.values())))
        columns = {name: np.array(values) for name, values in part.items()}
        described = {name: channel(name, units[name]) for name in part}
        out.append(Frame(UTC0, at + np.arange(n) * 10_000, columns, described))
        at += n * 10_000
    return out


def test_channels_and_details_come_back(tmp_path: Path) -> None:
    units = {"Motion.Speed": "km/h", "InverterTemperatureOfTheRearLeft.Value": "°C", "Other.Value": ""}
    nan = float("nan")
    parts = [
        {"Motion.Speed": [1, nan, 3], units_name(units, 1): [nan, 5, 6], "Other.Value": [0.5, 0.25, 7]},
        {"Motion.Speed": [nan, 9], units_name(units, 1): [7, 8], "Other.Value": [1, 2]},
    ]
    path = tmp_path / "run.ld"
    details = MotecDetails("fs", UTC0, driver="Zoé", track="", session="s1", comment="rain")
    assert write_motec(path, frames(parts, units), 100, details) == 5
    about, channels = read_log(path.read_bytes())
    assert about == {
        "date": "14/11/2023", "time": "22:13:20", "driver": "Zoé", "vehicle": "fs", "venue": "-", "comment": "rain",
        "event": "-", "session": "s1", "track": "-", "id": "fs",
    }  # fmt: skip
    assert list(channels) == ["Motion.Speed", "Value", "Other.Value"]
    assert [unit for unit, _, _ in channels.values()] == ["km/h", "°C", ""]
    assert {rate for _, rate, _ in channels.values()} == {100}
    assert [values.tolist() for _, _, values in channels.values()] == [
        [1, 1, 3, 3, 9], [0, 5, 6, 7, 8], [0.5, 0.25, 7, 1, 2],
    ]  # fmt: skip


def units_name(units: dict[str, str], at: int) -> str:
    return list(units)[at]


def test_long_names_stay_different(tmp_path: Path) -> None:
    names = [f"{'M' * 30}{number}.{'VeryLongSignalNameThatIsTheSame'}X" for number in range(12)]
    path = tmp_path / "run.ld"
    made = frames([{name: [float(at)] for at, name in enumerate(names)}], dict.fromkeys(names, ""))
    write_motec(path, made, 10, MotecDetails("fs", UTC0))
    _, channels = read_log(path.read_bytes())
    assert [values.tolist() for _, _, values in channels.values()] == [[float(at)] for at in range(12)]


@pytest.mark.parametrize("rate_hz", [0.5, 99.5, 70_000])
def test_a_rate_that_a_log_cannot_hold_is_refused(tmp_path: Path, rate_hz: float) -> None:
    with pytest.raises(UserError, match="whole number"):
        write_motec(tmp_path / "run.ld", [], rate_hz, MotecDetails("fs", UTC0))


def test_beacons_stand_where_laps_end(tmp_path: Path) -> None:
    path = tmp_path / "run.ldx"
    write_beacons(path, [61.5, 121.0], [60.25, 59.5])
    root = ET.parse(path).getroot()
    assert [float(one.get("Time", "")) for one in root.iter("Marker")] == [61_500_000, 121_000_000]
    assert {one.get("Id"): one.get("Value") for one in root.iter("String")} == {
        "Total Laps": "2", "Fastest Time": "0:59.500", "Fastest Lap": "2",
    }  # fmt: skip
