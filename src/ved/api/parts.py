"""Reading the parts of a session: stretches of epochs, each with its clock and its decoder."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ved.api.decoding import Decoding, Piece, decoder_of_sources, decoding_of, recorded_decoding
from ved.api.history import decode_into, queries
from ved.api.registry import Registry, load_registry
from ved.api.samples import SampleHistory, add_samples, channel_of
from ved.api.series import Samples, join
from ved.db.database import Database
from ved.db.epochs import clock_pairs, list_epochs
from ved.dbc.decode import Decoder
from ved.dbc.load import DbcSource
from ved.lake.lake import Lake, ReorganisedError
from ved.lake.reading import Where
from ved.lake.samplerows import SampleWhere
from ved.model.aliases import NO_ALIASES, Aliases
from ved.model.channel import Channel
from ved.model.clockmap import ClockMap
from ved.model.frames import FrameColumns
from ved.model.records import BusDescription
from ved.model.samples import SampleChannel
from ved.model.session import Session

_WINDOW_US: Final = 60_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A stretch of one epoch read by one decoder, both ends inclusive, in the epoch's monotonic time.

    `samples`: the channels that an epoch of samples may hold; none where it holds frames. `decoding`: of all the epoch.
    """

    vehicle: str
    epoch: bytes
    t_from_us: int
    t_to_us: int
    clock: ClockMap
    buses: tuple[BusDescription, ...]
    sources: tuple[DbcSource, ...]
    decoder: Decoder
    aliases: Aliases
    samples: tuple[SampleChannel, ...] = ()
    decoding: Decoding | None = None

    def index(self, channel: str) -> int | None:
        """The number that the channel of this name (of now, or a former one) has in `decoder`, or None."""
        return self.aliases.index(self.decoder.dbc_set.numbers, channel)

    @property
    def utc_from_us(self) -> int:
        """UTC of its start."""
        return self.t_from_us + self.clock.offset_us

    @property
    def utc_to_us(self) -> int:
        """UTC of its end."""
        return self.t_to_us + self.clock.offset_us


class PartLoader:
    """The parts of a vehicle's sessions, under the clocks and DBCs that held when it was made."""

    def __init__(self, db: Database, lake: Lake, vehicle: str) -> None:
        self._db, self._lake, self._vehicle = db, lake, vehicle
        self._samples = SampleHistory(lake, db)
        self.registry = load_registry(db, vehicle)
        self._buses = {row.epoch: row.buses for row in list_epochs(db, vehicle)}

    def load(self, session: Session) -> list[Part]:
        """The parts of a session, by UTC, cut where other DBCs begin to hold; with the samples of its time."""
        return self._load(session, lambda buses: decoding_of(self.registry, buses))

    def load_under(self, session: Session, registry: Registry) -> list[Part]:
        """As `load`, under another registry than that of now."""
        return self._load(session, lambda buses: decoding_of(registry, buses))

    def load_recorded(self, session: Session) -> list[Part]:
        """As `load`, under the DBCs that were in force on the car."""
        return self._load(session, lambda buses: recorded_decoding(self._vehicle, buses))

    def _load(self, session: Session, decoding: Callable[[Sequence[BusDescription]], Decoding]) -> list[Part]:
        parts: list[Part] = []
        for part in session.parts:
            buses = self._buses.get(part.epoch, ())
            clock = ClockMap.best(clock_pairs(self._db, self._vehicle, part.epoch))
            read = decoding(buses)
            pieces = read.between(part.t_from_us + clock.offset_us, part.t_to_us + clock.offset_us + 1)
            parts += [replace(self._part(part.epoch, buses, clock, piece), decoding=read) for piece in pieces]
        if parts and (channels := tuple(self._lake.samples.channels(self._vehicle))):
            span = (min(part.utc_from_us for part in parts), max(part.utc_to_us for part in parts) + 1)
            parts += self._sample_parts(span, channels)
        return sorted(parts, key=lambda part: part.utc_from_us)

    def _sample_parts(self, utc_us: tuple[int, int], channels: tuple[SampleChannel, ...]) -> list[Part]:
        return [
            Part(
                vehicle=self._vehicle,
                epoch=epoch,
                t_from_us=first,
                t_to_us=last,
                clock=clock,
                buses=(),
                sources=(),
                decoder=decoder_of_sources(()),
                aliases=self.registry.aliases,
                samples=channels,
            )
            for epoch, clock, first, last in self._samples.spans(self._vehicle, utc_us)
        ]

    def _part(self, epoch: bytes, buses: tuple[BusDescription, ...], clock: ClockMap, piece: Piece) -> Part:
        return Part(
            vehicle=self._vehicle,
            epoch=epoch,
            t_from_us=piece.utc_from_us - clock.offset_us,
            t_to_us=piece.utc_to_us - clock.offset_us - 1,
            clock=clock,
            buses=buses,
            sources=piece.sources,
            decoder=piece.decoder,
            aliases=self.registry.aliases,
        )


