"""The numbers by which a record is acknowledged."""

from dataclasses import dataclass

from ved.codec.link import Space
from ved.codec.records import RecordHeader
from ved.model.records import RecordKind


@dataclass(frozen=True, slots=True)
class Span:
    """The numbers of one record on the number line that they belong to."""

    space: Space
    first: int
    last: int


def span_of(header: RecordHeader) -> Span:
    """The seqs of a batch or of samples, or a note's or a preview's own number."""
    if header.kind in (RecordKind.BATCH, RecordKind.SAMPLES):
        return Span(Space.SEQ, header.number, header.number + header.count - 1)
    space = Space.PREVIEW if header.kind == RecordKind.PREVIEW else Space.NOTE
    return Span(space, header.number, header.number)
