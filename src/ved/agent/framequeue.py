"""Between the reading thread and the packing thread: bounded, and honest about what did not fit."""

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

from ved.agent.rows import Rows
from ved.canbus.source import SourceLoss
from ved.model.clockmap import ClockPair
from ved.model.frames import FrameColumns
from ved.model.records import ALL_BUSES, Loss


@dataclass(slots=True)
class Overflow:
    """Frames of one bus (or samples) that found the queue full."""

    bus: int
    count: int
    t_from_us: int
    t_to_us: int


QueueItem = Rows | ClockPair | Overflow | SourceLoss | Loss


class FrameQueue:
    """Holds at most `max_frames` frames (or samples). One thread puts, one takes."""

    def __init__(self, max_frames: int) -> None:
        self._max_frames = max_frames
        self._items: deque[QueueItem] = deque()
        self._frames = 0
        self._overflows: dict[int, Overflow] = {}
        self._is_closed = False
        self._changed = threading.Condition()

    def put_note(self, note: ClockPair | SourceLoss | Loss) -> None:
        """Add a clock observation or a loss, from any thread; it always fits."""
        with self._changed:
            self._items.append(note)
            self._changed.notify_all()

    def put(self, frames: Rows) -> None:
        """Add frames that the world will not repeat: what does not fit is counted as lost, the newest first."""
        with self._changed:
            room = max(0, self._max_frames - self._frames)
            if len(frames) > room:
                self._note_overflow(frames.take(slice(room, None)))
                frames = frames.take(slice(0, room))
            self._append(frames)

    def put_patiently(self, frames: Rows) -> None:
        """Add frames, waiting until there is room (or until the queue is closed: then they are dropped)."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames < self._max_frames or self._is_closed)
            if not self._is_closed:
                self._append(frames)

    def take(self, timeout_s: float | None) -> list[QueueItem] | None:
        """All that waits, after at most `timeout_s`; None when the queue is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items or self._overflows or self._is_closed), timeout_s)
            out: list[QueueItem] = [*self._items, *self._overflows.values()]
            if not out and self._is_closed:
                return None
            self._items.clear()
            self._overflows.clear()
            self._frames = 0
            self._changed.notify_all()
            return out

    def close(self) -> None:
        """No more will be put; what waits can still be taken."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _append(self, frames: Rows) -> None:
        if len(frames):
            self._items.append(frames)
            self._frames += len(frames)
            self._changed.notify_all()

    def _note_overflow(self, lost: Rows) -> None:
        buses = lost.bus if isinstance(lost, FrameColumns) else np.full(len(lost), ALL_BUSES, np.uint8)
        for bus in np.unique(buses):
            t_us = lost.t_us[buses == bus]
            first_us, last_us = int(t_us.min()), int(t_us.max())
            known = self._overflows.setdefault(int(bus), Overflow(int(bus), 0, first_us, last_us))
            known.count += len(t_us)
            known.t_from_us = min(known.t_from_us, first_us)
            known.t_to_us = max(known.t_to_us, last_us)
