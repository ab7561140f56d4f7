"""A batch of frames <-> one record of kind BATCH: lossless, self-contained, no DBC needed (docs/spec/batch.md)."""

from typing import Final

import google_crc32c
import numpy as np
import zstandard

from ved.codec.columns import GroupPacker, Unpacker, pack_columns, pack_groups, unpack_columns
from ved.codec.header import RecordHeader, check_numbers, pack_record, verify
from ved.errors import CorruptDataError
from ved.model.frames import FrameBatch, FrameColumns, FrameFlag
from ved.model.records import Preview, RecordKind

_LEVEL: Final = 9
_MIN_BLOCK_BYTES: Final = 192
_HEAD_BYTES: Final = 64
_MAX_FRAME_BYTES: Final = 128
"""A frame's share of the body before compression never exceeds this: 64 payload bytes, 16 of classes, 18 for a group
of its own, 8 of time, 16 of order."""


class BatchWriter:
    """Encodes batches, one at a time: what is made once for all of them is kept.

    `level` is zstd's: a lower one takes a quarter of the time for a few more bytes.
    """

    def __init__(self, packer: GroupPacker = pack_groups, level: int = _LEVEL) -> None:
        self._packer = packer
        self._compressor = zstandard.ZstdCompressor(level=level)

    def encode(self, batch: FrameBatch) -> bytes:
        """The batch as one record. ValueError for too many frames or frames that break FrameColumns' promises."""
        header = RecordHeader(RecordKind.BATCH, batch.vehicle, batch.epoch, batch.first_seq, batch.count, 0)
        return self.pack(header, batch.frames)

    def pack(self, header: RecordHeader, frames: FrameColumns) -> bytes:
        """A record with these frames as its body. ValueError as for a batch."""
        if header.count:
            check_numbers(header, int(frames.t_us.min()), int(frames.t_us.max()))
        return pack_record(header, self._compress(pack_columns(frames, self._packer)) if header.count else b"")

    def _compress(self, blocks: list[bytes]) -> bytes:
        """One zstd frame that states its size, cut into zstd blocks where the statistics change.

        A cut costs about 20 bytes (header, tables), so small blocks are joined to the next.
        """
        compressor = self._compressor.compressobj(size=sum(map(len, blocks)))
        parts, waiting = [], 0
        for block in blocks:
            parts.append(compressor.compress(block))
            waiting += len(block)
            if waiting >= _MIN_BLOCK_BYTES:
                parts.append(compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
                waiting = 0
        parts.append(compressor.flush())
        return b"".join(parts)


def encode_batch(batch: FrameBatch) -> bytes:
    """The batch as one record. ValueError for too many frames or frames that break the promises of FrameColumns."""
    return BatchWriter().encode(batch)


def decode_batch(data: bytes, unpack: Unpacker = unpack_columns) -> FrameBatch:
    """The batch in `data`; the payload is 8 bytes wide where that is enough. CorruptDataError when it is not one."""
    header = verify(data)
    if header.kind != RecordKind.BATCH:
        raise CorruptDataError(f"a record of kind {header.kind.name} is not a batch")
    if header.number < 1:
        raise CorruptDataError("batch seq out of range")
    return FrameBatch(header.vehicle, header.epoch, header.number, _unpack(header, data, unpack))


def encode_preview(preview: Preview) -> bytes:
    """The preview as one record: a batch's body under a number of its own. ValueError as for a batch."""
    header = RecordHeader(RecordKind.PREVIEW, preview.vehicle, preview.epoch, preview.number, len(preview.frames), 0)
    return BatchWriter().pack(header, preview.frames)


def decode_preview(data: bytes, unpack: Unpacker = unpack_columns) -> Preview:
    """The preview in `data`; CorruptDataError when it is not one."""
    header = verify(data)
    if header.kind != RecordKind.PREVIEW:
        raise CorruptDataError(f"a record of kind {header.kind.name} is not a preview")
    return Preview(header.vehicle, header.epoch, header.number, _unpack(header, data, unpack))


def _unpack(header: RecordHeader, data: bytes, unpack: Unpacker) -> FrameColumns:
    if header.count == 0:
        if len(data) != header.body_at:
            raise CorruptDataError("an empty batch has no body")
        return FrameColumns.empty()
    frames = unpack(_decompress(data[header.body_at :], header.count), header.count)
    try:
        check_numbers(header, int(frames.t_us.min()), int(frames.t_us.max()))
    except ValueError as error:
        raise CorruptDataError(str(error)) from error
    return frames


def columns_crc(frames: FrameColumns) -> int:
    """CRC32C of the decoded columns: what two batches of the same name are compared by, however they were encoded.

    Over t_us, bus, arbitration_id, flags, length (little-endian, column by column), then each frame's payload bytes.
    """
    crc = google_crc32c.value(np.ascontiguousarray(frames.t_us, "<i8").tobytes())
    crc = google_crc32c.extend(crc, frames.bus.tobytes())
    crc = google_crc32c.extend(crc, np.ascontiguousarray(frames.arbitration_id, "<u4").tobytes())
    crc = google_crc32c.extend(crc, frames.flags.tobytes())
    crc = google_crc32c.extend(crc, frames.length.tobytes())
    data_bytes = np.where(frames.flags & np.uint8(FrameFlag.REMOTE), np.uint8(0), frames.length)
    is_data = np.arange(frames.payload.shape[1], dtype=np.uint8) < data_bytes[:, None]
    return int(google_crc32c.extend(crc, frames.payload[is_data].tobytes()))


def _decompress(body: bytes, count: int) -> bytes:
    """The inside of the frame; its stated size is checked against the frame count before anything is allocated."""
    try:
        size = zstandard.frame_content_size(body)
        if not 0 < size <= _HEAD_BYTES + count * _MAX_FRAME_BYTES:
            raise CorruptDataError(f"batch body claims {size} bytes for {count} frames")
        return zstandard.ZstdDecompressor().decompress(body, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CorruptDataError(f"batch body: {error}") from error