def channels_of_parts(parts: Sequence[Part]) -> list[Channel]:
    """All channels that the DBCs in force or samples define; where two have one name, the later part's.

    A channel that was renamed stands under its new name only.
    """
    out: dict[str, Channel] = {}
    for part in reversed(parts):
        for channel in part.decoder.channels:
            out.setdefault(channel.name, channel)
    for part in parts:
        for one in part.samples:
            out.setdefault(one.name, channel_of(one))
    aliases = parts[0].aliases if parts else NO_ALIASES
    return [channel for channel in out.values() if not aliases.is_former(channel.name, out)]


def read_samples(
    lake: Lake, parts: Sequence[Part], channels: Sequence[str], utc_us: tuple[int, int]
) -> dict[str, Samples]:
    """The samples of channels (full names) with utc_us[0] <= utc < utc_us[1], in time order."""
    try:
        return _read_once(lake, parts, channels, utc_us)
    except ReorganisedError:
        return _read_once(lake, parts, channels, utc_us)


def _read_once(
    lake: Lake, parts: Sequence[Part], channels: Sequence[str], utc_us: tuple[int, int]
) -> dict[str, Samples]:
    found: dict[str, list[Samples]] = {name: [] for name in channels}
    for part in parts:
        t_from, t_to = clip(part, utc_us)
        if t_from < t_to and part.samples:
            if wanted := tuple(one.name for one in part.samples if one.name in found):
                rows = lake.samples.all_parts(part.vehicle, part.epoch, SampleWhere(wanted, t_from, t_to))
                add_samples(rows, part.clock.offset_us, found)
        elif t_from < t_to:
            for keys, names in queries(part.decoder, part.aliases, channels, t_to - t_from):
                where = Where(keys=keys, t_from_us=t_from, t_to_us=t_to, with_seq=False)
                for frames in lake.parts(part.vehicle, part.epoch, where):
                    decode_into(part.decoder, frames.frames, names, part.clock, found)
    return {name: join(samples) for name, samples in found.items()}


def read_frames(lake: Lake, parts: Sequence[Part], utc_us: tuple[int, int]) -> Iterator[FrameColumns]:
    """The raw frames with utc_us[0] <= utc < utc_us[1], part after part, up to a minute at a time, in time order.

    `t_us` counts from `utc_us[0]`.
    """
    for part in parts:
        if part.samples:
            continue
        t_from, t_to = clip(part, utc_us)
        for at in range(t_from, t_to, _WINDOW_US):
            where = Where(t_from_us=at, t_to_us=min(at + _WINDOW_US, t_to))
            frames = lake.rows(part.vehicle, part.epoch, where).frames
            if len(frames):
                t_us = frames.t_us + np.int64(part.clock.offset_us - utc_us[0])
                rest = (frames.bus, frames.arbitration_id, frames.flags, frames.length, frames.payload)
                yield FrameColumns(t_us, *rest)


def clip(part: Part, utc_us: tuple[int, int]) -> tuple[int, int]:
    """The stretch of a part with utc_us[0] <= utc < utc_us[1], as t_us from <= t < to (empty where from >= to)."""
    t_from = max(part.t_from_us, utc_us[0] - part.clock.offset_us)
    return t_from, min(part.t_to_us + 1, utc_us[1] - part.clock.offset_us)
