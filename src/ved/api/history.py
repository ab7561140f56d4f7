"""Channels over time, from the lake and from batches that are not in it yet: frames decoded when they are read."""

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Final

import numpy as np

from ved.analysis.decimate import Buckets, buckets, coarsen, merge
from ved.analysis.maths.liverun import LiveRun
from ved.api.decoding import Decoding, decoder_of_sources, decoding_of
from ved.api.framekeys import frame_key
from ved.api.maths import is_maths
from ved.api.mathshistory import MathsHistory
from ved.api.registry import load_registry
from ved.api.rolling import RolledSpan, names_asked, read_rolled
from ved.api.samples import SampleHistory, merge_samples, sample_channels
from ved.api.series import Samples, join
from ved.api.timeline import EpochSpan, visible
from ved.db.database import Database
from ved.db.epochs import EpochRow, clock_pairs, list_epochs
from ved.dbc.decode import Decoder
from ved.lake.lake import Lake, ReorganisedError
from ved.lake.reading import FrameKey, Where, row_mask
from ved.lake.rollups import ROLLUP_US
from ved.lake.rows import FrameRows
from ved.model.aliases import Aliases
from ved.model.channel import Channel
from ved.model.clockmap import ClockMap
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.samples import SampleBatch

_ONE_READ_US: Final = 300_000_000
_LIVE_EPOCHS: Final = 4
_OLD_CLOCK_S: Final = 5.0
_CHANNEL_US: Final = 20 * 3_600_000_000
"""How much time of one channel is decoded at once: 20 h at 100 Hz are 7 million samples."""


