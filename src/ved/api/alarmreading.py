"""Stored frames and samples as the alarm rules' engine takes them: as files give them, nothing sorted for its sake."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ved.analysis.alarms.batches import Columns, Piece
from ved.analysis.alarms.conditions import NO_TIME
from ved.api.framekeys import frame_key
from ved.api.history import all_of
from ved.api.parts import Part
from ved.dbc.decode import Decoder
from ved.lake.lake import Lake, ReorganisedError
from ved.lake.log import FileEntry
from ved.lake.reading import Where
from ved.lake.rows import FrameRows
from ved.lake.samplerows import SampleWhere
from ved.model.channel import Channel

Times = NDArray[np.int64]

_BLOCK_ROWS: Final = 1_000_000
"""Files are read together until they hold so many frames of any kind."""
_MOST_ROWS: Final = 6_000_000
_SAMPLES_US: Final = 600_000_000
_MANY_GAPS: Final = 8
_OFTEN: Final = 4
_NO_TIMES: Final = np.empty(0, np.int64)


class Block(NamedTuple):
    """What an engine takes next. `heard`: rows and times of frames, see LongBatch. `frames`: how many were read."""

    pieces: Sequence[Piece]
    heard: tuple[Times, Times]
    frames: int


@dataclass(slots=True)
class FrameBlocks:
    """The frames of a part that carry the channels with these numbers, in the order of their seq.

    `silence_us`: where none of them came for longer than that, the times of all others are read too (0: never).
    """

    lake: Lake
    part: Part
    channels: frozenset[int]
    silence_us: int = 0
    _heard_us: int = field(init=False)

    def __post_init__(self) -> None:
        self._heard_us = self.part.t_from_us - 1

    def __iter__(self) -> Iterator[Block]:
        """Each file is read once, where files do not overlap in time."""
        part = self.part
        if not self.channels and not self.silence_us:
            return
        keys = {frame_key(part.decoder, number) for number in self.channels}
        has_one_id = all(key is not None and key.bus is not None for key in keys)
        wanted = np.zeros(len(part.decoder.channels), np.bool_)
        wanted[sorted(self.channels)] = True
        entries = [one for one in self.lake.frame_rows.files() if one.key == (part.vehicle, part.epoch)]
        edges = cut_points(entries, part.t_from_us, part.t_to_us + 1)
        for from_us, to_us in pairwise(edges):
            found = self._read(Where(all_of(keys), t_from_us=from_us, t_to_us=to_us)) if self.channels else []
            pieces = [_piece(part.decoder, rows, wanted) for rows in _in_order(found, has_one_id=has_one_id)]
            heard = self._heard(pieces, found, to_us) if self.silence_us else (_NO_TIMES, _NO_TIMES)
            if pieces or len(heard[0]):
                self._heard_us = max([self._heard_us, *(one.end_us for one in pieces), *heard[1][-1:].tolist()])
                yield Block(pieces, heard, sum(len(rows) for rows in found))

    def _read(self, where: Where) -> list[FrameRows]:
        part = self.part
        try:
            return list(self.lake.parts(part.vehicle, part.epoch, where))
        except ReorganisedError:
            return list(self.lake.parts(part.vehicle, part.epoch, where))

    def _heard(self, pieces: Sequence[Piece], found: Sequence[FrameRows], to_us: int) -> tuple[Times, Times]:
        """Rows and times of so many frames that a silence between them is one of the whole vehicle.

        A channel that comes often enough says it all. Where none does, frames of every kind are read. What comes after
        the last one of a window is left to the next window, unless this is the last.
        """
        newest = [to_us] if to_us > self.part.t_to_us else [max(one.end_us for one in pieces)] if pieces else []
        edges = [self._heard_us, *newest]
        told = _often(pieces, self.silence_us)
        if not _gaps(told[1], edges, self.silence_us):
            return told
        read = list(found)
        gaps = _gaps(np.sort(np.concatenate([_NO_TIMES, *(rows.frames.t_us for rows in read)])), edges, self.silence_us)
        if len(gaps) > _MANY_GAPS:
            gaps = [(gaps[0][0], gaps[-1][1])]
        read += [rows for a, b in gaps for rows in self._read(Where(t_from_us=a + 1, t_to_us=b))]
        seq, t_us = (
            np.concatenate([_NO_TIMES, *one]) for one in ([r.seq for r in read], [r.frames.t_us for r in read])
        )
        order = np.argsort(seq, kind="stable")
        return seq[order], np.maximum.accumulate(t_us[order])


def sample_blocks(lake: Lake, part: Part, channels: Sequence[Channel], used: frozenset[int]) -> Iterator[Block]:
    """The samples of the channels with these numbers in a part of samples, in the order of their seq."""
    names = tuple(channels[number].name for number in sorted(used))
    numbers = {channels[number].name: number for number in used}
    for at_us in range(part.t_from_us, part.t_to_us + 1, _SAMPLES_US) if names else ():
        to_us = min(at_us + _SAMPLES_US, part.t_to_us + 1)
        rows = lake.samples.all_parts(part.vehicle, part.epoch, SampleWhere(names, at_us, to_us))
        if not len(rows):
            continue
        rows = rows.take(np.argsort(rows.seq, kind="stable"))
        number = np.array([numbers[one.name] for one in rows.channels], np.int64)[rows.channel]
        order = np.argsort(number, kind="stable")
        starts = np.searchsorted(number[order], np.arange(len(channels) + 1))
        columns = Columns(starts, rows.value[order], order)
        piece = Piece(rows.seq, columns, rows.t_us[order], int(rows.t_us.max()))
        yield Block([piece], (_NO_TIMES, _NO_TIMES), len(rows))


def cut_points(entries: Sequence[FileEntry], from_us: int, to_us: int) -> list[int]:
    """Times from `from_us` to `to_us` at which reading is cut: where files meet, and within what is too long."""
    within = [one for one in entries if one.t_max_us >= from_us and one.t_min_us < to_us]
    edges, rows, reached_us = [from_us], 0, NO_TIME
    for entry in sorted(within, key=lambda one: one.t_min_us):
        if rows >= _BLOCK_ROWS and entry.t_min_us > max(reached_us, edges[-1]):
            edges += [*_inner(edges[-1], entry.t_min_us, rows), entry.t_min_us]
            rows = 0
        rows, reached_us = rows + entry.rows, max(reached_us, entry.t_max_us)
    return [*edges, *_inner(edges[-1], to_us, rows), to_us]


def _inner(from_us: int, to_us: int, rows: int) -> list[int]:
    pieces = min(-(-rows // _MOST_ROWS), to_us - from_us)
    return [from_us + (to_us - from_us) * piece // pieces for piece in range(1, pieces)]


def _gaps(t_us: Times, edges: Sequence[int], longer_us: int) -> list[tuple[int, int]]:
    """Where nothing comes for longer; `edges`: the time before, and maybe the one after."""
    if not len(t_us):
        return [(edges[0], edges[1])] if len(edges) > 1 and edges[1] - edges[0] > longer_us else []
    times = np.concatenate([edges[:1], t_us, edges[1:]])
    at = np.flatnonzero(times[1:] - times[:-1] > longer_us)
    return list(zip(times[at].tolist(), times[at + 1].tolist(), strict=True))


def _often(pieces: Sequence[Piece], silence_us: int) -> tuple[Times, Times]:
    """Rows and times of a channel that comes several times in `silence_us`; the fewer the better."""
    if not pieces:
        return _NO_TIMES, _NO_TIMES
    counts = np.sum([np.diff(one.columns.starts) for one in pieces], axis=0)
    span_us = pieces[-1].end_us - min(int(one.t_us[0]) for one in pieces if len(one.t_us)) if counts.any() else 0
    enough = np.flatnonzero(counts * silence_us >= _OFTEN * span_us)
    enough = enough[counts[enough] > 0]
    channel = int(enough[np.argmin(counts[enough])] if len(enough) else np.argmax(counts))
    parts = [(one, slice(*one.columns.starts[channel : channel + 2].tolist())) for one in pieces]
    rows = np.concatenate([one.seq[one.columns.rows[part]] for one, part in parts])
    return rows, np.maximum.accumulate(np.concatenate([one.t_us[part] for one, part in parts]))


def _in_order(found: Sequence[FrameRows], *, has_one_id: bool) -> list[FrameRows]:
    """The rows as pieces one after the other; within one, seqs rise for each id (without `has_one_id`: for all)."""
    limits = [(int(rows.seq.min()), int(rows.seq.max())) for rows in found]
    if any(before[1] >= after[0] for before, after in pairwise(limits)):
        found = [FrameRows.concatenate(found)]
        has_one_id = False
    return [rows if has_one_id and _rises(rows) else rows.take(np.argsort(rows.seq, kind="stable")) for rows in found]


def _rises(rows: FrameRows) -> bool:
    """Whether all frames of one id stand together, in the order of their seq: files are so, but need not be."""
    frames, seq = rows.frames, rows.seq
    begins = frames.arbitration_id[1:] != frames.arbitration_id[:-1]
    begins |= frames.bus[1:] != frames.bus[:-1]
    begins |= frames.is_extended[1:] != frames.is_extended[:-1]
    if bool(((seq[1:] < seq[:-1]) & ~begins).any()):
        return False
    heads = np.append(0, np.flatnonzero(begins) + 1)
    names = zip(*(one[heads].tolist() for one in (frames.bus, frames.is_extended, frames.arbitration_id)), strict=True)
    return len(set(names)) == len(heads)


def _piece(decoder: Decoder, rows: FrameRows, wanted: NDArray[np.bool_]) -> Piece:
    decoded = decoder.decode(rows.frames, wanted)
    columns = Columns(decoded.starts, decoded.values, decoded.rows)
    return Piece(rows.seq, columns, decoded.t_us, int(rows.frames.t_us.max()))
