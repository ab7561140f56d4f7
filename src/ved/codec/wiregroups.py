"""The groups that went over a connection so far, and how a batch of theirs becomes one matrix (docs/spec/wire.md)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.codec.layout import HISTORY, Layout, default_layout
from ved.codec.wirestate import MAX_WORDS, Columns, Indexes, fresh_columns, history_of
from ved.model.frames import FrameFlag

_REMOTE: Final = int(FrameFlag.REMOTE)


@dataclass(frozen=True, slots=True)
class GroupKey:
    """What the frames of a group have in common."""

    bus: int
    flags: int
    length: int
    arbitration_id: int

    @property
    def data_bytes(self) -> int:
        """Payload bytes of each frame: none for a remote frame."""
        return 0 if self.flags & _REMOTE else self.length

    @property
    def number(self) -> int:
        """The key as one number: how groups are sorted."""
        return self.bus << 48 | self.flags << 40 | self.length << 32 | self.arbitration_id

    @staticmethod
    def of_number(number: int) -> "GroupKey":
        """The inverse of `number`."""
        return GroupKey(number >> 48, number >> 40 & 0xFF, number >> 32 & 0xFF, number & 0xFFFFFFFF)


class Groups:
    """Numbered in the order in which they came; their columns stand one behind the other."""

    def __init__(self) -> None:
        self.keys: list[GroupKey] = []
        self.key_numbers: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self.columns = fresh_columns(default_layout(0), 0, *_silence(0)).take(slice(0, 0))
        self.counts_before: Indexes = np.zeros(0, np.intp)
        self.widths: list[int] = []
        self.clock_us = 0

    def add(self, keys: list[GroupKey]) -> None:
        """New groups: every byte a field, a history of zeros at the time of the last frame."""
        if not keys:
            return
        parts = [self.columns]
        for key in keys:
            layout = default_layout(key.data_bytes)
            parts.append(fresh_columns(layout, key.data_bytes, *_silence(self.clock_us)))
            self.widths.append(len(parts[-1]))
        self.keys += keys
        self.key_numbers = np.array([key.number for key in self.keys], np.uint64)
        self.columns = Columns.concatenate(parts)
        self.counts_before = np.concatenate([self.counts_before, np.zeros(len(keys), np.intp)])

    def set_layouts(self, layouts: dict[int, Layout]) -> None:
        """From now on these groups are cut in another way; their histories stay."""
        if not layouts:
            return
        firsts = np.cumsum([0, *self.widths]).tolist()
        parts, done = [], 0
        for group, layout in sorted(layouts.items()):
            first, end = firsts[group], firsts[group + 1]
            octets, t_us = history_of(self.columns.take(slice(first, end)))
            parts += [
                self.columns.take(slice(done, first)),
                fresh_columns(layout, self.keys[group].data_bytes, octets, t_us),
            ]
            self.widths[group] = len(parts[-1])
            done = end
        self.columns = Columns.concatenate([*parts, self.columns.take(slice(done, None))])

    @property
    def group_of_column(self) -> Indexes:
        """Number of the group that each column belongs to."""
        return np.repeat(np.arange(len(self.keys)), self.widths)

    def note(self, counts: Indexes, clock_us: int) -> None:
        """A batch is done: frames of each group, and the time of its last frame."""
        self.counts_before, self.clock_us = counts, clock_us

    def __len__(self) -> int:
        return len(self.keys)


def _silence(t_us: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    return np.zeros((HISTORY, 8 * MAX_WORDS), np.uint8), np.full(HISTORY, t_us, np.int64)
