"""What the rules look at: samples of many channels with their order and time, in short batches or in long ones.

A row is a number that rises with the order of frames: all samples of one frame share it. A key is a place in that
order: 2 * row at a frame, odd between two rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]
Floats = NDArray[np.float64]

LONG: Final = 1000
"""From so many samples of a channel on, a call for each channel costs less than one pass over the samples of all."""
_NO_TIMES: Final = np.empty(0, np.int64)


class Columns(NamedTuple):
    """Samples grouped by channel, as the decoder gives them: channel c has those from starts[c] to starts[c + 1].

    `starts` i64[channels + 1]; `values` f64[m]; `rows` i64[m], each sample's row in the batch, rising in a channel.
    """

    starts: NDArray[np.int64]
    values: NDArray[np.float64]
    rows: NDArray[np.int64]


class Track(NamedTuple):
    """The samples of one channel: rows (rising), times (never falling), values."""

    rows: Times
    t_us: Times
    values: Floats


class Batch(Protocol):
    """Samples to look at. By channel: `counts`, `low`, `high` (NaN: one is among them, or there are none)."""

    @property
    def counts(self) -> NDArray[np.int64]:
        """Samples."""

    @property
    def low(self) -> Floats:
        """The least value."""

    @property
    def high(self) -> Floats:
        """The greatest value."""

    @property
    def start_us(self) -> int:
        """The time of the first frame."""

    @property
    def now_us(self) -> int:
        """The newest time."""

    @property
    def end_key(self) -> int:
        """After all rows."""

    @property
    def is_end(self) -> bool:
        """No frame: only the time to which all was given."""

    def of(self, channel: int) -> Track:
        """The samples of a channel."""

    def together(self, channels: NDArray[np.intp]) -> Track:
        """The samples of several channels, one channel after the other."""

    def heard(self) -> tuple[Times, Times]:
        """Rows and times of frames, whatever is in them: no silence is in there that was none."""

    def last(self) -> tuple[NDArray[np.intp], Times, Floats]:
        """The channels that have samples; time and value of the newest of each."""

    def key_at(self, t_us: Times, side: Literal["left", "right"], channels: Iterable[int]) -> Times:
        """The key before the first row whose time is not before (right: is after) each of `t_us`.

        It is only compared with keys of `channels`.
        """


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """A batch with one row for each frame; `clock` i64[n]: the newest time so far at each row."""

    clock: Times
    columns: Columns
    counts: NDArray[np.int64]
    low: Floats
    high: Floats
    is_end: bool

    @property
    def start_us(self) -> int:
        """The time of the first frame."""
        return int(self.clock[0])

    @property
    def now_us(self) -> int:
        """The newest time."""
        return int(self.clock[-1])

    @property
    def end_key(self) -> int:
        """See Batch."""
        return 2 * len(self.clock)

    def of(self, channel: int) -> Track:
        """See Batch."""
        part = slice(int(self.columns.starts[channel]), int(self.columns.starts[channel + 1]))
        rows = self.columns.rows[part]
        return Track(rows, self.clock[rows], self.columns.values[part])

    def together(self, channels: NDArray[np.intp]) -> Track:
        """See Batch."""
        lengths = self.counts[channels]
        ends = np.cumsum(lengths)
        at = np.arange(ends[-1]) + np.repeat(self.columns.starts[channels] - ends + lengths, lengths)
        rows = self.columns.rows[at]
        return Track(rows, self.clock[rows], self.columns.values[at])

    def heard(self) -> tuple[Times, Times]:
        """See Batch."""
        count = 0 if self.is_end else len(self.clock)
        return np.arange(count), self.clock[:count]

    def last(self) -> tuple[NDArray[np.intp], Times, Floats]:
        """See Batch."""
        present = np.flatnonzero(self.counts)
        at = self.columns.starts[present + 1] - 1
        return present, self.clock[self.columns.rows[at]], self.columns.values[at]

    def key_at(self, t_us: Times, side: Literal["left", "right"], channels: Iterable[int]) -> Times:  # noqa: ARG002
        """See Batch."""
        return 2 * np.searchsorted(self.clock, t_us, side).astype(np.int64) - 1


def make_batch(t_us: Times, columns: Columns, now_us: int, *, is_end: bool) -> FrameBatch:
    """A batch after one that ended at `now_us`: time never runs back."""
    clock = np.maximum.accumulate(t_us)
    if clock[0] < now_us:
        clock = np.maximum(clock, now_us)
    counts = np.diff(columns.starts)
    low, high = np.full(len(counts), np.nan), np.full(len(counts), np.nan)
    present = np.flatnonzero(counts)
    if len(present):
        # Minimum and maximum keep a NaN, and a comparison with NaN is false: such a channel is looked at.
        low[present] = np.minimum.reduceat(columns.values, columns.starts[present])
        high[present] = np.maximum.reduceat(columns.values, columns.starts[present])
    return FrameBatch(clock, columns, counts, low, high, is_end)


@dataclass(frozen=True, slots=True)
class Piece:
    """Decoded frames whose seqs are all before those of the next piece; in a channel the seqs rise.

    `seq` i64[frames]; `t_us` i64[m]: the samples' times; `end_us`: the newest time.
    """

    seq: Times
    columns: Columns
    t_us: Times
    end_us: int


class LongBatch:
    """Many frames, as files hold them: nothing is put in order, or together, that no rule looks at.

    Rows are seqs, and a sample's time is the newest of its own channel: where frames do not overtake one another, that
    is the newest of all. `heard`: rows and times for silences of the whole vehicle; not needed where no rule asks.
    """

    is_end = False

    def __init__(self, pieces: Sequence[Piece], now_us: int, heard: tuple[Times, Times], width: int) -> None:
        self._pieces, self._heard, self._before_us = pieces, heard, now_us
        self._tracks: dict[int, Track] = {}
        starts = np.array([piece.columns.starts for piece in pieces]).reshape(len(pieces), width + 1)
        self.counts: NDArray[np.int64] = np.diff(starts, axis=1).sum(axis=0)
        self.low, self.high = np.full(width, np.nan), np.full(width, np.nan)
        for channel in np.flatnonzero(self.counts).tolist():
            parts = [self._cut(piece, channel) for piece in pieces]
            values = [piece.columns.values[part] for piece, part in zip(pieces, parts, strict=True)]
            self.low[channel] = np.min([one.min() for one in values if len(one)])
            self.high[channel] = np.max([one.max() for one in values if len(one)])
        firsts = [*(int(piece.t_us.min()) for piece in pieces if len(piece.t_us)), *heard[1][:1].tolist()]
        self.now_us = max([now_us, *(piece.end_us for piece in pieces), *heard[1][-1:].tolist()])
        self.start_us = max(min(firsts, default=self.now_us), now_us)
        rows = [int(piece.seq.max()) for piece in pieces if len(piece.seq)]
        self.end_key = 2 * (max([*rows, *heard[0][-1:].tolist()]) + 1)

    def of(self, channel: int) -> Track:
        """See Batch."""
        track = self._tracks.get(channel)
        if track is None:
            parts = [(piece, self._cut(piece, channel)) for piece in self._pieces]
            rows = _joined([piece.seq[piece.columns.rows[part]] for piece, part in parts])
            t_us = _joined([piece.t_us[part] for piece, part in parts])
            if len(t_us) and (t_us[0] < self._before_us or bool((t_us[1:] < t_us[:-1]).any())):
                t_us = np.maximum(np.maximum.accumulate(t_us), self._before_us)
            values = [piece.columns.values[part] for piece, part in parts]
            track = Track(rows, t_us, values[0] if len(values) == 1 else np.concatenate([np.empty(0), *values]))
            self._tracks[channel] = track
        return track

    def together(self, channels: NDArray[np.intp]) -> Track:
        """See Batch."""
        return Track(*map(np.concatenate, zip(*map(self.of, channels.tolist()), strict=True)))

    def heard(self) -> tuple[Times, Times]:
        """See Batch."""
        return self._heard

    def last(self) -> tuple[NDArray[np.intp], Times, Floats]:
        """See Batch."""
        present = np.flatnonzero(self.counts)
        t_us, values = np.empty(len(present), np.int64), np.empty(len(present))
        for place, channel in enumerate(present.tolist()):
            piece = next(one for one in reversed(self._pieces) if np.diff(one.columns.starts[channel : channel + 2])[0])
            part = self._cut(piece, channel)
            t_us[place] = max(int(piece.t_us[part].max()), self._before_us)
            values[place] = piece.columns.values[part.stop - 1]
        return present, t_us, values

    def key_at(self, t_us: Times, side: Literal["left", "right"], channels: Iterable[int]) -> Times:
        """See Batch."""
        first = np.full(len(t_us), self.end_key // 2, np.int64)
        for channel in channels:
            rows, times, _ = self.of(channel)
            if len(rows):
                at = np.searchsorted(times, t_us, side)
                first = np.where(at < len(rows), np.minimum(rows[np.minimum(at, len(rows) - 1)], first), first)
        return 2 * first - 1

    @staticmethod
    def _cut(piece: Piece, channel: int) -> slice:
        return slice(int(piece.columns.starts[channel]), int(piece.columns.starts[channel + 1]))


def _joined(parts: Sequence[Times]) -> Times:
    return parts[0] if len(parts) == 1 else np.concatenate([_NO_TIMES, *parts])
