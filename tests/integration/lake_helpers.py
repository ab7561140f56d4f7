"""Frames, batches and reading back, for tests of the lake."""

import numpy as np

from ved.lake.lake import Lake
from ved.model.frames import FrameBatch, FrameColumns, FrameFlag

EPOCH = bytes(range(16))


def make_frames(n: int, seed: int = 1, width: int = 8) -> FrameColumns:
    rng = np.random.default_rng(seed)
    length = rng.integers(0, width + 1, n).astype(np.uint8)
    payload = rng.integers(0, 256, (n, width)).astype(np.uint8)
    payload[np.arange(width) >= length[:, None]] = 0
    return FrameColumns(
        np.cumsum(rng.integers(0, 300, n)),
        rng.integers(0, 3, n).astype(np.uint8),
        rng.choice(np.array([0x10, 0x123, 0x18F00001], np.uint32), n),
        rng.choice(np.array([0, FrameFlag.EXTENDED, FrameFlag.FD], np.uint8), n),
        length,
        payload,
    )


def batch(frames: FrameColumns, first: int, last: int, vehicle: str = "fs", epoch: bytes = EPOCH) -> FrameBatch:
    """seq first..last, frame number seq - 1 of `frames`."""
    return FrameBatch(vehicle, epoch, first, frames.take(slice(first - 1, last)))


def stored(lake: Lake, vehicle: str = "fs", epoch: bytes = EPOCH) -> tuple[list[int], FrameColumns]:
    rows = lake.rows(vehicle, epoch)
    order = np.argsort(rows.seq, kind="stable")
    return rows.seq[order].tolist(), rows.frames.take(order)
