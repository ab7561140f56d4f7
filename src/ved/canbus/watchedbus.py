"""One bus with its fate: opened again after it went away, its absence declared as loss, its state told."""

import time
from collections.abc import Callable
from typing import Final, Generic

import numpy as np

from ved.canbus.losses import LossBook
from ved.canbus.reader import BusDownError, RowReader, Rows
from ved.canbus.source import BusState, SourceLoss
from ved.model.frames import FrameColumns, FrameFlag
from ved.model.records import LossPlace

RETRY_S: Final = 1.0
DECLARE_S: Final = 10.0
"""While a bus is down the loss is declared piece by piece, so that people see it and a crash hides little."""


class WatchedBus(Generic[Rows]):
    """`reader` may fail at any time: `read` then brings nothing (`empty`), and tries again after `RETRY_S`."""

    def __init__(self, reader: RowReader[Rows], empty: Rows, mono_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._reader: RowReader[Rows] = reader
        self._empty: Rows = empty
        self._mono_ns = mono_ns
        self._origin_ns = 0
        self._book = LossBook()
        self._is_running = False
        self._retry_us = 0
        self._down_us: int | None = None
        self._trouble: str | None = None
        self._frames = self._error_frames = self._lost_frames = self._refused = 0
        self.state = BusState(reader.bus, reader.interface, False, None, 0, 0, 0)

    def open(self, origin_mono_ns: int) -> None:
        """Begin. A bus that is not there counts as down from now; UserError when it never can be there."""
        self._origin_ns = origin_mono_ns
        self._try()
        self._tell()

    def fileno(self) -> int | None:
        """What to wait on, or None while there is nothing."""
        fd = self._reader.fileno() if self._is_running else -1
        return fd if fd >= 0 else None

    def read(self) -> Rows:
        """What has come; never waits, never fails."""
        frames: Rows = self._empty
        if self._is_running:
            try:
                reading = self._reader.read()
            except BusDownError as error:
                self._go_down(error)
            else:
                frames = reading.frames
                self._refused += reading.refused
                self._note(reading.losses)
                self._come_up()
        elif self._now_us() >= self._retry_us:
            self._try()
        if self._down_us is not None and self._now_us() - self._down_us >= DECLARE_S * 1e6:
            self._down_us = self._declare(self._down_us, self._now_us())
        if len(frames):
            self._frames += len(frames)
        if isinstance(frames, FrameColumns):
            self._error_frames += int(np.count_nonzero(frames.flags & np.uint8(FrameFlag.ERROR)))
        self._tell()
        return frames

    def losses(self) -> list[SourceLoss]:
        """What was lost, a little later than it was noticed; all of it after `close`."""
        return self._book.take(self._now_us() if self._is_running or self._down_us is not None else None)

    def close(self) -> None:
        """The end, also of a time without the bus."""
        if self._is_running:
            self._note(self._reader.close())
        if self._down_us is not None:
            self._declare(self._down_us, self._now_us())
        self._is_running, self._down_us = False, None
        self._tell()

    def _now_us(self) -> int:
        return (self._mono_ns() - self._origin_ns) // 1000

    def _try(self) -> None:
        self._is_running = True
        try:
            self._reader.open(self._origin_ns)
        except BusDownError as error:
            self._go_down(error)
        else:
            self._come_up()

    def _go_down(self, error: BusDownError) -> None:
        self._trouble = str(error)
        self._retry_us = self._now_us() + round(RETRY_S * 1e6)
        self._note(self._reader.close())
        self._is_running = False
        if self._down_us is None:
            self._down_us = self._declare(self._reader.alive_us, self._now_us())

    def _come_up(self) -> None:
        """Does nothing unless the bus was down and the reader is open again."""
        if self._reader.is_open and self._down_us is not None:
            self._declare(self._down_us, self._reader.opened_us)
            self._down_us = None
            self._trouble = None

    def _declare(self, from_us: int, until_us: int) -> int:
        """The bus was down; returns where the rest of its absence begins."""
        until_us = max(from_us, until_us)
        self._note((SourceLoss(LossPlace.BUS_DOWN, self._reader.bus, -1, from_us, until_us),))
        return until_us

    def _note(self, losses: tuple[SourceLoss, ...]) -> None:
        for loss in losses:
            self._lost_frames += max(0, loss.count)
            self._book.add(loss, self._now_us())

    def _tell(self) -> None:
        trouble = self._trouble or self._reader.trouble
        is_up = self._is_running and self._reader.is_open and trouble is None
        counts = (self._frames, self._error_frames, self._lost_frames, self._refused)
        self.state = BusState(self._reader.bus, self._reader.interface, is_up, trouble, *counts)
