"""Frames as columns: the shape in which CAN data moves through the whole system."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

import numpy as np
from numpy.typing import NDArray

EPOCH_BYTES: Final = 16
MAX_BATCH_FRAMES: Final = 65_536
CLASSIC_WIDTH: Final = 8
FD_WIDTH: Final = 64


class FrameFlag(IntFlag):
    """Bits of the `flags` column."""

    EXTENDED = 1
    FD = 2
    BIT_RATE_SWITCH = 4
    ERROR_STATE = 8
    REMOTE = 16
    ERROR = 32
    TRANSMITTED = 64


@dataclass(frozen=True, slots=True, eq=False)
class FrameColumns:
    """n received frames in arrival order, ties included.

    `payload` has shape (n, 8) or (n, 64): bytes past `length` are zero. A remote frame has no payload: its `length`
    is the length it asks for and its row is zero.
    """

    t_us: NDArray[np.int64]
    bus: NDArray[np.uint8]
    arbitration_id: NDArray[np.uint32]
    flags: NDArray[np.uint8]
    length: NDArray[np.uint8]
    payload: NDArray[np.uint8]

    def __post_init__(self) -> None:
        n = len(self.t_us)
        if not (len(self.bus) == len(self.arbitration_id) == len(self.flags) == len(self.length) == n):
            raise ValueError("frame columns differ in length")
        if self.payload.shape not in ((n, CLASSIC_WIDTH), (n, FD_WIDTH)):
            raise ValueError(f"payload must have shape ({n}, 8) or ({n}, 64), not {self.payload.shape}")

    def __len__(self) -> int:
        return len(self.t_us)

    @property
    def is_extended(self) -> NDArray[np.bool_]:
        """True where the id has 29 bits."""
        return (self.flags & np.uint8(FrameFlag.EXTENDED)).astype(np.bool_)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> "FrameColumns":
        """The frames at `rows` (indices, mask or slice), in that order."""
        return FrameColumns(
            self.t_us[rows],
            self.bus[rows],
            self.arbitration_id[rows],
            self.flags[rows],
            self.length[rows],
            self.payload[rows],
        )

    def equals(self, other: "FrameColumns") -> bool:
        """True when every column has the same values; a wider payload of zeros counts as equal."""
        return (
            np.array_equal(self.t_us, other.t_us)
            and np.array_equal(self.bus, other.bus)
            and np.array_equal(self.arbitration_id, other.arbitration_id)
            and np.array_equal(self.flags, other.flags)
            and np.array_equal(self.length, other.length)
            and np.array_equal(widen(self.payload), widen(other.payload))
        )

    @staticmethod
    def empty() -> "FrameColumns":
        """No frames at all."""
        return FrameColumns(
            np.empty(0, np.int64),
            np.empty(0, np.uint8),
            np.empty(0, np.uint32),
            np.empty(0, np.uint8),
            np.empty(0, np.uint8),
            np.empty((0, CLASSIC_WIDTH), np.uint8),
        )

    @staticmethod
    def concatenate(parts: Sequence["FrameColumns"]) -> "FrameColumns":
        """All parts one after the other; the payload takes the widest part's width."""
        if not parts:
            return FrameColumns.empty()
        if len(parts) == 1:
            return parts[0]
        wide = any(part.payload.shape[1] == FD_WIDTH for part in parts)
        return FrameColumns(
            np.concatenate([part.t_us for part in parts]),
            np.concatenate([part.bus for part in parts]),
            np.concatenate([part.arbitration_id for part in parts]),
            np.concatenate([part.flags for part in parts]),
            np.concatenate([part.length for part in parts]),
            np.concatenate([widen(part.payload) if wide else part.payload for part in parts]),
        )


def widen(payload: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The payload matrix with 64 columns, zero-padded."""
    if payload.shape[1] == FD_WIDTH:
        return payload
    out = np.zeros((len(payload), FD_WIDTH), np.uint8)
    out[:, : payload.shape[1]] = payload
    return out


@dataclass(frozen=True, slots=True, eq=False)
class FrameBatch:
    """Consecutive frames of one epoch, named by (vehicle, epoch, first_seq, count); never re-cut."""

    vehicle: str
    epoch: bytes
    first_seq: int
    frames: FrameColumns

    def __post_init__(self) -> None:
        if len(self.epoch) != EPOCH_BYTES:
            raise ValueError("an epoch is 16 bytes")
        if self.first_seq < 1:
            raise ValueError("seq counts from 1")

    @property
    def count(self) -> int:
        """Number of frames."""
        return len(self.frames)

    @property
    def last_seq(self) -> int:
        """seq of the last frame."""
        return self.first_seq + len(self.frames) - 1
