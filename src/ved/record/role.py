"""The role record: the stream `frames` into the lake, and what it says of epochs into the database."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ved.broker.base import Stream, StreamReader
from ved.broker.open import open_stream
from ved.db.database import Database
from ved.errors import StorageError
from ved.lake.lake import Lake
from ved.metrics import Counters
from ved.record.housekeeping import Housekeeping
from ved.record.recorder import Recorder

CURSOR: Final = "record"
_log = logging.getLogger(__name__)
_READ_BYTES: Final = 1 << 20
_TICK_S: Final = 0.2
_RETRY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """`commit_s` or `commit_frames`, whichever comes first, makes a commit; an epoch without frames for `quiet_s` is
    packed for good; `housekeeping_s` is the pause between two looks for files to merge.
    """

    data: Path
    db_url: str
    lake_url: str
    commit_s: float = 5.0
    commit_frames: int = 262_144
    quiet_s: float = 60.0
    housekeeping_s: float = 20.0


async def run_record(
    settings: RecordSettings,
    ready: Callable[[dict[str, object]], None],
    stop: asyncio.Event,
    counters: Counters | None = None,
) -> None:
    """Record until `stop`, then store what is durable. A disk that refuses is tried again for ever: nothing is skipped.

    UserError when the lake's folder holds something else.
    """
    counters = counters or Counters()
    db = Database(settings.db_url)
    try:
        lake = await asyncio.to_thread(Lake.for_writing, settings.lake_url)
        stream = open_stream(settings.data, "frames")
        start = stream.cursor(CURSOR)
        reader = stream.reader("earliest" if start is None else start)
        housekeeping = Housekeeping(lake, settings.quiet_s, counters)
        chores = asyncio.create_task(housekeeping.run(settings.housekeeping_s))
        recording = _Recording(settings, stream, reader, Recorder(db, lake, counters), housekeeping)
        work = asyncio.create_task(recording.run(stop))
        try:
            ready({})
            done, _ = await asyncio.wait({work, chores}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            housekeeping.stop()
            for task in (work, chores):
                task.cancel()
            await asyncio.gather(work, chores, return_exceptions=True)
            reader.close()
    finally:
        db.close()


class _Recording:
    def __init__(
        self,
        settings: RecordSettings,
        stream: Stream,
        reader: StreamReader,
        recorder: Recorder,
        housekeeping: Housekeeping,
    ) -> None:
        self._settings = settings
        self._stream = stream
        self._reader = reader
        self._recorder = recorder
        self._housekeeping = housekeeping
        self._stored_s = time.monotonic()
        self._cursor = reader.position
        self._skipped = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Read and store; at the end store what is durable, trying once."""
        while not stop.is_set():
            try:
                if self._recorder.frames_waiting < 2 * self._settings.commit_frames:
                    self._recorder.take(await self._reader.read(max_bytes=_READ_BYTES, timeout_s=_TICK_S))
                    self._report_skipped()
                else:
                    await asyncio.sleep(_TICK_S)  # the journal is not synced yet: memory stays bounded
                await self._store_what_is_due()
            except StorageError as error:
                _log.warning("waiting for the disk: %s", error)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _RETRY_S)
        try:
            await self._finish()
        except StorageError as error:
            _log.warning("stopped before all was stored, the next start goes on from there: %s", error)

    async def _finish(self) -> None:
        while entries := await self._reader.read(max_bytes=_READ_BYTES, timeout_s=0.0):
            self._recorder.take(entries)
            if self._recorder.frames_waiting >= self._settings.commit_frames:
                await self._store()
        await self._store()

    async def _store_what_is_due(self) -> None:
        waiting_s = time.monotonic() - self._stored_s
        recorder = self._recorder
        if (
            recorder.frames_waiting >= self._settings.commit_frames
            or waiting_s >= self._settings.commit_s
            or (recorder.wants_store and waiting_s >= 1.0)
        ):
            await self._store()
        elif recorder.notes_waiting:
            await asyncio.to_thread(recorder.store_notes, self._reader.durable_position())

    async def _store(self) -> None:
        before = min(self._reader.durable_position(), self._reader.position)
        self._stored_s = time.monotonic()
        if before <= self._cursor:
            return
        epochs = await asyncio.to_thread(self._recorder.store, before)
        self._housekeeping.note_append(epochs)
        await asyncio.to_thread(self._stream.commit_cursor, CURSOR, before)
        self._cursor = before

    def _report_skipped(self) -> None:
        if self._reader.skipped != self._skipped:
            _log.error("%d stream entries were gone before they were stored", self._reader.skipped - self._skipped)
            self._skipped = self._reader.skipped
