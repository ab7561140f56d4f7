"""Maths channels that somebody watches: run on from the session's past with every flush of frames.

A run is brought up from history in a thread; the flushes that come meanwhile wait for it. What lies in both is taken
once, for a run leaves out what it has passed.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ved.analysis.maths.liverun import LiveRun
from ved.analysis.series import NEVER_US, Series
from ved.analysis.sessions import GAP_US
from ved.api.maths import is_maths
from ved.model.frames import FrameColumns
from ved.web.subscription import Subscription
from ved.web.vehicle import EpochFeed, VehicleFeed

LATE_US: Final = 20_000
"""Frames of several buses may pass each other by so much: what is older is taken as whole."""

_MOST_WAITING: Final = 600


@dataclass(slots=True, eq=False)
class Wish:
    """A channel that somebody watches; `run` is None until it is brought up."""

    name: str
    run: LiveRun | None = None
    waiting: deque[tuple[EpochFeed, FrameColumns]] = field(default_factory=lambda: deque(maxlen=_MOST_WAITING))
    edge_us: int = NEVER_US


class LiveMaths:
    """The runs of one vehicle; used on the event loop only."""

    def __init__(self, feed: VehicleFeed) -> None:
        self._feed = feed
        self._entries: dict[str, Wish] = {}

    def clear(self) -> None:
        """Forget all: clocks, DBCs or definitions are others now."""
        self._entries.clear()

    def want(self, subscriptions: set[Subscription]) -> list[Wish]:
        """Keep what somebody watches; returns what must be brought up, each told once."""
        wanted = {name for one in subscriptions for name, channel in one.told.items() if channel and is_maths(name)}
        self._entries = {name: entry for name, entry in self._entries.items() if name in wanted}
        new = [Wish(name) for name in sorted(wanted - self._entries.keys())]
        self._entries.update((one.name, one) for one in new)
        return new

    def forget(self, wish: Wish) -> None:
        """It could not be brought up: it is wanted again."""
        if self._entries.get(wish.name) is wish:
            del self._entries[wish.name]

    def start(self, wish: Wish, run: LiveRun | None, until_us: int | None) -> dict[str, Series]:
        """The run of a channel (None: the channel is gone) is up to `until_us`; returns what came since."""
        name = wish.name
        if self._entries.get(name) is not wish or run is None:
            return {}
        wish.run, wish.edge_us = run, NEVER_US if until_us is None else until_us
        parts = [self._step(name, wish, epoch, frames) for epoch, frames in wish.waiting]
        wish.waiting.clear()
        return {name: Series(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))} if parts else {}

    def publish(self, epoch: EpochFeed, frames: FrameColumns) -> dict[str, Series]:
        """What a flush brought, by channel."""
        out = {}
        for name, entry in self._entries.items():
            if entry.run is None:
                entry.waiting.append((epoch, frames))
            else:
                out[name] = self._step(name, entry, epoch, frames)
        return {name: series for name, series in out.items() if len(series.t_us)}

    def _step(self, name: str, entry: Wish, epoch: EpochFeed, frames: FrameColumns) -> Series:
        if entry.run is None or epoch.offset_us is None or not len(frames):
            return Series.empty()
        edge_us = int(frames.t_us.max()) + epoch.offset_us
        if entry.edge_us != NEVER_US and int(frames.t_us.min()) + epoch.offset_us - entry.edge_us > GAP_US:
            entry.run = entry.run.again()
        entry.edge_us = max(entry.edge_us, edge_us)
        columns = self._columns(entry.run.inputs, epoch, frames)
        return entry.run.step(columns, entry.edge_us - LATE_US).get(name, Series.empty())

    def _columns(self, names: Sequence[str], epoch: EpochFeed, frames: FrameColumns) -> dict[str, Series]:
        """The samples of some channels in these frames, in UTC."""
        assert epoch.offset_us is not None
        utc_us = frames.t_us + epoch.offset_us
        parts: dict[str, list[Series]] = {}
        for piece in epoch.decoding.between(int(utc_us.min()), int(utc_us.max()) + 1):
            numbers = {name: self._feed.aliases.index(piece.decoder.dbc_set.numbers, name) for name in names}
            found = {name: number for name, number in numbers.items() if number is not None}
            wanted = np.zeros(len(piece.decoder.channels), np.bool_)
            wanted[list(found.values())] = True
            rows = (utc_us >= piece.utc_from_us) & (utc_us < piece.utc_to_us)
            decoded = piece.decoder.decode(frames if rows.all() else frames.take(rows), wanted)
            for name, number in found.items():
                t_us, values = decoded.column(number)
                parts.setdefault(name, []).append(Series(t_us + epoch.offset_us, values))
        return {
            name: Series(*(np.concatenate(columns) for columns in zip(*found, strict=True)))
            for name, found in parts.items()
        }
