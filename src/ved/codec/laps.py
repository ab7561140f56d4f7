"""A lap event <-> the body of its record (docs/spec/records.md)."""

import struct
from typing import Final

from ved.codec.fields import FieldReader, pack_text
from ved.codec.header import RecordHeader
from ved.errors import CorruptDataError
from ved.model.records import LapEvent

_LAP: Final = struct.Struct("<BIqqdB")
_SECTOR: Final = struct.Struct("<q")


def lap_body(lap: LapEvent) -> bytes:
    """The bytes after the header."""
    head = _LAP.pack(lap.is_whole, lap.lap, lap.utc_from_us, lap.utc_to_us, lap.length_m, len(lap.sectors_us))
    sectors = b"".join(_SECTOR.pack(one) for one in lap.sectors_us)
    return head + sectors + pack_text(lap.session_id) + pack_text(lap.track_id)


def decode_lap(header: RecordHeader, body: bytes) -> LapEvent:
    """The lap; ValueError or CorruptDataError when the bytes are wrong."""
    reader = FieldReader(body)
    is_whole, number, utc_from_us, utc_to_us, length_m, count = reader.unpack(_LAP)
    if is_whole > 1:
        raise CorruptDataError(f"{is_whole} is neither yes nor no")
    sectors = tuple(reader.unpack(_SECTOR)[0] for _ in range(count))
    session_id, track_id = reader.text(), reader.text()
    reader.end()
    return LapEvent(
        vehicle=header.vehicle,
        epoch=header.epoch,
        session_id=session_id,
        track_id=track_id,
        lap=number,
        utc_from_us=utc_from_us,
        utc_to_us=utc_to_us,
        length_m=length_m,
        is_whole=is_whole == 1,
        sectors_us=sectors,
    )
