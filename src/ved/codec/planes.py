"""Whole numbers as byte planes: all lowest bytes, then all next bytes, as many planes as the largest value needs."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.errors import CorruptDataError

MAX_PLANES: Final = 8
_ONE: Final = np.uint64(1)


def zigzag(values: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Small magnitudes of either sign as small numbers: 0, -1, 1, -2 … -> 0, 1, 2, 3 …"""
    return ((values << 1) ^ (values >> 63)).view(np.uint64)


def unzigzag(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The inverse of `zigzag`."""
    return (values >> _ONE).view(np.int64) ^ -(values & _ONE).view(np.int64)


def zigzag8(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`zigzag` for differences modulo 256."""
    signed = values.view(np.int8)
    return ((signed << np.int8(1)) ^ (signed >> np.int8(7))).view(np.uint8)


def unzigzag8(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The inverse of `zigzag8`."""
    return (values >> np.uint8(1)) ^ -(values & np.uint8(1))


def plane_count(values: NDArray[np.uint64]) -> int:
    """How many byte planes the largest value needs; 0 when there is none above 0."""
    return (int(values.max()).bit_length() + 7) // 8 if len(values) else 0


def to_planes(values: NDArray[np.uint64], count: int) -> list[bytes]:
    """The lowest `count` byte planes of n values, n bytes each."""
    octets = np.ascontiguousarray(values, dtype="<u8").view(np.uint8).reshape(-1, MAX_PLANES)
    return [octets[:, plane].tobytes() for plane in range(count)]


class PlaneReader:
    """Reads columns from a byte string; CorruptDataError past its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def octets(self, count: int) -> NDArray[np.uint8]:
        """The next `count` bytes (read-only)."""
        end = self._at + count
        if count < 0 or end > len(self._data):
            raise CorruptDataError("batch body is too short")
        out = np.frombuffer(self._data, np.uint8, count, self._at)
        self._at = end
        return out

    def numbers(self, count: int, plane_count: int) -> NDArray[np.uint64]:
        """The next `count` numbers, stored in `plane_count` planes."""
        if plane_count > MAX_PLANES:
            raise CorruptDataError(f"{plane_count} byte planes; at most {MAX_PLANES}")
        planes = self.octets(count * plane_count).reshape(plane_count, count)
        out = np.zeros((count, MAX_PLANES), np.uint8)
        out[:, :plane_count] = planes.T
        return out.view("<u8").reshape(count).astype(np.uint64, copy=False)

    def end(self) -> None:
        """CorruptDataError when bytes are left over."""
        if self._at != len(self._data):
            raise CorruptDataError("batch body is too long")
