"""One epoch that comes as datagrams: what is new, late or lost, and the notes that the server writes of it.

Times `now_us` are the server's monotonic clock; `t_us` are the epoch's own.
"""

import time
from bisect import insort
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

from ved.codec.datagram import MAC_BYTES, Datagram
from ved.codec.link import Space
from ved.codec.records import encode_record, verify
from ved.ingest.accepted import EpochState
from ved.ingest.store import Store
from ved.metrics import (
    DATAGRAMS_CORRUPT_TOTAL,
    DATAGRAMS_DUPLICATE_TOTAL,
    DATAGRAMS_LATE_TOTAL,
    DATAGRAMS_TOTAL,
    Counters,
)
from ved.model.clockmap import OLDEST_UTC_US
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.intervals import Intervals
from ved.model.records import Clock, ClockSource, Lane, LinkState, Loss, LossPlace
from ved.model.samples import SampleBatch

HOLE_US: Final = 10_000_000
"""What did not come for so long is lost."""
LATE_US: Final = 10_000_000
DRIFT_PARTS: Final = 100
"""One part of so many: how much a device's clock may be off while nothing comes."""
SPAN_US: Final = 30_000_000
"""The least delay is that of the last one to two such spans."""
CLOCK_US: Final = 10_000_000
LINK_STATE_US: Final = 5_000_000
SILENCE_US: Final = 10_000_000
ERROR_US: Final = 1_000_000
ALL_BUSES: Final = 255
LOSS_NUMBERS: Final = 1 << 32
"""The number of a loss that names seqs is this and its first seq (docs/spec/link.md)."""
MAX_RECENT: Final = 4096


@dataclass(frozen=True, slots=True, order=True)
class Hole:
    """Seqs that did not come: seen at `since_us`, between the entries at `t_from_us` and `t_to_us`."""

    first: int
    last: int
    since_us: int
    t_from_us: int
    t_to_us: int


class Delays:
    """The least delay (arrival less sending) of the last half minute to minute, by which a late datagram is known."""

    def __init__(self) -> None:
        self._least_us: int | None = None
        self._before_us: int | None = None
        self._began_us = 0
        self._taken_us = 0

    def is_late(self, delay_us: int, now_us: int) -> bool:
        """True for a delay that no clock's drift explains."""
        known = [one for one in (self._least_us, self._before_us) if one is not None]
        if not known:
            return False
        return delay_us > min(known) + LATE_US + (now_us - self._taken_us) // DRIFT_PARTS

    def note(self, delay_us: int, now_us: int) -> None:
        """A datagram was taken."""
        if self._least_us is None or now_us - self._began_us > SPAN_US:
            self._before_us, self._least_us, self._began_us = self._least_us, delay_us, now_us
        self._least_us = min(self._least_us, delay_us)
        self._taken_us = now_us


