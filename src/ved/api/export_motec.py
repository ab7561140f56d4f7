"""Resampled channels as a MoTeC log (.ld), and laps as its beacons (.ldx); the layout stands in docs/spec/motec.md.

MoTeC does not publish the format: it is written from what others have found out and published.
"""

import os
import struct
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

import numpy as np
from numpy.typing import NDArray

from ved.api.frame import Frame
from ved.errors import UserError
from ved.model.channel import Channel

_HEAD: Final = struct.Struct("<I4xII20xI24xHHHI8sHHI4x16s16x16s16x64s64s64x64s64x1024xI66x64s126x")
_EVENT: Final = struct.Struct("<64s64s1024sH")
_VENUE: Final = struct.Struct("<64s1034xH")
_VEHICLE: Final = struct.Struct("<64s128xI32s32s")
_CHANNEL: Final = struct.Struct("<IIIIHHHHhhhh32s8s12s40x")
_VEHICLE_AT, _VENUE_AT, _EVENT_AT, _CHANNELS_AT = 1762, 5078, 8180, 11336

_MARK: Final = 0x40
_LOGGER: Final = (1, 0x4240, 0xF, 0x1F44, b"ADL", 420, 0xADB0)
"""What such a logger writes there: three constants, its serial number, kind and version, and another constant."""
_NO_PRO_LOGGING: Final = 0
_FIRST_CHANNEL_NUMBER: Final = 0x2EE1
_FLOAT32: Final = (7, 4)
_MAX_FILE_BYTES: Final = (1 << 32) - 1
_MAX_RATE_HZ: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class MotecDetails:
    """What the log's details show; empty texts become a dash, as i2 shows no data of a log that lacks them."""

    vehicle: str
    start_utc_us: int
    driver: str = ""
    track: str = ""
    session: str = ""
    comment: str = ""


def write_motec(path: Path, frames: Iterable[Frame], rate_hz: float, details: MotecDetails) -> int:
    """All columns as float32 channels of one rate; returns rows. Where there is no value, the last one is repeated.

    UserError when the rate is no whole number of Hz, or the log would be over 4 GiB.
    """
    if rate_hz != int(rate_hz) or not 1 <= rate_hz <= _MAX_RATE_HZ:
        raise UserError(f"rate {rate_hz:g}: a MoTeC log has a whole number of rows per second; give --rate 100, say")
    with tempfile.TemporaryFile(dir=path.parent) as spool:
        channels, rows = _spool(spool.fileno(), frames)
        data_at = _CHANNELS_AT + _CHANNEL.size * len(channels)
        if data_at + 4 * rows * len(channels) > _MAX_FILE_BYTES:
            raise UserError(f"{path}: would be over 4 GiB, more than a MoTeC log can hold; choose fewer channels")
        with path.open("wb") as file:
            file.write(_header(details, len(channels), data_at))
            for number, (name, channel) in enumerate(_named(channels)):
                file.write(_channel_header(number, len(channels), (name, channel.unit), (data_at, rows, int(rate_hz))))
            if rows and channels:
                table = np.memmap(spool, np.float32, "r", shape=(rows, len(channels)))
                for column in table.T:
                    file.write(np.ascontiguousarray(column).tobytes())
    return rows


