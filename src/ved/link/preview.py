"""What is sent live when the uplink cannot carry everything: when that is so, and the latest frame of each id."""

from collections import deque
from typing import Final

import numpy as np

from ved.codec.batch import encode_preview
from ved.codec.link import Space
from ved.link.span import Span
from ved.model.frames import FrameColumns, FrameFlag
from ved.model.records import Preview

OVERLOADS: Final = 3
OVERLOAD_S: Final = 10.0
"""An uplink that carries almost all cannot keep up every few seconds only, and is late all the time."""

FIRST_TRY_S: Final = 10.0
LAST_TRY_S: Final = 80.0
CALM_S: Final = 60.0

_NO_DATA: Final = np.uint8(FrameFlag.REMOTE | FrameFlag.ERROR)


class Overload:
    """Decides between all and previews: `now_s` is any monotonic time in seconds."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=OVERLOADS)
        self._try_s = FIRST_TRY_S
        self._until_s = 0.0

    def note(self, now_s: float) -> None:
        """The live lane could not keep up."""
        self._times.append(now_s)
        if len(self._times) < OVERLOADS or now_s - self._times[0] > OVERLOAD_S or self.is_thinned(now_s):
            return
        is_again = self._until_s and now_s - self._until_s < CALM_S
        self._try_s = min(2 * self._try_s, LAST_TRY_S) if is_again else FIRST_TRY_S
        self._until_s = now_s + self._try_s
        self._times.clear()

    def is_thinned(self, now_s: float) -> bool:
        """True while previews go over the live lane instead of batches; when it ends, all is tried again."""
        return now_s < self._until_s


def latest_frames(frames: FrameColumns) -> FrameColumns:
    """The last data frame of each bus and id, in order of arrival."""
    rows = np.flatnonzero(frames.flags & _NO_DATA == 0)
    extended = (frames.flags[rows] & np.uint8(FrameFlag.EXTENDED)).astype(np.uint64)
    key = (frames.bus[rows].astype(np.uint64) << np.uint64(33)) | (extended << np.uint64(32))
    key |= frames.arbitration_id[rows].astype(np.uint64)
    _, from_end = np.unique(key[::-1], return_index=True)
    return frames.take(rows[np.sort(len(rows) - 1 - from_end)])


class Previews:
    """Batches that are not sent live come in, previews of them go out: of the latest frame of each bus and id."""

    def __init__(self, vehicle: str, epoch: bytes) -> None:
        self._vehicle = vehicle
        self._epoch = epoch
        self._number = 0
        self._waiting: FrameColumns | None = None

    def add(self, frames: FrameColumns) -> None:
        """Frames that are newer than all before."""
        parts = [frames] if self._waiting is None else [self._waiting, frames]
        latest = latest_frames(FrameColumns.concatenate(parts))
        self._waiting = latest if len(latest) else None

    def take(self) -> tuple[bytes, Span] | None:
        """The record of what waits, once; None when nothing does."""
        if self._waiting is None:
            return None
        self._number += 1
        record = encode_preview(Preview(self._vehicle, self._epoch, self._number, self._waiting))
        self._waiting = None
        return record, Span(Space.PREVIEW, self._number, self._number)