class DatagramEpoch:
    """Takes the datagrams of one epoch in the order in which they came. `state` is what ingest has of the epoch."""

    def __init__(self, vehicle: str, datagram: Datagram, store: Store, state: EpochState, now_us: int) -> None:
        self.vehicle, self.epoch = vehicle, datagram.epoch
        self.peer = ""
        self.heard_us = -SILENCE_US
        self._is_frames = isinstance(datagram.entries, FrameColumns)
        self._store = store
        self._state = state
        self._delays = Delays()
        self._recent: OrderedDict[int, bytes] = OrderedDict()
        self._lost = Intervals()
        self._holes: list[Hole] = []
        self._highest = 0
        self._highest_t_us = 0
        self._is_up = False
        self._told_up_us = self._told_clock_us = 0
        self._has_clock = False
        self._resume(datagram, now_us)

    def _resume(self, datagram: Datagram, now_us: int) -> None:
        """Holes of an epoch that the server knew before it started: declared ones stay lost, the others wait again."""
        runs = self._state.received[Space.SEQ].runs()
        if not runs:
            return
        self._highest = runs[-1][1]
        for first, last in self._state.received[Space.SEQ].missing(1, self._highest):
            number = LOSS_NUMBERS + first
            if self._state.received[Space.NOTE].contains(number, number):
                self._lost.add(first, last)
            else:
                self._holes.append(Hole(first, last, now_us, 0, int(datagram.t_us[0])))

    @property
    def holes(self) -> int:
        """Entries that are missing and not yet lost."""
        return sum(one.last - one.first + 1 for one in self._holes)

    async def take(self, datagram: Datagram, data: bytes, now_us: int, counters: Counters) -> None:
        """Take one whose MAC is right, or count why not."""
        first, last = datagram.first_seq, datagram.last_seq
        received = self._state.received[Space.SEQ]
        if isinstance(datagram.entries, FrameColumns) != self._is_frames:
            counters.add(DATAGRAMS_CORRUPT_TOTAL)
        elif received.overlaps(first, last):
            await self._meet_again(datagram, data, counters)
        elif self._lost.overlaps(first, last) or self._delays.is_late(now_us - datagram.sent_at_us, now_us):
            counters.add(DATAGRAMS_LATE_TOTAL)
        else:
            self._note_heard(datagram.sent_at_us, now_us)
            record = self._record_of(datagram)
            await self._store.take(record, verify(record), Lane.LIVE, self)
            if received.contains(first, last):  # else memory is full, and the datagram becomes a hole
                counters.add(DATAGRAMS_TOTAL)
                self._remember(first, data)
                self._move(datagram, now_us)

    async def tick(self, now_us: int) -> None:
        """Once a second: declare what is lost, and tell that the device is there, or no longer."""
        await self._declare([one for one in self._holes if now_us - one.since_us >= HOLE_US])
        if not self._is_up:
            return
        if now_us - self.heard_us >= SILENCE_US:
            self._tell_link(is_up=False, now_us=now_us)
        elif now_us - self._told_up_us >= LINK_STATE_US:
            self._tell_link(is_up=True, now_us=now_us)

    async def close(self, now_us: int) -> None:
        """The server forgets the epoch: what did not come until now is lost."""
        await self._declare(list(self._holes))
        if self._is_up:
            self._tell_link(is_up=False, now_us=now_us)

    async def _meet_again(self, datagram: Datagram, data: bytes, counters: Counters) -> None:
        """Seqs that are here: the very same datagram costs no more than a look; others are compared by the store."""
        if self._recent.get(datagram.first_seq) != data[-MAC_BYTES:]:
            record = self._record_of(datagram)
            await self._store.take(record, verify(record), Lane.LIVE, self)
            if datagram.first_seq not in self._recent:
                self._remember(datagram.first_seq, data)
        counters.add(DATAGRAMS_DUPLICATE_TOTAL)

    def _remember(self, first_seq: int, data: bytes) -> None:
        self._recent[first_seq] = data[-MAC_BYTES:]
        if len(self._recent) > MAX_RECENT:
            self._recent.popitem(last=False)

    def _record_of(self, datagram: Datagram) -> bytes:
        entries, seq = datagram.entries, datagram.first_seq
        if isinstance(entries, FrameColumns):
            return encode_record(FrameBatch(self.vehicle, self.epoch, seq, entries))
        return encode_record(SampleBatch(self.vehicle, self.epoch, seq, entries.channels, entries.samples))

    def _note_heard(self, sent_at_us: int, now_us: int) -> None:
        """Before the record: that the device is there, and what its clock says, so that readers know when it was."""
        self._delays.note(now_us - sent_at_us, now_us)
        self.heard_us = now_us
        if not self._is_up:
            self._tell_link(is_up=True, now_us=now_us)
        utc_us = time.time_ns() // 1000
        if utc_us < OLDEST_UTC_US or (self._has_clock and now_us - self._told_clock_us < CLOCK_US):
            return  # (the first: this server's clock was never set)
        pair = Clock(self.vehicle, self.epoch, 0, sent_at_us, utc_us, ClockSource.SERVER, ERROR_US)
        if self._store.put_own(encode_record(pair), Lane.LIVE):
            self._has_clock, self._told_clock_us = True, now_us

    def _tell_link(self, *, is_up: bool, now_us: int) -> None:
        self._is_up, self._told_up_us = is_up, now_us
        self._store.put_own(
            encode_record(LinkState(self.vehicle, self.epoch, is_up, Lane.LIVE, self.peer, -1)), Lane.LIVE
        )

    def _move(self, datagram: Datagram, now_us: int) -> None:
        """A datagram was taken: it opens a hole before it, or fills one."""
        first, last, t_us = datagram.first_seq, datagram.last_seq, datagram.t_us
        if first > self._highest:
            if first > self._highest + 1:
                self._holes.append(Hole(self._highest + 1, first - 1, now_us, self._highest_t_us, int(t_us[0])))
            self._highest, self._highest_t_us = last, int(t_us[-1])
            return
        for hole in [one for one in self._holes if one.first <= last and first <= one.last]:
            self._holes.remove(hole)
            if hole.first < first:
                insort(self._holes, replace(hole, last=first - 1, t_to_us=int(t_us[0])))
            if last < hole.last:
                insort(self._holes, replace(hole, first=last + 1, t_from_us=int(t_us[-1])))

    async def _declare(self, holes: list[Hole]) -> None:
        """Write each as a loss. One that memory has no room for stays a hole."""
        for hole in holes:
            number = LOSS_NUMBERS + hole.first
            named = (hole.first, hole.last) if self._is_frames else (0, 0)
            record = encode_record(
                Loss(
                    self.vehicle,
                    self.epoch,
                    number,
                    LossPlace.WAY,
                    ALL_BUSES,
                    hole.last - hole.first + 1,
                    min(hole.t_from_us, hole.t_to_us),
                    max(hole.t_from_us, hole.t_to_us),
                    *named,
                )
            )
            await self._store.take(record, verify(record), Lane.LIVE, self)
            if self._state.received[Space.NOTE].contains(number, number) and hole in self._holes:
                self._holes.remove(hole)
                self._lost.add(hole.first, hole.last)
