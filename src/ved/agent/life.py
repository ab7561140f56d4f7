"""What is said of a life of the agent that did not end in order: after the last frame kept, frames may be lost.

A file names the life that is running; its orderly end removes it. Whoever finds it at a start declares the loss.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ved.codec.batch import decode_batch
from ved.codec.records import decode_record, encode_record, peek, verify
from ved.errors import CorruptDataError, StorageError
from ved.journal.journal import Journal
from ved.link.files import write_private
from ved.model.frames import EPOCH_BYTES
from ved.model.records import Loss, LossPlace, RecordKind

FILE_NAME: Final = "life"
ALL_BUSES: Final = 255
POSTHUMOUS: Final = 1 << 32
"""Losses of an earlier epoch are numbered from here by their first seq: that life's own numbers lie below."""

UNSYNCED_US: Final = 2_000_000
"""After a power cut nobody knows when it was; what the journal had not synced yet is younger than this."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Life:
    """One run on a live source: its epoch, the monotonic time at which that began, and the boot that counts it."""

    vehicle: str
    epoch: bytes
    origin_ns: int
    boot: str


def boot_id() -> str:
    """The same until the machine starts again; empty where the system does not tell."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def begin_life(state_dir: Path, life: Life) -> None:
    """Name the life that begins, on disk before it reads a frame. StorageError when refused."""
    told = {"vehicle": life.vehicle, "epoch": life.epoch.hex(), "origin_ns": life.origin_ns, "boot": life.boot}
    path = state_dir / FILE_NAME
    try:
        write_private(path, json.dumps(told).encode())
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error


def end_life(state_dir: Path) -> None:
    """It ended in order: nothing is missing."""
    path = state_dir / FILE_NAME
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error


def read_life(state_dir: Path) -> Life | None:
    """The life that did not end; None when there is none, or the file is damaged."""
    try:
        told = json.loads((state_dir / FILE_NAME).read_bytes())
        life = Life(str(told["vehicle"]), bytes.fromhex(told["epoch"]), int(told["origin_ns"]), str(told["boot"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return life if len(life.epoch) == EPOCH_BYTES else None


def declare_crash(journal: Journal, life: Life, now_ns: int, boot: str) -> Loss | None:
    """Put the loss into the journal, durably; None when it is there already. StorageError when the disk refuses."""
    loss = crash_loss(journal, life, now_ns, boot)
    if loss is not None:
        journal.append(encode_record(loss))
        journal.sync()
    return loss


def crash_loss(journal: Journal, life: Life, now_ns: int, boot: str) -> Loss | None:
    """What the journal cannot account for: from its last frame of that life (or the begin) until now.

    After another boot the end is not known, and lies at most `UNSYNCED_US` after the last frame.
    """
    last: bytes | None = None
    for segment in reversed(journal.segments):  # the life before was the last to write
        for record in _records(journal, segment.first_position, segment.end_position, life.epoch):
            kind = peek(record).kind
            if kind == RecordKind.LOSS and _is_crash(record):
                return None
            last = record if kind == RecordKind.BATCH else last
        if last is not None:
            break
    last_seq, t_from_us = (0, 0) if last is None else _end_of(last)
    is_same_boot = boot != "" and boot == life.boot
    t_to_us = (now_ns - life.origin_ns) // 1000 if is_same_boot else t_from_us + UNSYNCED_US
    number = POSTHUMOUS + last_seq + 1
    place = LossPlace.CAR_CRASH
    return Loss(life.vehicle, life.epoch, number, place, ALL_BUSES, -1, t_from_us, max(t_from_us, t_to_us))


def _records(journal: Journal, position: int, end: int, epoch: bytes) -> Iterator[bytes]:
    """Whole records of an epoch from `position` to `end`, in order; damaged ones are not accounted for."""
    while position < end and (entries := journal.read(position, _READ_BYTES)):
        position = entries[-1].position + 1
        for entry in entries:
            try:
                header = verify(entry.payload)
            except CorruptDataError:
                continue
            if header.epoch == epoch and entry.position < end:
                yield entry.payload


def _end_of(record: bytes) -> tuple[int, int]:
    """Last seq and latest time of a batch."""
    batch = decode_batch(record)
    return batch.last_seq, int(batch.frames.t_us.max(initial=0))


def _is_crash(record: bytes) -> bool:
    loss = decode_record(record)
    return isinstance(loss, Loss) and loss.place == LossPlace.CAR_CRASH
