"""The epoch: 16 bytes that no other life of any agent has."""

import secrets
from pathlib import Path
from typing import Final

from ved.errors import StorageError
from ved.link.files import write_private
from ved.model.frames import EPOCH_BYTES

FILE_NAME: Final = "boots"
_COUNTER_BYTES: Final = 4
_WRAP: Final = 1 << (8 * _COUNTER_BYTES)


def new_epoch(state_dir: Path) -> bytes:
    """The persisted boot counter (big-endian, on disk before it is used) and 12 random bytes.

    A counter that was lost begins at 1 again: the random part keeps the epoch unique. StorageError when refused.
    """
    path = state_dir / FILE_NAME
    try:
        count = int(path.read_text())
    except (FileNotFoundError, ValueError):
        count = 0
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error
    count += 1
    try:
        write_private(path, f"{count}\n".encode())
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error
    return (count % _WRAP).to_bytes(_COUNTER_BYTES, "big") + secrets.token_bytes(EPOCH_BYTES - _COUNTER_BYTES)
