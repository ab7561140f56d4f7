"""What web knows of one vehicle right now: its epochs, its clock, its live edge, and the batches not yet in the lake.

Nothing here waits or reads a clock: the feed brings records, loaded decoders and the time.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from ved.api.decoding import Decoding
from ved.api.registry import Registry
from ved.dbc.decode import Decoder
from ved.model.aliases import NO_ALIASES, Aliases
from ved.model.clockmap import ClockMap, ClockPair
from ved.model.frames import FrameBatch
from ved.model.records import Clock, Description, Lane, LinkState, Preview
from ved.web.samplefeed import SampleFeed

LinkWord = Literal["up", "down", "unknown"]

MAP_MOVED_US: Final = 1000
RATE_SPAN_US: Final = 2_000_000
QUIET_US: Final = 10_000_000
MAX_RECENT_BYTES: Final = 64 << 20
MOST_EPOCHS: Final = 256
_FRAME_BYTES: Final = 23


@dataclass(slots=True, eq=False)
class EpochFeed:
    """One epoch: decoders and clock. `offset_us` is in force (None: no clock is known), `best` is the newest map."""

    epoch: bytes
    decoding: Decoding
    pairs: set[ClockPair] = field(default_factory=set)
    description: Description | None = None
    best: ClockMap = field(init=False)
    offset_us: int | None = field(init=False)

    def __post_init__(self) -> None:
        self.best = ClockMap.best(list(self.pairs))
        self.offset_us = None if self.best.source is None else self.best.offset_us

    def take_clock(self, clock: Clock) -> None:
        """Note one more pair; the map in force stays until `apply_clock`."""
        self.take_pairs([ClockPair(clock.t_us, clock.utc_us, clock.source, clock.error_us)])

    def take_pairs(self, pairs: Iterable[ClockPair]) -> None:
        """Note more pairs, as `take_clock`."""
        self.pairs.update(pairs)
        self.best = ClockMap.best(list(self.pairs))

    @property
    def is_clock_moved(self) -> bool:
        """True when the best map differs from the one in force by more than a viewer may see."""
        if self.best.source is None:
            return False
        return self.offset_us is None or abs(self.best.offset_us - self.offset_us) > MAP_MOVED_US

    def apply_clock(self) -> int:
        """Put the best map in force; returns by how many µs known times moved."""
        moved_us = 0 if self.offset_us is None else self.best.offset_us - self.offset_us
        self.offset_us = self.best.offset_us
        return moved_us


@dataclass(frozen=True, slots=True)
class Recent:
    """A batch that the lake may not have yet: its position in the stream, how and when (monotonic) it came."""

    position: int
    batch: FrameBatch
    lane: Lane
    arrived_us: int


@dataclass(slots=True, eq=False)
class VehicleFeed:
    """The live state of one vehicle."""

    name: str
    started_us: int
    """When web began to follow the streams (monotonic)."""
    epochs: dict[bytes, EpochFeed] = field(default_factory=dict)
    current: EpochFeed | None = None
    registry: Registry | None = None
    edge_utc_us: int | None = None
    recent: deque[Recent] = field(default_factory=deque)
    recent_bytes: int = 0
    recent_dropped: int = 0
    samples: SampleFeed = field(default_factory=SampleFeed)
    sequence: int = 0
    rtt_us: int = -1
    _is_linked: bool | None = None
    _edge_arrived_us: int | None = None
    _heard_us: int | None = None
    _counts: deque[tuple[int, int]] = field(default_factory=deque)
    _previews_from: tuple[bytes, int] | None = None  # epoch, and time in it
    _was_current: set[bytes] = field(default_factory=set)
    _numbers: dict[str, int] = field(default_factory=dict)

    @property
    def aliases(self) -> Aliases:
        """Former and present names of the channels."""
        return NO_ALIASES if self.registry is None else self.registry.aliases

    @property
    def decoder(self) -> Decoder | None:
        """The decoder of the current epoch at the live edge, or None without one."""
        if self.current is None:
            return None
        return self.current.decoding.at(0 if self.edge_utc_us is None else self.edge_utc_us)

    def number_of(self, channel: str) -> int:
        """The channel's index on the wire, the same while the process lives. OverflowError past 65,536 names."""
        number = self._numbers.setdefault(channel, len(self._numbers))
        if number > 65_535:
            raise OverflowError(f"{self.name}: more than 65,536 channel names")
        return number

    def note(self, epoch: EpochFeed) -> EpochFeed:
        """Keep an epoch, or give the one that is kept. Of very many the oldest go, and are read again."""
        known = self.epochs.setdefault(epoch.epoch, epoch)
        if len(self.epochs) > MOST_EPOCHS:
            needed = {one.batch.epoch for one in self.recent}
            for name in list(self.epochs)[: len(self.epochs) - MOST_EPOCHS]:
                if name not in needed and self.epochs[name] is not self.current:
                    del self.epochs[name]
        return known

    def take_link(self, link: LinkState, heard_us: int) -> None:
        """The car's live connection came or went (`heard_us`: monotonic)."""
        if link.lane == Lane.LIVE:
            self._is_linked = link.is_up
            self._heard_us = heard_us
        if link.rtt_us >= 0:
            self.rtt_us = link.rtt_us

    def take_batch(self, position: int, batch: FrameBatch, lane: Lane, arrived_us: int) -> None:
        """Keep a batch and count its frames (`arrived_us`: when it came, monotonic)."""
        self.recent.append(Recent(position, batch, lane, arrived_us))
        self.recent_bytes += _size_bytes(batch)
        while self.recent_bytes > MAX_RECENT_BYTES:
            self.recent_dropped += 1
            self.recent_bytes -= _size_bytes(self.recent.popleft().batch)
        self._counts.append((arrived_us, batch.count))
        self._trim_counts(arrived_us)
        if lane == Lane.LIVE:
            self._hear(arrived_us)
            self._previews_from = None

    def take_preview(self, preview: Preview, arrived_us: int) -> None:
        """Count a preview's frames and keep nothing; the car is there."""
        self._counts.append((arrived_us, len(preview.frames)))
        self._trim_counts(arrived_us)
        self._hear(arrived_us)
        if self._previews_from is None or self._previews_from[0] != preview.epoch:
            self._previews_from = (preview.epoch, int(preview.frames.t_us.min()))

    @property
    def previews_from_utc_us(self) -> int | None:
        """Since when the live lane brings previews alone; None while it brings everything."""
        if self._previews_from is None or self.current is None or self.current.offset_us is None:
            return None
        epoch, t_us = self._previews_from
        return t_us + self.current.offset_us if epoch == self.current.epoch else None

    def _hear(self, arrived_us: int) -> None:
        self._is_linked = True
        self._heard_us = arrived_us

    def forget_recent(self, before: int) -> None:
        """Let go of batches at positions below `before`: the lake has them."""
        while self.recent and self.recent[0].position < before:
            self.recent_bytes -= _size_bytes(self.recent.popleft().batch)

    def advance(self, epoch: EpochFeed, batches: Sequence[FrameBatch], lane: Lane, arrived_us: int) -> bool:
        """Move the live edge over batches of an epoch with a clock; True when the edge went back: viewers start anew.

        An epoch takes over when it is new and comes over the live lane, or lies after the edge. Late data of other
        epochs does not move the edge.
        """
        assert epoch.offset_us is not None
        low_us = min(int(np.min(batch.frames.t_us)) for batch in batches) + epoch.offset_us
        high_us = max(int(np.max(batch.frames.t_us)) for batch in batches) + epoch.offset_us
        if epoch is self.current:
            if self.edge_utc_us is None or high_us > self.edge_utc_us:
                self.edge_utc_us, self._edge_arrived_us = high_us, arrived_us
            return False
        if epoch.epoch in self._was_current:
            return False
        if self.edge_utc_us is not None and lane != Lane.LIVE and low_us <= self.edge_utc_us:
            return False
        is_back = self.edge_utc_us is not None and low_us <= self.edge_utc_us
        self._was_current.add(epoch.epoch)
        self.current, self.edge_utc_us, self._edge_arrived_us = epoch, high_us, arrived_us
        return is_back

    def advance_samples(self, high_utc_us: int, arrived_us: int) -> None:
        """Move the live edge of a vehicle that has no frames: where there are some, they alone say what is live."""
        if self.current is None and (self.edge_utc_us is None or high_utc_us > self.edge_utc_us):
            self.edge_utc_us, self._edge_arrived_us = high_utc_us, arrived_us

    def apply_clocks(self, *, also_moved: bool) -> bool:
        """Put first clocks in force, and `also_moved` ones; True when viewers must start anew to see the difference."""
        is_seen = False
        for epoch in self.epochs.values():
            if not epoch.is_clock_moved:
                continue
            if epoch.offset_us is None:
                epoch.apply_clock()
                waiting = [one for one in self.recent if one.batch.epoch == epoch.epoch]
                if waiting:
                    self.advance(epoch, [one.batch for one in waiting], waiting[-1].lane, waiting[-1].arrived_us)
                    is_seen = True
            elif also_moved:
                moved_us = epoch.apply_clock()
                if epoch is self.current and self.edge_utc_us is not None:
                    self.edge_utc_us += moved_us
                is_seen = True
        return is_seen

    @property
    def link(self) -> LinkWord:
        """Up, down, or unknown: an old "up" of a server that ended without a word is not believed."""
        if self._is_linked is None or self._heard_us is None:
            return "unknown"
        if not self._is_linked:
            return "down"
        return "up" if self._heard_us >= self.started_us - QUIET_US else "unknown"

    def age_ms(self, now_us: int) -> int | None:
        """Milliseconds since the newest sample arrived (`now_us`: monotonic), or None."""
        if self._edge_arrived_us is None:
            return None
        return max(0, now_us - self._edge_arrived_us) // 1000

    def frames_per_s(self, now_us: int) -> float:
        """Frames that arrived in the last two seconds, per second."""
        self._trim_counts(now_us)
        return sum(count for _, count in self._counts) / (RATE_SPAN_US / 1e6)

    def _trim_counts(self, now_us: int) -> None:
        while self._counts and self._counts[0][0] < now_us - RATE_SPAN_US:
            self._counts.popleft()


def _size_bytes(batch: FrameBatch) -> int:
    return batch.count * _FRAME_BYTES
