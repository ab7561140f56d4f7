"""Records as anybody could send them: every number that has room in its field, under a CRC that fits."""

import struct

import google_crc32c

from ved.model.frames import FrameBatch
from ved.model.records import Clock, Loss, Preview, Record, RecordKind
from ved.model.samples import SampleBatch

MOST = 2**54
"""How far a number may go, as docs/spec/records.md has it."""


def seal(kind: int, number: int, count: int, body: bytes, vehicle: str = "fs", epoch: bytes = bytes(16)) -> bytes:
    """A record of docs/spec/records.md, without the checks of the codec."""
    name = vehicle.encode()
    start = struct.pack("<BBBB", 1, kind, len(name), 0)
    rest = struct.pack("<QI16s", number, count, epoch) + name + body
    crc = google_crc32c.extend(google_crc32c.value(start), rest)
    return start + struct.pack("<I", crc) + rest


def seal_note(note: Loss | Clock) -> bytes:
    """The record of a loss or a clock, whatever its numbers are."""
    if isinstance(note, Loss):
        times = (note.count, note.t_from_us, note.t_to_us)
        body = struct.pack("<BBqqqQQ", note.place, note.bus, *times, note.first_seq, note.last_seq)
        return seal(RecordKind.LOSS, note.number, 0, body, note.vehicle, note.epoch)
    body = struct.pack("<Bqqq", note.source, note.t_us, note.utc_us, note.error_us)
    return seal(RecordKind.CLOCK, note.number, 0, body, note.vehicle, note.epoch)


def numbers_of(record: Record) -> list[int]:
    """Every number that a car tells with the record and that the limits are about."""
    if isinstance(record, Loss):
        return [record.number, record.count, record.t_from_us, record.t_to_us, record.first_seq, record.last_seq]
    if isinstance(record, Clock):
        return [record.number, record.t_us, record.utc_us, record.error_us]
    if isinstance(record, SampleBatch):
        return [record.last_seq + 1, *record.samples.t_us.tolist()]
    if isinstance(record, FrameBatch):
        return [record.first_seq + record.count, *record.frames.t_us.tolist()]
    if isinstance(record, Preview):
        return [record.number + len(record.frames), *record.frames.t_us.tolist()]
    return []
