"""cannelloni's UDP datagrams, version 2 (doc/udp_format.md of that project), and what their sequence numbers tell.

A datagram: u8 version = 2, u8 op code = 0 (data), u8 sequence, u16 count, then frames, all big-endian: u32 id with the
flags of <linux/can.h>, u8 length (bit 7: CAN FD, then u8 flags follow), the data (none for a remote frame).
"""

import struct
import zlib
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ved.canbus.network.rawframes import ERROR, REMOTE, FrameList, RawFrames
from ved.errors import CorruptDataError

VERSION: Final = 2
DATA: Final = 0
MAX_DATAGRAM: Final = 65_507
_HEAD: Final = struct.Struct(">BBBH")
_FRAME: Final = struct.Struct(">IB")
_FD_BIT: Final = 0x80
_NUMBERS: Final = 256
_AHEAD: Final = 128


@dataclass(frozen=True, slots=True)
class CannelloniData:
    """One datagram's content."""

    sequence: int
    frames: RawFrames


def parse_cannelloni(datagram: bytes) -> CannelloniData:
    """All frames of a datagram; CorruptDataError when any part of it is wrong: then none is believed."""
    if len(datagram) < _HEAD.size:
        raise CorruptDataError("shorter than a header")
    version, operation, sequence, count = _HEAD.unpack_from(datagram)
    if version != VERSION or operation != DATA:
        raise CorruptDataError(f"version {version}, operation {operation}; expected {VERSION} and {DATA}")
    found = FrameList()
    at = _HEAD.size
    for _ in range(count):
        if at + _FRAME.size > len(datagram):
            raise CorruptDataError("ends inside a frame")
        raw_id, length = _FRAME.unpack_from(datagram, at)
        at += _FRAME.size
        fd_flags = None
        if length & _FD_BIT:
            if at == len(datagram):
                raise CorruptDataError("ends inside a frame")
            length, fd_flags, at = length & ~_FD_BIT, datagram[at], at + 1
        size = 0 if raw_id & REMOTE and not raw_id & ERROR else length
        if at + size > len(datagram) or not found.add(raw_id, length, datagram[at : at + size], fd_flags):
            raise CorruptDataError("ends inside a frame, or a frame that cannot exist")
        at += size
    if at != len(datagram):
        raise CorruptDataError("bytes after the last frame")
    return CannelloniData(sequence, found.take())


class Place(Enum):
    """Where a datagram stands in the sequence."""

    NEXT = "next"
    AFTER_GAP = "after a gap"
    LATE = "late"
    REPEATED = "repeated"


class SequenceWatch:
    """Follows the 8-bit sequence of one sender. A number behind the last one is late (it was missing), repeated (the
    same bytes), or a sender that began anew; more than 127 datagrams lost in a row look like fewer.
    """

    def __init__(self) -> None:
        self._next: int | None = None
        self._sums: dict[int, int] = {}
        self._missing: set[int] = set()

    def place(self, sequence: int, datagram: bytes) -> Place:
        """Enter a datagram. After a gap something was lost before it, unless it comes late."""
        total = zlib.crc32(datagram)
        ahead = 0 if self._next is None else (sequence - self._next) % _NUMBERS
        if ahead >= _AHEAD:
            if self._sums.get(sequence) == total:
                return Place.REPEATED
            if sequence in self._missing:
                self._missing.discard(sequence)
                self._sums[sequence] = total
                return Place.LATE
            self._sums.clear()
            self._missing.clear()
        elif self._next is not None:
            for number in range(self._next, self._next + ahead):
                self._missing.add(number % _NUMBERS)
                self._sums.pop(number % _NUMBERS, None)
        self._next = (sequence + 1) % _NUMBERS
        self._sums[sequence] = total
        for number in range(sequence, sequence + _AHEAD):  # half a round ahead: what is left there is of the last round
            self._missing.discard(number % _NUMBERS)
            if number % _NUMBERS != sequence:
                self._sums.pop(number % _NUMBERS, None)
        return Place.AFTER_GAP if ahead else Place.NEXT
