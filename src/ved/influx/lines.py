"""Frames and samples to line protocol: one line per frame with all its signals, written column by column.

No Python runs per frame or per value: Arrow formats all values of a batch in one go, and joins them with the constant
text between them, message by message. Every number is written as a float (no `i`), so a field never changes its type.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ved.dbc.decode import Decoded, Decoder
from ved.influx.names import (
    escaped_key,
    escaped_measurement,
    fields_of,
    measurements_of,
    sample_place,
    tag_value,
)
from ved.influx.thinning import Thinner
from ved.model.frames import FrameColumns
from ved.model.samples import SampleChannel

_NS: Final = 1000
Field = tuple[str, str]
"""(measurement, field)."""


@dataclass(slots=True)
class Lines:
    """Line protocol in parts, each of whole lines with their line ends."""

    parts: list[bytes] = field(default_factory=list)
    count: int = 0
    left_out: int = 0
    """Values of fields that the database refused before."""

    @property
    def size_bytes(self) -> int:
        """Bytes of all parts."""
        return sum(map(len, self.parts))

    def add(self, columns: Sequence[Any], count: int) -> None:
        """Join columns of texts (or constants) row by row into lines."""
        if count == 0:
            return
        joined = pc.binary_join_element_wise(*columns, "\n", "")
        self.parts.append(_text_of(joined))
        self.count += count


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from: vehicle and epoch, UTC in µs at the epoch's start, and the names of its buses."""

    vehicle: str
    epoch: bytes
    offset_us: int
    buses: Mapping[int, str] = field(default_factory=dict)


class LineWriter:
    """Makes lines; remembers what thinning needs to know, and fields that are to be left out."""

    def __init__(self, rate_hz: float) -> None:
        self._thinner = Thinner(rate_hz)
        self.refused: set[Field] = set()

    def frames(
        self, source: Source, seq: NDArray[np.int64], frames: FrameColumns, decoder: Decoder, lines: Lines
    ) -> None:
        """Lines of all frames that the decoder knows; `seq` i64[n] of each frame. Frames are in order of time."""
        decoded = decoder.decode(frames)
        if not len(decoded.values):
            return
        texts = pc.cast(pa.array(decoded.values), pa.string())
        times = pc.cast(pa.array(time_ns(source.offset_us, frames.t_us, seq)), pa.string())
        table = _Table(source, frames, decoded, texts, times)
        for message in _messages(decoder):
            if decoded.starts[message.first] < decoded.starts[message.last]:
                self._message(table, message, lines)

    def samples(
        self,
        source: Source,
        columns: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any], NDArray[np.float64]],
        channels: Sequence[SampleChannel],
        lines: Lines,
    ) -> None:
        """A line for each sample; `columns`: seq, t_us, channel (counts in `channels`), value."""
        seq, t_us, channel, value = columns
        is_number = np.isfinite(value)
        tags = f",vehicle={escaped_key(tag_value(source.vehicle))} "
        for number, one in enumerate(channels):
            rows = np.flatnonzero((channel == number) & is_number)
            if not len(rows):
                continue
            measurement, name = sample_place(one.name)
            kept = self._thinner.keep((source.vehicle, source.epoch, one.name), t_us[rows])
            rows = rows if kept is None else rows[kept]
            if (measurement, name) in self.refused:
                lines.left_out += len(rows)
                continue
            head = f"{escaped_measurement(measurement)}{tags}{escaped_key(name)}="
            values = pc.cast(pa.array(value[rows]), pa.string())
            times = pc.cast(pa.array(time_ns(source.offset_us, t_us[rows], seq[rows])), pa.string())
            lines.add([head, values, " ", times], len(rows))

    def _message(self, table: "_Table", message: "_Message", lines: Lines) -> None:
        rows, places = table.rows_of(message)
        for bus in _buses_of(message, table.frames, rows):
            here = slice(None) if bus is None else table.frames.bus[rows] == bus
            name = message.bus_name if bus is None else table.source.buses.get(int(bus), str(bus))
            for signals, part in _patterns(places[:, here]):
                self._rows(table, message, (name, signals), (rows[here][part], places[:, here][:, part]), lines)

    def _rows(
        self,
        table: "_Table",
        message: "_Message",
        which: tuple[str, tuple[int, ...]],
        where: tuple[NDArray[np.int64], NDArray[np.int64]],
        lines: Lines,
    ) -> None:
        """Lines of frames of one message on one bus that all have the same signals."""
        (bus, signals), (rows, places) = which, where
        source = table.source
        stream = (source.vehicle, source.epoch, message.measurement, bus, signals)
        kept = self._thinner.keep(stream, table.frames.t_us[rows])
        if kept is not None:
            rows, places = rows[kept], places[:, kept]
        used = [one for one in signals if (message.measurement, message.fields[one]) not in self.refused]
        lines.left_out += (len(signals) - len(used)) * len(rows)
        if not used:
            return
        tags = f",bus={escaped_key(tag_value(bus))},vehicle={escaped_key(tag_value(source.vehicle))} "
        between = escaped_measurement(message.measurement) + tags
        columns: list[Any] = []
        for signal in used:
            columns += [f"{between}{escaped_key(message.fields[signal])}=", table.taken(places[signal])]
            between = ","
        lines.add([*columns, " ", table.times.take(pa.array(rows))], len(rows))


