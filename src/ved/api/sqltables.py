"""What SQL sees: tables that DuckDB scans as Arrow datasets, and that read of the lake only what a query asks for.

DuckDB hands a scan the columns that it needs and the conditions that it can push down. A scan is made of pieces (a
session's stretch of time, a channel), each with what is known of all its rows; Arrow itself tells which pieces the
conditions rule out, and filters the rows of the others exactly.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as pafs
from numpy.typing import NDArray

from ved.api.framekeys import frame_key
from ved.api.maths import is_maths
from ved.api.parts import Part, clip
from ved.api.recorded import RecordedSession
from ved.api.samples import NO_ID
from ved.lake.lake import Lake, ReorganisedError
from ved.lake.reading import Where
from ved.model.channel import Channel
from ved.model.frames import FrameColumns

TIME: Final = pa.timestamp("us")
WINDOW_US: Final = 300_000_000
_LEAST_WINDOW_US: Final = 10_000_000
_MOST_WINDOWS: Final = 2_000
_TOGETHER: Final = 64
"""Channels that are read in one go: at 100 samples/s 30 MB for each WINDOW_US."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a session, from <= UTC < to, in µs."""

    session: RecordedSession
    utc_from_us: int
    utc_to_us: int

    def known(self) -> pads.Expression:
        """What holds for all rows of the piece."""
        time = pads.field("time")
        return (
            (pads.field("vehicle") == self.session.vehicle)
            & (pads.field("session") == self.session.id)
            & (time >= pa.scalar(self.utc_from_us, TIME))
            & (time < pa.scalar(self.utc_to_us, TIME))
        )


