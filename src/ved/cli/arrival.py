"""The wait until what was sent to the server on a data folder is in its lake."""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ved.broker.open import open_journal
from ved.cli.progress import LateProgress
from ved.cli.server import find_running
from ved.config.settings import ServerSettings
from ved.errors import StorageError, VedError
from ved.lake.lake import Lake
from ved.model.intervals import Intervals

STALL_S: Final = 120.0
FULL_S: Final = 5.0
FULL_BYTES: Final = 4 << 20
POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Expected:
    """An epoch, and how many frames (or samples) of it must be stored."""

    vehicle: str
    epoch: bytes
    rows: int
    are_samples: bool = False

    def stored(self, lake: Lake) -> Intervals:
        """Which of its seqs the lake has, as of its last refresh."""
        table = lake.samples if self.are_samples else lake.frame_rows
        return table.intervals(self.vehicle, self.epoch)

    @property
    def what(self) -> str:
        """What its rows are."""
        return "samples" if self.are_samples else "frames"


async def await_in_lake(expected: Expected, settings: ServerSettings) -> None:
    """Return when the lake holds every row of the epoch and watch, where it runs here, has seen them.

    VedError when nothing moves.
    """
    stream = open_journal(settings.data.resolve(), "frames")
    reader = stream.reader("latest")
    end = reader.position
    reader.close()
    lake = Lake(settings.lake)
    clock, watches = asyncio.get_running_loop().time, _watches(settings)
    moved_s, last = clock(), (-1, -1)
    title = f"{expected.vehicle}: storing {expected.what} in the lake"
    with LateProgress(title, expected.rows) as progress:
        while True:
            await asyncio.to_thread(lake.refresh)
            stored = expected.stored(lake).count()
            watched = stream.cursor("watch") or 0
            progress.update(stored)
            if stored >= expected.rows and (watched >= end or not watches):
                return
            if (stored, watched) != last:
                moved_s, last = clock(), (stored, watched)
            elif clock() - moved_s > FULL_S and is_full(settings.data):
                raise StorageError(
                    f"{settings.data.resolve()}: the disk is full; {expected.rows - stored:,} {expected.what} wait in "
                    "the server's journal and reach the lake when a server runs with room again"
                )
            elif clock() - moved_s > STALL_S:
                raise VedError(
                    f"the server stored nothing for {STALL_S:.0f} s ({stored:,} of {expected.rows:,} {expected.what} "
                    "are in the lake); see its messages. Nothing is lost: what is missing lies in its journal"
                )
            await asyncio.sleep(POLL_S)


def _watches(settings: ServerSettings) -> bool:
    """False where watch runs on another machine: it has its own place in the stream there."""
    running = find_running(settings.data)
    return running is None or "watch" in running.roles


def is_full(folder: Path) -> bool:
    """True where no commit to the lake has room."""
    return shutil.disk_usage(folder).free < FULL_BYTES
