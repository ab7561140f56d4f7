"""Channels of samples: values that never were CAN frames, read from the lake's table of samples."""

import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from ved.api.series import Samples, join
from ved.db.database import Database
from ved.db.epochs import vehicle_clocks
from ved.lake.lake import Lake
from ved.lake.samplerows import SampleRows, SampleWhere, sample_mask
from ved.model.channel import Channel
from ved.model.clockmap import ClockMap
from ved.model.health import figure_of
from ved.model.samples import SampleBatch, SampleChannel

_CLOCKS_S: Final = 2.0
NO_ID: Final = -1
"""`arbitration_id` of a channel that never was in a frame."""


def channel_of(one: SampleChannel) -> Channel:
    """The channel as people see it: what stands before the last dot of its name takes the place of a message."""
    group, _, signal = one.name.rpartition(".")
    figure = figure_of(one.name)
    return Channel(
        one.name,
        one.unit,
        one.kind,
        None,
        group,
        signal,
        NO_ID,
        is_extended=False,
        comment="" if figure is None else figure.comment,
        is_wide=True,
    )


def sample_channels(lake: Lake, vehicle: str) -> list[Channel]:
    """All channels of samples of a vehicle, as of the last refresh."""
    return [channel_of(one) for one in lake.samples.channels(vehicle)]


class SampleHistory:
    """Reads the samples of a lake under the clocks of a database. Blocking; may be used from several threads.

    Epochs of samples lie beside one another: none hides another, and none hides frames.
    """

    def __init__(self, lake: Lake, db: Database) -> None:
        self._lake, self._db = lake, db
        self._clocks: dict[str, tuple[float, dict[bytes, ClockMap]]] = {}
        self._lock = threading.Lock()

    def read(
        self, vehicle: str, channels: Sequence[str], utc_us: tuple[int, int], recent: Sequence[SampleBatch] = ()
    ) -> dict[str, Samples]:
        """Those of `channels` that have samples with utc_us[0] <= utc < utc_us[1].

        `recent` are batches that may not be in the lake yet; they count where the lake does not have their seqs.
        """
        by_epoch: defaultdict[bytes, list[SampleBatch]] = defaultdict(list)
        for batch in recent:
            if batch.vehicle == vehicle and any(one.name in channels for one in batch.channels):
                by_epoch[batch.epoch].append(batch)
        known = {one.name for one in self._lake.samples.channels(vehicle)}
        wanted = tuple(name for name in dict.fromkeys(channels) if name in known or by_epoch)
        if not wanted:
            return {}
        epochs = {epoch for owner, epoch in self._lake.samples.epochs() if owner == vehicle} | by_epoch.keys()
        clocks = self._clocks_of(vehicle, epochs)
        found: dict[str, list[Samples]] = {}
        for epoch in epochs & clocks.keys():
            offset_us = clocks[epoch].offset_us
            where = SampleWhere(wanted, utc_us[0] - offset_us, utc_us[1] - offset_us)
            for rows in self._rows(vehicle, epoch, where, by_epoch.get(epoch, ())):
                add_samples(rows, offset_us, found)
        return {name: join(parts) for name, parts in found.items()}

    def spans(self, vehicle: str, utc_us: tuple[int, int]) -> list[tuple[bytes, ClockMap, int, int]]:
        """Stored epochs of samples that touch that time: (epoch, clock, first and last t_us that lie in it)."""
        out = []
        for epoch, clock in self._clocks_of(vehicle, self._stored(vehicle)).items():
            limits = self._lake.samples.time_range(vehicle, epoch)
            if limits is not None:
                first = max(limits[0], utc_us[0] - clock.offset_us)
                last = min(limits[1], utc_us[1] - clock.offset_us - 1)
                if first <= last:
                    out.append((epoch, clock, first, last))
        return out

    def _stored(self, vehicle: str) -> set[bytes]:
        return {epoch for owner, epoch in self._lake.samples.epochs() if owner == vehicle}

    def _rows(self, vehicle: str, epoch: bytes, where: SampleWhere, recent: Sequence[SampleBatch]) -> list[SampleRows]:
        # The intervals come before the rows: what is stored between the two shows up in both, and is dropped here.
        have = self._lake.samples.intervals(vehicle, epoch)
        young = []
        for batch in recent:
            for first, last in have.missing(batch.first_seq, batch.last_seq):
                young.append(_wanted(batch, first, last, where))
                have.add(first, last)
        limits = self._lake.samples.time_range(vehicle, epoch)
        stored = SampleRows.concatenate([])
        if limits is not None and limits[1] >= (where.t_from_us or 0) and limits[0] < (where.t_to_us or 0):
            stored = self._lake.samples.all_parts(vehicle, epoch, where)
        fresh = SampleRows.concatenate(young)
        if len(fresh):
            fresh = fresh.take(~np.isin(fresh.seq, stored.seq))
        return [stored, fresh]

    def _clocks_of(self, vehicle: str, epochs: set[bytes]) -> dict[bytes, ClockMap]:
        """The clocks of those epochs that have one; asked anew after two seconds, or for an epoch that is new."""
        now_s = time.monotonic()
        with self._lock:
            read_s, clocks = self._clocks.get(vehicle, (-_CLOCKS_S, {}))
        if now_s - read_s >= _CLOCKS_S or not epochs <= clocks.keys():
            clocks = {epoch: ClockMap.best(pairs) for epoch, pairs in vehicle_clocks(self._db, vehicle).items()}
            with self._lock:
                self._clocks[vehicle] = (now_s, clocks)
        return {epoch: clocks[epoch] for epoch in epochs if epoch in clocks}


def add_samples(rows: SampleRows, offset_us: int, out: dict[str, list[Samples]]) -> None:
    """Add the rows to `out`, by channel and in order of time."""
    if not len(rows):
        return
    order = np.lexsort((rows.seq, rows.t_us, rows.channel))
    cuts = np.searchsorted(rows.channel[order], np.arange(len(rows.channels) + 1))
    for number, channel in enumerate(rows.channels):
        part = order[cuts[number] : cuts[number + 1]]
        if len(part):
            out.setdefault(channel.name, []).append(Samples(rows.t_us[part] + offset_us, rows.value[part]))


def merge_samples(found: Mapping[str, Samples], more: Mapping[str, Samples]) -> dict[str, Samples]:
    """Of each name of `found` the samples of both."""
    return {name: join([samples, more[name]]) if name in more else samples for name, samples in found.items()}


def _wanted(batch: SampleBatch, first: int, last: int, where: SampleWhere) -> SampleRows:
    samples = batch.samples.take(slice(first - batch.first_seq, last - batch.first_seq + 1))
    numbers = samples.channel.astype(np.int32)
    rows = SampleRows(np.arange(first, last + 1), samples.t_us, numbers, samples.value, batch.channels)
    is_named = np.array([where.channels is None or one.name in where.channels for one in batch.channels], np.bool_)
    return rows.take(sample_mask(rows.t_us, where) & is_named[numbers])
