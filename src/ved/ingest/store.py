"""What comes in goes to the stream once: dedupe, append, fsync in groups, and say what is stored.

Invariants: a number is `received` from the moment its record is taken until it is dropped for want of memory; it is
`stored` only when the stream's durable position lies past its record. Records enter the stream in the order in which
they were taken. The first bytes under a number stay.
"""

import asyncio
import logging
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ved.broker.base import JournalStream, StreamWriter
from ved.codec.batch import columns_crc
from ved.codec.records import RecordHeader, decode_record
from ved.errors import CorruptDataError, StorageError
from ved.ingest.accepted import Accepted, EpochState, Seen, Span, span_of
from ved.metrics import (
    BATCHES_CONFLICT_TOTAL,
    BATCHES_DUPLICATE_TOTAL,
    BATCHES_RECEIVED_TOTAL,
    RECORDS_DROPPED_TOTAL,
    Counters,
)
from ved.model.frames import FrameBatch
from ved.model.records import Arrival, Lane

SYNC_INTERVAL_S: Final = 0.2
SYNC_BYTES: Final = 64 << 10
RETRY_S: Final = 1.0
MAX_PENDING_BYTES: Final = 64 << 20

_CRC_AT: Final = 4
_log: Final = logging.getLogger("ved.ingest")


