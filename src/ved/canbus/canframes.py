"""`struct can_frame` and `struct canfd_frame` of <linux/can.h> as columns.

Both begin with the id and its three flag bits (u32, the machine's byte order), the length (u8), and three more bytes
(the first holds the flags of a CAN FD frame); the data begins at byte 8. The size tells which of the two it is.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.model.frames import CLASSIC_WIDTH, FD_WIDTH, FrameColumns, FrameFlag

CAN_MTU: Final = 16
CANFD_MTU: Final = 72
_LENGTH_AT: Final = 4
_FD_FLAGS_AT: Final = 5
_DATA_AT: Final = 8

_MSG_DONTROUTE: Final = 0x4
"""The socket marks with it what this machine itself sent (Documentation/networking/can.rst)."""

_ID_MASK: Final = 0x1FFF_FFFF
_STANDARD_ID_MASK: Final = 0x7FF
_EXTENDED, _REMOTE, _ERROR = 4, 2, 1
"""The three bits above the id."""


def _flags(bits: int) -> int:
    """An error frame has neither of the other two properties."""
    if bits & _ERROR:
        return int(FrameFlag.ERROR)
    extended = FrameFlag.EXTENDED if bits & _EXTENDED else FrameFlag(0)
    return int(extended | (FrameFlag.REMOTE if bits & _REMOTE else FrameFlag(0)))


def _mask(bits: int) -> int:
    return _ID_MASK if bits & (_EXTENDED | _ERROR) else _STANDARD_ID_MASK


def _fd_flags(bits: int) -> int:
    switch = FrameFlag.BIT_RATE_SWITCH if bits & 1 else FrameFlag(0)
    return int(FrameFlag.FD | switch | (FrameFlag.ERROR_STATE if bits & 2 else FrameFlag(0)))


_FLAGS: Final = np.array([_flags(bits) for bits in range(8)], np.uint8)
_MASKS: Final = np.array([_mask(bits) for bits in range(8)], np.uint32)
_FD_FLAGS: Final = np.array([_fd_flags(bits) for bits in range(4)], np.uint8)
_KEPT_BYTES: Final = np.arange(FD_WIDTH, dtype=np.uint8)
_KEPT_WORD: Final = np.frombuffer(
    b"".join((b"\xff" * size).ljust(CLASSIC_WIDTH, b"\0") for size in range(CLASSIC_WIDTH + 1)), np.uint64
)
"""The eight data bytes as one word: a mask for each length, and one for each kind (a remote frame has none)."""

_KEPT_KIND: Final = np.where(_FLAGS & np.uint8(FrameFlag.REMOTE), np.uint64(0), ~np.uint64(0))


def frame_columns(
    data: NDArray[np.uint8], is_fd: NDArray[np.bool_], marks: NDArray[np.int32], bus: int, t_us: NDArray[np.int64]
) -> FrameColumns:
    """Frames from their structs. `data` is u8[n, 72], C order; `marks` are the MSG_* flags of each.

    A length that its kind of frame cannot have is cut to the longest; bytes past the length do not come through.
    """
    n = len(data)
    raw_id = data.view(np.uint32)[:, 0]
    bits = raw_id >> np.uint32(29)
    flags = _FLAGS[bits]
    length = data[:, _LENGTH_AT]
    if marks.any():
        flags |= np.where(marks & np.int32(_MSG_DONTROUTE), np.uint8(FrameFlag.TRANSMITTED), np.uint8(0))
    if is_fd.any():
        flags |= np.where(is_fd, _FD_FLAGS[data[:, _FD_FLAGS_AT] & np.uint8(3)], np.uint8(0))
        length = np.minimum(length, np.where(is_fd, np.uint8(FD_WIDTH), np.uint8(CLASSIC_WIDTH)))
        kept = np.where(flags & np.uint8(FrameFlag.REMOTE), np.uint8(0), length)[:, None] > _KEPT_BYTES
        payload = data[:, _DATA_AT:] * kept
    else:
        length = np.minimum(length, np.uint8(CLASSIC_WIDTH))
        words = data.view(np.uint64)[:, 1] & _KEPT_WORD[length] & _KEPT_KIND[bits]
        payload = words.view(np.uint8).reshape(n, CLASSIC_WIDTH)
    return FrameColumns(t_us, np.full(n, bus, np.uint8), raw_id & _MASKS[bits], flags, length, payload)
