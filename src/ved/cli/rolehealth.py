"""What the process of a role measures of itself, and writes into the database once per second; and its sign of life."""

import asyncio
import contextlib
import logging
import socket
import time
from pathlib import Path
from typing import Any, Final, NoReturn

import psutil

from ved.db.database import Database
from ved.db.health import RoleRow, write_health
from ved.errors import StorageError
from ved.metrics import Counters

EVERY_S: Final = 1.0
_MB: Final = 1e6
_log = logging.getLogger("ved.health")


def instance_of(role: str, settings: Any) -> str:
    """The name under which the process reports: that of the role, with the machine's where there may be several."""
    is_spread = getattr(settings, "kafka", None) is not None
    return f"{role}@{socket.gethostname()}"[:64] if is_spread else role


def beat_file(data: Path, role: str) -> Path:
    """The file that a role touches once a second while its event loop turns."""
    return data / "run" / f"{role}.beat"


async def beat(file: Path) -> NoReturn:
    """Touch the file for ever: `ved health` finds it old when the role's event loop stands still."""
    while True:
        with contextlib.suppress(OSError):  # a disk that refuses makes the file old as well
            await asyncio.to_thread(file.touch)
        await asyncio.sleep(EVERY_S)


async def report_health(role: str, db_url: str, data: Path, counters: Counters) -> NoReturn:
    """Write for ever. A database that refuses is tried again each time, and named once."""
    db, process = Database(db_url), psutil.Process()
    process.cpu_percent()  # the first call begins the measurement
    is_refused = False
    try:
        while True:
            before_s = time.monotonic()
            await asyncio.sleep(EVERY_S)
            figures = {
                "delay": (time.monotonic() - before_s - EVERY_S) * 1000,
                "cpu": process.cpu_percent(),
                "memory": process.memory_info().rss / _MB,
                **counters.figures(),
            }
            try:
                await asyncio.to_thread(_write, db, data, RoleRow(role, time.time_ns() // 1000, figures))
                is_refused = False
            except StorageError as error:
                if not is_refused:
                    _log.warning("health is not written: %s", error)
                is_refused = True
    finally:
        db.close()


def _write(db: Database, data: Path, row: RoleRow) -> None:
    disk = psutil.disk_usage(str(data)).percent
    write_health(db, RoleRow(row.role, row.utc_us, {**row.figures, "disk": disk}))
