"""The bytes of a journal: segment header, record header, state slot, durable mark. No I/O; see docs/spec/journal.md."""

import re
import struct
from dataclasses import dataclass, replace
from typing import Final

import google_crc32c

VERSION: Final = 1
IDENTITY_BYTES: Final = 16
MAX_PAYLOAD_BYTES: Final = 16 << 20
MIN_SEGMENT_BYTES: Final = 4 << 10
MAX_SEGMENT_BYTES: Final = 1 << 30
DEFAULT_SEGMENT_BYTES: Final = 8 << 20

SEGMENT_MAGIC: Final = b"VEDJSEG\x00"
STATE_MAGIC: Final = b"VEDJSTA\x00"
MARK_MAGIC: Final = b"VEDJMRK\x00"
RECORD_MARKER: Final = b"\xa7VJr"

# magic, version, header bytes, flags, identity, serial, first, previous serial, previous end, segment bytes, zero, crc
_SEGMENT: Final = struct.Struct("<8sHHI16sQQQQIII")
# marker, payload length, position, payload crc, header crc
_RECORD: Final = struct.Struct("<4sIQII")
_RECORD_HEAD: Final = struct.Struct("<4sIQI")
# magic, version, flags (bit 0: clean), zero, identity, sequence, first position, reserved end, next, last serial, crc
_STATE: Final = struct.Struct("<8sHHI16sQQQQQI")
# magic, version, zero, identity, durable position, serial, offset, crc
_MARK: Final = struct.Struct("<8sHHI16sQQQI")

SEGMENT_HEADER_BYTES: Final = _SEGMENT.size
RECORD_HEADER_BYTES: Final = _RECORD.size
RECORD_HEAD_BYTES: Final = _RECORD_HEAD.size
STATE_SLOT_BYTES: Final = _STATE.size
STATE_SLOT_SPACING_BYTES: Final = 4096
MARK_BYTES: Final = _MARK.size
_CRC: Final = struct.Struct("<I")
_CLEAN: Final = 1

STATE_NAME: Final = "state"
MARK_NAME: Final = "durable"
LOCK_NAME: Final = "lock"
WAKE_FOLDER: Final = "wake"
SEGMENT_SUFFIX: Final = ".seg"
TEMPORARY_SUFFIX: Final = ".new"
_SEGMENT_NAME: Final = re.compile(r"(\d{10,20})-(\d{20})\.seg")


def crc32c(data: bytes) -> int:
    """CRC32C of `data`."""
    return int(google_crc32c.value(data))


def identity_seed(identity: bytes) -> int:
    """The CRC state after the journal's identity: every record header's CRC starts from it."""
    return crc32c(identity)


def max_records(segment_bytes: int) -> int:
    """More records than a segment of that size can ever hold (one oversized record is always let in)."""
    return segment_bytes // RECORD_HEADER_BYTES + 1


@dataclass(frozen=True, slots=True, order=True)
class SegmentName:
    """What a segment's file name says: its serial (order of creation) and first position."""

    serial: int
    first_position: int

    @property
    def text(self) -> str:
        """The file name."""
        return f"{self.serial:010d}-{self.first_position:020d}{SEGMENT_SUFFIX}"

    @staticmethod
    def parse(text: str) -> "SegmentName | None":
        """The name's parts, or None when the file is no segment."""
        found = _SEGMENT_NAME.fullmatch(text)
        return SegmentName(int(found[1]), int(found[2])) if found else None


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """The first bytes of a segment.

    `previous_end` is the position after the last record of the segment before (`previous_serial`); positions from
    there to `first_position` were never given to a record that lasts. It may lie above `first_position` by no means.
    """

    identity: bytes
    serial: int
    first_position: int
    previous_serial: int
    previous_end: int
    segment_bytes: int

    def pack(self) -> bytes:
        """The header's bytes, CRC included."""
        body = _SEGMENT.pack(
            SEGMENT_MAGIC,
            VERSION,
            SEGMENT_HEADER_BYTES,
            0,
            self.identity,
            self.serial,
            self.first_position,
            self.previous_serial,
            self.previous_end,
            self.segment_bytes,
            0,
            0,
        )[: -_CRC.size]
        return body + _CRC.pack(crc32c(body))

    @staticmethod
    def parse(data: bytes) -> "SegmentHeader | None":
        """The header, or None when the bytes are damaged or of another version."""
        if len(data) < SEGMENT_HEADER_BYTES:
            return None
        data = data[:SEGMENT_HEADER_BYTES]
        magic, version, size, _, identity, serial, first, previous, end, segment_bytes, _, crc = _SEGMENT.unpack(data)
        if (magic, version, size) != (SEGMENT_MAGIC, VERSION, SEGMENT_HEADER_BYTES) or crc != crc32c(data[:-4]):
            return None
        return SegmentHeader(identity, serial, first, previous, end, segment_bytes)


