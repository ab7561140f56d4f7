"""From the lake into the database: whole epochs or a span of time, slice by slice. The same points as the live way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from ved.api.decoding import Decoding, decoding_for
from ved.db.database import Database
from ved.db.epochs import clock_pairs, epoch_buses
from ved.influx.epochs import EpochKey, Written, WrittenStore, settled
from ved.influx.lines import Lines, LineWriter, Source
from ved.lake.lake import Lake, SampleWhere
from ved.lake.reading import Where
from ved.model.clockmap import ClockMap
from ved.model.health import figure_of

SLICE_US: Final = 10_000_000
Span = tuple[int, int]
"""From <= UTC < to, in µs."""
Kind = Literal["frames", "samples"]


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows of one epoch with t_from_us <= t_us < t_to_us."""

    key: EpochKey
    kind: Kind
    t_from_us: int
    t_to_us: int
    offset_us: int

    @property
    def name(self) -> str:
        """That of its epoch and kind."""
        return f"{self.key[1].hex()}/{self.kind}"


class LakeLines:
    """Plans what of the lake lies in some spans of time, and makes its lines. Blocking."""

    def __init__(self, lake: Lake, db: Database, store: WrittenStore, rate_hz: float) -> None:
        self._lake, self._db, self._store = lake, db, store
        self.writer = LineWriter(rate_hz)
        self._decodings: dict[EpochKey, tuple[Decoding, dict[int, str]]] = {}

    def keys(self, vehicle: str) -> list[EpochKey]:
        """The epochs of a vehicle that have rows."""
        self._lake.refresh()
        found = {*self._lake.frame_rows.epochs(), *self._lake.samples.epochs()}
        return sorted(key for key in found if key[0] == vehicle)

    def plan(self, vehicle: str, spans: Sequence[Span]) -> list[Slice]:
        """The slices that touch the spans, by UTC. An epoch whose time nobody knows has none."""
        out: list[Slice] = []
        for key in self.keys(vehicle):
            written = self.written(key)
            if written is not None:
                out += self._slices(key, written.offset_us, spans)
        return sorted(out, key=lambda one: (one.t_from_us + one.offset_us, one.name))

    def written(self, key: EpochKey) -> Written | None:
        """Under which offset an epoch is written: that under which it was, or its best clock's."""
        known = self._store.read(key)
        now = settled(known, ClockMap.best(clock_pairs(self._db, *key)))
        if now is not None and now != known:
            self._store.write(key, now)
        return now

    def range_us(self, key: EpochKey) -> tuple[int, int] | None:
        """(first, last) t_us of all rows of an epoch; None where there are none."""
        ranges = [self._lake.time_range(*key), self._lake.samples.time_range(*key)]
        found = [one for one in ranges if one is not None]
        return (min(one[0] for one in found), max(one[1] for one in found)) if found else None

    def lines(self, piece: Slice) -> Lines:
        """The lines of a slice."""
        if piece.key not in self._decodings:
            if len(self._decodings) > 64:
                self._decodings.clear()
            buses = {bus.index: bus.name for bus in epoch_buses(self._db, *piece.key)}
            self._decodings[piece.key] = (decoding_for(self._db, *piece.key), buses)
        decoding, buses = self._decodings[piece.key]
        source = Source(*piece.key, piece.offset_us, buses)
        lines = Lines()
        if piece.kind == "samples":
            self._sample_lines(piece, source, lines)
            return lines
        rows = self._lake.rows(*piece.key, Where(t_from_us=piece.t_from_us, t_to_us=piece.t_to_us))
        utc_us = rows.frames.t_us + piece.offset_us
        for part in decoding.between(piece.t_from_us + piece.offset_us, piece.t_to_us + piece.offset_us):
            here = slice(*np.searchsorted(utc_us, [part.utc_from_us, part.utc_to_us]).tolist())
            if here.start < here.stop:
                self.writer.frames(source, rows.seq[here], rows.frames.take(here), part.decoder, lines)
        return lines

    def _sample_lines(self, piece: Slice, source: Source, lines: Lines) -> None:
        where = SampleWhere(self._sample_names(piece.key[0]), piece.t_from_us, piece.t_to_us)
        rows = self._lake.samples.all_parts(*piece.key, where)
        order = np.lexsort((rows.seq, rows.t_us))
        rows = rows.take(order)
        self.writer.samples(source, (rows.seq, rows.t_us, rows.channel, rows.value), rows.channels, lines)

    def _sample_names(self, vehicle: str) -> tuple[str, ...]:
        """Without the figures of health: they are not in the stream that the role reads."""
        return tuple(one.name for one in self._lake.samples.channels(vehicle) if figure_of(one.name) is None)

    def _slices(self, key: EpochKey, offset_us: int, spans: Sequence[Span]) -> Iterator[Slice]:
        kinds: list[tuple[Kind, tuple[int, int] | None]] = [
            ("frames", self._lake.time_range(*key)),
            ("samples", self._lake.samples.time_range(*key)),
        ]
        for kind, found in kinds:
            if found is None or (kind == "samples" and not self._sample_names(key[0])):
                continue
            done_us = found[0]
            for span in merged(spans):
                start = max(done_us, found[0], span[0] - offset_us)
                end = min(found[1] + 1, span[1] - offset_us)
                for at in range(start // SLICE_US * SLICE_US, end, SLICE_US):
                    yield Slice(key, kind, max(at, start), min(at + SLICE_US, end), offset_us)
                done_us = max(done_us, end)


def merged(spans: Sequence[Span]) -> list[Span]:
    """The spans in order, those that touch made one."""
    out: list[Span] = []
    for start, end in sorted(spans):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        elif start < end:
            out.append((start, end))
    return out


def delete_statement(vehicle_text: str, span: Span | None) -> str:
    """InfluxQL that deletes a vehicle's points in a span of time (None: all of them)."""
    where = f'"vehicle" = {vehicle_text}'
    if span is not None:
        where += f" AND time >= {span[0] * 1000} AND time < {span[1] * 1000}"
    return f"DELETE WHERE {where}"
