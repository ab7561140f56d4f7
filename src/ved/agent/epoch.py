"""The epoch: 16 bytes that no other life of any agent has."""

import logging
import secrets
from pathlib import Path
from typing import Final

from ved.link.files import write_private
from ved.model.frames import EPOCH_BYTES

FILE_NAME: Final = "boots"
_COUNTER_BYTES: Final = 4
_WRAP: Final = 1 << (8 * _COUNTER_BYTES)

_log: Final = logging.getLogger("ved.agent")


def new_epoch(state_dir: Path) -> bytes:
    """The persisted boot counter (big-endian, on disk before it is used) and 12 random bytes.

    A counter that was lost begins at 1 again, and one that the disk refuses counts this boot not: the random part keeps
    the epoch unique.
    """
    path = state_dir / FILE_NAME
    try:
        count = int(path.read_text())
    except (OSError, ValueError):
        count = 0
    count += 1
    try:
        write_private(path, f"{count}\n".encode())
    except OSError as error:
        _log.warning("%s: %s", path, error.strerror or error)
    return (count % _WRAP).to_bytes(_COUNTER_BYTES, "big") + secrets.token_bytes(EPOCH_BYTES - _COUNTER_BYTES)
