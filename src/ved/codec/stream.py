"""One entry of a stream: the arrival, then the record as it came (docs/spec/records.md)."""

import struct
from typing import Final

from ved.errors import CorruptDataError
from ved.model.records import Arrival, Lane

_ENTRY: Final = struct.Struct("<BBHqq")
_VERSION: Final = 1
_LANES: Final = {int(lane): lane for lane in Lane}

ENTRY_HEADER_BYTES: Final = _ENTRY.size


def pack_entry(arrival: Arrival, record: bytes) -> bytes:
    """The arrival in front of the record; ValueError when a time is no i64."""
    try:
        head = _ENTRY.pack(_VERSION, arrival.lane, 0, arrival.mono_us, arrival.utc_us)
    except struct.error as error:
        raise ValueError(f"arrival out of range: {error}") from error
    return head + record


def unpack_entry(data: bytes) -> tuple[Arrival, bytes]:
    """The arrival and the record's bytes, which are not looked into; CorruptDataError when there is no entry."""
    if len(data) < ENTRY_HEADER_BYTES:
        raise CorruptDataError(f"stream entry of {len(data)} bytes is shorter than its header")
    version, lane, reserved, mono_us, utc_us = _ENTRY.unpack_from(data)
    if version != _VERSION or lane not in _LANES or reserved != 0:
        raise CorruptDataError("stream entry header out of range")
    return Arrival(mono_us, utc_us, _LANES[lane]), data[ENTRY_HEADER_BYTES:]