def pack_record(seed: int, position: int, payload: bytes) -> bytes:
    """A record's bytes: header (CRC over identity, length, position, payload CRC), then the payload."""
    head = _RECORD_HEAD.pack(RECORD_MARKER, len(payload), position, google_crc32c.value(payload))
    return b"".join((head, _CRC.pack(google_crc32c.extend(seed, head)), payload))


@dataclass(frozen=True, slots=True)
class State:
    """What the writer must never forget, made durable before it counts.

    `first_position`: the trim mark. `reserved_end`: no position at or above it was ever given out. `next_serial`: no
    segment with it or a higher serial was ever made. `is_clean`: closed in order, so `reserved_end` is the exact end
    and `last_serial` the newest segment (0: none).
    """

    identity: bytes
    sequence: int
    first_position: int
    reserved_end: int
    next_serial: int
    last_serial: int
    is_clean: bool

    def pack(self) -> bytes:
        """The slot's bytes, CRC included."""
        body = _STATE.pack(
            STATE_MAGIC,
            VERSION,
            _CLEAN if self.is_clean else 0,
            0,
            self.identity,
            self.sequence,
            self.first_position,
            self.reserved_end,
            self.next_serial,
            self.last_serial,
            0,
        )[: -_CRC.size]
        return body + _CRC.pack(crc32c(body))

    @staticmethod
    def parse(data: bytes) -> "State | None":
        """The state, or None when the slot is damaged."""
        if len(data) < STATE_SLOT_BYTES:
            return None
        data = data[:STATE_SLOT_BYTES]
        magic, version, flags, _, identity, sequence, first, reserved, following, last, crc = _STATE.unpack(data)
        if (magic, version) != (STATE_MAGIC, VERSION) or crc != crc32c(data[:-4]):
            return None
        return State(identity, sequence, first, reserved, following, last, bool(flags & _CLEAN))

    def changed(self, **values: int | bool) -> "State":
        """A copy with other values and the next sequence."""
        return replace(self, sequence=self.sequence + 1, **values)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Mark:
    """What the writer tells the readers: how far the disk has everything, and where that ends in which segment.

    `serial` is the newest segment (0: none yet); `offset` the byte in it after the last durable record.
    """

    identity: bytes
    durable_position: int
    serial: int
    offset: int

    def pack(self) -> bytes:
        """The mark's bytes, CRC included."""
        body = _MARK.pack(MARK_MAGIC, VERSION, 0, 0, self.identity, self.durable_position, self.serial, self.offset, 0)[
            : -_CRC.size
        ]
        return body + _CRC.pack(crc32c(body))

    @staticmethod
    def parse(data: bytes) -> "Mark | None":
        """The mark, or None when its bytes are damaged (or were read while they changed)."""
        if len(data) < MARK_BYTES:
            return None
        data = data[:MARK_BYTES]
        magic, version, _, _, identity, durable, serial, offset, crc = _MARK.unpack(data)
        if (magic, version) != (MARK_MAGIC, VERSION) or crc != crc32c(data[:-4]):
            return None
        return Mark(identity, durable, serial, offset)
