"""The accepted sets on disk, so that a start reads the journal's tail and not all of it.

A checkpoint claims only what was durable up to its last entry, which it names by position and CRC. It counts only if
the stream still has that very entry; otherwise the whole stream is read. So a wiped or foreign stream never makes the
server claim to hold what it does not.
"""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ved.broker.base import Start, Stream, StreamEntry
from ved.codec.link import Space
from ved.codec.records import peek
from ved.errors import CorruptDataError, StorageError
from ved.ingest.accepted import Accepted, LastEntry, record_crc
from ved.link.files import write_private
from ved.link.span import span_of
from ved.model.records import RecordKind

_VERSION: Final = 1
_SPACES: Final = {Space.SEQ: "seqs", Space.NOTE: "notes"}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`epochs` holds the sets of everything in the stream up to and with the entry `last`."""

    last: LastEntry
    epochs: list[dict[str, Any]]

    def apply(self, accepted: Accepted) -> None:
        """Put the sets into `accepted`, as stored and so received too."""
        for entry in self.epochs:
            state = accepted.state(entry["vehicle"], bytes.fromhex(entry["epoch"]))
            for space, name in _SPACES.items():
                for first, last in entry[name]:
                    state.received[space].add(first, last)
                    state.stored[space].add(first, last)


def encode_checkpoint(accepted: Accepted, last: LastEntry) -> bytes:
    """What is stored of all epochs, for `save_checkpoint`."""
    epochs = [
        {
            "vehicle": vehicle,
            "epoch": epoch.hex(),
            **{name: state.stored[space].runs() for space, name in _SPACES.items()},
        }
        for (vehicle, epoch), state in accepted.items()
    ]
    document = {"version": _VERSION, "position": last.position, "crc": last.crc, "epochs": epochs}
    body = json.dumps(document).encode()
    return f"{zlib.crc32(body):08x}\n".encode() + body


def save_checkpoint(path: Path, data: bytes) -> None:
    """Replace the checkpoint; StorageError when the disk refuses."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, data)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error


def load_checkpoint(path: Path) -> Checkpoint | None:
    """The checkpoint, or None when there is none, it is damaged, or of another version."""
    try:
        check, _, body = path.read_bytes().partition(b"\n")
        if int(check, 16) != zlib.crc32(body):
            return None
        document = json.loads(body)
    except (OSError, ValueError):
        return None
    if document["version"] != _VERSION:
        return None
    return Checkpoint(LastEntry(document["position"], document["crc"]), document["epochs"])


async def rebuild(stream: Stream, end: int, path: Path, accepted: Accepted) -> LastEntry | None:
    """Fill `accepted` with everything in the stream below position `end`, all of it durable. Returns the last entry."""
    checkpoint = load_checkpoint(path)
    start: Start = "earliest"
    if checkpoint is not None and await _has_entry(stream, checkpoint.last):
        checkpoint.apply(accepted)
        start = checkpoint.last.position
    last: LastEntry | None = None
    reader = stream.reader(start)
    try:
        while reader.position < end:
            entries = await reader.read(timeout_s=0)
            if not entries:
                break
            for entry in entries:
                last = _note(accepted, entry) or last
    finally:
        reader.close()
    return last


async def _has_entry(stream: Stream, last: LastEntry) -> bool:
    reader = stream.reader(last.position)
    try:
        entries = await reader.read(max_bytes=1, timeout_s=0)
    finally:
        reader.close()
    return bool(entries) and entries[0].position == last.position and record_crc(entries[0].record) == last.crc


def _note(accepted: Accepted, entry: StreamEntry) -> LastEntry | None:
    try:
        header = peek(entry.record)
    except CorruptDataError:
        return None
    last = LastEntry(entry.position, record_crc(entry.record))
    if header.number > 0 and header.kind != RecordKind.PREVIEW:
        span = span_of(header)
        state = accepted.state(header.vehicle, header.epoch)
        state.received[span.space].add(span.first, span.last)
        state.stored[span.space].add(span.first, span.last)
        state.recent.add_written(span, last.crc, entry.position)
    return last
