"""What is sent live when the uplink cannot carry everything: when that is so, and the latest frame of each id."""

from collections import deque
from itertools import pairwise
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

LATE_S: Final = 0.15
GROWN_S: Final = 0.07
PART_S: Final = 0.7
PARTS: Final = 3
"""A record is late by what its trip takes longer than the shortest one. When the least late of a part of the time was
later than `LATE_S`, and that of each next part by `GROWN_S` more, the queue on the way only grows. Behind a dead zone
it shrinks, and a way that became longer is late by the same each time."""

PART_TRIPS: Final = 3
FIRST_TRY_S: Final = 10.0
LAST_TRY_S: Final = 80.0
CALM_S: Final = 60.0

_NO_DATA: Final = np.uint8(FrameFlag.REMOTE | FrameFlag.ERROR)


class Overload:
    """Decides between all and previews: `now_s` is any monotonic time in seconds."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=OVERLOADS)
        self._trips: deque[tuple[float, float]] = deque()  # when, how late
        self._try_s = FIRST_TRY_S
        self._until_s = 0.0

    def note(self, now_s: float) -> None:
        """The live lane could not keep up."""
        self._times.append(now_s)
        if len(self._times) == OVERLOADS and now_s - self._times[0] <= OVERLOAD_S:
            self._begin(now_s)

    def note_trip(self, late_s: float, now_s: float) -> None:
        """A record arrived over the live lane, so much later than the shortest round trip."""
        if self.is_thinned(now_s):
            return
        self._trips.append((now_s, late_s))
        while self._trips[0][0] <= now_s - PARTS * PART_S:
            self._trips.popleft()
        parts: list[list[float]] = [[] for _ in range(PARTS)]
        for at_s, late in self._trips:
            parts[min(int((now_s - at_s) / PART_S), PARTS - 1)].append(late)
        if min(map(len, parts)) < PART_TRIPS:
            return
        newest_first = [min(part) for part in parts]
        if newest_first[-1] > LATE_S and all(new > old + GROWN_S for new, old in pairwise(newest_first)):
            self._begin(now_s)

    def note_new_way(self) -> None:
        """The live lane has a new connection."""
        self._trips.clear()

    def _begin(self, now_s: float) -> None:
        if self.is_thinned(now_s):
            return
        is_again = self._until_s and now_s - self._until_s < CALM_S
        self._try_s = min(2 * self._try_s, LAST_TRY_S) if is_again else FIRST_TRY_S
        self._until_s = now_s + self._try_s
        self._times.clear()
        self._trips.clear()

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
