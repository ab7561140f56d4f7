"""What an epoch is made of, frames or samples (never both): the two ways in which the agent's parts differ."""

from collections.abc import Sequence

from ved.codec.batch import encode_batch
from ved.codec.records import encode_record
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.samples import SampleBatch, SampleRows

Rows = FrameColumns | SampleRows


def concatenate(parts: Sequence[Rows]) -> Rows:
    """All parts, of one kind, one after the other; at least one."""
    frames = [part for part in parts if isinstance(part, FrameColumns)]
    if frames:
        return FrameColumns.concatenate(frames)
    return SampleRows.concatenate([part for part in parts if isinstance(part, SampleRows)])


def encode_rows(vehicle: str, epoch: bytes, first_seq: int, rows: Rows) -> bytes:
    """The record of a batch."""
    if isinstance(rows, FrameColumns):
        return encode_batch(FrameBatch(vehicle, epoch, first_seq, rows))
    used = rows.without_unused()
    return encode_record(SampleBatch(vehicle, epoch, first_seq, used.channels, used.samples))
