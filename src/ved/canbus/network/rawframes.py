"""What the parsers of this folder make of bytes: frames as the kernel's structs, a row each, and what they refused."""

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.canbus.canframes import CANFD_MTU, frame_columns
from ved.model.frames import CLASSIC_WIDTH, FD_WIDTH, FrameColumns

EXTENDED: Final = 0x8000_0000
REMOTE: Final = 0x4000_0000
ERROR: Final = 0x2000_0000
MAX_ID: Final = 0x1FFF_FFFF
MAX_STANDARD_ID: Final = 0x7FF
BIT_RATE_SWITCH: Final = 1
ERROR_STATE: Final = 2
NO_STAMP: Final = -(1 << 63)

_STRUCT: Final = struct.Struct("=IBB2x64s")


@dataclass(frozen=True, slots=True, eq=False)
class RawFrames:
    """n frames: structs (u8[n, 72]), which are CAN FD, the sender's times in µs (NO_STAMP where it gave none).

    `refused` counts what was no frame.
    """

    data: NDArray[np.uint8]
    is_fd: NDArray[np.bool_]
    stamps_us: NDArray[np.int64]
    refused: int = 0

    def __len__(self) -> int:
        return len(self.data)

    def columns(self, bus: int, t_us: NDArray[np.int64]) -> FrameColumns:
        """The frames, at these times."""
        if not len(self):
            return FrameColumns.empty()
        return frame_columns(self.data, self.is_fd, np.zeros(len(self), np.int32), bus, t_us)


class FrameList:
    """Collects frames one by one; ids carry the three flags of <linux/can.h>."""

    def __init__(self) -> None:
        self._structs: list[bytes] = []
        self._is_fd: list[bool] = []
        self._stamps_us: list[int] = []
        self.refused = 0

    def __len__(self) -> int:
        return len(self._structs)

    def add(self, raw_id: int, length: int, data: bytes, fd_flags: int | None, stamp_us: int = NO_STAMP) -> bool:
        """Add a frame, `fd_flags` None for a classic one; False, and counted, when it cannot exist."""
        is_fd = fd_flags is not None
        most = FD_WIDTH if is_fd else CLASSIC_WIDTH
        is_remote = bool(raw_id & REMOTE) and not raw_id & ERROR
        has_wide_id = bool(raw_id & (EXTENDED | ERROR))
        if length > most or len(data) != (0 if is_remote else length) or (is_fd and bool(raw_id & (REMOTE | ERROR))):
            self.refused += 1
            return False
        if raw_id & MAX_ID > (MAX_ID if has_wide_id else MAX_STANDARD_ID):
            self.refused += 1
            return False
        self._structs.append(_STRUCT.pack(raw_id, length, fd_flags or 0, data))
        self._is_fd.append(is_fd)
        self._stamps_us.append(stamp_us)
        return True

    def take(self) -> RawFrames:
        """What was collected since the last call."""
        count = len(self._structs)
        data = np.frombuffer(b"".join(self._structs), np.uint8).reshape(count, CANFD_MTU)
        out = RawFrames(data, np.array(self._is_fd, np.bool_), np.array(self._stamps_us, np.int64), self.refused)
        self._structs, self._is_fd, self._stamps_us, self.refused = [], [], [], 0
        return out
