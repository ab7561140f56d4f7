"""Notes and the record header: round trips, every flipped byte, sizes and versions."""

import struct

import google_crc32c
import numpy as np
import pytest
import zstandard
from tests.unit.sealed import seal_note

from ved.codec.header import pack_record
from ved.codec.records import (
    HEADER_BYTES,
    MAX_DESCRIPTION_BYTES,
    MAX_RECORD_BYTES,
    RecordHeader,
    decode_record,
    encode_record,
    peek,
    verify,
)
from ved.codec.stream import ENTRY_HEADER_BYTES, pack_entry, unpack_entry
from ved.errors import CorruptDataError, UnsupportedVersionError
from ved.model.alarm import Alarm
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import (
    Arrival,
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
    RecordKind,
    SessionEvent,
)
from ved.model.samples import SampleBatch, SampleChannel, SampleColumns

EPOCH = bytes(range(16))
RECORDS = [
    Loss("fs", EPOCH, 3, LossPlace.KERNEL, 2, -1, -5, 2**54, 0, 2**54),
    Clock("fs", EPOCH, 2**54, -(2**54), 2**54, ClockSource.GPS, 12),
    Description(
        "replay",
        EPOCH,
        1,
        "Épreuve d’endurance",
        (BusDescription(0, "a", ()), BusDescription(255, "b", ("x" * 99, "é"))),
    ),
    Description("pe", EPOCH, 1, "", ()),
    LinkState("fs", EPOCH, True, Lane.BACKFILL, "2001:db8::1", -1),
    Incident("fs", EPOCH, IncidentKind.BYTES_DIFFER, 1_790_000_000_000_000, "batch 601 came with other bytes"),
    SessionEvent("fs", EPOCH, "20260704-1", 1, 2, False),
    LapEvent("fs", EPOCH, "s1", "t1", 3, 5, 9, 1020.25, True, (1, -1, 2**62)),
    Alarm("a1", "fs", EPOCH, "r", 3, "hot", "chaud", "M.A", "°C", False, True, 5, 6, 1.5, 2.5, 7, 8, "Zoé", 9, "é"),
    FrameBatch("fs", EPOCH, 9, FrameColumns.empty()),
    SampleBatch(
        "fs",
        EPOCH,
        2**40,
        (SampleChannel("record.lag_ms", "ms"), SampleChannel("é", "", "discrete")),
        SampleColumns(np.array([5, -1, 7]), np.array([1, 0, 1], np.uint16), np.array([-0.0, np.inf, np.nan])),
    ),
]


BEYOND = [
    Clock("fs", EPOCH, 2**54 + 1, 0, 0, ClockSource.NTP, 0),
    Clock("fs", EPOCH, 2**64 - 1, 0, 0, ClockSource.NTP, 0),
    Clock("fs", EPOCH, 1, 2**54 + 1, 0, ClockSource.NTP, 0),
    Clock("fs", EPOCH, 1, 0, -(2**54) - 1, ClockSource.NTP, 0),
    Clock("fs", EPOCH, 1, 0, 0, ClockSource.NTP, 2**63 - 1),
    Loss("fs", EPOCH, 1, LossPlace.KERNEL, 0, 2**54 + 1, 0, 0),
    Loss("fs", EPOCH, 1, LossPlace.KERNEL, 0, 0, -(2**63), 0),
    Loss("fs", EPOCH, 1, LossPlace.KERNEL, 0, 0, 0, 2**54 + 1),
    Loss("fs", EPOCH, 1, LossPlace.KERNEL, 0, 0, 0, 0, 1, 2**54 + 1),
    Loss("fs", EPOCH, 1, LossPlace.KERNEL, 0, 0, 0, 0, 5, 4),
]
"""Each with one number further from 0 than a record may tell, or with seqs that run backwards."""


def resealed(data: bytes | bytearray) -> bytes:
    """The record with a CRC that fits: what a hostile or faulty writer could send."""
    rest = bytes(data[8:])
    return bytes(data[:4]) + struct.pack("<I", google_crc32c.extend(google_crc32c.value(bytes(data[:4])), rest)) + rest


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_round_trip(record):
    data = encode_record(record)
    found = decode_record(data)
    if isinstance(record, SampleBatch):
        assert found.equals(record)
    elif isinstance(record, FrameBatch):
        assert (found.vehicle, found.epoch, found.first_seq, found.count) == ("fs", EPOCH, 9, 0)
    else:
        assert found == record
    header = verify(data)
    assert header == peek(data)
    assert (header.vehicle, header.epoch) == (record.vehicle, EPOCH)
    assert header.number == getattr(record, "number", getattr(record, "first_seq", 0))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_every_flipped_bit_is_noticed(record):
    data = encode_record(record)
    for at in range(len(data)):
        for bit in range(8):
            broken = bytearray(data)
            broken[at] ^= 1 << bit
            with pytest.raises(CorruptDataError):
                decode_record(bytes(broken))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_every_cut_is_noticed(record):
    data = encode_record(record)
    for size in range(len(data)):
        with pytest.raises(CorruptDataError):
            decode_record(data[:size])
        with pytest.raises(CorruptDataError):
            decode_record(resealed(data[:size]))
    with pytest.raises(CorruptDataError):
        decode_record(resealed(data + b"\0"))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_changed_bytes_under_a_fitting_crc_are_refused_or_another_record(record):
    data = encode_record(record)
    for at in [*range(4), *range(8, len(data))]:
        for value in (0, 1, 2, 32, 127, 128, 255):
            changed = bytearray(data)
            changed[at] = value
            try:
                found = decode_record(resealed(changed))
            except CorruptDataError:
                continue
            again = decode_record(encode_record(found))
            assert again == found or isinstance(found, FrameBatch | Alarm) or again.equals(found)  # NaN is not NaN


