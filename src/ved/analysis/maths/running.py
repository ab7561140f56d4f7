"""Functions with a memory. Fed with any cuts of a series they give the same values, bit for bit.

A step takes the next samples, all of them later than those before, and the laps that began since.
"""

from collections.abc import Iterator
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from ved.analysis.series import NEVER_US, Series
from ved.model.channel import ChannelKind

GAP_US: Final = 5_000_000
"""Two samples further apart than this say nothing of the time between: no slope, no area."""

_Times = NDArray[np.int64]
_Values = NDArray[np.float64]


class Runner(Protocol):
    """The memory of one function in one run over the data."""

    def step(self, series: Series, laps: Series) -> _Values:
        """The values at the times of `series`; `laps`: times and numbers of the laps that began since the last step."""


def make_runner(function: str, kind: ChannelKind, window_us: int, hold_us: int) -> Runner:
    """A new memory for a function of RUNNING; `kind` and `hold_us` are those of its argument."""
    is_stepped = kind == "discrete"
    match function:
        case "derivative":
            return _Derivative()
        case "integral":
            return _Integral(is_stepped=is_stepped)
        case "average":
            return _Average(window_us)
        case "lag":
            return _Lag(window_us, hold_us)
        case "lap_integral":
            return _LapIntegral(is_stepped=is_stepped)
        case "lap_min":
            return _LapExtreme(np.fmin)
        case "lap_max":
            return _LapExtreme(np.fmax)
        case "lap_mean":
            return _LapMean()
        case "last_lap":
            return _LastLap()
        case "lap_time":
            return _LapTime()
    return _LapNumber()


class _Derivative:
    def __init__(self) -> None:
        self._t_us, self._value = NEVER_US, np.nan

    def step(self, series: Series, laps: Series) -> _Values:  # noqa: ARG002
        if not len(series.t_us):
            return series.values
        t_us, values = np.append(self._t_us, series.t_us), np.append(self._value, series.values)
        self._t_us, self._value = int(t_us[-1]), float(values[-1])
        spans_us = np.diff(t_us)
        out: _Values = np.where(spans_us <= GAP_US, np.diff(values) / (spans_us * 1e-6), np.nan)
        return out


class _Areas:
    """Areas between neighbouring samples, over steps that follow each other: trapezoids, or steps for discrete."""

    def __init__(self, *, is_stepped: bool) -> None:
        self._is_stepped = is_stepped
        self._t_us, self._value = NEVER_US, np.nan

    def next(self, series: Series) -> tuple[_Times, _Values, _Values]:
        """Times and values with the sample before in front, and the area up to each sample of `series`."""
        t_us, values = np.append(self._t_us, series.t_us), np.append(self._value, series.values)
        self._t_us, self._value = int(t_us[-1]), float(values[-1])
        spans_us = np.diff(t_us)
        height = values[:-1] if self._is_stepped else 0.5 * (values[:-1] + values[1:])
        areas = height * (spans_us * 1e-6)
        return t_us, values, np.where((spans_us <= GAP_US) & np.isfinite(areas), areas, 0.0)

    def after(self, t_us: _Times, values: _Values, row: int, at_us: int) -> float:
        """The part after `at_us` of the area up to sample `row` of what `next` gave (not counting the front)."""
        before, last = int(t_us[row]), int(t_us[row + 1])
        if last - before > GAP_US or last <= before:
            return 0.0
        height = float(values[row])
        if not self._is_stepped:
            share = (at_us - before) / (last - before)
            height = 0.5 * (height + share * float(values[row + 1] - values[row]) + float(values[row + 1]))
        area = height * (last - at_us) * 1e-6
        return area if np.isfinite(area) else 0.0


class _Integral:
    def __init__(self, *, is_stepped: bool) -> None:
        self._areas = _Areas(is_stepped=is_stepped)
        self._total = 0.0

    def step(self, series: Series, laps: Series) -> _Values:  # noqa: ARG002
        if not len(series.t_us):
            return series.values
        totals = np.cumsum(np.append(self._total, self._areas.next(series)[2]))
        self._total = float(totals[-1])
        return totals[1:]


class _Average:
    """The mean of the samples of the last `window_us`."""

    def __init__(self, window_us: int) -> None:
        self._window_us = window_us
        self._t_us = np.array([NEVER_US], np.int64)
        self._sums, self._counts = np.zeros(1), np.zeros(1)

    def step(self, series: Series, laps: Series) -> _Values:  # noqa: ARG002
        if not len(series.t_us):
            return series.values
        is_there = np.isfinite(series.values)
        # Sums run on from the first sample, one addition after the other: so no cut changes a bit.
        added = np.append(self._sums[-1], np.where(is_there, series.values, 0.0))
        sums = np.append(self._sums, np.cumsum(added)[1:])
        counts = np.append(self._counts, self._counts[-1] + np.cumsum(is_there))
        t_us = np.append(self._t_us, series.t_us)
        before = np.searchsorted(t_us, series.t_us - self._window_us, side="right") - 1
        before = np.maximum(before, 0)
        rows = slice(len(self._t_us), None)
        count = counts[rows] - counts[before]
        out: _Values = np.where(count > 0, (sums[rows] - sums[before]) / np.maximum(count, 1), np.nan)
        kept = slice(int(before[-1]), None)
        self._t_us, self._sums, self._counts = t_us[kept], sums[kept], counts[kept]
        return out


