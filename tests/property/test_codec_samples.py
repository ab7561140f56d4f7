"""Samples records: any samples come back bit by bit; any other bytes are refused or samples."""

import struct

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.codec.header import RecordHeader, pack_record
from ved.codec.records import decode_record, encode_record, peek
from ved.codec.samples import MAX_CONTENT_BYTES
from ved.errors import CorruptDataError
from ved.link.span import span_of
from ved.model.records import RecordKind
from ved.model.samples import SampleBatch, SampleChannel, SampleColumns

TIMES = st.integers(-(2**54), 2**54)
BITS = st.one_of(st.integers(0, 2**64 - 1), st.floats().map(lambda x: struct.unpack("<Q", struct.pack("<d", x))[0]))
TEXT = st.characters(codec="utf-8", exclude_characters="\0")
NAMES = st.text(TEXT, min_size=1, max_size=40)


@st.composite
def batches(draw):
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    channels = tuple(
        SampleChannel(
            name,
            draw(st.text(TEXT, max_size=8)),
            draw(st.sampled_from(["continuous", "discrete"])),
        )
        for name in names
    )
    rows = draw(st.lists(st.tuples(TIMES, st.integers(0, len(names) - 1), BITS), min_size=1, max_size=40))
    t_us, channel, bits = zip(*rows, strict=True)
    samples = SampleColumns(
        np.array(t_us, np.int64), np.array(channel, np.uint16), np.array(bits, np.uint64).view(np.float64)
    )
    first = draw(st.integers(1, 2**54 - len(rows)))
    return SampleBatch("fs", draw(st.binary(min_size=16, max_size=16)), first, channels, samples)


@given(batches())
@settings(max_examples=150, deadline=None)
def test_samples_come_back_bit_by_bit(batch):
    data = encode_record(batch)
    found = decode_record(data)
    assert isinstance(found, SampleBatch)
    assert found.equals(batch)
    assert (span_of(peek(data)).first, span_of(peek(data)).last) == (batch.first_seq, batch.last_seq)


@given(batches(), st.data())
@settings(max_examples=150, deadline=None)
def test_changed_content_is_refused_or_other_samples(batch, data):
    record = encode_record(batch)
    content = bytearray(zstandard.ZstdDecompressor().decompress(record[peek(record).body_at :]))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))] + data.draw(st.binary(max_size=4))
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    header = RecordHeader(RecordKind.SAMPLES, "fs", batch.epoch, batch.first_seq, batch.count, 0)
    try:
        found = decode_record(pack_record(header, zstandard.ZstdCompressor().compress(bytes(content))))
    except CorruptDataError:
        return
    assert isinstance(found, SampleBatch)
    assert decode_record(encode_record(found)).equals(found)


def test_samples_that_claim_too_much_are_refused_before_they_are_unpacked(monkeypatch):
    bomb = zstandard.ZstdCompressor().compress(bytes(MAX_CONTENT_BYTES + 1))
    data = pack_record(RecordHeader(RecordKind.SAMPLES, "fs", bytes(16), 1, 1, 0), bomb)
    monkeypatch.setattr(zstandard, "ZstdDecompressor", None)
    with pytest.raises(CorruptDataError, match="claims"):
        decode_record(data)


def test_no_samples_too_many_and_doubled_names_are_refused():
    channel = SampleChannel("a")
    none = SampleColumns(np.empty(0, np.int64), np.empty(0, np.uint16), np.empty(0))
    with pytest.raises(ValueError, match="0 samples"):
        encode_record(SampleBatch("fs", bytes(16), 1, (channel,), none))
    many = SampleColumns(np.zeros(65_537, np.int64), np.zeros(65_537, np.uint16), np.zeros(65_537))
    with pytest.raises(ValueError, match="65537 samples"):
        encode_record(SampleBatch("fs", bytes(16), 1, (channel,), many))
    with pytest.raises(ValueError, match="one name"):
        SampleBatch("fs", bytes(16), 1, (channel, channel), none)
    with pytest.raises(ValueError, match="bytes"):
        SampleChannel("")
    data = bytearray(pack_record(RecordHeader(RecordKind.SAMPLES, "fs", bytes(16), 1, 0, 0), b""))
    with pytest.raises(CorruptDataError, match="out of range"):
        decode_record(bytes(data))
