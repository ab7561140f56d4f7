"""What is said of a life of the agent that did not end in order: after the last frame kept, frames may be lost.

The file `lives` names the epochs that the journal may still hold, oldest first: where each one began and, once it is
over, where it ended. The last one without an end is running, or did not end in order; whoever finds it at a start
declares the loss and enters the end. So frames that the journal loses later are missed even when nothing is left of
their epoch. It is kept twice, each with a check sum: one that is damaged costs nothing. When both are, what the
journal holds is taken for lives of which nobody knows how they ended.
"""

import json
import logging
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from ved.codec.records import decode_record, encode_record, peek, verify
from ved.errors import CorruptDataError, StorageError
from ved.journal.journal import Journal
from ved.link.files import write_private
from ved.link.holes import POSTHUMOUS, EpochEnd, batch_times
from ved.model.frames import EPOCH_BYTES
from ved.model.records import ALL_BUSES, Loss, LossPlace, RecordKind

FILE_NAMES: Final = ("lives", "lives.2")
MAX_LIVES: Final = 1000
BEAT_S: Final = 10.0
"""How often the running life says how far it is."""

UNSYNCED_US: Final = 2_000_000
"""After a power cut nobody knows when it was; what the journal had not synced yet is younger than this."""

UNTOLD_US: Final = 24 * 3_600_000_000
"""So long a life may have gone on after what is left of it, when nothing else tells."""

_BEAT_US: Final = int(BEAT_S * 1e6)
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_READ_BYTES: Final = 1 << 20
_WITH_SEQS: Final = (RecordKind.BATCH, RecordKind.SAMPLES)

_log: Final = logging.getLogger("ved.agent")


@dataclass(frozen=True, slots=True)
class Life:
    """One run on a live source: its epoch, the monotonic time at which that began, and the boot that counts it.

    `seq` and `t_us` are how far it was when it last said so; once it is over, its last seq and its end, and
    `end_position` is where its records in the journal end (0: not over).
    """

    vehicle: str
    epoch: bytes
    origin_ns: int
    boot: str
    seq: int = 0
    t_us: int = 0
    end_position: int = 0


