"""The golden batches of docs/spec/batch.md: files that every implementation must read the same."""

import numpy as np
import pytest
import zstandard
from tests.conformance import batch_reference as reference
from tests.conformance import batch_vectors as vectors

from ved.codec.batch import columns_crc, decode_batch, encode_batch
from ved.codec.header import peek
from ved.model.frames import FrameBatch, FrameFlag

NAMES = sorted(path.stem for path in vectors.FOLDER.glob("*.bin"))


def test_files_are_complete():
    assert NAMES == sorted(vectors.cases()) == sorted(path.stem for path in vectors.FOLDER.glob("*.json"))


@pytest.mark.parametrize("name", NAMES)
def test_file_is_read_as_its_json_says(name):
    expected, crc = vectors.from_json((vectors.FOLDER / f"{name}.json").read_text())
    batch = decode_batch((vectors.FOLDER / f"{name}.bin").read_bytes())
    assert (batch.vehicle, batch.epoch, batch.first_seq) == (expected.vehicle, expected.epoch, expected.first_seq)
    assert batch.frames.equals(expected.frames)
    assert columns_crc(batch.frames) == columns_crc(expected.frames) == crc


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_the_same_record_before_compression(name):
    """The zstd bytes may change with its version; what is inside may not."""
    golden = (vectors.FOLDER / f"{name}.bin").read_bytes()
    ours = encode_batch(vectors.cases()[name])
    assert peek(ours) == peek(golden)
    assert _inside(ours) == _inside(golden)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "empty"])
def test_a_reader_written_from_the_spec_reads_the_same(name):
    golden = (vectors.FOLDER / f"{name}.bin").read_bytes()
    expected, _ = vectors.from_json((vectors.FOLDER / f"{name}.json").read_text())
    assert reference.read_body(_inside(golden), expected.count) == _rows(expected.frames)


@pytest.mark.parametrize("seed", range(8))
def test_a_reader_written_from_the_spec_reads_noise_the_same(seed):
    rng = np.random.default_rng(seed)
    rows = []
    t_us = 0
    for _ in range(300):
        t_us += int(rng.integers(-2, 1000 if seed % 2 else 3))
        flags = int(rng.choice([0, 1, 2, 16, 32]))
        size = int(rng.integers(0, 65 if flags == 2 else 9))
        data = b"" if flags == 16 else rng.integers(0, 4, size).astype(np.uint8).tobytes()
        rows.append((t_us, int(rng.integers(0, 2)), int(rng.integers(0, 9)), flags, size, data))
    frames = vectors.columns(rows)
    body = _inside(encode_batch(FrameBatch("fs", bytes(16), 1, frames)))
    assert reference.read_body(body, 300) == rows == _rows(frames)


def _rows(frames):
    sizes = np.where(frames.flags & np.uint8(FrameFlag.REMOTE), 0, frames.length)
    columns = (frames.t_us, frames.bus, frames.arbitration_id, frames.flags, frames.length)
    data = [row[:size].tobytes() for row, size in zip(frames.payload, sizes, strict=True)]
    return list(zip(*(column.tolist() for column in columns), data, strict=True))


def _inside(record: bytes) -> bytes:
    body = record[peek(record).body_at :]
    return zstandard.ZstdDecompressor().decompress(body) if body else b""
