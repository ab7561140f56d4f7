"""Samples <-> one record of kind SAMPLES: lossless and self-contained (docs/spec/samples.md)."""

import struct
from typing import Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from ved.codec.fields import FieldReader, pack_text
from ved.codec.header import RecordHeader, check_numbers, pack_record, verify
from ved.codec.planes import MAX_PLANES, PlaneReader, plane_count, to_planes, unzigzag, zigzag
from ved.errors import CorruptDataError
from ved.model.channel import ChannelKind
from ved.model.records import RecordKind
from ved.model.samples import MAX_BATCH_SAMPLES, SampleBatch, SampleChannel, SampleColumns

MAX_CONTENT_BYTES: Final = 4 << 20

_LEVEL: Final = 6
_HEAD: Final = struct.Struct("<HBBq")
_KIND: Final = struct.Struct("<B")
_KINDS: Final[dict[int, ChannelKind]] = {1: "continuous", 2: "discrete"}
_KIND_BYTES: Final = {kind: number for number, kind in _KINDS.items()}
_CHANNEL_PLANES: Final = 2


def encode_samples(batch: SampleBatch) -> bytes:
    """The batch as one record. ValueError for no samples, too many, or a table of channels that is too large."""
    if not 1 <= batch.count <= MAX_BATCH_SAMPLES:
        raise ValueError(f"{batch.count} samples in one record; 1 to {MAX_BATCH_SAMPLES} are possible")
    content = _content(batch)
    if len(content) > MAX_CONTENT_BYTES:
        raise ValueError(f"samples of {len(content)} bytes; at most {MAX_CONTENT_BYTES}")
    header = RecordHeader(RecordKind.SAMPLES, batch.vehicle, batch.epoch, batch.first_seq, batch.count, 0)
    check_numbers(header, int(batch.samples.t_us.min()), int(batch.samples.t_us.max()))
    return pack_record(header, zstandard.ZstdCompressor(level=_LEVEL).compress(content))


def decode_samples(data: bytes) -> SampleBatch:
    """The batch in `data`; CorruptDataError when it is not one."""
    header = verify(data)
    if header.kind != RecordKind.SAMPLES:
        raise CorruptDataError(f"a record of kind {header.kind.name} has no samples")
    if header.count < 1 or header.number < 1:
        raise CorruptDataError("count or seq of samples out of range")
    channels, samples = _unpack(_decompress(data[header.body_at :]), header.count)
    try:
        check_numbers(header, int(samples.t_us.min()), int(samples.t_us.max()))
        return SampleBatch(header.vehicle, header.epoch, header.number, channels, samples)
    except ValueError as error:
        raise CorruptDataError(f"samples: {error}") from error


def _content(batch: SampleBatch) -> bytes:
    samples = batch.samples
    steps = zigzag(np.diff(samples.t_us))
    width = plane_count(steps)
    if not 1 <= len(batch.channels) < 1 << 16:
        raise ValueError(f"{len(batch.channels)} channels in one record; 1 to {(1 << 16) - 1} are possible")
    parts = [_HEAD.pack(len(batch.channels), width, 0, int(samples.t_us[0]))]
    for channel in batch.channels:
        parts += [_KIND.pack(_KIND_BYTES[channel.kind]), pack_text(channel.name), pack_text(channel.unit)]
    parts += to_planes(samples.channel.astype(np.uint64), _CHANNEL_PLANES)
    parts += to_planes(steps, width)
    order, firsts = _grouped(samples.channel)
    bits = np.ascontiguousarray(samples.value[order], "<f8").view("<u8").astype(np.uint64)
    changes = bits.copy()
    changes[1:] ^= bits[:-1]
    changes[firsts] = bits[firsts]
    parts += to_planes(changes, MAX_PLANES)
    return b"".join(parts)


def _unpack(content: bytes, count: int) -> tuple[tuple[SampleChannel, ...], SampleColumns]:
    reader = FieldReader(content)
    channel_count, width, reserved, base_us = reader.unpack(_HEAD)
    if reserved != 0 or channel_count < 1:
        raise CorruptDataError("samples head out of range")
    channels = tuple(_channel(reader) for _ in range(channel_count))
    planes = PlaneReader(reader.rest())
    channel = planes.numbers(count, _CHANNEL_PLANES)
    steps = unzigzag(planes.numbers(count - 1, width))
    changes = planes.numbers(count, MAX_PLANES)
    planes.end()
    if int(channel.max()) >= channel_count:
        raise CorruptDataError("a sample of a channel that is not in the table")
    t_us = np.empty(count, np.int64)
    t_us[0] = base_us
    np.cumsum(steps, out=t_us[1:])
    t_us[1:] += base_us
    numbers = channel.astype(np.uint16)
    order, firsts = _grouped(numbers)
    # XOR of all changes up to a sample, less those up to its group's start.
    prefix = np.bitwise_xor.accumulate(changes)
    before = np.concatenate([[np.uint64(0)], prefix[firsts[1:] - 1]])
    lengths = np.diff(np.append(firsts, count))
    value = np.empty(count, np.float64)
    value[order] = (prefix ^ np.repeat(before, lengths)).view(np.float64)
    return channels, SampleColumns(t_us, numbers, value)


def _channel(reader: FieldReader) -> SampleChannel:
    (kind,) = reader.unpack(_KIND)
    if kind not in _KINDS:
        raise CorruptDataError(f"channel kind {kind} is not known")
    try:
        return SampleChannel(reader.text(), reader.text(), _KINDS[kind])
    except ValueError as error:
        raise CorruptDataError(str(error)) from error


def _grouped(channel: NDArray[np.uint16]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The grouped order, and the places in it where a channel begins."""
    order = np.argsort(channel, kind="stable")
    ordered = channel[order]
    return order, np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1]).astype(np.intp)


def _decompress(body: bytes) -> bytes:
    """The inside of the frame; refused before anything is allocated when its stated size is over the cap."""
    try:
        size = zstandard.frame_content_size(body)
        if not 0 < size <= MAX_CONTENT_BYTES:
            raise CorruptDataError(f"samples body claims {size} bytes")
        return zstandard.ZstdDecompressor().decompress(body, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CorruptDataError(f"samples body: {error}") from error