class Table(pads.Dataset):  # type: ignore[misc]
    """A table as DuckDB scans it: it asks `schema`, then calls `scanner`."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema

    @property
    def schema(self) -> pa.Schema:
        """The columns."""
        return self._schema

    def scanner(
        self,
        columns: Sequence[str] | None = None,
        filter: pads.Expression | None = None,  # noqa: A002  (DuckDB passes it by this name)
        **_: object,
    ) -> pads.Scanner:
        """The rows that `filter` holds for."""
        needed = _needed(self._schema, columns, filter)
        schema = pa.schema([self._schema.field(name) for name in needed])
        batches = self.batches(schema, filter)
        return pads.Scanner.from_batches(batches, schema=schema, columns=columns, filter=filter, use_threads=False)

    def batches(self, schema: pa.Schema, wanted: pads.Expression | None) -> Iterator[pa.RecordBatch]:
        """Batches of `schema` (some of the table's columns) with at least all rows that `wanted` holds for."""
        raise NotImplementedError  # each kind of table says how


class RowTable(Table):
    """A small table whose rows are made when somebody asks for them."""

    def __init__(self, schema: pa.Schema, rows: Iterable[Mapping[str, object]]) -> None:
        super().__init__(schema)
        self._rows = rows

    def batches(self, schema: pa.Schema, wanted: pads.Expression | None) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        """See Table."""
        yield pa.RecordBatch.from_pylist([{name: row[name] for name in schema.names} for row in self._rows], schema)


class MessageTable(Table):
    """A decoded message of a vehicle: a row for each frame, a column for each signal, null where a frame has none.

    Channels that never were in frames, and share what stands before the last dot, make such a table: a row per time.
    """

    def __init__(self, lake: Lake, sessions: Sequence[RecordedSession], columns: Mapping[str, Channel]) -> None:
        """`columns`: name of the column -> channel, all of one message."""
        fields = [pa.field("session", pa.string()), pa.field("time", TIME), pa.field("time_s", pa.float64())]
        fields += [pa.field(name, pa.float64(), metadata={"unit": one.unit}) for name, one in columns.items()]
        super().__init__(pa.schema(fields))
        self._lake = lake
        self._sessions = sessions
        self._columns = dict(columns)
        self._is_of_frames = all(one.arbitration_id != NO_ID and not is_maths(one.name) for one in columns.values())

    def batches(self, schema: pa.Schema, wanted: pads.Expression | None) -> Iterator[pa.RecordBatch]:
        """See Table."""
        signals = {name: self._columns[name] for name in schema.names if name in self._columns}
        asked = signals or dict(itertools.islice(self._columns.items(), 1))
        for piece in pieces_of(self._sessions, wanted, self._schema):
            if not self._is_of_frames:
                yield from self._of_samples(piece, asked, schema)
                continue
            for part in piece.session.parts:
                first, end = clip(part, (piece.utc_from_us, piece.utc_to_us))
                if first < end and not part.samples:
                    yield from self._of_frames(piece, part, (first, end), signals, schema)

    def _of_frames(
        self, piece: Piece, part: Part, t_us: tuple[int, int], signals: Mapping[str, Channel], schema: pa.Schema
    ) -> Iterator[pa.RecordBatch]:
        """The rows of the frames of this message, file by file; only the wanted signals are decoded."""
        numbers = {name: number for name, one in signals.items() if (number := part.index(one.name)) is not None}
        present = [number for one in self._columns.values() if (number := part.index(one.name)) is not None]
        if not present:
            return
        keys = {frame_key(part.decoder, number) for number in present}
        known = tuple(key for key in keys if key is not None)
        is_told = len(known) == len(keys)
        mask = np.zeros(len(part.decoder.channels), np.bool_)
        mask[list(numbers.values()) if is_told else present] = True
        for frames in _stored(self._lake, part, Where(known if is_told else None, None, *t_us, with_seq=False)):
            decoded = part.decoder.decode(frames, mask)
            # Where the id does not tell whose frame it is, those with a signal of the message are.
            chosen = np.arange(len(frames)) if is_told else np.unique(decoded.rows)
            columns: dict[str, Any] = {"utc_us": frames.t_us[chosen] + part.clock.offset_us}
            for name, number in numbers.items():
                rows = slice(int(decoded.starts[number]), int(decoded.starts[number + 1]))
                at = np.searchsorted(chosen, decoded.rows[rows])
                columns[name] = _sparse(len(chosen), at, decoded.values[rows])
            yield _batch(schema, piece.session, columns)

    def _of_samples(self, piece: Piece, asked: Mapping[str, Channel], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """A row for each time at which any of the channels has a sample."""
        known = {one.name for one in piece.session.channels}
        read = {
            name: piece.session.read_channel(one.name, (piece.utc_from_us, piece.utc_to_us))
            for name, one in asked.items()
            if one.name in known
        }
        times = [one.utc_us for one in read.values() if len(one)]
        if not times:
            return
        utc_us = np.unique(np.concatenate(times))
        columns: dict[str, Any] = {"utc_us": utc_us}
        for name, one in read.items():
            columns[name] = _sparse(len(utc_us), np.searchsorted(utc_us, one.utc_us), one.values)
        yield _batch(schema, piece.session, columns)


class ChannelTable(Table):
    """All channels of all vehicles, one sample a row."""

    def __init__(self, sessions: Sequence[RecordedSession]) -> None:
        super().__init__(
            pa.schema(
                [
                    pa.field("vehicle", pa.string()),
                    pa.field("session", pa.string()),
                    pa.field("channel", pa.string()),
                    pa.field("time", TIME),
                    pa.field("time_s", pa.float64()),
                    pa.field("value", pa.float64()),
                    pa.field("unit", pa.string()),
                ]
            )
        )
        self._sessions = sessions

    def batches(self, schema: pa.Schema, wanted: pads.Expression | None) -> Iterator[pa.RecordBatch]:
        """See Table."""
        for session, pieces in itertools.groupby(
            pieces_of(self._sessions, wanted, self._schema), lambda piece: piece.session
        ):
            stretches = list(pieces)
            channels = _kept_channels(session.channels, wanted, self._schema)
            computed = [one for one in channels if is_maths(one.name)]
            others = [one for one in channels if not is_maths(one.name)]
            for at in range(0, len(others), _TOGETHER):
                for piece in stretches:
                    yield from self._read(piece, others[at : at + _TOGETHER], schema)
            for one in computed:  # from the start of the session on, so in one go
                yield from self._read(_hull(stretches), [one], schema)

    def _read(self, piece: Piece, channels: Sequence[Channel], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        names = [one.name for one in channels]
        read = piece.session.read_channels(names, (piece.utc_from_us, piece.utc_to_us))
        for channel in channels:
            utc_us, values = read[channel.name]
            if len(utc_us):
                yield _batch(schema, piece.session, {"utc_us": utc_us, "value": pa.array(values)}, channel)


def pieces_of(
    sessions: Sequence[RecordedSession], wanted: pads.Expression | None, schema: pa.Schema
) -> Iterator[Piece]:
    """The stretches of sessions that may have wanted rows of a table of `schema`, each of at most WINDOW_US."""
    whole = [Piece(one, *one.utc_us) for one in sessions]
    for piece in _kept(whole, [one.known() for one in whole], wanted, schema):
        width_us = min(WINDOW_US, max(_LEAST_WINDOW_US, (piece.utc_to_us - piece.utc_from_us) // _MOST_WINDOWS))
        cuts = [*range(piece.utc_from_us, piece.utc_to_us, width_us), piece.utc_to_us]
        windows = [Piece(piece.session, first, end) for first, end in itertools.pairwise(cuts)]
        yield from _joined(_kept(windows, [one.known() for one in windows], wanted, schema))


def _joined(windows: Iterable[Piece]) -> Iterator[Piece]:
    """Neighbours as one, as long as that is short enough."""
    held: Piece | None = None
    for window in windows:
        if held is None:
            held = window
        elif held.utc_to_us == window.utc_from_us and window.utc_to_us - held.utc_from_us <= WINDOW_US:
            held = Piece(held.session, held.utc_from_us, window.utc_to_us)
        else:
            yield held
            held = window
    if held is not None:
        yield held


def _kept_channels(channels: Sequence[Channel], wanted: pads.Expression | None, schema: pa.Schema) -> list[Channel]:
    known = [(pads.field("channel") == one.name) & (pads.field("unit") == one.unit) for one in channels]
    return _kept(list(channels), known, wanted, schema)


_FORMAT: Final = pads.ParquetFileFormat()
_NOWHERE: Final = pafs.LocalFileSystem()
_ALWAYS_KNOWN: Final = (
    pa.field("vehicle", pa.string()),
    pa.field("session", pa.string()),
    pa.field("time", TIME),
)

Item = TypeVar("Item")


def _kept(
    items: list[Item], known: Sequence[pads.Expression], wanted: pads.Expression | None, schema: pa.Schema
) -> list[Item]:
    """The items of which something may be wanted, given what is known of each.

    Arrow's own pruning: each item poses as a file of a partitioned data set; none is ever opened.
    """
    if wanted is None or not items:
        return items
    fragments = [
        _FORMAT.make_fragment(str(at), filesystem=_NOWHERE, partition_expression=one) for at, one in enumerate(known)
    ]
    fields = {field.name: field for field in (*_ALWAYS_KNOWN, *schema)}
    data_set = pads.FileSystemDataset(fragments, pa.schema(list(fields.values())), _FORMAT, _NOWHERE)
    return [items[int(one.path)] for one in data_set.get_fragments(wanted)]


def _needed(schema: pa.Schema, columns: Sequence[str] | None, wanted: pads.Expression | None) -> list[str]:
    """The columns that a scan must make: those asked for, and those that its conditions name."""
    if columns is None:
        return list(schema.names)
    if wanted is None:
        return [name for name in schema.names if name in columns]
    told = str(wanted)
    needed = [name for name in schema.names if name in columns or name in told]
    try:
        pads.Scanner.from_batches([], schema=pa.schema([schema.field(name) for name in needed]), filter=wanted)
    except pa.ArrowInvalid:  # a name that is written otherwise there
        return list(schema.names)
    return needed


def _sparse(count: int, at: NDArray[np.intp], values: NDArray[np.float64]) -> pa.Array:
    """f64[count] with `values` at the places `at`, null elsewhere."""
    out, is_there = np.full(count, np.nan), np.zeros(count, np.bool_)
    out[at], is_there[at] = values, True
    return pa.array(out, mask=~is_there)


def _hull(pieces: Sequence[Piece]) -> Piece:
    return Piece(pieces[0].session, pieces[0].utc_from_us, pieces[-1].utc_to_us)


def _stored(lake: Lake, part: Part, where: Where) -> list[FrameColumns]:
    try:
        return [rows.frames for rows in lake.parts(part.vehicle, part.epoch, where)]
    except ReorganisedError:
        return [rows.frames for rows in lake.parts(part.vehicle, part.epoch, where)]


def _batch(
    schema: pa.Schema, session: RecordedSession, columns: Mapping[str, Any], channel: Channel | None = None
) -> pa.RecordBatch:
    """A batch of `schema`; what it asks for and nobody has is null."""
    utc_us: NDArray[np.int64] = columns["utc_us"]
    constants = {"vehicle": session.vehicle, "session": session.id}
    if channel is not None:
        constants |= {"channel": channel.name, "unit": channel.unit}
    arrays = []
    for field in schema:
        if field.name in columns:
            arrays.append(columns[field.name])
        elif field.name == "time":
            arrays.append(pa.array(utc_us).cast(TIME))
        elif field.name == "time_s":
            arrays.append(pa.array((utc_us - session.utc_from_us) / 1e6))
        elif field.name in constants:
            arrays.append(pa.repeat(pa.scalar(constants[field.name]), len(utc_us)))
        else:
            arrays.append(pa.nulls(len(utc_us), field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
