"""Batches: fixed cases, the order of arrival, caps before allocation, every flipped bit."""

import struct

import google_crc32c
import numpy as np
import pytest
import zstandard
from tests.unit.sealed import seal

from ved.codec import batch as batch_module
from ved.codec.batch import columns_crc, decode_batch, encode_batch
from ved.codec.columns import pack_columns, unpack_columns
from ved.codec.header import RecordHeader, pack_record, peek
from ved.codec.records import decode_record, encode_record
from ved.errors import CorruptDataError
from ved.model.frames import MAX_BATCH_FRAMES, FrameBatch, FrameColumns, FrameFlag, widen
from ved.model.records import RecordKind

EPOCH = bytes(range(16))


def random_frames(count: int, seed: int, ids: int = 20, is_fd: bool = False) -> FrameColumns:
    """Noise in every column, with ties and steps back in time."""
    rng = np.random.default_rng(seed)
    width = 64 if is_fd else 8
    flags = rng.choice(np.array([0, 1, FrameFlag.REMOTE, FrameFlag.ERROR, FrameFlag.TRANSMITTED], np.uint8), count)
    length = rng.integers(0, width + 1, count).astype(np.uint8)
    data_bytes = np.where(flags & np.uint8(FrameFlag.REMOTE), 0, length)
    payload = rng.integers(0, 256, (count, width)).astype(np.uint8)
    payload[np.arange(width) >= data_bytes[:, None]] = 0
    return FrameColumns(
        np.cumsum(rng.integers(-1, 4, count)).astype(np.int64),
        rng.integers(0, 3, count).astype(np.uint8),
        rng.integers(0, ids, count).astype(np.uint32),
        flags,
        length,
        payload,
    )


def round_trip(frames: FrameColumns) -> FrameColumns:
    batch = decode_batch(encode_batch(FrameBatch("fs", EPOCH, 77, frames)))
    assert (batch.vehicle, batch.epoch, batch.first_seq, batch.count) == ("fs", EPOCH, 77, len(frames))
    return batch.frames


@pytest.mark.parametrize("is_fd", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 60, 1000])
def test_noise_comes_back_exactly(count, is_fd):
    frames = random_frames(count, seed=count, is_fd=is_fd)
    found = round_trip(frames)
    assert found.equals(frames)
    assert columns_crc(found) == columns_crc(frames)


def test_largest_batch_comes_back_exactly():
    for is_fd in (False, True):
        frames = random_frames(MAX_BATCH_FRAMES, seed=1, ids=2**29, is_fd=is_fd)
        assert round_trip(frames).equals(frames)


def test_too_many_frames_are_refused():
    frames = random_frames(MAX_BATCH_FRAMES + 1, seed=1)
    with pytest.raises(ValueError, match="at most"):
        encode_batch(FrameBatch("fs", EPOCH, 1, frames))


def test_no_frames():
    assert len(round_trip(FrameColumns.empty())) == 0


def test_ties_keep_their_order():
    frames = random_frames(200, seed=3)
    tied = FrameColumns(
        np.zeros(200, np.int64), frames.bus, frames.arbitration_id, frames.flags, frames.length, frames.payload
    )
    for order in (slice(None), slice(None, None, -1)):
        assert round_trip(tied.take(order)).equals(tied.take(order))


@pytest.mark.parametrize("extreme", [-(2**54), 2**54])
def test_times_at_the_ends(extreme):
    frames = random_frames(6, seed=4, ids=2)
    frames.t_us[[1, 4]] = extreme
    frames.t_us[2] = -extreme
    assert round_trip(frames).equals(frames)
    frames.t_us[2] = extreme + np.sign(extreme)
    with pytest.raises(ValueError, match="within"):
        encode_batch(FrameBatch("fs", EPOCH, 1, frames))
    body = zstandard.compress(b"".join(pack_columns(frames)))
    for kind in (RecordKind.BATCH, RecordKind.PREVIEW):
        with pytest.raises(CorruptDataError, match="within"):
            decode_record(seal(kind, 1, 6, body))


def test_result_is_as_narrow_as_the_data_and_the_crc_does_not_care():
    frames = random_frames(10, seed=5)
    wide = FrameColumns(
        frames.t_us, frames.bus, frames.arbitration_id, frames.flags, frames.length, widen(frames.payload)
    )
    assert round_trip(wide).payload.shape == (10, 8)
    assert columns_crc(wide) == columns_crc(frames)


def test_columns_crc_is_crc32c_of_the_specified_bytes():
    frames = FrameColumns(
        np.array([5, 6], np.int64),
        np.array([1, 0], np.uint8),
        np.array([0x7FF, 0x10], np.uint32),
        np.array([0, FrameFlag.REMOTE], np.uint8),
        np.array([3, 8], np.uint8),
        np.array([[1, 2, 3, 0, 0, 0, 0, 0], [0] * 8], np.uint8),
    )
    raw = struct.pack("<qqBBIIBBBB", 5, 6, 1, 0, 0x7FF, 0x10, 0, 16, 3, 8) + b"\x01\x02\x03"
    assert columns_crc(frames) == google_crc32c.value(raw)


