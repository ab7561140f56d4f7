"""A batch of frames <-> one record."""

import google_crc32c
import numpy as np
import zstandard

from ved.codec.header import RecordHeader, pack_record, verify
from ved.errors import CorruptDataError
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import RecordKind


def encode_batch(batch: FrameBatch) -> bytes:
    """The batch as one record of kind BATCH."""
    frames = batch.frames
    raw = bytes([frames.payload.shape[1]]) + b"".join(
        np.ascontiguousarray(c).tobytes()
        for c in (frames.t_us, frames.bus, frames.arbitration_id, frames.flags, frames.length, frames.payload)
    )
    header = RecordHeader(RecordKind.BATCH, batch.vehicle, batch.epoch, batch.first_seq, batch.count, 0)
    return pack_record(header, zstandard.ZstdCompressor(level=3).compress(raw))


def decode_batch(data: bytes) -> FrameBatch:
    """The batch; CorruptDataError."""
    header = verify(data)
    if header.kind != RecordKind.BATCH:
        raise CorruptDataError("not a batch")
    n = header.count
    raw = zstandard.ZstdDecompressor().decompress(data[header.body_at :], max_output_size=1 + n * 79)
    width, at = raw[0], 1
    out = []
    for dtype, w in ((np.int64, 1), (np.uint8, 1), (np.uint32, 1), (np.uint8, 1), (np.uint8, 1), (np.uint8, width)):
        size = n * w * np.dtype(dtype).itemsize
        out.append(np.frombuffer(raw, dtype, n * w, at))
        at += size
    out[-1] = out[-1].reshape(n, width)
    return FrameBatch(header.vehicle, header.epoch, header.number, FrameColumns(*out))


def columns_crc(frames: FrameColumns) -> int:
    """CRC32C over the columns."""
    crc = 0
    for c in (frames.t_us, frames.bus, frames.arbitration_id, frames.flags, frames.length):
        crc = google_crc32c.extend(crc, np.ascontiguousarray(c).tobytes())
    used = np.arange(frames.payload.shape[1]) < frames.length[:, None]
    return int(google_crc32c.extend(crc, frames.payload[used].tobytes()))
