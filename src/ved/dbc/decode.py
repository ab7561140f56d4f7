"""Frames to channels: a DBC set is compiled to a plan, and the kernel (`kernel.py`) runs it over whole batches."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ved.dbc.kernel import Columns, Frames, compiled_passes
from ved.dbc.load import DbcSet
from ved.dbc.plan import compile_plan
from ved.model.channel import Channel
from ved.model.frames import FrameColumns

_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """Samples grouped by channel: channel c has those from `starts[c]` to `starts[c + 1]`, in frame order.

    `starts` i64[channels + 1]; `t_us` i64[m]; `values` f64[m], physical; `rows` i64[m], the frame's row in the batch.
    `unknown_frames` counts data frames that no message matches, `short_samples` wanted samples that lie past the end
    of their frame.
    """

    starts: NDArray[np.int64]
    t_us: NDArray[np.int64]
    values: NDArray[np.float64]
    rows: NDArray[np.int64]
    unknown_frames: int
    short_samples: int

    def column(self, channel: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Times and values of one channel, as views."""
        part = slice(int(self.starts[channel]), int(self.starts[channel + 1]))
        return self.t_us[part], self.values[part]


class Decoder:
    """Decodes frames under one DBC set. Holds no state between batches; safe to share between threads."""

    def __init__(self, dbc_set: DbcSet) -> None:
        """Compile the set, and the kernel when this process (or the cache on disk) does not have it yet."""
        self.dbc_set = dbc_set
        self._plan = compile_plan(dbc_set)
        self._count, self._fill = compiled_passes()
        self._all = _readonly(np.ones(len(dbc_set.channels), np.bool_), np.bool_)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels by number."""
        return self.dbc_set.channels

    def decode(self, frames: FrameColumns, wanted: NDArray[np.bool_] | None = None) -> Decoded:
        """All samples of the wanted channels (bool[channels]; None: of all). ValueError when `wanted` does not fit."""
        chosen = self._all if wanted is None else _readonly(wanted, np.bool_)
        if chosen.shape != self._all.shape:
            raise ValueError(f"wanted must have shape {self._all.shape}, not {chosen.shape}")
        columns = Frames(
            _readonly(frames.t_us, np.int64),
            _readonly(frames.bus, np.uint8),
            _readonly(frames.arbitration_id, np.uint32),
            _readonly(frames.flags, np.uint8),
            _readonly(frames.length, np.uint8),
            _readonly(frames.payload, np.uint8).view(np.uint64),
        )
        groups, starts, unknown, short = self._count(columns, self._plan, chosen)
        block = np.empty((3, int(starts[-1])), np.int64)  # one piece: the system gives large pieces in huge pages
        out = Columns(block[0], block[1].view(np.float64), block[2])
        self._fill(columns, self._plan, groups, starts, out)
        return Decoded(starts, out.t_us, out.values, out.rows, unknown, short)


def _readonly(column: NDArray[_Scalar], element: type[_Scalar]) -> NDArray[_Scalar]:
    """A contiguous read-only view, a copy only where it must be: the kernel is compiled for this one type."""
    out = np.ascontiguousarray(column, element).view()
    out.flags.writeable = False
    return out