@pytest.mark.parametrize("column", ["t_us", "bus", "arbitration_id", "flags", "length", "payload"])
def test_columns_crc_sees_every_column(column):
    frames, other = random_frames(9, seed=6), random_frames(9, seed=6)
    assert columns_crc(frames) == columns_crc(other)
    row = int(np.flatnonzero((other.length > 1) & (other.flags & np.uint8(FrameFlag.REMOTE) == 0))[0])
    getattr(other, column)[row] ^= 1
    assert columns_crc(frames) != columns_crc(other)


@pytest.mark.parametrize("fault", ["past length", "remote", "over 64", "wider than the matrix"])
def test_frames_that_break_the_model_are_refused(fault):
    frames = random_frames(4, seed=7)
    frames.flags[:] = 0
    frames.length[:] = 2
    frames.payload[:, 2:] = 0
    if fault == "past length":
        frames.payload[1, 2] = 1
    elif fault == "remote":
        frames.flags[0] = FrameFlag.REMOTE
        frames.payload[0, 0] = 9
    elif fault == "over 64":
        frames.length[3] = 65
    else:
        frames.length[3] = 9
    with pytest.raises(ValueError, match="frame"):
        encode_batch(FrameBatch("fs", EPOCH, 1, frames))


def test_every_flipped_bit_is_noticed():
    data = encode_batch(FrameBatch("fs", EPOCH, 1, random_frames(20, seed=8)))
    for at in range(len(data)):
        for bit in range(8):
            broken = bytearray(data)
            broken[at] ^= 1 << bit
            with pytest.raises(CorruptDataError):
                decode_batch(bytes(broken))


@pytest.mark.parametrize("is_fd", [False, True])
def test_changed_bytes_inside_are_refused_or_other_frames(is_fd):
    """Past the CRC and the compression: every byte of the body changed, as a hostile writer could."""
    count = 12 if is_fd else 24
    frames = random_frames(count, seed=9, ids=2, is_fd=is_fd)
    inside = b"".join(pack_columns(frames))
    assert unpack_columns(inside, count).equals(frames)
    refused = 0
    for at in range(len(inside)):
        for value in (0, 2, 9, 255):
            changed = bytearray(inside)
            changed[at] = value
            try:
                found = unpack_columns(bytes(changed), count)
            except CorruptDataError:
                refused += 1
                continue
            assert len(found) == count
            assert unpack_columns(b"".join(pack_columns(found)), count).equals(found)
    assert refused > 100
    for size in range(len(inside)):
        with pytest.raises(CorruptDataError):
            unpack_columns(inside[:size], count)
    with pytest.raises(CorruptDataError):
        unpack_columns(inside + b"\0", count)


def test_wrong_frame_count_is_refused():
    inside = b"".join(pack_columns(random_frames(24, seed=10)))
    for count in (1, 23, 25, MAX_BATCH_FRAMES):
        with pytest.raises(CorruptDataError):
            unpack_columns(inside, count)


@pytest.mark.parametrize("claim", ["too much", "unknown", "nothing", "no zstd"])
def test_size_is_checked_before_anything_is_unpacked(claim, monkeypatch):
    body = {
        "too much": zstandard.ZstdCompressor().compress(bytes(64 + 128 * 3 + 1)),
        "unknown": zstandard.ZstdCompressor(write_content_size=False).compress(bytes(100)),
        "nothing": zstandard.ZstdCompressor().compress(b""),
        "no zstd": b"\0" * 40,
    }[claim]
    data = pack_record(RecordHeader(RecordKind.BATCH, "fs", EPOCH, 1, 3, 0), body)
    monkeypatch.setattr(batch_module.zstandard, "ZstdDecompressor", None)
    with pytest.raises(CorruptDataError):
        decode_batch(data)


def test_bytes_after_the_compressed_body_are_refused():
    data = encode_batch(FrameBatch("fs", EPOCH, 1, random_frames(3, seed=11)))
    header = peek(data)
    body = data[header.body_at :]
    for more in (b"\0", body):
        with pytest.raises(CorruptDataError):
            decode_batch(pack_record(header, body + more))


def test_seq_beyond_what_a_record_may_tell_is_refused():
    frames = random_frames(2, seed=12)
    ok = encode_batch(FrameBatch("fs", EPOCH, 2**54 - 2, frames))
    assert decode_batch(ok).last_seq == 2**54 - 1
    body = ok[peek(ok).body_at :]
    for number in (0, 2**54 - 1, 2**63, 2**64 - 1):
        with pytest.raises(CorruptDataError, match=r"seq|above"):
            decode_batch(seal(RecordKind.BATCH, number, 2, body))
    with pytest.raises(ValueError, match="number"):
        encode_batch(FrameBatch("fs", EPOCH, 2**54 - 1, frames))


def test_records_dispatch_to_batches_and_other_kinds_are_no_batch():
    frames = random_frames(5, seed=13)
    data = encode_record(FrameBatch("fs", EPOCH, 1, frames))
    found = decode_record(data)
    assert isinstance(found, FrameBatch)
    assert found.frames.equals(frames)
    with pytest.raises(CorruptDataError, match="not a batch"):
        decode_batch(pack_record(RecordHeader(RecordKind.SESSION, "fs", EPOCH, 1, 5, 0), data[peek(data).body_at :]))
