"""The figures of one vehicle: its link and its buses, from the records that came since the last look."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.analysis.busload import frame_bits
from ved.dbc.decode import Decoder
from ved.model.frames import FrameBatch, FrameColumns, FrameFlag
from ved.model.health import channel_of
from ved.model.records import Arrival, Description, Lane, LinkState, Loss, LossPlace
from ved.model.samples import SampleChannel
from ved.watch.parts import Now, Taken

Figures = dict[SampleChannel, float]
ALL_BUSES: Final = 255
UNKNOWN_SPAN_US: Final = 10_000_000
OLD_US: Final = 10_000_000
"""Records that arrived longer ago are history: watch is catching up, and they say nothing of now."""
BITS_SAMPLE: Final = 256
"""Frames of a bus per second whose bits are counted; the others are taken to be like them."""

_NO_DATA: Final = np.uint8(FrameFlag.REMOTE | FrameFlag.ERROR)
_ERROR: Final = np.uint8(FrameFlag.ERROR)


@dataclass(slots=True)
class _Mark:
    """How far the live batches of an epoch were looked at."""

    epoch: bytes
    seq: int
    t_us: int


class _UnknownIds:
    """Which identifiers nobody defines: each is looked up once, in the DBCs that hold."""

    def __init__(self) -> None:
        self._decoder: Decoder | None = None
        self._is_known: dict[int, bool] = {}
        self._seen_us: dict[int, int] = {}

    def look(self, frames: FrameColumns, decoder: Decoder | None, now_us: int) -> Counter[int]:
        """How many unknown identifiers there were lately, by bus."""
        if decoder is not self._decoder:
            self._decoder = decoder
            self._is_known.clear()
            self._seen_us.clear()
        if decoder is not None:
            keys, rows = _identifiers(frames)
            for key, row in zip(keys.tolist(), rows.tolist(), strict=True):
                if key not in self._is_known:
                    one = frames.take(np.array([row], np.intp))
                    self._is_known[key] = decoder.decode(one).unknown_frames == 0
                if not self._is_known[key]:
                    self._seen_us[key] = now_us
        self._seen_us = {key: us for key, us in self._seen_us.items() if us > now_us - UNKNOWN_SPAN_US}
        return Counter(key >> 32 for key in self._seen_us)


@dataclass(slots=True, eq=False)
class VehicleHealth:
    """Takes what came of one vehicle; `figures` tells, about once per second, and begins anew."""

    bus_names: dict[int, str] = field(default_factory=dict)
    bitrates_hz: dict[int, int] = field(default_factory=dict)
    epochs: dict[bytes, int] = field(default_factory=dict)
    """When (monotonic) something of an epoch came, the last time."""
    _live: list[FrameBatch] = field(default_factory=list)
    _decoder: Decoder | None = None
    _backfilled: int = 0
    _lost: int = 0
    _drops: Counter[int] = field(default_factory=Counter)
    _mark: _Mark | None = None
    _newest: Arrival | None = None
    _heard_us: int | None = None
    _is_up: bool | None = None
    _rtt_us: int = -1
    _unknown: _UnknownIds = field(default_factory=_UnknownIds)
    _looked_us: int | None = None

    def take(self, taken: Taken, now: Now) -> None:
        """Note a record (`now`: of the last look)."""
        record, arrival = taken.record, taken.arrival
        is_old = arrival.utc_us < now.utc_us - OLD_US
        self.epochs[record.epoch] = now.mono_us
        if isinstance(record, FrameBatch) and record.count:
            if arrival.lane == Lane.LIVE:
                self.hear(arrival)
                if not is_old:
                    self._live.append(record)
                    self._decoder = taken.decoder
            elif not is_old:
                self._backfilled += record.count
        elif isinstance(record, Loss) and record.count > 0 and not is_old:
            self._lost += record.count
            if record.place == LossPlace.KERNEL:
                self._drops[record.bus] += record.count
        elif isinstance(record, LinkState) and record.lane == Lane.LIVE:
            self._is_up = record.is_up
            self._rtt_us = record.rtt_us if record.is_up else -1
        elif isinstance(record, Description):
            self.bus_names = {**{bus.index: bus.name for bus in record.buses}, **self.bus_names}

    def hear(self, arrival: Arrival) -> None:
        """A live frame came then."""
        self._newest = arrival

    def heard_us(self, now: Now) -> int | None:
        """When (monotonic) the newest live frame came; None: none since watch began."""
        if self._newest is not None:
            # The entry may be of an earlier boot: its monotonic time says nothing, its UTC does.
            self._heard_us = now.mono_us - max(0, now.utc_us - self._newest.utc_us)
            self._newest = None
        return self._heard_us

    def figures(self, now: Now, backlog: int) -> Figures:
        """All figures of now; those of a bus only where live frames came."""
        seconds = None if self._looked_us is None else (now.mono_us - self._looked_us) / 1e6
        self._looked_us = now.mono_us
        out: Figures = {channel_of("link", "backlog"): float(backlog), **self._bus_figures(now)}
        heard_us = self.heard_us(now)
        if heard_us is not None:
            out[channel_of("link", "age")] = (now.mono_us - heard_us) / 1000
        if self._is_up is not None:
            out[channel_of("link", "up")] = float(self._is_up)
        if self._rtt_us >= 0:
            out[channel_of("link", "rtt")] = self._rtt_us / 1000
        if seconds:
            out[channel_of("link", "loss")] = self._lost / seconds
            out[channel_of("link", "backfill")] = self._backfilled / seconds
            for bus, drops in self._drops.items():
                out[channel_of("bus", "drops", self._bus_name(bus))] = drops / seconds
            self._lost = self._backfilled = 0
            self._drops = Counter(dict.fromkeys(self._drops, 0))
        return out

    def _bus_figures(self, now: Now) -> Figures:
        live, self._live = self._live, []
        if not live:
            return {}
        epoch = live[-1].epoch
        live = [batch for batch in live if batch.epoch == epoch]
        frames = FrameColumns.concatenate([batch.frames for batch in live])
        mark = self._mark
        if mark is None or mark.epoch != epoch:
            mark = _Mark(epoch, live[0].first_seq, int(frames.t_us[0]))
        self._mark = _Mark(epoch, max(batch.last_seq for batch in live), int(frames.t_us.max()))
        count, span_us = self._mark.seq - mark.seq, self._mark.t_us - mark.t_us
        if count <= 0 or span_us <= 0:
            return {}
        # A busy uplink leaves batches out of the live lane: the seqs tell how many frames there were.
        per_second = count / len(frames) * 1e6 / span_us
        out: Figures = {channel_of("link", "frames"): count * 1e6 / span_us}
        unknown = self._unknown.look(frames, self._decoder, now.mono_us)
        for bus in np.unique(frames.bus).tolist():
            name = self._bus_name(bus)
            here = frames.take(frames.bus == bus)
            errors = int(np.count_nonzero(here.flags & _ERROR))
            out[channel_of("bus", "frames", name)] = (len(here) - errors) * per_second
            out[channel_of("bus", "errors", name)] = errors * per_second
            out[channel_of("bus", "unknown", name)] = float(unknown[bus])
            if bus in self.bitrates_hz:
                bits = len(here) * per_second * _mean_bits(here)
                out[channel_of("bus", "load", name)] = 100 * bits / self.bitrates_hz[bus]
            self._drops.setdefault(bus, 0)
        return out

    def _bus_name(self, bus: int) -> str:
        return self.bus_names.get(bus, "all" if bus == ALL_BUSES else f"bus{bus}")


def _identifiers(frames: FrameColumns) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """The distinct identifiers of data frames as bus << 32 | extended << 31 | id, and a row of each."""
    rows = np.flatnonzero((frames.flags & _NO_DATA) == 0)
    keys = (
        frames.bus[rows].astype(np.int64) << 32
        | frames.is_extended[rows].astype(np.int64) << 31
        | frames.arbitration_id[rows].astype(np.int64)
    )
    found, first = np.unique(keys, return_index=True)
    return found, rows[first]


def _mean_bits(frames: FrameColumns) -> float:
    step = -(-len(frames) // BITS_SAMPLE)
    return float(frame_bits(frames.take(slice(0, None, step))).mean())
