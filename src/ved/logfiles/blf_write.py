"""BLF logs (Vector) out, through python-can."""

from collections.abc import Iterable
from pathlib import Path

from ved.errors import UserError
from ved.logfiles.canmessages import messages_of
from ved.model.frames import FrameColumns


def write_blf(path: Path, chunks: Iterable[FrameColumns], start_utc_us: int) -> int:
    """Write frames as a BLF log; returns how many. Bus 0 becomes channel 1. UserError when it cannot be written.

    `chunks` count `t_us` from `start_utc_us`. Of error frames, id and data stay, the controller's own codes are 0.
    """
    from can import BLFWriter

    written = 0
    try:
        with BLFWriter(path) as writer:
            for frames in chunks:
                for message in messages_of(frames, start_utc_us):
                    writer.on_message_received(message)
                written += len(frames)
    except OSError as error:
        raise UserError(f"log {path}: cannot be written: {error.strerror or error}") from error
    return written
