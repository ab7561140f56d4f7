"""The packing thread: gives seqs and note numbers, and makes records."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from ved.agent.framequeue import FrameQueue, Overflow, QueueItem
from ved.agent.rows import Rows, concatenate, encode_rows
from ved.canbus.source import SourceLoss
from ved.codec.records import RecordHeader, encode_record, peek
from ved.model.clockmap import ClockPair
from ved.model.frames import FrameColumns
from ved.model.gpsclock import GpsClock, GpsSignals
from ved.model.records import Clock, Description, Loss, LossPlace

_WAIT_S: Final = 0.005


@dataclass(frozen=True, slots=True)
class PackerSettings:
    """How batches are cut. `may_go_on` is asked before each record: False holds a patient source back.

    An epoch of samples has no `description`. `gps`: where UTC stands in the frames, if anywhere.
    """

    vehicle: str
    epoch: bytes
    description: Description | None
    batch_s: float
    max_batch_frames: int
    may_go_on: Callable[[], bool]
    emit: Callable[[bytes, RecordHeader], None]
    on_failure: Callable[[], None]
    gps: GpsSignals | None = None


class Packer:
    """Takes from `queue` until that is closed and empty. A batch, once cut, is never cut again."""

    def __init__(self, queue: FrameQueue, settings: PackerSettings) -> None:
        self._queue = queue
        self._settings = settings
        self._vehicle = settings.vehicle
        self._epoch = settings.epoch
        self._parts: list[Rows] = []
        self._frames = 0
        self._due_s = 0.0
        self._gps = None if settings.gps is None else GpsClock(settings.gps)
        self._thread = threading.Thread(target=self._run, name="packer", daemon=True)
        self.is_hurried = threading.Event()
        self.next_seq = 1
        self.next_note = 1
        self.lost_frames = 0
        self.failure: Exception | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the end."""
        self._thread.join()

    def _run(self) -> None:
        try:
            if self._settings.description is not None:
                self._emit(encode_record(replace(self._settings.description, number=self._take_note())))
            while (items := self._queue.take(self._wait_s())) is not None:
                for item in items:
                    self._add(item)
                if self._frames and time.monotonic() >= self._due_s:
                    self._cut(self._frames)
            self._cut(self._frames)
        except Exception as error:  # noqa: BLE001  # the thread's top: whoever joins raises it
            self.failure = error
            self._settings.on_failure()

    def _wait_s(self) -> float | None:
        return max(0.0, self._due_s - time.monotonic()) if self._frames else None

    def _add(self, item: QueueItem) -> None:
        vehicle, epoch = self._vehicle, self._epoch
        if isinstance(item, ClockPair):
            number = self._take_note()
            self._emit(encode_record(Clock(vehicle, epoch, number, item.t_us, item.utc_us, item.source, item.error_us)))
        elif isinstance(item, Overflow):
            place = LossPlace.SOURCE_QUEUE
            self._declare(Loss(vehicle, epoch, 0, place, item.bus, item.count, item.t_from_us, item.t_to_us))
        elif isinstance(item, SourceLoss):
            self._declare(Loss(vehicle, epoch, 0, item.place, item.bus, item.count, item.t_from_us, item.t_to_us))
        elif isinstance(item, Loss):
            self._declare(item)
        else:
            if not self._frames:
                self._due_s = time.monotonic() + self._settings.batch_s
            self._parts.append(item)
            self._frames += len(item)
            while self._frames >= self._settings.max_batch_frames:
                self._cut(self._settings.max_batch_frames)

    def _cut(self, count: int) -> None:
        """Make a batch of the first `count` rows that wait."""
        if count == 0:
            return
        everything = concatenate(self._parts)
        rows, rest = everything.take(slice(0, count)), everything.take(slice(count, None))
        self._parts, self._frames = ([rest] if len(rest) else []), len(rest)
        record = encode_rows(self._vehicle, self._epoch, self.next_seq, rows)
        self.next_seq += count
        self._emit(record)
        if self._gps is not None and isinstance(rows, FrameColumns):
            for pair in self._gps.pairs(rows):
                self._add(pair)

    def _declare(self, loss: Loss) -> None:
        """It gets the next number here; one that names seqs brings its own."""
        self.lost_frames += max(0, loss.count)
        self._emit(encode_record(loss if loss.number else replace(loss, number=self._take_note())))

    def _take_note(self) -> int:
        number = self.next_note
        self.next_note += 1
        return number

    def _emit(self, record: bytes) -> None:
        while not self._settings.may_go_on() and not self.is_hurried.is_set():
            time.sleep(_WAIT_S)
        self._settings.emit(record, peek(record))