class History:
    """Reads a lake under the DBCs and clocks of a database. Blocking; may be used from several threads."""

    def __init__(self, lake: Lake, db: Database) -> None:
        self._lake = lake
        self._db = db
        self._samples = SampleHistory(lake, db)
        self._maths = MathsHistory(db, self._read_decoded, self._decoded_channels)
        self._clocks: dict[tuple[str, bytes], tuple[float, ClockMap]] = {}
        self._lock = threading.Lock()

    def samples(
        self,
        vehicle: str,
        channel: str,
        utc_from_us: int,
        utc_to_us: int,
        recent: Sequence[FrameBatch | SampleBatch] = (),
    ) -> Samples:
        """The samples of one channel with utc_from_us <= utc < utc_to_us; none when nobody knows the channel.

        `recent` are batches that may not be in the lake yet; they count where the lake does not have their seqs.
        """
        return self._read(vehicle, [channel], (utc_from_us, utc_to_us), recent)[channel]

    def buckets(
        self,
        vehicle: str,
        channels: Sequence[str],
        utc_from_us: int,
        utc_to_us: int,
        bucket_us: int,
        recent: Sequence[FrameBatch | SampleBatch] = (),
    ) -> dict[str, Buckets]:
        """Min/max/last of each channel on the UTC grid of `bucket_us`; an entry for each asked channel.

        On a grid of whole ROLLUP_US, the stretches for which there are rollups are not read. The result is the same.
        """
        out: dict[str, list[Buckets]] = {name: [] for name in channels}
        stretches = [(utc_from_us, utc_to_us)]
        has_maths = any(is_maths(name) for name in channels)
        if bucket_us % ROLLUP_US == 0 and not has_maths:
            rolled, stretches = self._rolled(vehicle, channels, stretches[0], recent)
            for name, finer in rolled.items():
                out[name].append(coarsen(finer, bucket_us))
        for piece in stretches if has_maths else pieces(stretches, bucket_us, len(channels)):
            for name, read in self._read(vehicle, channels, piece, recent).items():
                out[name].append(buckets(read.utc_us, read.values, bucket_us))
        return {
            name: reduce(lambda a, b: merge(a, b, bucket_us), parts, Buckets.empty()) for name, parts in out.items()
        }

    def _rolled(
        self,
        vehicle: str,
        channels: Sequence[str],
        utc_us: tuple[int, int],
        recent: Sequence[FrameBatch | SampleBatch],
    ) -> tuple[dict[str, Buckets], list[tuple[int, int]]]:
        """What rollups tell of the channels, and the stretches of time of which they do not."""
        self._lake.refresh()
        if {one.name for one in self._lake.samples.channels(vehicle)}.intersection(channels):
            return {}, [utc_us]
        registry = load_registry(self._db, vehicle)
        live = {batch.epoch for batch in recent}
        spans = [
            RolledSpan(
                span.epoch,
                decoding_of(registry, span.buses),
                span.clock,
                max(span.seen_from_us, span.utc_first_us),
                min(span.seen_to_us, span.utc_last_us + 1),
            )
            for span in self._spans(vehicle, {})
            if span.epoch not in live
        ]
        return read_rolled(self._lake, vehicle, spans, names_asked(channels, registry.aliases), utc_us)

    def channels(self, vehicle: str) -> list[Channel]:
        """All channels that the registry, an epoch's own DBCs, samples or people's maths define.

        Where two have one name, the newest's holds. A channel that was renamed stands under its new name only.
        """
        return [*self._decoded_channels(vehicle), *self._maths.of(vehicle).channels]

    def maths_run(
        self, vehicle: str, name: str, until_us: int | None, recent: Sequence[FrameBatch | SampleBatch] = ()
    ) -> LiveRun | None:
        """A maths channel, run over its session up to `until_us` (None: over nothing) and ready to go on; or None."""
        return self._maths.live_run(vehicle, name, until_us, recent)

    def forget_maths(self, vehicle: str) -> None:
        """The vehicle's maths channels are others now."""
        self._maths.forget(vehicle)

    def _decoded_channels(self, vehicle: str) -> list[Channel]:
        registry = load_registry(self._db, vehicle)
        rows = reversed(list_epochs(self._db, vehicle))
        decodings = dict.fromkeys(decoding_of(registry, buses) for buses in ((), *(row.buses for row in rows)))
        out = channels_of_decodings(list(decodings))
        for channel in sample_channels(self._lake, vehicle):
            out.setdefault(channel.name, channel)
        return [channel for channel in out.values() if not registry.aliases.is_former(channel.name, out)]

    def _read(
        self, vehicle: str, channels: Sequence[str], utc_us: tuple[int, int], recent: Sequence[FrameBatch | SampleBatch]
    ) -> dict[str, Samples]:
        computed = [name for name in channels if is_maths(name)]
        decoded = [name for name in channels if name not in computed]
        out = self._read_decoded(vehicle, decoded, utc_us, recent) if decoded else {}
        return out | self._maths.read(vehicle, computed, utc_us, recent) if computed else out

    def _read_decoded(
        self, vehicle: str, channels: Sequence[str], utc_us: tuple[int, int], recent: Sequence[FrameBatch | SampleBatch]
    ) -> dict[str, Samples]:
        self._lake.refresh()
        try:
            return self._read_once(vehicle, channels, utc_us, recent)
        except ReorganisedError:
            return self._read_once(vehicle, channels, utc_us, recent)

    def _read_once(
        self, vehicle: str, channels: Sequence[str], utc_us: tuple[int, int], recent: Sequence[FrameBatch | SampleBatch]
    ) -> dict[str, Samples]:
        registry = load_registry(self._db, vehicle)
        by_epoch: defaultdict[bytes, list[FrameBatch]] = defaultdict(list)
        for batch in recent:
            if isinstance(batch, FrameBatch) and batch.vehicle == vehicle and batch.count:
                by_epoch[batch.epoch].append(batch)
        parts: dict[str, list[Samples]] = {name: [] for name in channels}
        for span in self._spans(vehicle, by_epoch):
            utc_from = max(utc_us[0], span.seen_from_us, span.utc_first_us)
            utc_to = min(utc_us[1], span.seen_to_us, span.utc_last_us + 1)
            if utc_from >= utc_to:
                continue
            for piece in decoding_of(registry, span.buses).between(utc_from, utc_to):
                t_from, t_to = piece.utc_from_us - span.clock.offset_us, piece.utc_to_us - span.clock.offset_us
                for keys, names in queries(piece.decoder, registry.aliases, channels, t_to - t_from):
                    where = Where(keys=keys, t_from_us=t_from, t_to_us=t_to)
                    for frames in self._frames(vehicle, span.epoch, where, by_epoch.get(span.epoch, ())):
                        decode_into(piece.decoder, frames, names, span.clock, parts)
        samples = [batch for batch in recent if isinstance(batch, SampleBatch)]
        of_samples = self._samples.read(vehicle, channels, utc_us, samples)
        return merge_samples({name: join(found) for name, found in parts.items()}, of_samples)

    def _frames(self, vehicle: str, epoch: bytes, where: Where, recent: Sequence[FrameBatch]) -> Iterator[FrameColumns]:
        """The wanted frames of the lake, file by file, then those of the recent batches that the lake lacks."""
        young: list[FrameRows] = []
        if recent:
            # The intervals come before the rows: what is stored between the two shows up in both, and is dropped here.
            have = self._lake.intervals(vehicle, epoch)
            for batch in recent:
                for first, last in have.missing(batch.first_seq, batch.last_seq):
                    frames = batch.frames.take(slice(first - batch.first_seq, last - batch.first_seq + 1))
                    mask = row_mask(frames, where)
                    young.append(FrameRows(np.arange(first, last + 1)[mask], frames.take(mask)))
                    have.add(first, last)
        fresh = FrameRows.concatenate(young)
        for rows in self._lake.parts(vehicle, epoch, replace(where, with_seq=len(fresh) > 0)):
            if len(fresh):
                fresh = fresh.take(~np.isin(fresh.seq, rows.seq))
            yield rows.frames
        if len(fresh):
            yield fresh.frames

    def _spans(self, vehicle: str, recent: Mapping[bytes, Sequence[FrameBatch]]) -> list[EpochSpan]:
        rows = list_epochs(self._db, vehicle)
        spans = []
        for at, row in enumerate(rows):
            limits = self._limits(row, recent.get(row.epoch, ()))
            if limits is None:
                continue
            clock = self._clock(row, is_live=at >= len(rows) - _LIVE_EPOCHS)
            if clock.source is not None:
                first, last = limits[0] + clock.offset_us, limits[1] + clock.offset_us
                spans.append(EpochSpan(row.epoch, row.buses, clock, first, last))
        return visible(spans)

    def _limits(self, row: EpochRow, recent: Sequence[FrameBatch]) -> tuple[int, int] | None:
        limits = [(int(batch.frames.t_us.min()), int(batch.frames.t_us.max())) for batch in recent]
        stored = self._lake.time_range(row.vehicle, row.epoch)
        if stored is not None:
            limits.append(stored)
        if not limits:
            return None
        return min(first for first, _ in limits), max(last for _, last in limits)

    def _clock(self, row: EpochRow, *, is_live: bool) -> ClockMap:
        """The epoch's clock; that of an old epoch changes rarely and is kept for a few seconds."""
        key, now_s = (row.vehicle, row.epoch), time.monotonic()
        with self._lock:
            expires_s, clock = self._clocks.get(key, (0.0, ClockMap(0, None)))
        if not is_live and now_s < expires_s:
            return clock
        clock = ClockMap.best(clock_pairs(self._db, row.vehicle, row.epoch))
        with self._lock:
            self._clocks[key] = (now_s + _OLD_CLOCK_S, clock)
        return clock


