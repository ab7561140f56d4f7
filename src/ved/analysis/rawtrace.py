"""What the wire says right now, id by id, without any DBC: counts, rates, the newest payload, and which bits move."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from ved.model.frames import FrameColumns, FrameFlag

RECENT_US: Final = 1_000_000
"""How long a bit that changed counts as changing, and over how long a rate is taken."""
MAX_IDS: Final = 2048
_NO_DATA: Final = np.uint8(FrameFlag.ERROR | FrameFlag.REMOTE)


class TraceKey(NamedTuple):
    """One id on one bus."""

    bus: int
    arbitration_id: int
    is_extended: bool


@dataclass(slots=True)
class TraceRow:
    """What is known of one id. `changed` has a 1 for each bit that changed within RECENT_US; bytes as on the wire."""

    frames: int = 0
    length: int = 0
    payload: bytes = b""
    heard_us: int = 0
    _recent: deque[tuple[int, int, int]] = field(default_factory=deque)
    """(when, frames, changed bits as a number)."""

    def take(self, now_us: int, frames: int, payload: bytes, length: int, changed: int) -> None:
        """Frames that came together; `changed` are the bits that moved among them, and against those before."""
        self.frames += frames
        self.length, self.payload, self.heard_us = length, payload, now_us
        self._recent.append((now_us, frames, changed))

    def recent(self, now_us: int) -> tuple[float, bytes]:
        """Frames per second, and the bits that changed, within RECENT_US before `now_us`."""
        while self._recent and self._recent[0][0] <= now_us - RECENT_US:
            self._recent.popleft()
        changed = 0
        for _, _, bits in self._recent:
            changed |= bits
        count = sum(frames for _, frames, _ in self._recent)
        return count / (RECENT_US / 1e6), changed.to_bytes(64, "big")[: self.length]


class RawTrace:
    """Folds frames in as they arrive; times are monotonic, in µs. Ids past MAX_IDS are not listed, only counted."""

    def __init__(self) -> None:
        self.rows: dict[TraceKey, TraceRow] = {}
        self.left_out = 0

    def take(self, frames: FrameColumns, now_us: int) -> None:
        """Frames that arrived at `now_us`, in order. Remote and error frames carry no data and do not count."""
        frames = frames.take((frames.flags & _NO_DATA) == 0)
        if not len(frames):
            return
        keys = frames.bus.astype(np.int64) << 30 | frames.is_extended.astype(np.int64) << 29 | frames.arbitration_id
        order = np.argsort(keys, kind="stable")
        keys, payload = keys[order], frames.payload[order]
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
        moved = np.zeros_like(payload)
        moved[1:] = payload[1:] ^ payload[:-1]
        moved[starts] = 0
        changed = np.bitwise_or.reduceat(moved, starts, axis=0)
        lasts = np.r_[starts[1:], len(keys)] - 1
        for at, (first, last) in enumerate(zip(starts.tolist(), lasts.tolist(), strict=True)):
            key = int(keys[first])
            row = self._row(TraceKey(key >> 30, key & 0x1FFF_FFFF, bool(key >> 29 & 1)))
            if row is None:
                self.left_out += last - first + 1
                continue
            bits = changed[at] if not row.frames else changed[at] | (payload[first] ^ _padded(row.payload, payload))
            length = int(frames.length[order[last]])
            data = payload[last].tobytes()
            row.take(now_us, last - first + 1, data[:length], length, int.from_bytes(bits.tobytes().ljust(64, b"\0")))

    def _row(self, key: TraceKey) -> TraceRow | None:
        known = self.rows.get(key)
        if known is None and len(self.rows) < MAX_IDS:
            known = self.rows[key] = TraceRow()
        return known


def _padded(payload: bytes, like: np.ndarray) -> np.ndarray:
    width = like.shape[1]
    return np.frombuffer(payload[:width].ljust(width, b"\0"), np.uint8)