class _Lag:
    """The value of `window_us` ago, held for at most `hold_us`."""

    def __init__(self, window_us: int, hold_us: int) -> None:
        self._window_us, self._hold_us = window_us, hold_us
        self._past = Series(np.array([NEVER_US], np.int64), np.array([np.nan]))

    def step(self, series: Series, laps: Series) -> _Values:  # noqa: ARG002
        if not len(series.t_us):
            return series.values
        t_us = np.append(self._past.t_us, series.t_us)
        values = np.append(self._past.values, series.values)
        wanted = series.t_us - self._window_us
        at = np.maximum(np.searchsorted(t_us, wanted, side="right") - 1, 0)
        out: _Values = np.where(wanted - t_us[at] <= self._hold_us, values[at], np.nan)
        kept = slice(int(at[-1]), None)
        self._past = Series(t_us[kept], values[kept])
        return out


class _Boundaries:
    """Cuts steps at the begins of laps. A lap that no sample follows yet waits for the next step."""

    def __init__(self) -> None:
        self._waiting = Series.empty()

    def split(self, t_us: _Times, laps: Series) -> Iterator[tuple[slice, int | None, float]]:
        """Rows of one lap after the other: (rows, start of the lap if it begins here, its number)."""
        starts = np.append(self._waiting.t_us, laps.t_us)
        numbers = np.append(self._waiting.values, laps.values)
        rows = np.searchsorted(t_us, starts, side="left")
        is_due = rows < len(t_us)
        self._waiting = Series(starts[~is_due], numbers[~is_due])
        due = list(zip(rows[is_due].tolist(), starts[is_due].tolist(), numbers[is_due].tolist(), strict=True))
        ends = [row for row, _, _ in [*due, (len(t_us), 0, 0.0)][1:]]
        first = due[0][0] if due else len(t_us)
        if first:
            yield slice(0, first), None, 0.0
        for (row, start_us, number), end in zip(due, ends, strict=True):
            yield slice(row, end), start_us, number


class _LapIntegral:
    def __init__(self, *, is_stepped: bool) -> None:
        self._areas = _Areas(is_stepped=is_stepped)
        self._laps = _Boundaries()
        self._total = 0.0

    def step(self, series: Series, laps: Series) -> _Values:
        if not len(series.t_us):
            list(self._laps.split(series.t_us, laps))
            return series.values
        t_us, values, areas = self._areas.next(series)
        out = np.empty(len(series.t_us))
        for rows, start_us, _ in self._laps.split(series.t_us, laps):
            parts = areas[rows].copy()
            if start_us is not None:
                self._total = 0.0
                if len(parts):
                    parts[0] = self._areas.after(t_us, values, rows.start, start_us)
            totals = np.cumsum(np.append(self._total, parts))
            self._total = float(totals[-1])
            out[rows] = totals[1:]
        return out


class _LapExtreme:
    def __init__(self, better: np.ufunc) -> None:
        self._better = better
        self._laps = _Boundaries()
        self._best = np.nan

    def step(self, series: Series, laps: Series) -> _Values:
        out = np.empty(len(series.t_us))
        for rows, start_us, _ in self._laps.split(series.t_us, laps):
            carried = self._best if start_us is None else np.nan
            bests = self._better.accumulate(np.append(carried, series.values[rows]))
            self._best = float(bests[-1])
            out[rows] = bests[1:]
        return out


class _LapMean:
    def __init__(self) -> None:
        self._laps = _Boundaries()
        self._total, self._count = 0.0, 0

    def step(self, series: Series, laps: Series) -> _Values:
        out = np.empty(len(series.t_us))
        for rows, start_us, _ in self._laps.split(series.t_us, laps):
            if start_us is not None:
                self._total, self._count = 0.0, 0
            values = series.values[rows]
            is_there = np.isfinite(values)
            totals = np.cumsum(np.append(self._total, np.where(is_there, values, 0.0)))
            counts = self._count + np.cumsum(np.append(0, is_there))
            self._total, self._count = float(totals[-1]), int(counts[-1])
            out[rows] = np.where(counts[1:] > 0, totals[1:] / np.maximum(counts[1:], 1), np.nan)
        return out


class _LastLap:
    """What the value was at the end of the lap before."""

    def __init__(self) -> None:
        self._laps = _Boundaries()
        self._held, self._last, self._number = np.nan, np.nan, 0.0

    def step(self, series: Series, laps: Series) -> _Values:
        out = np.empty(len(series.t_us))
        for rows, start_us, number in self._laps.split(series.t_us, laps):
            if start_us is not None:
                self._held = self._last if self._number > 0 else np.nan  # before lap 1 there was no lap
                self._number = number
            out[rows] = self._held
            if rows.stop > rows.start:
                self._last = float(series.values[rows.stop - 1])
        return out


class _LapTime:
    def __init__(self) -> None:
        self._laps = _Boundaries()
        self._start_us: int | None = None

    def step(self, series: Series, laps: Series) -> _Values:
        out = np.empty(len(series.t_us))
        for rows, start_us, _ in self._laps.split(series.t_us, laps):
            self._start_us = self._start_us if start_us is None else start_us
            out[rows] = np.nan if self._start_us is None else (series.t_us[rows] - self._start_us) * 1e-6
        return out


class _LapNumber:
    def __init__(self) -> None:
        self._laps = _Boundaries()
        self._number = 0.0

    def step(self, series: Series, laps: Series) -> _Values:
        out = np.empty(len(series.t_us))
        for rows, start_us, number in self._laps.split(series.t_us, laps):
            self._number = self._number if start_us is None else number
            out[rows] = self._number
        return out
