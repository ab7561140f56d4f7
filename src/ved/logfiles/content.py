"""What a recording is known by: its content, whatever file it came in."""

import hashlib
from typing import Final

import numpy as np

from ved.model.frames import EPOCH_BYTES, FrameColumns, FrameFlag

_COLUMNS: Final = (("t_us", "<i8"), ("bus", "u1"), ("arbitration_id", "<u4"), ("flags", "u1"), ("length", "u1"))


class ContentHash:
    """The epoch of an imported recording (docs/spec/records.md): the same content gives the same, however it is cut."""

    def __init__(self) -> None:
        self._hashes = [hashlib.sha256() for _ in range(len(_COLUMNS) + 1)]
        self.frames = 0

    def update(self, frames: FrameColumns) -> None:
        """The next frames of the recording; `t_us` counts from its first frame, buses are numbered as in the file."""
        self.frames += len(frames)
        for digest, (name, kind) in zip(self._hashes, _COLUMNS, strict=False):
            digest.update(np.ascontiguousarray(getattr(frames, name), kind).tobytes())
        sizes = np.where(frames.flags & np.uint8(FrameFlag.REMOTE), np.uint8(0), frames.length)
        is_data = np.arange(frames.payload.shape[1], dtype=np.uint8) < sizes[:, None]
        self._hashes[-1].update(frames.payload[is_data].tobytes())

    def epoch(self, start_utc_us: int) -> bytes:
        """16 bytes for all frames so far, of a recording that began then."""
        whole = hashlib.sha256(start_utc_us.to_bytes(8, "little", signed=True))
        for digest in self._hashes:
            whole.update(digest.digest())
        return whole.digest()[:EPOCH_BYTES]
