"""The bytes of docs/spec/journal.md, by golden values; and that nothing damaged is ever parsed."""

import random

import pytest

from ved.journal.layout import (
    RECORD_HEADER_BYTES,
    RECORD_MARKER,
    Mark,
    SegmentHeader,
    SegmentName,
    State,
    crc32c,
    identity_seed,
    max_records,
    pack_record,
)
from ved.journal.scan import Stop, find_header, parse_records

IDENTITY = bytes(range(16))
SEED = identity_seed(IDENTITY)
HEADER = SegmentHeader(IDENTITY, 3, 1000, 2, 990, 8 << 20)
STATE = State(IDENTITY, 5, 10, 350_000, 4, 3, is_clean=True)
MARK = Mark(IDENTITY, 1003, 3, 152)

GOLDEN = {
    "record": (pack_record(SEED, 7, b"ved"), "a7564a72030000000700000000000000fa8bbe9c3aafeccc766564"),
    "empty record": (pack_record(SEED, 0, b""), "a7564a72000000000000000000000000000000009250c00e"),
    "segment": (
        HEADER.pack(),
        (
            "5645444a5345470001004c0000000000000102030405060708090a0b0c0d0e0f0300000000000000e8030000000000000200000000"
            "000000de03000000000000000080000000000082af0fcd"
        ),
    ),
    "state": (
        STATE.pack(),
        (
            "5645444a535441000100010000000000000102030405060708090a0b0c0d0e0f05000000000000000a000000000000003057050000"
            "00000004000000000000000300000000000000062afd2c"
        ),
    ),
    "mark": (
        MARK.pack(),
        (
            "5645444a4d524b000100000000000000000102030405060708090a0b0c0d0e0feb0300000000000003000000000000009800000000"
            "0000003792ad30"
        ),
    ),
}


def test_crc32c_is_castagnoli():
    assert crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_bytes(name):
    made, golden = GOLDEN[name]
    assert made.hex() == golden


@pytest.mark.parametrize("value", [HEADER, STATE, MARK], ids=["segment", "state", "mark"])
def test_every_flipped_bit_and_every_cut_is_refused(value):
    data = value.pack()
    parse = type(value).parse
    assert parse(data) == value
    assert parse(data + b"more") == value
    for bit in range(len(data) * 8):
        wrong = bytearray(data)
        wrong[bit // 8] ^= 1 << bit % 8
        assert parse(bytes(wrong)) is None
    for size in range(len(data)):
        assert parse(data[:size]) is None


def test_segment_names_sort_by_serial():
    names = [SegmentName(9, 70), SegmentName(10, 70), SegmentName(11, 5)]
    assert [SegmentName.parse(name.text) for name in names] == names
    assert sorted(name.text for name in names) == [name.text for name in names]
    for wrong in ("x.seg", "0000000001-00000000000000000000.new", "1-0.seg", "state"):
        assert SegmentName.parse(wrong) is None


def test_no_segment_holds_more_records_than_the_bound():
    assert max_records(4096) * RECORD_HEADER_BYTES >= 4096


def test_parse_stops_where_bytes_end_or_go_wrong():
    records = [pack_record(SEED, n, bytes([n]) * n) for n in range(5)]
    data = b"".join(records)
    parsed = parse_records(data, 0, SEED, 0, 1 << 20)
    assert [entry.position for entry in parsed.entries] == [0, 1, 2, 3, 4]
    assert (parsed.at, parsed.stop) == (len(data), Stop.END)
    assert parse_records(data, 0, SEED + 1, 0, 1 << 20).stop is Stop.BAD_HEADER
    ends = [sum(map(len, records[: n + 1])) for n in range(5)]
    for size in range(len(data)):
        parsed = parse_records(data[:size], 0, SEED, 0, 1 << 20)
        whole = sum(end <= size for end in ends)
        assert [entry.position for entry in parsed.entries] == list(range(whole))
        assert parsed.at == (ends[whole - 1] if whole else 0)
        assert parsed.stop is (Stop.END if size == parsed.at else Stop.PARTIAL)


def test_every_flipped_bit_of_a_record_is_found():
    record = pack_record(SEED, 3, b"payload")
    for bit in range(len(record) * 8):
        wrong = bytearray(record)
        wrong[bit // 8] ^= 1 << bit % 8
        parsed = parse_records(bytes(wrong), 0, SEED, 0, 1 << 20)
        assert parsed.entries == []
        assert parsed.stop is (Stop.BAD_HEADER if bit < RECORD_HEADER_BYTES * 8 else Stop.BAD_PAYLOAD)


def test_header_is_found_in_garbage_full_of_markers():
    rng = random.Random(1)
    record = pack_record(SEED, 3, b"payload")
    for _ in range(50):
        garbage = rng.randbytes(rng.randrange(60)) + RECORD_MARKER * rng.randrange(5)
        assert find_header(garbage + record, 0, SEED) == len(garbage)
    assert find_header(garbage + record[: RECORD_HEADER_BYTES - 1], 0, SEED) is None
