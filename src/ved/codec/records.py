"""Every record of the two streams <-> bytes (docs/spec/records.md)."""

import struct
from collections.abc import Callable
from typing import Final

import zstandard

from ved.codec.alarms import alarm_body, decode_alarm
from ved.codec.batch import decode_batch, decode_preview, encode_batch, encode_preview
from ved.codec.columns import Unpacker, unpack_columns
from ved.codec.fields import FieldReader, pack_text
from ved.codec.header import HEADER_BYTES, MAX_RECORD_BYTES, RecordHeader, check_numbers, pack_record, peek, verify
from ved.codec.laps import decode_lap, lap_body
from ved.codec.samples import decode_samples, encode_samples
from ved.errors import CorruptDataError
from ved.model.alarm import Alarm
from ved.model.frames import FrameBatch
from ved.model.records import (
    BusDescription,
    Clock,
    ClockSource,
    Description,
    Incident,
    IncidentKind,
    Lane,
    LapEvent,
    LinkState,
    Loss,
    LossPlace,
    Preview,
    Record,
    RecordKind,
    SessionEvent,
)
from ved.model.samples import SampleBatch

__all__ = [
    "HEADER_BYTES",
    "MAX_DESCRIPTION_BYTES",
    "MAX_RECORD_BYTES",
    "RecordHeader",
    "decode_record",
    "encode_record",
    "peek",
    "verify",
]

MAX_DESCRIPTION_BYTES: Final = 32 << 20
"""Cap on a description's body before compression: DBC texts of all buses together."""

_LOSS: Final = struct.Struct("<BBqqqQQ")
_CLOCK: Final = struct.Struct("<Bqqq")
_BUS: Final = struct.Struct("<BH")
_COUNT: Final = struct.Struct("<B")
_LINK: Final = struct.Struct("<BBq")
_INCIDENT: Final = struct.Struct("<Bq")
_SESSION: Final = struct.Struct("<Bqq")


def encode_record(record: Record) -> bytes:
    """The bytes of any record; ValueError when a field is out of its range or the whole is too large."""
    if isinstance(record, FrameBatch):
        return encode_batch(record)
    if isinstance(record, Preview):
        return encode_preview(record)
    if isinstance(record, SampleBatch):
        return encode_samples(record)
    try:
        return _encode_note(record)
    except struct.error as error:
        raise ValueError(f"{type(record).__name__} out of range: {error}") from error


def decode_record(data: bytes, unpack: Unpacker = unpack_columns) -> Record:
    """The record in `data`; CorruptDataError when the bytes are wrong, UnsupportedVersionError when they are newer."""
    header = verify(data)
    if header.kind == RecordKind.BATCH:
        return decode_batch(data, unpack)
    if header.kind == RecordKind.PREVIEW:
        return decode_preview(data, unpack)
    if header.kind == RecordKind.SAMPLES:
        return decode_samples(data)
    if header.count != 0:
        raise CorruptDataError("a note carries no frames")
    body = data[header.body_at :]
    try:
        if header.kind == RecordKind.LOSS:
            return _decode_loss(header, body)
        if header.kind == RecordKind.CLOCK:
            return _decode_clock(header, body)
        if header.kind == RecordKind.DESCRIPTION:
            return _decode_description(header, body)
        if header.number != 0:
            raise CorruptDataError("a record of the server is not numbered")
        return _SERVER_NOTES[header.kind](header, body)
    except ValueError as error:
        raise CorruptDataError(f"{header.kind.name} body: {error}") from error


def _encode_note(record: Loss | Clock | Description | LinkState | Incident | SessionEvent | Alarm | LapEvent) -> bytes:
    number = 0
    numbers: tuple[int, ...] = ()
    if isinstance(record, Loss):
        kind, number = RecordKind.LOSS, record.number
        numbers = _loss_numbers(record)
        body = _LOSS.pack(
            record.place,
            record.bus,
            record.count,
            record.t_from_us,
            record.t_to_us,
            record.first_seq,
            record.last_seq,
        )
    elif isinstance(record, Clock):
        kind, number = RecordKind.CLOCK, record.number
        numbers = (record.t_us, record.utc_us, record.error_us)
        body = _CLOCK.pack(record.source, record.t_us, record.utc_us, record.error_us)
    elif isinstance(record, Description):
        kind, number = RecordKind.DESCRIPTION, record.number
        body = _description_body(record)
    elif isinstance(record, LinkState):
        kind = RecordKind.LINK
        body = _LINK.pack(record.is_up, record.lane, record.rtt_us) + pack_text(record.peer)
    elif isinstance(record, Incident):
        kind = RecordKind.INCIDENT
        body = _INCIDENT.pack(record.incident, record.utc_us) + pack_text(record.text)
    elif isinstance(record, Alarm):
        kind, body = RecordKind.ALARM, alarm_body(record)
    elif isinstance(record, LapEvent):
        kind, body = RecordKind.LAP, lap_body(record)
    else:
        kind = RecordKind.SESSION
        body = _SESSION.pack(record.is_open, record.utc_from_us, record.utc_to_us) + pack_text(record.session_id)
    header = RecordHeader(kind, record.vehicle, record.epoch, number, 0, 0)
    check_numbers(header, *numbers)
    return pack_record(header, body)


