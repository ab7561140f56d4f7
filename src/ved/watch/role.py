"""The role watch: follows the frames of every vehicle and lets its parts look at them.

Each record is decoded once. Parts save in one transaction with watch's position in the stream, so a kill at any time
loses and doubles nothing.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Final

from ved.api.unpack import compile_kernels
from ved.broker.base import Stream, StreamEntry, StreamReader, StreamWriter
from ved.broker.open import open_forwarder, open_journal, open_stream
from ved.db.database import Database
from ved.db.watch import forget_position, read_position, write_position
from ved.errors import CorruptDataError, StorageError
from ved.metrics import FORWARD, LAG, RECORDS_CORRUPT_TOTAL, TASK_FAILURES_TOTAL, Counters
from ved.watch.alarms import AlarmWatcher
from ved.watch.epochs import Epochs
from ved.watch.health import HealthWatcher
from ved.watch.laps import LapWatcher
from ved.watch.ledger import LedgerKeeper
from ved.watch.notifier import Notifier
from ved.watch.parts import Append, Now, WatchPart
from ved.watch.sessions import SessionWatcher
from ved.watch.settings import WatchSettings

CURSOR: Final = "watch"
TICK_S: Final = 0.2
RETRY_S: Final = 1.0
SAVE_US: Final = 1_000_000
SYNC_US: Final = 5_000_000
"""A flush to a busy disk may take longer than an alarm may: it comes seldom. After a power cut, what was found since is
found again and told again."""
TRIM_US: Final = 60_000_000
EVENTS_BYTES: Final = 1 << 30
EVENTS_US: Final = 86_400_000_000
log = logging.getLogger(__name__)


def make_parts(db: Database, now: Now) -> list[WatchPart]:
    """The parts, in the order in which they see each record."""
    ledger = LedgerKeeper(db)
    alarms = AlarmWatcher(db, now)
    sessions = SessionWatcher(db, now)
    return [sessions, LapWatcher(db, sessions), ledger, alarms, HealthWatcher(db, now, ledger, [alarms])]


async def run_watch(
    settings: WatchSettings,
    ready: Callable[[dict[str, object]], None],
    stop: asyncio.Event,
    counters: Counters | None = None,
) -> None:
    """Follow the stream `frames` until `stop`, then read it to its end and save.

    While the database or the disk refuses, it is tried again for ever: the parts begin anew from what was saved last,
    as after a kill. StorageError when they refuse at the start or at the end.
    """
    counters = counters or Counters()
    db = Database(settings.db_url, is_found_again=True)
    frames = open_stream(settings.data, "frames", settings.kafka)
    events = open_journal(settings.data, "events").writer()
    epochs = Epochs(db)
    following: _Following | None = _begin(frames, events, db, epochs, counters)
    helpers = [asyncio.create_task(run) for run in _helpers(settings, db, counters)]
    try:
        ready({})
        await asyncio.to_thread(compile_kernels)
        while True:
            try:
                following = following or _begin(frames, events, db, epochs, counters)
                await following.run(stop, settings.keep_for)
                break
            except StorageError as error:
                if following is not None:
                    following.close()
                following = None
                if stop.is_set():
                    raise
                counters.add(TASK_FAILURES_TOTAL)
                log.warning("waiting for the database or the disk: %s", error)
                await asyncio.sleep(RETRY_S)
    finally:
        for task in helpers:
            task.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        if following is not None:
            following.close()
        events.close()
        db.close()


def _begin(frames: Stream, events: StreamWriter, db: Database, epochs: Epochs, counters: Counters) -> "_Following":
    """From what was saved on. `epochs`: clocks that were heard, which record may not have written yet."""
    reader = _reader(frames, db)
    try:
        return _Following(frames, reader, events, Watching(db, make_parts(db, now()), counters, epochs))
    except StorageError:
        reader.close()
        raise


def _helpers(settings: WatchSettings, db: Database, counters: Counters) -> list[Coroutine[object, object, None]]:
    """What goes on beside the parts: people are told of alarms, and the events go on to the cluster."""
    helpers = [Notifier(db, open_journal(settings.data, "events"), settings.notify, counters).run()]
    forwarder = open_forwarder(settings.data, "events", settings.kafka)
    if forwarder is not None:
        counters.gauge(FORWARD, forwarder.waiting)
        helpers.append(forwarder.run(asyncio.Event()))
    return helpers


class _Following:
    """Reads on, and now and then saves, syncs and trims."""

    def __init__(self, frames: Stream, reader: StreamReader, events: StreamWriter, watching: "Watching") -> None:
        self._frames, self._reader, self._events, self._watching = frames, reader, events, watching
        self._has_cursor = frames.cursor(CURSOR) is not None
        self._cursor = reader.position
        self._done_us = dict.fromkeys(("save", "sync", "trim"), now().mono_us)

    def close(self) -> None:
        """Give the reader back."""
        self._reader.close()

    async def run(self, stop: asyncio.Event, keep_for: Sequence[str]) -> None:
        """Until `stop`, and then to the end of the stream."""
        while True:
            is_last = stop.is_set()
            entries = await self._reader.read(timeout_s=0.0 if is_last else TICK_S)
            self._watching.take(entries)
            self._watching.publish(self._events.append)
            if is_last and not entries:
                break
            if self._is_due("save", SAVE_US):
                await self._settle()
            if self._is_due("sync", SYNC_US):
                await self._sync()
            if self._is_due("trim", TRIM_US):
                self._events.trim(EVENTS_BYTES, EVENTS_US, keep_for)
        await self._settle()
        await self._sync()

    def _is_due(self, what: str, every_us: int) -> bool:
        now_us = now().mono_us
        if now_us - self._done_us[what] < every_us:
            return False
        self._done_us[what] = now_us
        return True

    async def _settle(self) -> None:
        """Save what was found, with the position: that does not wait for the disk."""
        if self._reader.position != self._cursor and not self._has_cursor:
            self._frames.commit_cursor(CURSOR, self._cursor)
            self._has_cursor = True
        await asyncio.to_thread(self._watching.save, self._reader.position)
        self._watching.publish(self._events.append)

    async def _sync(self) -> None:
        """Make the events durable, then say how far the stream was read."""
        await asyncio.to_thread(self._events.sync)
        if self._reader.position != self._cursor:
            self._frames.commit_cursor(CURSOR, self._reader.position)
            self._cursor = self._reader.position


def now() -> Now:
    """The server's clocks."""
    return Now(time.monotonic_ns() // 1000, time.time_ns() // 1000)


def _reader(frames: Stream, db: Database) -> StreamReader:
    """A reader from what was saved on. Without a cursor the journal is a new one: a saved position is of another."""
    cursor = frames.cursor(CURSOR)
    if cursor is None:
        forget_position(db, CURSOR)
        return frames.reader("earliest")
    saved = read_position(db, CURSOR)
    return frames.reader(cursor if saved is None else saved)


class Watching:
    """Gives every entry to every part."""

    def __init__(
        self, db: Database, parts: Sequence[WatchPart], counters: Counters, epochs: Epochs | None = None
    ) -> None:
        self.counters = counters
        self._db = db
        self._lag_ms = 0.0
        counters.gauge(LAG, lambda: self._lag_ms)
        self._epochs = epochs or Epochs(db)
        self._parts = parts

    def take(self, entries: Sequence[StreamEntry]) -> None:
        """Fold entries in, in order. A corrupt one is counted and costs itself alone."""
        started = now()
        for entry in entries:
            try:
                taken = self._epochs.take(entry, started.mono_us)
            except CorruptDataError as error:
                self.counters.add(RECORDS_CORRUPT_TOTAL)
                log.warning("frames %d: %s", entry.position, error)
                continue
            for part in self._parts:
                part.take(taken)
        for part in self._parts:
            part.tick(started)
        self._lag_ms = max(0, now().utc_us - entries[-1].arrival.utc_us) / 1000 if entries else 0.0

    def publish(self, append: Append) -> None:
        """Append what is new to the stream `events`."""
        at = now()
        for part in self._parts:
            part.publish(append, at)

    def save(self, position: int) -> None:
        """Write what changed, and the position up to which it holds, all or nothing."""
        with self._db.engine.begin() as connection:
            for part in self._parts:
                part.save(connection)
            write_position(connection, CURSOR, position)