def test_header_layout_is_the_specified_one():
    data = encode_record(RECORDS[0])
    assert data[:4] == bytes([1, RecordKind.LOSS, 2, 0])
    assert data[8:36] == struct.pack("<QI", 3, 0) + EPOCH
    assert data[HEADER_BYTES : HEADER_BYTES + 2] == b"fs"


def test_versions_and_kinds_of_the_future_are_told_apart_from_damage():
    data = bytearray(encode_record(RECORDS[0]))
    data[0] = 2
    with pytest.raises(UnsupportedVersionError):
        decode_record(resealed(data))
    data[0], data[1] = 1, 200
    with pytest.raises(UnsupportedVersionError):
        decode_record(resealed(data))


def test_oversized_record_is_refused_both_ways():
    header = RecordHeader(RecordKind.SESSION, "fs", EPOCH, 0, 0, 0)
    with pytest.raises(ValueError, match="at most"):
        pack_record(header, bytes(MAX_RECORD_BYTES))
    with pytest.raises(CorruptDataError, match="longer"):
        peek(encode_record(RECORDS[0]) + bytes(MAX_RECORD_BYTES))


def test_description_that_claims_too_much_is_refused_before_it_is_unpacked(monkeypatch):
    bomb = zstandard.ZstdCompressor().compress(bytes(MAX_DESCRIPTION_BYTES + 1))
    data = pack_record(RecordHeader(RecordKind.DESCRIPTION, "fs", EPOCH, 1, 0, 0), bomb)
    monkeypatch.setattr(zstandard, "ZstdDecompressor", None)
    with pytest.raises(CorruptDataError, match="claims"):
        decode_record(data)


@pytest.mark.parametrize("name", ["", "FS", "../fs", "é", "f" * 33, "f\n"])
def test_bad_vehicle_name_never_passes(name):
    with pytest.raises(ValueError, match="vehicle"):
        encode_record(LinkState(name, EPOCH, True, Lane.LIVE, "", 0))
    data = bytearray(encode_record(RECORDS[0]))
    raw = name.encode()
    data[2:3] = bytes([len(raw)])
    data[HEADER_BYTES : HEADER_BYTES + 2] = raw
    with pytest.raises(CorruptDataError):
        decode_record(resealed(data))


@pytest.mark.parametrize(
    "record",
    [
        Clock("fs", b"short", 1, 0, 0, ClockSource.NTP, 0),
        Clock("fs", EPOCH, -1, 0, 0, ClockSource.NTP, 0),
        *BEYOND,
        Loss("fs", EPOCH, 1, LossPlace.KERNEL, 256, 0, 0, 0),
        Loss("fs", EPOCH, 1, LossPlace.KERNEL, 0, 0, 0, 0, -1),
        Description("fs", EPOCH, 1, "", tuple(BusDescription(0, "", ()) for _ in range(256))),
        Description("fs", EPOCH, 1, "car", (BusDescription(0, "a", ("x\0y",)),)),
        Incident("fs", EPOCH, IncidentKind.BYTES_DIFFER, 1, "x\0y"),
        SampleBatch("fs", EPOCH, 1, (SampleChannel("x\0y"),), SampleColumns(*np.zeros((3, 1), np.int64))),
    ],
)
def test_values_out_of_range_are_refused_when_written(record):
    with pytest.raises(ValueError, match=r"."):
        encode_record(record)


@pytest.mark.parametrize("record", BEYOND)
def test_values_out_of_range_are_refused_when_read(record):
    with pytest.raises(CorruptDataError, match=r"within|above|seqs"):
        decode_record(seal_note(record))


def test_a_text_with_a_zero_byte_is_refused():
    data = encode_record(SessionEvent("fs", EPOCH, "x-y", 1, 2, False))
    header = verify(data)
    with pytest.raises(CorruptDataError, match="zero byte"):
        decode_record(pack_record(header, data[header.body_at :].replace(b"-", b"\0")))


def test_an_alarm_is_told_without_the_zero_bytes_of_its_rule():
    rule, unit = "h\0t", "°\0"
    alarm = Alarm("a1", "fs", EPOCH, "r", 3, rule, rule, "M.A", unit, False, True, 5, 6, 1.5, 2.5, 7, 8, "Zoé", 9, "é")
    told = decode_record(encode_record(alarm))
    assert isinstance(told, Alarm)
    assert (told.title_en, told.title_fr, told.unit) == ("h\ufffdt", "h\ufffdt", "°\ufffd")


def test_stream_entry_round_trip_and_damage():
    arrival = Arrival(-1, 2**63 - 1, Lane.BACKFILL)
    entry = pack_entry(arrival, b"record")
    assert unpack_entry(entry) == (arrival, b"record")
    assert unpack_entry(pack_entry(arrival, b"")) == (arrival, b"")
    for size in range(ENTRY_HEADER_BYTES):
        with pytest.raises(CorruptDataError):
            unpack_entry(entry[:size])
    for at, value in ((0, 2), (1, 0), (1, 3), (2, 1), (3, 1)):
        with pytest.raises(CorruptDataError):
            unpack_entry(entry[:at] + bytes([value]) + entry[at + 1 :])
    with pytest.raises(ValueError, match="range"):
        pack_entry(Arrival(2**63, 0, Lane.LIVE), b"")
