"""The golden batches of docs/spec/batch.md: files that every implementation must read the same."""

import importlib.util
from pathlib import Path

import pytest

from ved.codec.batch import columns_crc, decode_batch, encode_batch
from ved.codec.header import peek

_spec = importlib.util.spec_from_file_location("batch_vectors", Path(__file__).parent / "batch_vectors.py")
assert _spec is not None
assert _spec.loader is not None
vectors = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(vectors)

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


def _inside(record: bytes) -> bytes:
    import zstandard

    body = record[peek(record).body_at :]
    return zstandard.ZstdDecompressor().decompress(body) if body else b""
