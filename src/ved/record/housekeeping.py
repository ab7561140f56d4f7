"""Background work on the lake: small files into big ones, rollups, old data let go of, dead files deleted."""

import asyncio
import logging
import threading
import time
from typing import Final

from ved.db.database import Database
from ved.errors import StorageError
from ved.lake.lake import Lake
from ved.lake.retention import Retention
from ved.metrics import TASK_FAILURES_TOTAL, Counters
from ved.record.forgetting import forget
from ved.record.recorder import EpochKey
from ved.record.rolling import make_rollups

_log = logging.getLogger(__name__)
_VACUUM_EVERY_S: Final = 600.0
_KEEP_DEAD_FILES_S: Final = 3600.0


class Housekeeping:
    """One task beside the recording; its work runs in a thread and stops between two merges."""

    def __init__(self, lake: Lake, db: Database, quiet_s: float, retention: Retention, counters: Counters) -> None:
        self._lake = lake
        self._db = db
        self._retention = retention
        self._quiet_s = quiet_s
        self._counters = counters
        self._started_s = time.monotonic()
        self._last_append_s: dict[EpochKey, float] = {}
        self._stop = threading.Event()

    def note_append(self, epochs: set[EpochKey]) -> None:
        """These epochs got frames just now."""
        now_s = time.monotonic()
        for key in epochs:
            self._last_append_s[key] = now_s

    async def run(self, every_s: float) -> None:
        """Until cancelled. What the disk refuses is counted and tried again at the next turn."""
        vacuumed_s = 0.0
        while True:
            await asyncio.sleep(every_s)
            try:
                await asyncio.to_thread(self._lake.compact, is_final=self._is_quiet, stop=self._stop.is_set)
                await asyncio.to_thread(make_rollups, self._lake, self._db, self._is_quiet, self._stop.is_set)
                if time.monotonic() - vacuumed_s >= _VACUUM_EVERY_S:
                    if self._retention.is_limited:
                        await asyncio.to_thread(forget, self._lake, self._db, self._retention, self._is_quiet)
                    await asyncio.to_thread(self._lake.vacuum, _KEEP_DEAD_FILES_S)
                    vacuumed_s = time.monotonic()
                await asyncio.to_thread(self._lake.checkpoint)  # last: without one, only a start is slower
            except StorageError as error:
                self._counters.add(TASK_FAILURES_TOTAL)
                _log.warning("lake: %s", error)

    def stop(self) -> None:
        """Let the work end at the next merge."""
        self._stop.set()

    def _is_quiet(self, key: EpochKey) -> bool:
        return time.monotonic() - self._last_append_s.get(key, self._started_s) >= self._quiet_s
