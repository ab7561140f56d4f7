"""Recordings as a source: at their own pace, faster, or as fast as the reader takes them; once or for ever."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from ved.errors import UserError
from ved.logfiles.logfile import LogFile
from ved.logfiles.open_log import open_log
from ved.model.clockmap import ClockPair
from ved.model.frames import FrameColumns
from ved.model.records import MAX_NUMBER, ClockSource

_BETWEEN_FILES_US: Final = 1_000
_MAX_BUSES: Final = 256
OLDEST_UTC_US: Final = 946_684_800_000_000
"""2000-01-01: a recording that says earlier had no clock."""


class ReplaySource:
    """Log files, one after the other, as one epoch; `t_us` counts from the first frame of the first file.

    A file that starts later than the one before it ended keeps the recorded gap, any other (and each round of a loop)
    follows 1 ms after it. `speed` is a factor on the recorded pace, 0: no pace at all. With `moved_to_now` the
    recording is told as if it began when it is opened. UserError for a bad file or speed.
    """

    is_realtime: Final = False

    def __init__(
        self,
        paths: Sequence[Path],
        speed: float = 1.0,
        loop: bool = False,
        moved_to_now: bool = False,
        sleep: Callable[[float], None] = time.sleep,
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if not paths:
            raise UserError("replay: name at least one log file")
        if not 0 <= speed < float("inf"):
            raise UserError(f"replay: speed {speed} is not possible; give a positive factor or max")
        self._paths = paths
        self._logs: list[LogFile] = [open_log(path) for path in paths]
        for number, log in enumerate(self._logs):
            self._check_time(number, log.start_utc_us)
        self._numbers: list[dict[int, int]] = []
        self.number_buses({})
        self._speed, self._loop, self._moved_to_now = speed, loop, moved_to_now
        self._sleep, self._mono_ns = sleep, mono_ns
        self._frames: Iterator[FrameColumns] = iter(())
        self._held = FrameColumns.empty()
        self._origin_mono_ns = 0
        self._start_utc_us = self._logs[0].start_utc_us

    def number_buses(self, known: Mapping[str, int]) -> None:
        """Give buses of these names these numbers (the vehicle's own); the same name is the same bus in all files.

        Any other bus keeps the file's number where it is free. To be called before `open`.
        """
        numbers = dict(known)
        for log in self._logs:
            for index, name in log.buses.items():
                if name not in numbers:
                    taken = set(numbers.values())
                    numbers[name] = next(free for free in (index, *range(_MAX_BUSES)) if free not in taken)
        self._numbers = [{index: numbers[name] for index, name in log.buses.items()} for log in self._logs]

    @property
    def buses(self) -> dict[int, str]:
        """The buses of all files: number -> name."""
        pairs = zip(self._logs, self._numbers, strict=True)
        return dict(sorted((numbers[index], name) for log, numbers in pairs for index, name in log.buses.items()))

    @property
    def frame_count(self) -> int | None:
        """Frames of one round over all files; None when a file does not tell."""
        counts = [log.frame_count for log in self._logs]
        return None if None in counts else sum(count for count in counts if count is not None)

    @property
    def problems(self) -> list[str]:
        """What could not be read so far, one line each."""
        return [log.problem for log in self._logs if log.problem is not None]

    def one_round(self) -> Iterator[FrameColumns]:
        """All frames once, each file from time 0, without a pace and apart from `read`."""
        for number, log in enumerate(self._logs):
            for frames in log.chunks():
                yield self._placed(number, frames, 0)

    def open(self, origin_mono_ns: int) -> None:
        """Begin; recorded time 0 is played at `origin_mono_ns`."""
        self._origin_mono_ns = origin_mono_ns
        if self._moved_to_now:
            self._start_utc_us = time.time_ns() // 1000
        self._frames = self._rounds()
        self._held = FrameColumns.empty()

    def read(self, timeout_s: float) -> FrameColumns | None:
        """The frames that are due; without a pace the next chunk. None at the end."""
        if len(self._held) == 0:
            held = next(self._frames, None)
            if held is None:
                return None
            self._held = held
        if self._speed == 0:
            out, self._held = self._held, FrameColumns.empty()
            return out
        due = self._due()
        if due == 0:
            wait_s = (int(self._held.t_us[0]) - self._now_us()) / (self._speed * 1e6)
            self._sleep(max(0.0, min(timeout_s, wait_s)))
            due = self._due()
        out, self._held = self._held.take(slice(0, due)), self._held.take(slice(due, None))
        return out

    def clock(self, now_mono_ns: int) -> ClockPair | None:  # noqa: ARG002  (the recorded start is all there is)
        """The recorded start; None when the recording had no clock."""
        if self._start_utc_us < OLDEST_UTC_US:
            return None
        source = ClockSource.HOST if self._moved_to_now else ClockSource.RECORDED
        return ClockPair(0, self._start_utc_us, source)

    def close(self) -> None:
        """Drop what was held."""
        self._frames = iter(())
        self._held = FrameColumns.empty()

    def _now_us(self) -> int:
        """Recorded time that is due now."""
        return int((self._mono_ns() - self._origin_mono_ns) * self._speed / 1000)

    def _due(self) -> int:
        """Leading frames whose time has come; where time runs backwards the order of the file counts."""
        return int(np.searchsorted(np.maximum.accumulate(self._held.t_us), self._now_us(), side="right"))

    def _rounds(self) -> Iterator[FrameColumns]:
        start_us, is_first_round = 0, True
        while True:
            end_us = start_us
            for number, log in enumerate(self._logs):
                if number or not is_first_round:
                    start_us = end_us + _BETWEEN_FILES_US
                recorded_us = log.start_utc_us - self._logs[0].start_utc_us
                if number and is_first_round:
                    start_us = max(start_us, recorded_us)
                for frames in log.chunks():
                    moved = self._placed(number, frames, start_us)
                    end_us = max(end_us, int(moved.t_us.max()))
                    yield moved
            is_first_round = False
            if not self._loop:
                return

    def _placed(self, log_number: int, frames: FrameColumns, by_us: int) -> FrameColumns:
        renumber = np.arange(_MAX_BUSES, dtype=np.uint8)
        numbers = self._numbers[log_number]
        renumber[list(numbers)] = list(numbers.values())
        t_us = frames.t_us + by_us
        for one in (int(t_us.min()), int(t_us.max())):
            self._check_time(log_number, one)
        return FrameColumns(
            t_us,
            renumber[frames.bus],
            frames.arbitration_id,
            frames.flags,
            frames.length,
            frames.payload,
        )

    def _check_time(self, log_number: int, time_us: int) -> None:
        if abs(time_us) > MAX_NUMBER:
            path, years = self._paths[log_number], time_us / 31_557_600e6
            raise UserError(f"log {path}: holds a frame {years:.0f} years from its time 0; mend or cut that line first")
