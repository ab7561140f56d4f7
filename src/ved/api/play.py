"""`ved.play`: a recorded session or lap once more, at its own pace, for hardware in the loop."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from ved.analysis.naming import find_channels
from ved.analysis.resample import time_grid
from ved.api.recorded import Lap, RecordedSession
from ved.errors import UserError

_WINDOW_US: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Played:
    """An instant: `values` by name as asked for; without a rate only those channels that have a sample just then.

    `time_s` counts from the start of the session or lap. `late_s`: how much later than due it was handed out.
    """

    time_s: float
    utc_us: int
    values: Mapping[str, float]
    late_s: float


class PlayClock(Protocol):
    """The time that passes while somebody plays."""

    def now_s(self) -> float:
        """Seconds, from any begin; never back."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""


class RealClock:
    """This machine's."""

    def now_s(self) -> float:
        """See PlayClock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """See PlayClock."""
        time.sleep(seconds)


def play(
    run: RecordedSession | Lap,
    channels: Sequence[str],
    *,
    speed: float = 1.0,
    rate_hz: float | None = None,
    clock: PlayClock | None = None,
) -> Iterator[Played]:
    """Hand out a session or lap at real time times `speed` (infinity: without any wait).

    Without `rate_hz` each instant at which a channel has a sample, as it came; with it rows on one time base as `frame`
    makes them (NaN where there is no value). Nothing is left out: who is slow gets instants late, and those after it
    without a wait until the time is caught up. Read ahead in a thread. UserError for names and numbers that are none.
    """
    if isinstance(channels, str):
        raise UserError(f"channels: give a list of names, like [{channels!r}]")
    if not speed > 0:
        raise UserError(f"speed {speed}: give a factor above 0, or infinity for no wait at all")
    session = run if isinstance(run, RecordedSession) else run.session
    try:
        time_grid(0, 1, 1.0 if rate_hz is None else rate_hz)
    except ValueError as error:
        raise UserError(str(error)) from None
    names = {name: one.name for name, one in find_channels(session.channels, channels, session.aliases).items()}
    if not names:
        raise UserError("channels: name at least one")
    return _paced(_Reading(session, names, rate_hz), (run.utc_from_us, run.utc_to_us), speed, clock or RealClock())


def _paced(reading: _Reading, utc_us: tuple[int, int], speed: float, clock: PlayClock) -> Iterator[Played]:
    begin_s: float | None = None
    for at_us, values in reading.ahead(*utc_us):
        if begin_s is None:
            begin_s = clock.now_s()  # when the first window is there: reading it is not late
        due_s = begin_s + (at_us - utc_us[0]) / 1e6 / speed
        while (wait_s := due_s - clock.now_s()) > 0:
            clock.sleep(wait_s)
        yield Played((at_us - utc_us[0]) / 1e6, at_us, values, -wait_s)


@dataclass(frozen=True, slots=True)
class _Reading:
    session: RecordedSession
    names: Mapping[str, str]
    rate_hz: float | None

    def ahead(self, from_us: int, to_us: int) -> Iterator[tuple[int, Mapping[str, float]]]:
        """(UTC, values) in order; a window is read while the one before it is handed out."""
        row_us = 1.0 if self.rate_hz is None else 1e6 / self.rate_hz
        rows = math.ceil(_WINDOW_US / row_us)
        count = math.ceil((to_us - from_us) / (rows * row_us))
        cuts = itertools.pairwise([*(from_us + round(at * rows * row_us) for at in range(count)), to_us])
        with ThreadPoolExecutor(1, "play") as reader:
            coming: Future[list[tuple[int, Mapping[str, float]]]] | None = None
            for window in cuts:
                found, coming = coming, reader.submit(self._window, window)
                if found is not None:
                    yield from found.result()
            if coming is not None:
                yield from coming.result()

    def _window(self, utc_us: tuple[int, int]) -> list[tuple[int, Mapping[str, float]]]:
        if self.rate_hz is not None:
            frame = self.session.read_frame(list(self.names), self.rate_hz, utc_us)
            columns = [frame[name].tolist() for name in self.names]
            rows = zip(frame.utc_us.tolist(), *columns, strict=True)
            return [(row[0], dict(zip(self.names, row[1:], strict=True))) for row in rows]
        read = {name: self.session.read_channel(full, utc_us) for name, full in self.names.items()}
        times = np.concatenate([one.utc_us for one in read.values()])
        which = np.repeat(np.arange(len(read)), [len(one) for one in read.values()])
        values = np.concatenate([one.values for one in read.values()])
        order = np.argsort(times, kind="stable")
        names = list(self.names)
        rows = zip(times[order].tolist(), which[order].tolist(), values[order].tolist(), strict=True)
        return [
            (at_us, {names[number]: value for _, number, value in group})
            for at_us, group in itertools.groupby(rows, lambda row: row[0])
        ]