@dataclass(frozen=True, slots=True)
class Taken:
    """A numbered record on its way to the disk; `origin` says who is to hear of it."""

    vehicle: str
    epoch: bytes
    span: Span
    origin: object


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A record that the full disk refused, kept in memory for a later try."""

    arrival: Arrival
    record: bytes
    taken: Taken | None


class Store:
    """The only writer of the stream `frames`. All methods belong to one event loop."""

    def __init__(self, stream: JournalStream, writer: StreamWriter, accepted: Accepted, counters: Counters) -> None:
        self._stream = stream
        self._writer = writer
        self._accepted = accepted
        self._counters = counters
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._unsynced: deque[tuple[int, Taken]] = deque()
        self._unsynced_bytes = 0
        self._appended = asyncio.Event()
        self._is_large = asyncio.Event()
        self.last_crc = 0
        self.is_storing = True
        self.on_stored: Callable[[list[Taken]], None] = lambda _: None
        self.on_storing: Callable[[bool], None] = lambda _: None

    async def take(self, record: bytes, header: RecordHeader, lane: Lane, origin: object) -> bool:
        """Take one verified record of a car. True when it was stored before, so that it can be acknowledged at once."""
        span = span_of(header)
        state = self._accepted.state(header.vehicle, header.epoch)
        received = state.received[span.space]
        if received.overlaps(span.first, span.last):
            await self._meet_again(record, state, span)
            return state.stored[span.space].contains(span.first, span.last)
        self._counters.add(BATCHES_RECEIVED_TOTAL)
        received.add(span.first, span.last)
        state.remember(span, Seen(span.last, record_crc(record), -1))
        taken = Taken(header.vehicle, header.epoch, span, origin)
        self._put(_Waiting(arrival_now(lane), record, taken))
        return False

    def put_own(self, record: bytes, lane: Lane) -> None:
        """Append a record of the server's own (not numbered); it is dropped, counted, when the disk is full."""
        if self._waiting:
            self._counters.add(RECORDS_DROPPED_TOTAL)
        else:
            self._put(_Waiting(arrival_now(lane), record, None))

    def _put(self, waiting: _Waiting) -> None:
        if self._waiting or not self._append(waiting):
            self._keep(waiting)

    def _append(self, waiting: _Waiting) -> bool:
        """Append to the stream; False when the disk refuses."""
        try:
            position = self._writer.append(waiting.arrival, waiting.record)
        except StorageError as error:
            self._set_storing(False, str(error))
            return False
        self.last_crc = record_crc(waiting.record)
        taken = waiting.taken
        if taken is not None:
            self._unsynced.append((position, taken))
            state = self._accepted.state(taken.vehicle, taken.epoch)
            state.remember(taken.span, Seen(taken.span.last, self.last_crc, position))
        self._unsynced_bytes += len(waiting.record)
        self._appended.set()
        if self._unsynced_bytes >= SYNC_BYTES:
            self._is_large.set()
        return True

    def _keep(self, waiting: _Waiting) -> None:
        """Hold in memory what the disk refuses; the newest is dropped when that is full: its car will send it again."""
        if waiting.taken is None or self._waiting_bytes + len(waiting.record) > MAX_PENDING_BYTES:
            self._counters.add(RECORDS_DROPPED_TOTAL)
            if waiting.taken is not None:
                self._accepted.state(waiting.taken.vehicle, waiting.taken.epoch).forget(waiting.taken.span)
            return
        self._waiting.append(waiting)
        self._waiting_bytes += len(waiting.record)

    async def _meet_again(self, record: bytes, state: EpochState, span: Span) -> None:
        """A number that is here already: the same bytes again, or (a cloned card) others under the same name."""
        seen = state.recent.get((span.space, span.first))
        is_same = seen is None or (seen.last == span.last and seen.crc == record_crc(record))
        if not state.received[span.space].contains(span.first, span.last):
            is_same = False
        elif seen is not None and not is_same and seen.last == span.last and seen.position >= 0:
            is_same = await self._equals_stored(record, seen.position)
        if is_same:
            self._counters.add(BATCHES_DUPLICATE_TOTAL)
        else:
            self._counters.add(BATCHES_CONFLICT_TOTAL)
            _log.warning("other bytes under a known number (%s %d); the first stay", span.space.name, span.first)

    async def _equals_stored(self, record: bytes, position: int) -> bool:
        """True when the record at `position` has the same columns, however it was encoded."""
        reader = self._stream.reader(position)
        try:
            entries = await reader.read(max_bytes=1, timeout_s=0)
        finally:
            reader.close()
        if not entries or entries[0].position != position:
            return True  # trimmed meanwhile: there is nothing left to compare with
        try:
            ours, theirs = decode_record(entries[0].record), decode_record(record)
        except CorruptDataError:
            return False
        if isinstance(ours, FrameBatch) and isinstance(theirs, FrameBatch):
            return columns_crc(ours.frames) == columns_crc(theirs.frames)
        return ours == theirs

    async def run(self) -> None:
        """Fsync in groups until cancelled, and try again while the disk refuses."""
        while True:
            if self._waiting:
                await asyncio.sleep(RETRY_S)
                self._retry()
            else:
                await self._appended.wait()
                await self._wait_for_group()
            await self.sync()

    async def _wait_for_group(self) -> None:
        try:
            async with asyncio.timeout(SYNC_INTERVAL_S):
                await self._is_large.wait()
        except TimeoutError:
            pass

    def _retry(self) -> None:
        while self._waiting and self._append(self._waiting[0]):
            self._waiting_bytes -= len(self._waiting.popleft().record)

    async def sync(self) -> None:
        """Make what was appended durable, and tell `on_stored`. A disk that refuses is tried again later."""
        if self._unsynced_bytes == 0:
            return
        size = self._unsynced_bytes
        self._appended.clear()
        self._is_large.clear()
        try:
            durable = await asyncio.to_thread(self._writer.sync)
        except StorageError as error:
            self._set_storing(False, str(error))
            self._appended.set()
            await asyncio.sleep(RETRY_S)
            return
        self._unsynced_bytes -= size
        if self._unsynced_bytes:
            self._appended.set()
        self._mark_stored(durable)
        if not self._waiting:
            self._set_storing(True, "")

    def _mark_stored(self, durable: int) -> None:
        stored: list[Taken] = []
        while self._unsynced and self._unsynced[0][0] < durable:
            taken = self._unsynced.popleft()[1]
            state = self._accepted.state(taken.vehicle, taken.epoch)
            state.stored[taken.span.space].add(taken.span.first, taken.span.last)
            stored.append(taken)
        if stored:
            self.on_stored(stored)

    def _set_storing(self, is_storing: bool, why: str) -> None:
        if is_storing == self.is_storing:
            return
        self.is_storing = is_storing
        if is_storing:
            _log.warning("storing again")
        else:
            _log.error("cannot store: %s; cars keep their data until this is over", why)
        self.on_storing(is_storing)


def record_crc(record: bytes) -> int:
    """The CRC that stands in a record's header."""
    (crc,) = struct.unpack_from("<I", record, _CRC_AT)
    return int(crc)


def arrival_now(lane: Lane) -> Arrival:
    """This moment, on the server's two clocks."""
    return Arrival(time.monotonic_ns() // 1000, time.time_ns() // 1000, lane)