def pieces(stretches: Iterable[tuple[int, int]], bucket_us: int, channels: int) -> Iterator[tuple[int, int]]:
    """The stretches in parts of whole buckets, so that a day's samples are not all in memory at once."""
    step_us = max(1, _CHANNEL_US // max(1, channels) // bucket_us) * bucket_us
    for begin_us, end_us in stretches:
        at_us = begin_us
        while at_us < end_us:
            next_us = min(at_us // bucket_us * bucket_us + step_us, end_us)
            yield at_us, next_us
            at_us = next_us


def channels_of_decodings(decodings: Sequence[Decoding]) -> dict[str, Channel]:
    """All channels by name; where two have one, that of the first decoding, and in it of the latest time, holds."""
    out: dict[str, Channel] = {}
    for decoding in decodings:
        for stretch in reversed(decoding.stretches):
            for channel in decoder_of_sources(stretch.sources).channels:
                out.setdefault(channel.name, channel)
    return out


def all_of(keys: Iterable[FrameKey | None]) -> tuple[FrameKey, ...] | None:
    """The keys as a query takes them: None, which is all frames, where one of them is None."""
    known = tuple(keys)
    named = tuple(key for key in known if key is not None)
    return named if len(named) == len(known) else None


def queries(
    decoder: Decoder, aliases: Aliases, channels: Sequence[str], span_us: int
) -> list[tuple[tuple[FrameKey, ...] | None, list[tuple[str, int]]]]:
    """What to read together: all of a short time in one go, of a long time one kind of frame after the other."""
    by_key: defaultdict[FrameKey | None, list[tuple[str, int]]] = defaultdict(list)
    for name in dict.fromkeys(channels):
        index = aliases.index(decoder.dbc_set.numbers, name)
        if index is not None:
            by_key[frame_key(decoder, index)].append((name, index))
    if by_key and span_us <= _ONE_READ_US:
        return [(all_of(by_key), [pair for pairs in by_key.values() for pair in pairs])]
    return [(all_of([key]), pairs) for key, pairs in by_key.items()]


def decode_into(
    decoder: Decoder,
    frames: FrameColumns,
    names: Sequence[tuple[str, int]],
    clock: ClockMap,
    out: Mapping[str, list[Samples]],
) -> None:
    """Decode the channels `names` (name, number) of `frames` and add what there is to `out`."""
    wanted = np.zeros(len(decoder.channels), np.bool_)
    wanted[[index for _, index in names]] = True
    decoded = decoder.decode(frames, wanted)
    for name, index in names:
        t_us, values = decoded.column(index)
        if len(t_us):
            out[name].append(Samples(clock.to_utc(t_us), values))
