"""The golden streams of docs/spec/wire.md: files that every implementation must read the same."""

import google_crc32c
import numpy as np
import pytest
from tests.conformance import wire_reference as reference
from tests.conformance import wire_vectors as vectors

from ved.codec.batch import columns_crc
from ved.codec.wire import WireDecoder, WireEncoder
from ved.codec.wirebody import ArrayEngine
from ved.ingest.wirekernel import CompiledEngine
from ved.model.frames import FrameFlag

NAMES = sorted(path.stem for path in vectors.FOLDER.glob("*.bin"))


def test_files_are_complete():
    assert NAMES == sorted(vectors.cases()) == sorted(path.stem for path in vectors.FOLDER.glob("*.json"))


@pytest.mark.parametrize("engine", [ArrayEngine, CompiledEngine])
@pytest.mark.parametrize("name", NAMES)
def test_file_is_read_as_its_json_says(name, engine):
    decoder = WireDecoder("fs", engine())
    for message, (expected, crc) in zip(vectors.read_messages(name), vectors.read_batches(name), strict=True):
        batch = decoder.decode(message)
        assert (batch.epoch, batch.first_seq) == (expected.epoch, expected.first_seq)
        assert batch.frames.equals(expected.frames)
        assert columns_crc(batch.frames) == crc


@pytest.mark.parametrize("name", [name for name in NAMES if name != "learned"])
def test_the_same_bytes_are_written(name):
    assert vectors.encode(name) == vectors.read_messages(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_reader_written_from_the_spec_reads_the_same(name):
    reader = reference.Reader()
    for message, (expected, crc) in zip(vectors.read_messages(name), vectors.read_batches(name), strict=True):
        named = google_crc32c.extend(crc, expected.epoch + expected.first_seq.to_bytes(8, "little"))
        assert reader.read(message) == (named, expected.epoch, expected.first_seq, _rows(expected.frames))


@pytest.mark.parametrize("engine", [ArrayEngine, CompiledEngine])
@pytest.mark.parametrize("seed", range(4))
def test_a_reader_written_from_the_spec_reads_noise_the_same(seed, engine):
    writer = WireEncoder(vectors.FixedLayouts(vectors.layouts() if seed else {}))
    reader, decoder = reference.Reader(), WireDecoder("fs", engine())
    for batch in vectors.noise(seed):
        message = writer.encode(batch)
        assert message is not None
        assert reader.read(message)[2:] == (batch.first_seq, _rows(batch.frames))
        assert decoder.decode(message).frames.equals(batch.frames)


def _rows(frames):
    sizes = np.where(frames.flags & np.uint8(FrameFlag.REMOTE), 0, frames.length)
    columns = (frames.t_us, frames.bus, frames.arbitration_id, frames.flags, frames.length)
    data = [row[:size].tobytes() for row, size in zip(frames.payload, sizes, strict=True)]
    return list(zip(*(column.tolist() for column in columns), data, strict=True))
