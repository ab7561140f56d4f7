"""What came lately of an epoch: what a second record with the same number is compared with."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ved.codec.link import Space
from ved.link.span import Span

MAX_RECENT: Final = 20_000
_FIRST_ROWS: Final = 64
_ROW: Final = np.dtype([("first", "<i8"), ("last", "<i8"), ("position", "<i8"), ("crc", "<u4"), ("space", "<u4")])


@dataclass(frozen=True, slots=True)
class Seen:
    """A record that came lately: `record` itself while it waits for the disk, then its `position` in the stream."""

    last: int
    crc: int
    position: int = -1
    record: bytes = b""


class Recent:
    """The records that wait for the disk, and the last MAX_RECENT that were written: 32 bytes of each."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[Space, int], Seen] = {}
        self._rows = np.zeros(0, _ROW)
        self._written = 0

    def __len__(self) -> int:
        return len(self._waiting) + min(self._written, MAX_RECENT)

    def add_waiting(self, span: Span, crc: int, record: bytes) -> None:
        """A record is taken, and on its way to the disk."""
        self._waiting[(span.space, span.first)] = Seen(span.last, crc, record=record)

    def add_written(self, span: Span, crc: int, position: int) -> None:
        """A record is in the stream; the oldest goes when there are too many."""
        self._waiting.pop((span.space, span.first), None)
        if self._written == len(self._rows) < MAX_RECENT:
            more = np.zeros(min(max(_FIRST_ROWS, len(self._rows)), MAX_RECENT - len(self._rows)), _ROW)
            self._rows = np.concatenate([self._rows, more])
        self._rows[self._written % MAX_RECENT] = (span.first, span.last, position, crc, span.space)
        self._written += 1

    def find(self, space: Space, first: int) -> Seen | None:
        """The record with this number, None when it is not among the recent ones."""
        if (waiting := self._waiting.get((space, first))) is not None:
            return waiting
        rows = self._rows[: self._written]
        found = np.flatnonzero((rows["first"] == first) & (rows["space"] == space))
        if not len(found):
            return None
        row = rows[found[-1]]
        return Seen(int(row["last"]), int(row["crc"]), int(row["position"]))

    def clear(self) -> None:
        """Forget what is written; what waits stays until it is."""
        self._rows = np.zeros(0, _ROW)
        self._written = 0