def boot_id() -> str:
    """The same until the machine starts again; empty where the system does not tell."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def save_lives(state_dir: Path, lives: list[Life]) -> None:
    """On disk when it returns. StorageError when refused."""
    told = [asdict(life) | {"epoch": life.epoch.hex()} for life in lives[-MAX_LIVES:]]
    body = json.dumps(told).encode()
    for name in FILE_NAMES:
        try:
            write_private(state_dir / name, f"{zlib.crc32(body):08x}\n".encode() + body)
        except OSError as error:
            raise StorageError(f"{state_dir / name}: {error.strerror or error}") from error


def read_lives(state_dir: Path, first_position: int) -> list[Life] | None:
    """The lives that are not over, or whose records are not all trimmed; None when both files are damaged or gone."""
    for name in FILE_NAMES:
        lives = _read_file(state_dir / name)
        if lives is not None:
            return [life for life in lives if not life.end_position or life.end_position > first_position]
    return None


def lives_in(journal: Journal) -> list[Life]:
    """The lives of which the journal holds records, none of them over: all that is known without the files."""
    vehicles: dict[bytes, str] = {}
    last: dict[bytes, bytes] = {}
    for _, record in _records(journal, journal.first_position, journal.next_position):
        header = verify(record)
        if header.kind in _WITH_SEQS:
            last[header.epoch] = record
        if header.number < POSTHUMOUS:  # said by the life itself
            vehicles.setdefault(header.epoch, header.vehicle)
    ends = {epoch: _end_of(last.get(epoch)) for epoch in vehicles}
    return [Life(vehicles[one], one, 0, "", seq + 1, t_us + UNTOLD_US) for one, (seq, t_us) in ends.items()]


def _read_file(path: Path) -> list[Life] | None:
    """None when it is not there, or damaged."""
    try:
        check, _, body = path.read_bytes().partition(b"\n")
        if check.startswith(b"["):  # of version 0.1, without a check sum
            check, body = f"{zlib.crc32(check):x}".encode(), check
        return [_life(one) for one in json.loads(body)] if int(check, 16) == zlib.crc32(body) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _life(told: dict[str, object]) -> Life:
    epoch = bytes.fromhex(str(told["epoch"]))
    if len(epoch) != EPOCH_BYTES:
        raise ValueError("an epoch is 16 bytes")
    numbers = [told[name] for name in ("origin_ns", "seq", "t_us", "end_position")]
    origin_ns, seq, t_us, end_position = [int(str(number)) for number in numbers]
    return Life(str(told["vehicle"]), epoch, origin_ns, str(told["boot"]), seq, t_us, end_position)


def epoch_ends(lives: list[Life]) -> tuple[EpochEnd, ...]:
    """The epochs that are over, as the link needs them."""
    return tuple(EpochEnd(life.epoch, life.end_position, life.seq, life.t_us) for life in lives if life.end_position)


def close_lives(journal: Journal, lives: list[Life], now_ns: int, boot: str) -> tuple[list[Life], list[Loss]]:
    """Enter the end of lives that have none, and put the loss of each into the journal, durably.

    Returns the losses that are new. Where the disk takes none, that life stays without an end: the next start tries
    again. StorageError when the journal cannot be read.
    """
    closed: list[Life] = []
    losses: list[Loss] = []
    for life in lives:
        if life.end_position:
            closed.append(life)
            continue
        end_position = journal.next_position
        loss, at = crash_loss(journal, life, now_ns, boot)
        if at is None:
            try:
                journal.append(encode_record(loss))
                journal.sync()
            except StorageError as error:
                _log.warning("%s", error)
                closed.append(life)
                continue
            losses.append(loss)
        seq = loss.number - POSTHUMOUS - 1
        end_position = 1 + (end_position if at is None else at)
        closed.append(replace(life, seq=seq, t_us=loss.t_to_us, end_position=end_position))
    return closed, losses


def crash_loss(journal: Journal, life: Life, now_ns: int, boot: str) -> tuple[Loss, int | None]:
    """What the journal cannot account for: from its last frame of that life (or the begin) until now.

    After another boot the end is not known, and lies at most `UNSYNCED_US` after the last frame; or, where frames that
    the life told of are gone, after the next time that it would have told. With the position where it was said already.
    """
    last: bytes | None = None
    for segment in reversed(journal.segments):  # the life before was the last to write
        for position, record in _records(journal, segment.first_position, segment.end_position):
            header = verify(record)
            if header.epoch != life.epoch:
                continue
            found = decode_record(record) if header.kind == RecordKind.LOSS else None
            if isinstance(found, Loss) and found.place == LossPlace.CAR_CRASH:
                return found, position
            last = record if header.kind in _WITH_SEQS else last
        if last is not None:
            break
    last_seq, t_from_us = _end_of(last)
    t_to_us = t_from_us + UNSYNCED_US
    if boot != "" and boot == life.boot:
        t_to_us = (now_ns - life.origin_ns) // 1000
    elif last_seq < life.seq:
        t_to_us = max(t_to_us, life.t_us + _BEAT_US + UNSYNCED_US)
    number, t_to_us = POSTHUMOUS + last_seq + 1, max(t_from_us, t_to_us)
    return Loss(life.vehicle, life.epoch, number, LossPlace.CAR_CRASH, ALL_BUSES, -1, t_from_us, t_to_us), None


def _records(journal: Journal, position: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Whole records from `position` to `end`, in order; damaged ones are not accounted for."""
    while position < end and (entries := journal.read(position, _READ_BYTES)):
        position = entries[-1].position + 1
        for entry in entries:
            try:
                verify(entry.payload)
            except CorruptDataError:
                continue
            if entry.position < end:
                yield entry.position, entry.payload


def _end_of(record: bytes | None) -> tuple[int, int]:
    """Last seq and latest time of a batch of frames or samples; zeros without one."""
    if record is None:
        return 0, 0
    header, times = peek(record), batch_times(record)
    return header.number + header.count - 1, 0 if times is None else max(0, times[1])
