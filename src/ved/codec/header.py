"""The header that every record begins with, and its checks (docs/spec/records.md)."""

import struct
from dataclasses import dataclass
from typing import Final

import google_crc32c

from ved.errors import CorruptDataError, UnsupportedVersionError
from ved.model.frames import EPOCH_BYTES, MAX_BATCH_FRAMES
from ved.model.records import MAX_NUMBER, RecordKind
from ved.model.vehicle import NAME_PATTERN

VERSION: Final = 1
MAX_RECORD_BYTES: Final = 8 << 20

_HEAD: Final = struct.Struct("<BBBBIQI16s")
HEADER_BYTES: Final = _HEAD.size
"""36: the fixed part, before the vehicle's name."""

_CRC_AT: Final = 4
_AFTER_CRC: Final = 8
_KINDS: Final = {int(kind): kind for kind in RecordKind}


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """What a record is, without its body.

    `number` is the first seq of a batch, else the note's number (0: not numbered). `count` is the frames of a batch,
    else 0. `body_at` is the offset of the body in bytes.
    """

    kind: RecordKind
    vehicle: str
    epoch: bytes
    number: int
    count: int
    body_at: int


def pack_record(header: RecordHeader, body: bytes) -> bytes:
    """The whole record. `header.body_at` is ignored; ValueError for a name, epoch, number or size out of range."""
    if not NAME_PATTERN.fullmatch(header.vehicle):
        raise ValueError(f"not a vehicle name: {header.vehicle!r}")
    if len(header.epoch) != EPOCH_BYTES:
        raise ValueError("an epoch is 16 bytes")
    if not 0 <= header.count <= MAX_BATCH_FRAMES:
        raise ValueError(f"{header.count} frames in one record; at most {MAX_BATCH_FRAMES}")
    if header.number < 0 or header.number + header.count > MAX_NUMBER:
        raise ValueError(f"record number {header.number} is not within 0 and {MAX_NUMBER}")
    vehicle = header.vehicle.encode()
    start = struct.pack("<BBBB", VERSION, header.kind, len(vehicle), 0)
    rest = struct.pack("<QI16s", header.number, header.count, header.epoch) + vehicle + body
    if _AFTER_CRC + len(rest) > MAX_RECORD_BYTES:
        raise ValueError(f"record of {_AFTER_CRC + len(rest)} bytes; at most {MAX_RECORD_BYTES}")
    crc = google_crc32c.extend(google_crc32c.value(start), rest)
    return b"".join((start, struct.pack("<I", crc), rest))


def peek(data: bytes) -> RecordHeader:
    """Read the header: version, sizes and ranges are checked, the CRC is not.

    CorruptDataError when it cannot be a record, UnsupportedVersionError for a version or kind of the future.
    """
    if len(data) < HEADER_BYTES:
        raise CorruptDataError(f"record of {len(data)} bytes is shorter than its header")
    if len(data) > MAX_RECORD_BYTES:
        raise CorruptDataError(f"record of {len(data)} bytes is longer than {MAX_RECORD_BYTES}")
    version, kind, vehicle_bytes, reserved, _crc, number, count, epoch = _HEAD.unpack_from(data)
    if version != VERSION:
        raise UnsupportedVersionError(f"record version {version} is not known")
    if kind not in _KINDS:
        raise UnsupportedVersionError(f"record kind {kind} is not known")
    body_at = HEADER_BYTES + vehicle_bytes
    if reserved != 0 or len(data) < body_at or count > MAX_BATCH_FRAMES:
        raise CorruptDataError("record header out of range")
    try:
        vehicle = data[HEADER_BYTES:body_at].decode("ascii")
    except UnicodeDecodeError as error:
        raise CorruptDataError("vehicle name is not ASCII") from error
    if not NAME_PATTERN.fullmatch(vehicle):
        raise CorruptDataError("vehicle name out of range")
    if number + count > MAX_NUMBER:
        raise CorruptDataError(f"{vehicle}: {_KINDS[kind].name} number {number} is above {MAX_NUMBER}")
    return RecordHeader(_KINDS[kind], vehicle, epoch, number, count, body_at)


def verify(data: bytes) -> RecordHeader:
    """`peek`, and the CRC over the whole record; CorruptDataError when it does not hold."""
    header = peek(data)
    (crc,) = struct.unpack_from("<I", data, _CRC_AT)
    if google_crc32c.extend(google_crc32c.value(data[:_CRC_AT]), data[_AFTER_CRC:]) != crc:
        raise CorruptDataError("record CRC does not match")
    return header


def check_numbers(header: RecordHeader, *numbers: int) -> None:
    """ValueError when a count, a seq or a time in µs of this record is further from 0 than MAX_NUMBER."""
    for number in numbers:
        if not -MAX_NUMBER <= number <= MAX_NUMBER:
            what = f"{header.vehicle}: {header.kind.name} {header.number}"
            raise ValueError(f"{what}: {number} is not within ±{MAX_NUMBER}")