def write_beacons(path: Path, ends_s: Sequence[float], durations_s: Sequence[float]) -> None:
    """The .ldx beside a log: a beacon where each lap ends, in seconds since the log's start, and the fastest lap."""
    root = Element("LDXFile", Locale="English_United Kingdom.1252", DefaultLocale="C", Version="1.6")
    layers = SubElement(root, "Layers")
    block = SubElement(SubElement(layers, "Layer"), "MarkerBlock")
    group = SubElement(block, "MarkerGroup", Name="Beacons", Index=str(len(ends_s)))
    for number, end_s in enumerate(ends_s, start=1):
        at = {"Name": f"Lap.{number}", "Flags": "77", "Time": f"{end_s * 1e6:.17g}"}
        SubElement(group, "Marker", {"Version": "100", "ClassName": "BCN", **at})
    details = SubElement(layers, "Details")
    SubElement(details, "String", Id="Total Laps", Value=str(len(ends_s)))
    if durations_s:
        fastest = min(range(len(durations_s)), key=lambda lap: durations_s[lap])
        minutes, seconds = divmod(durations_s[fastest], 60)
        SubElement(details, "String", Id="Fastest Time", Value=f"{int(minutes)}:{seconds:06.3f}")
        SubElement(details, "String", Id="Fastest Lap", Value=str(fastest + 1))
    indent(root)
    ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _spool(descriptor: int, frames: Iterable[Frame]) -> tuple[dict[str, Channel], int]:
    """Write all rows as float32 to the open file; a log has its channels one after the other, and a day is large."""
    channels: dict[str, Channel] = {}
    last: NDArray[np.float32] | None = None
    rows = 0
    with os.fdopen(descriptor, "wb", closefd=False) as spool:
        for frame in frames:
            channels = dict(frame.channels)
            values = frame.to_numpy().astype(np.float32)
            start = np.zeros(values.shape[1], np.float32) if last is None else last
            values = _without_gaps(np.vstack([start, values]))[1:]
            spool.write(np.ascontiguousarray(values).tobytes())
            last = values[-1] if len(values) else last
            rows += len(values)
    return channels, rows


def _without_gaps(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each NaN becomes the value above it."""
    rows = np.where(np.isnan(values), 0, np.arange(len(values))[:, None])
    filled: NDArray[np.float32] = np.take_along_axis(values, np.maximum.accumulate(rows, axis=0), axis=0)
    return filled


def _header(details: MotecDetails, channels: int, data_at: int) -> bytes:
    begin = datetime.fromtimestamp(details.start_utc_us / 1e6, UTC)
    driver, vehicle = _text(details.driver, 64, "-"), _text(details.vehicle, 64, "-")
    track, session = _text(details.track, 64, "-"), _text(details.session, 64, "-")
    out = bytearray(_CHANNELS_AT)
    _HEAD.pack_into(
        out,
        0,
        *(_MARK, _CHANNELS_AT, data_at, _EVENT_AT, *_LOGGER, channels),
        *(begin.strftime("%d/%m/%Y").encode(), begin.strftime("%H:%M:%S").encode(), driver, vehicle, track),
        *(_NO_PRO_LOGGING, _text(details.comment, 64)),
    )
    _VEHICLE.pack_into(out, _VEHICLE_AT, vehicle, 0, b"", b"")
    _VENUE.pack_into(out, _VENUE_AT, track, _VEHICLE_AT)
    _EVENT.pack_into(out, _EVENT_AT, track, session, _text(details.comment, 1024), _VENUE_AT)
    return bytes(out)


def _channel_header(number: int, count: int, named: tuple[str, str], place: tuple[int, int, int]) -> bytes:
    (name, unit), (data_at, rows, rate_hz) = named, place
    own = _CHANNELS_AT + number * _CHANNEL.size
    return _CHANNEL.pack(
        own - _CHANNEL.size if number else 0,
        own + _CHANNEL.size if number + 1 < count else 0,
        data_at + 4 * rows * number,
        rows,
        (_FIRST_CHANNEL_NUMBER + number) & 0xFFFF,
        *_FLOAT32,
        rate_hz,
        *(0, 1, 1, 0),
        _text(name, 32),
        _text(name, 8),
        _text(unit, 12),
    )


def _named(channels: dict[str, Channel]) -> Iterable[tuple[str, Channel]]:
    """Names of at most 31 letters, all different: the signal's own where that is enough."""
    taken: set[str] = set()
    for name, channel in channels.items():
        short = name if len(name) < 32 else name.rsplit(".", 1)[-1]
        free, count = short[:31], 1
        while free in taken:
            count += 1
            free = f"{short[: 30 - len(str(count))]}~{count}"
        taken.add(free)
        yield free, channel


def _text(text: str, size: int, empty: str = "") -> bytes:
    """At most `size` - 1 bytes of Windows-1252, so that a zero ends them."""
    return (text or empty).encode("cp1252", "replace")[: size - 1]
