"""What comes in goes to the stream once: dedupe, hand to the disk's thread, and say what is stored.

Invariants: a number is `received` from the moment its record is taken until it is dropped for want of memory; it is
`stored` only when the stream's durable position lies past its record. Records enter the stream in the order in which
they were taken. The first bytes under a number stay.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from ved.broker.base import Stream, StreamWriter
from ved.codec.batch import columns_crc
from ved.codec.records import RecordHeader, decode_record
from ved.errors import CorruptDataError
from ved.ingest.accepted import Accepted, EpochState, LastEntry, record_crc
from ved.ingest.incidents import Incidents
from ved.ingest.loglimit import LogLimit
from ved.ingest.writer import Item, Taken, TrimOrder, WriterThread
from ved.link.span import span_of
from ved.metrics import (
    BATCHES_CONFLICT_TOTAL,
    BATCHES_DUPLICATE_TOTAL,
    BATCHES_RECEIVED_TOTAL,
    LAG,
    QUEUE,
    RECORDS_DROPPED_TOTAL,
    Counters,
)
from ved.model.frames import FrameBatch
from ved.model.records import Arrival, IncidentKind, Lane
from ved.model.samples import SampleBatch

MAX_PENDING_BYTES: Final = 64 << 20

_log: Final = logging.getLogger("ved.ingest")


class Store:
    """The only writer of the stream `frames`. All methods belong to the event loop that made it."""

    def __init__(self, stream: Stream, writer: StreamWriter, accepted: Accepted, counters: Counters) -> None:
        self._stream = stream
        self._accepted = accepted
        self._counters = counters
        self._pending_bytes = 0
        self._unsynced: deque[tuple[int, int, Taken | None]] = deque()
        self._waiting_since_us: deque[int] = deque()
        counters.gauge(QUEUE, lambda: len(self._waiting_since_us))
        counters.gauge(LAG, self._lag_ms)
        self._thread = WriterThread(writer, self)
        self._limit = LogLimit(_log)
        self.incidents = Incidents(self.put_own)
        self.last_durable: LastEntry | None = None
        self.is_storing = True
        self._has_let_go = False
        self.tell_stored: Callable[[list[Taken]], None] = lambda _: None
        self.tell_storing: Callable[[bool], None] = lambda _: None

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    async def stop(self) -> None:
        """Write and sync what waits."""
        await self._thread.stop()

    def trim(self, order: TrimOrder) -> None:
        """Have old entries removed."""
        self._thread.put(order)

    async def take(self, record: bytes, header: RecordHeader, lane: Lane, origin: object) -> bool:
        """Take one verified record of a car. True when it was stored before, so that it can be acknowledged at once."""
        span = span_of(header)
        state = self._accepted.state(header.vehicle, header.epoch)
        received = state.received[span.space]
        if received.overlaps(span.first, span.last):
            await self._meet_again(record, header, state)
            return state.stored[span.space].contains(span.first, span.last)
        if self._pending_bytes + len(record) > MAX_PENDING_BYTES:
            # The disk refuses or hangs, and memory is full too: the car keeps this one and sends it again.
            self._counters.add(RECORDS_DROPPED_TOTAL)
            self._has_let_go = True
            return False
        self._counters.add(BATCHES_RECEIVED_TOTAL)
        received.add(span.first, span.last)
        state.recent.add_waiting(span, record_crc(record), record)
        self._put(Item(arrival_now(lane), record, Taken(header.vehicle, header.epoch, span, origin)))
        return False

    def pass_on(self, record: bytes, lane: Lane) -> None:
        """Append a preview: not deduplicated, never "stored"; dropped, and counted, when the disk does not keep up."""
        if self._pending_bytes + len(record) > MAX_PENDING_BYTES:
            self._counters.add(RECORDS_DROPPED_TOTAL)
        else:
            self.put_own(record, lane)

    def put_own(self, record: bytes, lane: Lane) -> bool:
        """Append a record of the server's own (not numbered); False, and counted, while the disk refuses."""
        if self.is_storing:
            self._put(Item(arrival_now(lane), record, None))
        else:
            self._counters.add(RECORDS_DROPPED_TOTAL)
        return self.is_storing

    def _put(self, item: Item) -> None:
        self._pending_bytes += len(item.record)
        self._waiting_since_us.append(item.arrival.mono_us)
        self._thread.put(item)

    async def _meet_again(self, record: bytes, header: RecordHeader, state: EpochState) -> None:
        """A number that is here already: the same bytes again, or (a cloned card) others under the same name."""
        span = span_of(header)
        seen = state.recent.find(span.space, span.first)
        if not state.received[span.space].contains(span.first, span.last) or (seen and seen.last != span.last):
            is_same = False  # a batch is never re-cut
        elif seen is None or seen.crc == record_crc(record):
            is_same = True
        else:
            is_same = _is_same_content(seen.record or await self._read(seen.position), record)
        if is_same:
            self._counters.add(BATCHES_DUPLICATE_TOTAL)
        else:
            self._counters.add(BATCHES_CONFLICT_TOTAL)
            text = f"other bytes under a known number ({span.space.name.lower()} {span.first}); the first ones stay"
            self._limit.warning("conflict", "%s, epoch %s: %s", header.vehicle, header.epoch.hex(), text)
            self.incidents.tell(header.vehicle, header.epoch, IncidentKind.BYTES_DIFFER, text)

    async def _read(self, position: int) -> bytes | None:
        """The record at `position`; None when it was trimmed meanwhile."""
        reader = self._stream.reader(position)
        try:
            entries = await reader.read(max_bytes=1, timeout_s=0)
        finally:
            reader.close()
        return entries[0].record if entries and entries[0].position == position else None

    def on_written(self, written: list[tuple[int, Item]]) -> None:
        """See `Listener`."""
        for position, item in written:
            crc = record_crc(item.record)
            self._pending_bytes -= len(item.record)
            self._unsynced.append((position, crc, item.taken))
            if item.taken is not None:
                state = self._accepted.state(item.taken.vehicle, item.taken.epoch)
                state.recent.add_written(item.taken.span, crc, position)
        if self._has_let_go and self.is_storing and self._pending_bytes < MAX_PENDING_BYTES // 2:
            self._has_let_go = False
            self.tell_storing(True)  # cars look again for what is not here

    def on_durable(self, position: int) -> None:
        """See `Listener`."""
        stored: list[Taken] = []
        while self._unsynced and self._unsynced[0][0] < position:
            at, crc, taken = self._unsynced.popleft()
            self._waiting_since_us.popleft()
            self.last_durable = LastEntry(at, crc)
            if taken is not None:
                state = self._accepted.state(taken.vehicle, taken.epoch)
                state.stored[taken.span.space].add(taken.span.first, taken.span.last)
                stored.append(taken)
        if stored:
            self.tell_stored(stored)

    def _lag_ms(self) -> float:
        """How long the oldest record has waited for the disk."""
        oldest_us = self._waiting_since_us[0] if self._waiting_since_us else time.monotonic_ns() // 1000
        return (time.monotonic_ns() // 1000 - oldest_us) / 1000

    def on_storing(self, is_storing: bool, why: str) -> None:
        """See `Listener`."""
        self.is_storing = is_storing
        if is_storing:
            _log.warning("storing again")
        else:
            _log.error("cannot store: %s; cars keep their data until this is over", why)
        self.tell_storing(is_storing)


def _is_same_content(first: bytes | None, second: bytes) -> bool:
    """True when both have the same columns, however they were encoded; also where there is nothing to compare with."""
    if first is None:
        return True
    try:
        ours, theirs = decode_record(first), decode_record(second)
    except CorruptDataError:
        return False
    if isinstance(ours, FrameBatch) and isinstance(theirs, FrameBatch):
        return columns_crc(ours.frames) == columns_crc(theirs.frames)
    if isinstance(ours, SampleBatch) and isinstance(theirs, SampleBatch):
        return ours.equals(theirs)
    return ours == theirs


def arrival_now(lane: Lane) -> Arrival:
    """This moment, on the server's two clocks."""
    return Arrival(time.monotonic_ns() // 1000, time.time_ns() // 1000, lane)