@dataclass(frozen=True, slots=True, eq=False)
class _Message:
    """A message of a set: its measurement, the numbers of its channels (first <= c < last), and their fields."""

    measurement: str
    first: int
    last: int
    fields: tuple[str, ...]
    bus: int | None
    bus_name: str


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """The decoded rows of a batch with their texts."""

    source: Source
    frames: FrameColumns
    decoded: Decoded
    texts: Any
    times: Any

    def rows_of(self, message: _Message) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Frame rows of a message i64[n], and where each signal's value of each row stands i64[signals, n] or -1."""
        starts = self.decoded.starts[message.first : message.last + 1]
        counts = np.diff(starts)
        begin, end = int(starts[0]), int(starts[-1])
        rows, values = self.decoded.rows[begin:end], self.decoded.values[begin:end]
        n = int(counts[0])
        if (counts == n).all():
            square = rows.reshape(len(counts), n)
            if (square == square[0]).all():
                places = np.arange(begin, end).reshape(len(counts), n)
                return square[0], np.where(np.isfinite(values).reshape(places.shape), places, -1)
        distinct = np.unique(rows)
        places = np.full((len(counts), len(distinct)), -1, np.int64)
        signal = np.repeat(np.arange(len(counts)), counts)
        places[signal, np.searchsorted(distinct, rows)] = np.where(np.isfinite(values), np.arange(begin, end), -1)
        return distinct, places

    def taken(self, places: NDArray[np.int64]) -> Any:
        """The texts at these places, which increase; a view where they are neighbours."""
        first, n = int(places[0]), len(places)
        if int(places[-1]) - first == n - 1:
            return self.texts.slice(first, n)
        return self.texts.take(pa.array(places))


def time_ns(offset_us: int, t_us: NDArray[np.int64], seq: NDArray[np.int64]) -> NDArray[np.int64]:
    """UTC in ns: the frame's microsecond, and seq modulo 1000 below it.

    So two frames of one id in one microsecond are two points, and the same frame is the same point whenever and in
    whatever company it is written.
    """
    return (t_us + offset_us) * _NS + seq % _NS


@lru_cache(maxsize=32)
def _messages(decoder: Decoder) -> tuple[_Message, ...]:
    dbc_set = decoder.dbc_set
    fields, names = fields_of(dbc_set), measurements_of(dbc_set)
    out = []
    for number, message in enumerate(dbc_set.messages):
        first = dbc_set.first_channels[number]
        last = first + len(message.signals)
        if first < last:
            out.append(_Message(names[number], first, last, tuple(fields[first:last]), message.bus, message.bus_name))
    return tuple(out)


def _buses_of(message: _Message, frames: FrameColumns, rows: NDArray[np.int64]) -> list[np.uint8 | None]:
    """The buses that these frames of a message came on; [None]: that of its definition."""
    return [None] if message.bus is not None else list(np.unique(frames.bus[rows]))


def _patterns(places: NDArray[np.int64]) -> list[tuple[tuple[int, ...], slice | NDArray[np.intp]]]:
    """(signals, columns) for each set of signals that some columns have, without those that have none."""
    is_there = places >= 0
    if is_there.all():
        return [(tuple(range(len(places))), slice(None))]
    patterns, which = np.unique(is_there, axis=1, return_inverse=True)
    which = which.reshape(-1)
    return [
        (tuple(np.flatnonzero(patterns[:, number]).tolist()), np.flatnonzero(which == number))
        for number in range(patterns.shape[1])
        if patterns[:, number].any()
    ]


def _text_of(texts: Any) -> bytes:
    """All texts of an Arrow array one behind the other."""
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return bytes(memoryview(texts.buffers()[2])[int(offsets[0]) : int(offsets[-1])])
