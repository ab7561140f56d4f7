"""Follows the streams: every record into its vehicle's feed, every flush of frames to those who watch.

Live needs neither the database nor, on the machine of the journal, the broker: while one is away, what is known holds.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ved.api.decoding import Decoding, decoding_for, decoding_of, recorded_decoding
from ved.api.registry import Registry, load_registry
from ved.api.unpack import compile_kernels, decode_entry
from ved.broker.base import Stream, StreamEntry, StreamName, StreamReader
from ved.broker.journal import JournalStream
from ved.codec.records import decode_record, peek
from ved.db.database import Database
from ved.db.epochs import clock_pairs
from ved.dbc.decode import Decoder
from ved.errors import CorruptDataError, StorageError
from ved.metrics import RECORDS_CORRUPT_TOTAL, TASK_FAILURES_TOTAL
from ved.model.alarm import Alarm
from ved.model.clockmap import ClockPair
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import Arrival, Clock, Description, Lane, LinkState, Preview, RecordKind
from ved.model.samples import SampleBatch
from ved.web.alarms import alarm_message
from ved.web.clock import monotonic_us, utc_us
from ved.web.hub import Hub
from ved.web.vehicle import EpochFeed, VehicleFeed

RECORD_CURSOR: Final = "record"
LOOK_BACK: Final = 600
"""Stream entries before record's cursor that are read at the start: they tell epochs, link states and the live edge."""
RECENT_MARGIN: Final = 50
READ_BYTES: Final = 256 << 10
MAX_FLUSH_FRAMES: Final = 30_000
"""Frames that make one increment when web catches up, so that no message grows without bound."""
STATE_S: Final = 0.5
RESET_US: Final = 1_000_000
REGISTRY_S: Final = 1.0
AROUND_US: Final = 86_400_000_000
log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Flush:
    """The batches of one epoch and lane in one read."""

    feed: VehicleFeed
    epoch: EpochFeed
    lane: Lane
    batches: list[FrameBatch] = field(default_factory=list)
    frames: int = 0
    arrived_us: int = 0


