"""The role record: the streams into the lake, and what they say of epochs into the database."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Final

from ved.api.unpack import compile_kernels
from ved.broker.base import Stream, StreamName
from ved.broker.open import open_stream
from ved.db.database import Database
from ved.errors import StorageError
from ved.lake.lake import Lake
from ved.lake.retention import Retention
from ved.metrics import LAG, QUEUE, Counters
from ved.model.records import RecordKind
from ved.record.housekeeping import Housekeeping
from ved.record.recorder import Recorder
from ved.record.settings import RecordSettings

CURSOR: Final = "record"
KEPT: Final[dict[StreamName, tuple[RecordKind, ...]]] = {
    "frames": tuple(RecordKind),
    "events": (RecordKind.SAMPLES, RecordKind.CLOCK),
}
"""The streams, and what record keeps of each: of `events` the figures of health alone."""

_log = logging.getLogger(__name__)
_READ_BYTES: Final = 1 << 20
_TICK_S: Final = 0.2
_RETRY_S: Final = 1.0


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
        housekeeping = Housekeeping(lake, db, settings.quiet_s, _retention(settings), counters)
        recordings = [
            _Recording(
                settings,
                open_stream(settings.data, name, settings.kafka, share=CURSOR),
                Recorder(db, lake, counters, kinds),
                housekeeping,
            )
            for name, kinds in KEPT.items()
        ]
        counters.gauge(QUEUE, lambda: sum(one.rows_waiting for one in recordings))
        counters.gauge(LAG, lambda: max(one.lag_ms() for one in recordings))
        tasks: list[asyncio.Task[None]] = []
        try:
            ready({})
            await asyncio.to_thread(compile_kernels)
            tasks.append(asyncio.create_task(housekeeping.run(settings.housekeeping_s)))
            tasks += [asyncio.create_task(recording.run(stop)) for recording in recordings]
            await _run_until_ended(tasks[1:], tasks[0])
        finally:
            housekeeping.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for recording in recordings:
                recording.close()
    finally:
        db.close()


def _retention(settings: RecordSettings) -> Retention:
    return Retention(
        round(settings.keep_days * 86_400e6) if settings.keep_days else None,
        round(settings.keep_gib * (1 << 30)) if settings.keep_gib else None,
    )


async def _run_until_ended(recordings: "list[asyncio.Task[None]]", chores: "asyncio.Task[None]") -> None:
    """Return when all recordings ended; raises what the first task failed with."""
    waiting = {*recordings, chores}
    while not all(task.done() for task in recordings):
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


class _Recording:
    """One stream on its way into the lake, with a cursor of its own."""

    def __init__(
        self, settings: RecordSettings, stream: Stream, recorder: Recorder, housekeeping: Housekeeping
    ) -> None:
        start = stream.cursor(CURSOR)
        self._settings = settings
        self._stream = stream
        self._reader = stream.reader("earliest" if start is None else start)
        self._recorder = recorder
        self._housekeeping = housekeeping
        self._stored_s = time.monotonic()
        self._cursor = self._reader.position
        self._skipped = 0

    @property
    def rows_waiting(self) -> int:
        """Frames and samples that were read and are not stored yet."""
        return self._recorder.rows_waiting

    def lag_ms(self) -> float:
        """Age of the oldest batch that was read and is not stored yet."""
        oldest_us = self._recorder.oldest_arrival_utc_us
        return 0.0 if oldest_us is None else max(0.0, time.time() * 1000 - oldest_us / 1000)

    def close(self) -> None:
        """Give the reader back."""
        self._reader.close()

    async def run(self, stop: asyncio.Event) -> None:
        """Read and store; at the end store what is durable, trying once."""
        while not stop.is_set():
            try:
                if self._recorder.rows_waiting < 2 * self._settings.commit_frames:
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
            if self._recorder.rows_waiting >= self._settings.commit_frames:
                await self._store()
        await self._store()

    async def _store_what_is_due(self) -> None:
        waiting_s = time.monotonic() - self._stored_s
        recorder = self._recorder
        if (
            recorder.rows_waiting >= self._settings.commit_frames
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