def _loss_numbers(loss: Loss) -> tuple[int, ...]:
    if loss.last_seq < loss.first_seq:
        raise ValueError(f"seqs {loss.first_seq} to {loss.last_seq}")
    return loss.count, loss.t_from_us, loss.t_to_us, loss.first_seq, loss.last_seq


def _description_body(record: Description) -> bytes:
    parts = [pack_text(record.title), _COUNT.pack(len(record.buses))]
    for bus in record.buses:
        parts += [_BUS.pack(bus.index, len(bus.dbc_texts)), pack_text(bus.name)]
        parts += [pack_text(text) for text in bus.dbc_texts]
    raw = b"".join(parts)
    if len(raw) > MAX_DESCRIPTION_BYTES:
        raise ValueError(f"description of {len(raw)} bytes; at most {MAX_DESCRIPTION_BYTES}")
    return zstandard.ZstdCompressor(level=9).compress(raw)


def _decode_loss(header: RecordHeader, body: bytes) -> Loss:
    reader = FieldReader(body)
    place, bus, count, t_from_us, t_to_us, first_seq, last_seq = reader.unpack(_LOSS)
    reader.end()
    loss = Loss(
        header.vehicle,
        header.epoch,
        header.number,
        LossPlace(place),
        bus,
        count,
        t_from_us,
        t_to_us,
        first_seq,
        last_seq,
    )
    check_numbers(header, *_loss_numbers(loss))
    return loss


def _decode_clock(header: RecordHeader, body: bytes) -> Clock:
    reader = FieldReader(body)
    source, t_us, utc_us, error_us = reader.unpack(_CLOCK)
    reader.end()
    check_numbers(header, t_us, utc_us, error_us)
    return Clock(header.vehicle, header.epoch, header.number, t_us, utc_us, ClockSource(source), error_us)


def _decode_description(header: RecordHeader, body: bytes) -> Description:
    reader = FieldReader(_decompress(body))
    title = reader.text()
    (bus_count,) = reader.unpack(_COUNT)
    buses = []
    for _ in range(bus_count):
        index, text_count = reader.unpack(_BUS)
        name = reader.text()
        buses.append(BusDescription(index, name, tuple(reader.text() for _ in range(text_count))))
    reader.end()
    return Description(header.vehicle, header.epoch, header.number, title, tuple(buses))


def _decode_link(header: RecordHeader, body: bytes) -> LinkState:
    reader = FieldReader(body)
    is_up, lane, rtt_us = reader.unpack(_LINK)
    peer = reader.text()
    reader.end()
    return LinkState(header.vehicle, header.epoch, _flag(is_up), Lane(lane), peer, rtt_us)


def _decode_incident(header: RecordHeader, body: bytes) -> Incident:
    reader = FieldReader(body)
    incident, utc_us = reader.unpack(_INCIDENT)
    text = reader.text()
    reader.end()
    return Incident(header.vehicle, header.epoch, IncidentKind(incident), utc_us, text)


def _decode_session(header: RecordHeader, body: bytes) -> SessionEvent:
    reader = FieldReader(body)
    is_open, utc_from_us, utc_to_us = reader.unpack(_SESSION)
    session_id = reader.text()
    reader.end()
    return SessionEvent(header.vehicle, header.epoch, session_id, utc_from_us, utc_to_us, _flag(is_open))


def _flag(value: int) -> bool:
    if value > 1:
        raise CorruptDataError(f"{value} is neither yes nor no")
    return value == 1


def _decompress(body: bytes) -> bytes:
    """One zstd frame that states its size; refused before anything is allocated when that is over the cap."""
    try:
        size = zstandard.frame_content_size(body)
        if not 0 <= size <= MAX_DESCRIPTION_BYTES:
            raise CorruptDataError(f"compressed body claims {size} bytes")
        return zstandard.ZstdDecompressor().decompress(body, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CorruptDataError(f"compressed body: {error}") from error


_SERVER_NOTES: Final[dict[RecordKind, Callable[[RecordHeader, bytes], Record]]] = {
    RecordKind.LINK: _decode_link,
    RecordKind.INCIDENT: _decode_incident,
    RecordKind.SESSION: _decode_session,
    RecordKind.ALARM: decode_alarm,
    RecordKind.LAP: decode_lap,
}