class Follower:
    """Tasks: one that reads each stream, one that ticks, one that looks after the lake and the registry."""

    def __init__(self, hub: Hub, db: Database, stream: Stream, events: Stream) -> None:
        self._hub = hub
        self._db = db
        self._stream = stream
        self._events = events
        self._fresh_from = 0
        self.lag_ms = 0.0
        """How long the newest entry had waited when it was dealt with; 0 when nothing waits."""
        self._reset_at_us: dict[str, int] = {}
        self._told: dict[str, tuple[str, str | None, int | None]] = {}
        self._decoders: dict[str, Decoder | None] = {}
        self._unread: set[tuple[str, bytes]] = set()
        """Epochs of which the database could not tell what it knows."""
        self._trouble: str | None = None

    async def follow(self) -> None:
        """Read for ever. StorageError when the stream cannot be opened, or a journal here not be read."""
        cursor = self._stream.cursor(RECORD_CURSOR)
        reader = self._stream.reader("earliest" if cursor is None else max(0, cursor - LOOK_BACK))
        newest = self._stream.reader("latest")
        self._fresh_from = newest.position
        newest.close()
        try:
            await asyncio.to_thread(compile_kernels)
            while True:
                entries = await self._read(self._stream, reader)
                await self.take(entries)
                self.lag_ms = max(0, utc_us() - entries[-1].arrival.utc_us) / 1000 if entries else 0.0
        finally:
            reader.close()

    async def follow_events(self) -> None:
        """Read the stream `events` for ever: samples (health figures), and alarms for those who watch the vehicle."""
        cursor = self._events.cursor(RECORD_CURSOR)
        reader = self._events.reader("earliest" if cursor is None else max(0, cursor - LOOK_BACK))
        newest = self._events.reader("latest")
        fresh_from = newest.position
        newest.close()
        try:
            while True:
                for entry in await self._read(self._events, reader):
                    try:
                        if peek(entry.record).kind not in (RecordKind.SAMPLES, RecordKind.CLOCK, RecordKind.ALARM):
                            continue
                        record = decode_record(entry.record)
                    except CorruptDataError as error:
                        self._hub.counters.add(RECORDS_CORRUPT_TOTAL)
                        log.warning("events %d: %s", entry.position, error)
                        continue
                    if isinstance(record, SampleBatch):
                        arrived = arrived_us(self._events, entry.arrival, is_fresh=entry.position >= fresh_from)
                        await self._take_samples("events", entry.position, record, arrived)
                    elif isinstance(record, Alarm):
                        if entry.position >= fresh_from:
                            self._hub.tell(record.vehicle, f"alarm {record.id}", alarm_message(record))
                    elif isinstance(record, Clock):
                        (await self._epoch(record.vehicle, record.epoch)).take_clock(record)
                        self._put_clocks_in_force(self._hub.feed_of(record.vehicle))
        finally:
            reader.close()

    async def _read(self, stream: Stream, reader: StreamReader) -> list[StreamEntry]:
        """The next entries. A cluster that is away is waited for; StorageError for a journal on this machine."""
        try:
            return await reader.read(max_bytes=READ_BYTES, timeout_s=STATE_S)
        except StorageError as error:
            if isinstance(stream, JournalStream):
                raise
            self._refused(error)
            await asyncio.sleep(STATE_S)
            return []

    async def tick(self) -> None:
        """For ever: states, twice a second."""
        while True:
            await asyncio.sleep(STATE_S)
            for feed in list(self._hub.feeds().values()):
                self._put_clocks_in_force(feed)
                self._hub.send_state(feed)

    async def look(self) -> None:
        """For ever: batches that the lake has got are let go, what people changed is taken up. Away: tried again."""
        while True:
            await asyncio.sleep(REGISTRY_S)
            try:
                await self._let_go()
                for feed in list(self._hub.feeds().values()):
                    await self._reload_registry(feed)
                    await self._hub.reload_maths(feed)
            except StorageError as error:
                self._refused(error)
            else:
                self._trouble = None

    async def _let_go(self) -> None:
        cursor = await asyncio.to_thread(self._stream.cursor, RECORD_CURSOR)
        events_cursor = await asyncio.to_thread(self._events.cursor, RECORD_CURSOR)
        for feed in list(self._hub.feeds().values()):
            feed.forget_recent((cursor or 0) - RECENT_MARGIN)
            feed.samples.forget("frames", (cursor or 0) - RECENT_MARGIN)
            feed.samples.forget("events", (events_cursor or 0) - RECENT_MARGIN)
            if feed.recent_dropped:
                log.warning(
                    "%s: the lake is far behind; %d batches are missing in new windows until it has them",
                    feed.name,
                    feed.recent_dropped,
                )
                feed.recent_dropped = 0

    def _refused(self, error: StorageError) -> None:
        """Count it, and say it once until all is well again."""
        self._hub.counters.add(TASK_FAILURES_TOTAL)
        if self._trouble is None:
            log.warning("what is known holds meanwhile: %s", error)
        self._trouble = str(error)

    async def take(self, entries: Sequence[StreamEntry]) -> None:
        """Fold stream entries in: first what they say about epochs, then their frames. A corrupt one is counted."""
        flushes: dict[tuple[str, bytes, Lane], _Flush] = {}
        for entry in entries:
            try:
                record = decode_entry(entry.record)
            except CorruptDataError as error:
                self._hub.counters.add(RECORDS_CORRUPT_TOTAL)
                log.warning("frames %d: %s", entry.position, error)
                continue
            if isinstance(record, FrameBatch):
                if record.count:
                    await self._take_batch(entry, record, flushes)
            elif isinstance(record, Preview):
                await self._take_preview(entry, record, flushes)
            elif isinstance(record, SampleBatch):
                await self._take_samples("frames", entry.position, record, self._arrived_us(entry))
            elif isinstance(record, LinkState):
                self._hub.feed_of(record.vehicle).take_link(record, self._arrived_us(entry))
            elif isinstance(record, Clock):
                (await self._epoch(record.vehicle, record.epoch)).take_clock(record)
                self._put_clocks_in_force(self._hub.feed_of(record.vehicle))
            elif isinstance(record, Description):
                await self._take_description(record)
        for flush in flushes.values():
            self._flush(flush)
        for feed in self._hub.feeds().values():
            self._tell_changes(feed)

    async def _take_batch(
        self, entry: StreamEntry, batch: FrameBatch, flushes: dict[tuple[str, bytes, Lane], _Flush]
    ) -> None:
        feed = self._hub.feed_of(batch.vehicle)
        epoch = await self._epoch(batch.vehicle, batch.epoch)
        arrived_us = self._arrived_us(entry)
        feed.take_batch(entry.position, batch, entry.arrival.lane, arrived_us)
        key = (batch.vehicle, batch.epoch, entry.arrival.lane)
        flush = flushes.setdefault(key, _Flush(feed, epoch, entry.arrival.lane))
        flush.batches.append(batch)
        flush.frames += batch.count
        flush.arrived_us = arrived_us
        if flush.frames >= MAX_FLUSH_FRAMES:
            self._flush(flushes.pop(key))

    async def _take_samples(self, stream: StreamName, position: int, batch: SampleBatch, arrived: int) -> None:
        """Keep and send samples. Without a clock nobody knows when they were: a window brings them later."""
        feed = self._hub.feed_of(batch.vehicle)
        epoch = await self._epoch(batch.vehicle, batch.epoch)
        is_new = feed.samples.take(stream, position, batch)
        if epoch.offset_us is None:
            return
        if stream == "frames":
            feed.advance_samples(int(batch.samples.t_us.max()) + epoch.offset_us, arrived)
        if is_new:
            self._hub.redefine_samples(feed)
        self._hub.publish_samples(feed, batch, epoch.offset_us)

    async def _take_preview(
        self, entry: StreamEntry, preview: Preview, flushes: dict[tuple[str, bytes, Lane], _Flush]
    ) -> None:
        """Show it like a live batch, but keep nothing: its frames come again in batches."""
        if not len(preview.frames):
            return
        feed, arrived_us = self._hub.feed_of(preview.vehicle), self._arrived_us(entry)
        epoch = await self._epoch(preview.vehicle, preview.epoch)
        flush = flushes.setdefault((preview.vehicle, preview.epoch, Lane.LIVE), _Flush(feed, epoch, Lane.LIVE))
        flush.batches.append(FrameBatch(preview.vehicle, preview.epoch, 1, preview.frames))
        flush.frames += len(preview.frames)
        flush.arrived_us = arrived_us
        feed.take_preview(preview, arrived_us)

    def _flush(self, flush: _Flush) -> None:
        """Move the edge and send. Without a clock nobody knows when the frames were: they wait with the recent ones."""
        if flush.lane is Lane.LIVE:
            self._hub.traces.take(flush.feed.name, flush.batches)
        if flush.epoch.offset_us is None:
            return
        before = flush.feed.current
        is_back = flush.feed.advance(flush.epoch, flush.batches, flush.lane, flush.arrived_us)
        if is_back:
            self._hub.reset(flush.feed)
            return
        if flush.feed.current is not before:
            self._hub.redefine(flush.feed)
        frames = FrameColumns.concatenate([batch.frames for batch in flush.batches])
        self._hub.publish(flush.feed, flush.epoch, frames)

    def _put_clocks_in_force(self, feed: VehicleFeed) -> None:
        """Moved clocks at most once per second: the first seconds of a connection bring better and better pairs."""
        now_us = monotonic_us()
        is_time = now_us - self._reset_at_us.get(feed.name, now_us - RESET_US) >= RESET_US
        current = feed.current
        before_us = None if current is None else current.offset_us  # when its monotonic clock began
        if feed.apply_clocks(also_moved=is_time):
            self._reset_at_us[feed.name] = now_us
            after_us = None if current is None or current is not feed.current else current.offset_us
            moved = None if before_us is None or after_us is None else (before_us, after_us - before_us)
            self._hub.reset(feed, moved)

    async def _epoch(self, vehicle: str, epoch: bytes) -> EpochFeed:
        """What is known of an epoch; without the database its vehicle's registry as it was, until `look` reads it."""
        feed = self._hub.feed_of(vehicle)
        known = feed.epochs.get(epoch)
        if known is None:
            try:
                registry, decoding, pairs = await asyncio.to_thread(self._load, vehicle, epoch)
                feed.registry = feed.registry or registry
            except StorageError as error:
                self._refused(error)
                self._unread.add((vehicle, epoch))
                decoding, pairs = _decoding_without_database(feed, None), []
            known = feed.note(EpochFeed(epoch, decoding, set(pairs)))
        return known

    def _load(self, vehicle: str, epoch: bytes) -> tuple[Registry, Decoding, list[ClockPair]]:
        registry = load_registry(self._db, vehicle)
        return registry, self._load_decoding(vehicle, epoch, None, utc_us()), clock_pairs(self._db, vehicle, epoch)

    def _load_decoding(self, vehicle: str, epoch: bytes, description: Description | None, at_us: int) -> Decoding:
        """Read from the database; decoders that hold around `at_us` are made here: the event loop finds them ready."""
        decoding = decoding_for(self._db, vehicle, epoch, description)
        decoding.between(at_us - AROUND_US, at_us + AROUND_US)
        return decoding

    async def _take_description(self, description: Description) -> None:
        feed = self._hub.feed_of(description.vehicle)
        epoch = await self._epoch(description.vehicle, description.epoch)
        epoch.description = description
        if await self._use_decoding(feed, epoch) and epoch is feed.current:
            self._hub.redefine(feed)

    async def _reload_registry(self, feed: VehicleFeed) -> None:
        """Take up what was assigned or renamed since: viewers start anew, for it may reach into their windows."""
        registry = await asyncio.to_thread(load_registry, self._db, feed.name)
        await self._read_late(feed)
        before, feed.registry = feed.registry, registry
        if before is not None and before.revision != registry.revision:
            for epoch in list(feed.epochs.values()):
                await self._use_decoding(feed, epoch)
            self._hub.reset(feed)
        elif feed.decoder is not self._decoders.get(feed.name):
            self._hub.redefine(feed)  # the live edge went past the time at which other DBCs begin to hold
        self._decoders[feed.name] = feed.decoder

    async def _read_late(self, feed: VehicleFeed) -> None:
        """What the database knows of epochs that began while it was away."""
        for vehicle, name in [one for one in self._unread if one[0] == feed.name]:
            epoch = feed.epochs.get(name)
            if epoch is None:
                self._unread.discard((vehicle, name))
                continue
            pairs = await asyncio.to_thread(clock_pairs, self._db, vehicle, name)
            is_other = await self._use_decoding(feed, epoch)
            if (vehicle, name) in self._unread:
                continue  # away again
            epoch.take_pairs(pairs)
            if is_other:
                self._hub.reset(feed)

    async def _use_decoding(self, feed: VehicleFeed, epoch: EpochFeed) -> bool:
        """Read again how the epoch is decoded; True when that is another way than before."""
        at_us = utc_us() if feed.edge_utc_us is None else feed.edge_utc_us
        try:
            decoding = await asyncio.to_thread(self._load_decoding, feed.name, epoch.epoch, epoch.description, at_us)
            self._unread.discard((feed.name, epoch.epoch))
        except StorageError as error:
            self._refused(error)
            self._unread.add((feed.name, epoch.epoch))
            if epoch.description is None:
                return False
            decoding = _decoding_without_database(feed, epoch.description)
        if decoding == epoch.decoding:
            return False
        epoch.decoding = decoding
        return True

    def _tell_changes(self, feed: VehicleFeed) -> None:
        epoch = None if feed.current is None else feed.current.epoch.hex()
        now = (feed.link, epoch, feed.previews_from_utc_us)
        if self._told.get(feed.name) != now:
            self._told[feed.name] = now
            self._hub.send_state(feed)

    def _arrived_us(self, entry: StreamEntry) -> int:
        return arrived_us(self._stream, entry.arrival, is_fresh=entry.position >= self._fresh_from)


def arrived_us(stream: Stream, arrival: Arrival, *, is_fresh: bool) -> int:
    """When a record arrived, by this machine's monotonic clock.

    That of the arrival is another one where ingest is on another machine, or before the start (of an earlier boot).
    """
    if is_fresh and isinstance(stream, JournalStream):
        return arrival.mono_us
    return monotonic_us() - max(0, utc_us() - arrival.utc_us)


def _decoding_without_database(feed: VehicleFeed, description: Description | None) -> Decoding:
    """By the registry as it was when the database could be read, else by what the car carries."""
    buses = () if description is None else description.buses
    return recorded_decoding(feed.name, buses) if feed.registry is None else decoding_of(feed.registry, buses)
