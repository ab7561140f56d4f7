"""The accepted sets on disk, so that a start reads the journal's tail and not all of it.

A checkpoint claims only what was durable below its position, and names the record before that position by its CRC. It
counts only if the journal still has that very record; otherwise the whole journal is read. So a wiped or foreign
journal never makes the server claim to hold what it does not.
"""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ved.codec.link import Space
from ved.errors import StorageError
from ved.ingest.accepted import Accepted
from ved.link.files import write_private

_VERSION: Final = 1
_SPACES: Final = {Space.SEQ: "seqs", Space.NOTE: "notes"}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`document` holds the sets of all records below `position`; `crc` is that of the record just before it."""

    position: int
    crc: int
    document: dict[str, Any]

    def apply(self, accepted: Accepted) -> None:
        """Put the sets into `accepted`, as stored and so received too."""
        for entry in self.document["epochs"]:
            state = accepted.state(entry["vehicle"], bytes.fromhex(entry["epoch"]))
            for space, name in _SPACES.items():
                for first, last in entry[name]:
                    state.received[space].add(first, last)
                    state.stored[space].add(first, last)


def save_checkpoint(path: Path, accepted: Accepted, position: int, crc: int) -> None:
    """Write what is stored of all epochs; StorageError when the disk refuses."""
    epochs = [
        {
            "vehicle": vehicle,
            "epoch": epoch.hex(),
            **{name: state.stored[space].runs() for space, name in _SPACES.items()},
        }
        for (vehicle, epoch), state in accepted.items()
    ]
    body = json.dumps({"version": _VERSION, "position": position, "crc": crc, "epochs": epochs}).encode()
    try:
        write_private(path, f"{zlib.crc32(body):08x}\n".encode() + body)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error


def load_checkpoint(path: Path) -> Checkpoint | None:
    """The checkpoint, or None when there is none or it is damaged."""
    try:
        check, _, body = path.read_bytes().partition(b"\n")
        if int(check, 16) != zlib.crc32(body):
            return None
        document = json.loads(body)
    except (OSError, ValueError):
        return None
    if document["version"] != _VERSION:
        return None
    return Checkpoint(document["position"], document["crc"], document)
