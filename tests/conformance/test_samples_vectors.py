"""The golden samples of docs/spec/samples.md, and a reader written from that page alone."""

import struct

import pytest
import zstandard
from tests.conformance import samples_vectors as vectors

from ved.codec.header import peek
from ved.codec.samples import decode_samples, encode_samples

NAMES = sorted(path.stem for path in vectors.FOLDER.glob("*.bin"))


def _golden(name: str):
    data = (vectors.FOLDER / f"{name}.bin").read_bytes()
    return data, vectors.from_json((vectors.FOLDER / f"{name}.json").read_text())


def _inside(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data[peek(data).body_at :])


def test_files_are_complete():
    assert NAMES == sorted(vectors.cases()) == sorted(path.stem for path in vectors.FOLDER.glob("*.json"))


@pytest.mark.parametrize("name", NAMES)
def test_file_is_read_as_its_json_says(name):
    data, expected = _golden(name)
    assert decode_samples(data).equals(expected)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_the_same_record_before_compression(name):
    data, expected = _golden(name)
    assert peek(encode_samples(expected)) == peek(data)
    assert _inside(encode_samples(expected)) == _inside(data)


@pytest.mark.parametrize("name", NAMES)
def test_a_reader_written_from_the_spec_reads_the_same(name):
    data, expected = _golden(name)
    channels, rows = read_body(_inside(data), expected.count)
    assert channels == [(one.name, one.unit, one.kind) for one in expected.channels]
    assert [row[:2] for row in rows] == list(
        zip(expected.samples.t_us.tolist(), expected.samples.channel.tolist(), strict=True)
    )
    assert [row[2] for row in rows] == expected.samples.value.view("u8").tolist()


def read_body(data: bytes, n: int) -> tuple[list[tuple[str, str, str]], list[tuple[int, int, int]]]:
    """(name, unit, kind) of the channels; (t_us, channel, bits of the value) of the samples. No NumPy, as specified."""
    c, width, reserved, base_us = struct.unpack_from("<HBBq", data)
    assert reserved == 0
    at, channels = 12, []
    for _ in range(c):
        kind, texts = data[at], []
        at += 1
        for _ in range(2):
            (size,) = struct.unpack_from("<I", data, at)
            texts.append(data[at + 4 : at + 4 + size].decode())
            at += 4 + size
        channels.append((texts[0], texts[1], {1: "continuous", 2: "discrete"}[kind]))

    def planes(count: int, planes: int) -> list[int]:
        nonlocal at
        out = [sum(data[at + plane * count + k] << (8 * plane) for plane in range(planes)) for k in range(count)]
        at += count * planes
        return out

    numbers = planes(n, 2)
    times = [base_us]
    for step in planes(n - 1, width):
        signed = (step >> 1) ^ -(step & 1)
        times.append((times[-1] + signed + 2**63) % 2**64 - 2**63)
    grouped = sorted(range(n), key=lambda k: numbers[k])
    last: dict[int, int] = {}
    values = [0] * n
    for k, change in zip(grouped, planes(n, 8), strict=True):
        values[k] = last[numbers[k]] = last.get(numbers[k], 0) ^ change
    assert at == len(data)
    return channels, list(zip(times, numbers, values, strict=True))
