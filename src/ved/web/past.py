"""The window that a new subscription gets at once: from the lake and from the batches that are not in it yet."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ved.analysis.decimate import Buckets, buckets, merge
from ved.api.history import History, decode_into
from ved.api.series import Samples, join
from ved.codec.live import LiveHeader, LiveKind, encode_column, encode_message, tick_for
from ved.db.database import Database
from ved.db.epochs import clock_pairs, list_epochs, vehicle_clocks
from ved.lake.lake import Lake
from ved.model.aliases import Aliases
from ved.model.clockmap import ClockMap
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.samples import SampleBatch
from ved.web.fanout import live_column
from ved.web.limits import HISTORY_MESSAGE_BYTES
from ved.web.vehicle import EpochFeed

FIRST_SLICE_US: Final = 60_000_000
LONGEST_SLICE_US: Final = 480_000_000
SLICE_CHANNEL_US: Final = 40 * LONGEST_SLICE_US
"""Channels times length of a slice: at 100 samples/s 31 MB of samples."""
_ENTRY_BYTES: Final = 16
_WIDE_ENTRY_BYTES: Final = 28
_COLUMN_BYTES: Final = 40
"""Head and padding of a column."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which channels of a vehicle over which time, at which bucket width."""

    vehicle: str
    channels: tuple[str, ...]
    utc_from_us: int
    utc_to_us: int
    bucket_us: int


def slices(window: Window) -> Iterator[Window]:
    """The window in parts cut at bucket borders, newest first: what people look at comes first, memory stays small."""
    longest_us = min(LONGEST_SLICE_US, SLICE_CHANNEL_US // max(1, len(window.channels)))
    to_us, width_us = window.utc_to_us, FIRST_SLICE_US
    while to_us > window.utc_from_us:
        from_us = max(window.utc_from_us, (to_us - width_us) // window.bucket_us * window.bucket_us)
        yield replace(window, utc_from_us=from_us, utc_to_us=to_us)
        to_us, width_us = from_us, min(2 * width_us, longest_us)


class YoungEpoch:
    """An epoch of which the database may not know clock and DBCs yet: web itself decodes its recent batches."""

    def __init__(self, epoch: EpochFeed, batches: Sequence[FrameBatch], aliases: Aliases) -> None:
        assert epoch.offset_us is not None
        self._decoding = epoch.decoding
        self._aliases = aliases
        self._offset_us = epoch.offset_us
        self._batches = batches

    def buckets(self, window: Window) -> dict[str, Buckets]:
        """The summaries of the batches' samples in the window, by channel."""
        frames = FrameColumns.concatenate([batch.frames for batch in self._batches])
        clock = ClockMap(self._offset_us, None)
        found: dict[str, list[Samples]] = {name: [] for name in window.channels}
        for piece in self._decoding.between(window.utc_from_us, window.utc_to_us):
            utc_us = frames.t_us + self._offset_us
            here = frames.take((utc_us >= piece.utc_from_us) & (utc_us < piece.utc_to_us))
            numbers = piece.decoder.dbc_set.numbers
            indexes = [(name, self._aliases.index(numbers, name)) for name in window.channels]
            decode_into(piece.decoder, here, [(name, at) for name, at in indexes if at is not None], clock, found)
        return {name: buckets(*join(samples), window.bucket_us) for name, samples in found.items() if samples}


def stored_edge(lake: Lake, db: Database, vehicle: str) -> int | None:
    """UTC (µs) of the newest stored frame of the newest epoch with a clock; without frames, of the newest sample."""
    lake.refresh()
    for row in reversed(list_epochs(db, vehicle)):
        span, pairs = lake.time_range(vehicle, row.epoch), clock_pairs(db, vehicle, row.epoch)
        if span is not None and pairs:
            return span[1] + ClockMap.best(pairs).offset_us
    ends = []
    for epoch, pairs in vehicle_clocks(db, vehicle).items():
        span = lake.samples.time_range(vehicle, epoch)
        if span is not None:
            ends.append(span[1] + ClockMap.best(pairs).offset_us)
    return max(ends, default=None)


def read_window(
    history: History, window: Window, recent: Sequence[FrameBatch | SampleBatch], young: YoungEpoch | None
) -> dict[str, Buckets]:
    """The summaries of a window, by channel. Blocking: run it in a thread."""
    out = dict(
        history.buckets(window.vehicle, window.channels, window.utc_from_us, window.utc_to_us, window.bucket_us, recent)
    )
    if young is not None:
        for name, newer in young.buckets(window).items():
            out[name] = merge(out.get(name, Buckets.empty()), newer, window.bucket_us)
    return out


@dataclass(frozen=True, slots=True)
class Answer:
    """Which subscription a history answers, the flush up to which it is complete, and how its channels are numbered."""

    subscription: int
    sequence: int
    numbers: Mapping[str, "Numbering"]


@dataclass(frozen=True, slots=True)
class Numbering:
    """How a channel goes over the wire: its index, and whether it needs 64-bit values."""

    index: int
    is_wide: bool


def history_messages(answer: Answer, found: Mapping[str, Buckets], *, is_last: bool) -> Iterator[bytes]:
    """The messages that carry these summaries, each of at most about HISTORY_MESSAGE_BYTES.

    With `is_last` the last one is marked; without, there is none where there is nothing.
    """
    parts = {name: part for name, part in found.items() if len(part.t_us) and name in answer.numbers}
    base_us = min((int(part.t_us[0]) for part in parts.values()), default=0)
    end_us = max((int(part.t_us[-1]) for part in parts.values()), default=0)
    tick_us = tick_for(end_us - base_us)
    base_us -= base_us % tick_us

    def message(columns: Sequence[bytes], *, is_end: bool) -> bytes:
        return encode_message(
            LiveHeader(LiveKind.HISTORY, answer.subscription, base_us, tick_us, answer.sequence, is_end), columns
        )

    columns: list[bytes] = []
    size_bytes = 0
    for name, part in parts.items():
        number = answer.numbers[name]
        entry_bytes = _WIDE_ENTRY_BYTES if number.is_wide else _ENTRY_BYTES
        for chunk in _chunks(part, HISTORY_MESSAGE_BYTES // entry_bytes):
            next_bytes = _COLUMN_BYTES + len(chunk.t_us) * entry_bytes
            if columns and size_bytes + next_bytes > HISTORY_MESSAGE_BYTES:
                yield message(columns, is_end=False)
                columns, size_bytes = [], 0
            has_range = bool(np.any(chunk.minimum != chunk.last) or np.any(chunk.maximum != chunk.last))
            columns.append(encode_column(live_column(number.index, chunk, number.is_wide, has_range), base_us, tick_us))
            size_bytes += next_bytes
    if columns or is_last:
        yield message(columns, is_end=is_last)


def _chunks(part: Buckets, entries: int) -> Iterator[Buckets]:
    """The summaries in parts of at most so many."""
    for start in range(0, len(part.t_us), entries):
        yield part.slice(start, start + entries)
