"""The role watch: follows the frames of every vehicle and writes what it finds there: sessions, for now."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ved.analysis.sessions import GAP_US, SessionFinder, Stretch
from ved.broker.base import StreamEntry
from ved.broker.open import open_stream
from ved.codec.records import decode_record, encode_record
from ved.db.database import Database
from ved.db.epochs import clock_pairs
from ved.db.sessions import list_sessions, save_sessions
from ved.errors import CorruptDataError
from ved.metrics import RECORDS_CORRUPT_TOTAL, Counters
from ved.model.clockmap import ClockMap, ClockPair
from ved.model.frames import FrameBatch
from ved.model.records import Arrival, Clock, Lane, SessionEvent
from ved.model.session import Session

CURSOR: Final = "watch"
SAVE_S: Final = 1.0
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """Data folder and database of the deployment."""

    data: Path
    db_url: str


async def run_watch(settings: WatchSettings, ready: Callable[[dict[str, object]], None], stop: asyncio.Event) -> None:
    """Follow the stream `frames` until `stop`, then read it to its end and save."""
    db = Database(settings.db_url)
    watcher = SessionWatcher(db)
    frames = open_stream(settings.data, "frames")
    cursor = frames.cursor(CURSOR)
    reader = frames.reader("earliest" if cursor is None else cursor)
    events = open_stream(settings.data, "events").writer()

    async def settle() -> None:
        """Save and publish what was found, then say how far the stream was read."""
        nonlocal cursor
        watcher.close_quiet(time.monotonic())
        await asyncio.to_thread(watcher.save)
        watcher.publish(events.append)
        events.sync()
        if reader.position != (cursor or 0):
            frames.commit_cursor(CURSOR, reader.position)
            cursor = reader.position

    try:
        ready({})
        settled_at = time.monotonic()
        while True:
            is_last = stop.is_set()
            entries = await reader.read(timeout_s=0.0 if is_last else SAVE_S)
            watcher.take(entries)
            if is_last and not entries:
                break
            if time.monotonic() - settled_at >= SAVE_S:
                settled_at = time.monotonic()
                await settle()
        await settle()
    finally:
        reader.close()
        events.close()
        db.close()


class SessionWatcher:
    """Turns stream entries into sessions, and keeps those that are not saved or published yet."""

    def __init__(self, db: Database) -> None:
        self.counters = Counters()
        self._db = db
        self._finder = SessionFinder(list_sessions(db))
        self._pairs: dict[tuple[str, bytes], list[ClockPair]] = {}
        self._maps: dict[tuple[str, bytes], ClockMap] = {}
        self._last_arrival_s = {one.vehicle: time.monotonic() for one in self._finder.sessions() if one.is_open}
        self._unsaved: dict[str, Session] = {}
        self._unpublished: dict[str, Session] = {}

    def take(self, entries: list[StreamEntry]) -> None:
        """Fold entries in, in order. A corrupt one is counted and costs itself alone."""
        for entry in entries:
            try:
                record = decode_record(entry.record)
            except CorruptDataError as error:
                self.counters.add(RECORDS_CORRUPT_TOTAL)
                log.warning("frames %d: %s", entry.position, error)
                continue
            if isinstance(record, Clock):
                self._take_clock(record)
            elif isinstance(record, FrameBatch) and record.count:
                self._take_batch(record)

    def close_quiet(self, now_s: float) -> None:
        """End the sessions of vehicles that have sent nothing for the length of a gap (`now_s`: monotonic)."""
        for vehicle, arrival_s in list(self._last_arrival_s.items()):
            if now_s - arrival_s > GAP_US / 1e6:
                del self._last_arrival_s[vehicle]
                self._note(self._finder.close(vehicle))

    def save(self) -> None:
        """Write what changed to the database."""
        changed, self._unsaved = self._unsaved, {}
        save_sessions(self._db, list(changed.values()))

    def publish(self, append: Callable[[Arrival, bytes], int]) -> None:
        """Append what changed to the stream `events`."""
        changed, self._unpublished = self._unpublished, {}
        arrival = Arrival(time.monotonic_ns() // 1000, time.time_ns() // 1000, Lane.LIVE)
        for one in changed.values():
            event = SessionEvent(
                one.vehicle, one.parts[-1].epoch, one.id, one.utc_from_us, one.utc_to_us, is_open=one.is_open
            )
            append(arrival, encode_record(event))

    def _take_batch(self, batch: FrameBatch) -> None:
        self._last_arrival_s[batch.vehicle] = time.monotonic()
        offset_us = self._map_of(batch.vehicle, batch.epoch).offset_us
        t_us = batch.frames.t_us
        stretch = Stretch(batch.vehicle, batch.epoch, int(t_us.min()), int(t_us.max()), offset_us)
        changed = self._finder.add(stretch)
        if changed is not None:
            self._note([changed])

    def _note(self, sessions: list[Session]) -> None:
        for session in sessions:
            self._unsaved[session.id] = session
            self._unpublished[session.id] = session

    def _take_clock(self, clock: Clock) -> None:
        key = (clock.vehicle, clock.epoch)
        self._map_of(*key)
        self._pairs[key].append(ClockPair(clock.t_us, clock.utc_us, clock.source, clock.error_us))
        self._maps[key] = ClockMap.best(self._pairs[key])

    def _map_of(self, vehicle: str, epoch: bytes) -> ClockMap:
        key = (vehicle, epoch)
        if key not in self._maps:
            self._pairs[key] = clock_pairs(self._db, vehicle, epoch)
            self._maps[key] = ClockMap.best(self._pairs[key])
        return self._maps[key]
