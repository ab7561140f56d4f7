"""What the agent keeps between its lives: on the card, or in memory where the card cannot be written.

On a full card the journal is used as it is: it makes room by itself. Where it cannot even be opened (a read-only file
system), a live source gets a small one in a folder in memory, which is there for later lives until the machine starts
again. What the card's own journal still holds is not touched then, and not sent.
"""

import logging
import os
import stat
import zlib
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic_ns
from typing import Final

from ved.agent.epoch import new_epoch
from ved.agent.life import Life, boot_id, close_lives, lives_in, read_lives, save_lives
from ved.codec.records import peek
from ved.errors import CorruptDataError, StorageError, UserError
from ved.journal.journal import Journal
from ved.journal.layout import DEFAULT_SEGMENT_BYTES, MIN_SEGMENT_BYTES

JOURNAL_FOLDER: Final = "journal"
MEMORY: Final = Path("/dev/shm")  # noqa: S108  # `make_folder` looks whose it is
MEMORY_BYTES: Final = 32 << 20
"""What the journal in memory may hold: about ten minutes of 6,000 frames/s."""

_SEGMENTS: Final = 16
"""A full journal loses its oldest segment: a sixteenth of what it may hold, or less."""

_log: Final = logging.getLogger("ved.agent")


@dataclass(frozen=True, slots=True)
class State:
    """A new epoch, the journal (at most `journal_bytes` of a live source) and the lives before, all kept in `folder`.

    `trouble`: why that is not the folder that was asked for.
    """

    folder: Path
    epoch: bytes
    journal: Journal
    journal_bytes: int
    lives: list[Life]
    trouble: str | None = None


def open_state(folder: Path, vehicle: str, journal_bytes: int, *, may_be_memory: bool) -> State:
    """Begin a life. UserError when another agent runs there or the journal is another vehicle's.

    StorageError when refused; not so for what `may_be_memory`, where the system has such a place.
    """
    try:
        return _open(folder, vehicle, journal_bytes)
    except StorageError as error:
        if not may_be_memory or not MEMORY.is_dir():
            raise
        trouble = f"{error}; what is not sent yet waits in memory"
        _log.error("%s", trouble)
        return replace(_open(in_memory(folder), vehicle, min(journal_bytes, MEMORY_BYTES)), trouble=trouble)


def in_memory(folder: Path) -> Path:
    """The folder in memory that takes what `folder` refuses."""
    return MEMORY / f"ved-agent-{zlib.crc32(bytes(folder.absolute())):08x}"


def make_folder(folder: Path) -> None:
    """Have a folder that is this user's own. StorageError when refused; in memory anybody may have made one."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.lstat()
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror or error}") from error
    if folder.parent == MEMORY and (not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid()):
        raise StorageError(f"{folder}: is somebody else's")


def _open(folder: Path, vehicle: str, journal_bytes: int) -> State:
    make_folder(folder)
    epoch = new_epoch(folder)
    segment_bytes = min(max(journal_bytes // _SEGMENTS, MIN_SEGMENT_BYTES), DEFAULT_SEGMENT_BYTES)
    journal = Journal.open(folder / JOURNAL_FOLDER, segment_bytes=segment_bytes)
    try:
        _check_vehicle(journal, vehicle)
        lives = _close_lives(folder, journal)
    except (StorageError, UserError):
        with suppress(StorageError):
            journal.close()
        raise
    return State(folder, epoch, journal, journal_bytes, lives)


def _check_vehicle(journal: Journal, vehicle: str) -> None:
    """UserError when the journal holds another vehicle's data, which this car's key cannot publish."""
    entries = journal.read(journal.first_position, 1)
    if not entries:
        return
    try:
        found = peek(entries[0].payload).vehicle
    except CorruptDataError:
        return
    if found != vehicle:
        raise UserError(
            f"{journal.path} holds data of vehicle {found!r}; give {vehicle!r} a state folder of its own, "
            f"or enrol this one for {found!r} again"
        )


def _close_lives(folder: Path, journal: Journal) -> list[Life]:
    """The lives before this one, all over now. What the last one may have lost is said when it did not end in order."""
    known = read_lives(folder, journal.first_position)
    lives, losses = close_lives(journal, lives_in(journal) if known is None else known, monotonic_ns(), boot_id())
    for loss in losses:
        span_s = (loss.t_to_us - loss.t_from_us) / 1e6
        _log.warning("epoch %s did not end in order: up to %.1f s of it are lost", loss.epoch.hex(), span_s)
    try:
        save_lives(folder, lives)
    except StorageError as error:
        _log.warning("%s", error)
    return lives
