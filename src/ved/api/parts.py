"""Reading the parts of a session: stretches of epochs, each with its clock and its decoder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ved.api.decoding import decoder_of, registry_sources
from ved.api.history import Samples, decode_into, join, queries
from ved.db.database import Database
from ved.db.epochs import clock_pairs, list_epochs
from ved.dbc.decode import Decoder
from ved.lake.lake import Lake, ReorganisedError
from ved.lake.reading import Where
from ved.model.channel import Channel
from ved.model.clockmap import ClockMap
from ved.model.frames import FrameColumns
from ved.model.records import BusDescription
from ved.model.session import Session

_WINDOW_US: Final = 60_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A stretch of one epoch, both ends inclusive, in the epoch's monotonic time."""

    vehicle: str
    epoch: bytes
    t_from_us: int
    t_to_us: int
    clock: ClockMap
    buses: tuple[BusDescription, ...]
    decoder: Decoder

    @property
    def utc_from_us(self) -> int:
        """UTC of its begin."""
        return self.t_from_us + self.clock.offset_us

    @property
    def utc_to_us(self) -> int:
        """UTC of its end."""
        return self.t_to_us + self.clock.offset_us


class PartLoader:
    """The parts of a vehicle's sessions, under the clocks and DBCs that held when it was made."""

    def __init__(self, db: Database, vehicle: str) -> None:
        self._db, self._vehicle = db, vehicle
        self._registry = registry_sources(db, vehicle)
        self._buses = {row.epoch: row.buses for row in list_epochs(db, vehicle)}

    def load(self, session: Session) -> list[Part]:
        """The parts of a session, by UTC."""
        parts = []
        for part in session.parts:
            buses = self._buses.get(part.epoch, ())
            clock = ClockMap.best(clock_pairs(self._db, self._vehicle, part.epoch))
            decoder = decoder_of(self._registry, self._vehicle, buses)
            parts.append(Part(self._vehicle, part.epoch, part.t_from_us, part.t_to_us, clock, buses, decoder))
        return sorted(parts, key=lambda part: part.utc_from_us)


def channels_of_parts(parts: Sequence[Part]) -> list[Channel]:
    """All channels that the DBCs in force define; where two have one name, the later part's."""
    out: dict[str, Channel] = {}
    for part in reversed(parts):
        for channel in part.decoder.channels:
            out.setdefault(channel.name, channel)
    return list(out.values())


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
        t_from, t_to = _limits(part, utc_us)
        if t_from < t_to:
            for keys, names in queries(part.decoder, channels, t_to - t_from):
                where = Where(keys=keys, t_from_us=t_from, t_to_us=t_to, with_seq=False)
                for rows in lake.parts(part.vehicle, part.epoch, where):
                    decode_into(part.decoder, rows.frames, names, part.clock, found)
    return {name: join(samples) for name, samples in found.items()}


def read_frames(lake: Lake, parts: Sequence[Part], utc_us: tuple[int, int]) -> Iterator[FrameColumns]:
    """The raw frames with utc_us[0] <= utc < utc_us[1], part after part, up to a minute at a time, in time order.

    `t_us` counts from `utc_us[0]`.
    """
    for part in parts:
        t_from, t_to = _limits(part, utc_us)
        for at in range(t_from, t_to, _WINDOW_US):
            where = Where(t_from_us=at, t_to_us=min(at + _WINDOW_US, t_to))
            frames = lake.rows(part.vehicle, part.epoch, where).frames
            if len(frames):
                t_us = frames.t_us + np.int64(part.clock.offset_us - utc_us[0])
                rest = (frames.bus, frames.arbitration_id, frames.flags, frames.length, frames.payload)
                yield FrameColumns(t_us, *rest)


def _limits(part: Part, utc_us: tuple[int, int]) -> tuple[int, int]:
    t_from = max(part.t_from_us, utc_us[0] - part.clock.offset_us)
    return t_from, min(part.t_to_us + 1, utc_us[1] - part.clock.offset_us)
