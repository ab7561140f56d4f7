"""Samples in order of time, and the box in which those wait that came before all of their time is there."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

NEVER_US: Final = -(1 << 62)
END_US: Final = 1 << 62
Column = tuple[NDArray[np.int64], NDArray[np.float64]]


class Series(NamedTuple):
    """n samples in order of time: `t_us` i64[n], `values` f64[n]; NaN where nothing is known."""

    t_us: NDArray[np.int64]
    values: NDArray[np.float64]

    @staticmethod
    def empty() -> "Series":
        """No samples."""
        return Series(np.empty(0, np.int64), np.empty(0, np.float64))


class Inbox:
    """Gives out the samples of some channels up to a time, once, in order; what comes later than that waits.

    Of samples of one time the last counts. A sample before the time that was given out already is left out.
    """

    def __init__(self) -> None:
        self.until_us = NEVER_US
        self._waiting: dict[str, Series] = {}

    def state(self) -> dict[str, Any]:
        """What `restore` takes, in numbers that JSON can say."""
        waiting = {
            name: [one.t_us.tolist(), [None if np.isnan(value) else value for value in one.values.tolist()]]
            for name, one in self._waiting.items()
        }
        return {"until_us": self.until_us, "waiting": waiting}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where another stood."""
        self.until_us = state["until_us"]
        self._waiting = {
            name: Series(np.array(t_us, np.int64), np.array(values, np.float64))
            for name, (t_us, values) in state["waiting"].items()
        }

    def take(self, names: Iterable[str], columns: Mapping[str, Column], until_us: int) -> dict[str, Series]:
        """Put `columns` in and take out what lies before `until_us` of each of `names`."""
        before_us, self.until_us = self.until_us, max(self.until_us, until_us)
        out: dict[str, Series] = {}
        for name in names:
            waiting = _with(self._waiting.get(name), columns.get(name), before_us)
            out[name], self._waiting[name] = _split(waiting, self.until_us)
        return out


def hold(series: Series, last: tuple[int, float], t_us: NDArray[np.int64], limit_us: int) -> NDArray[np.float64]:
    """The last value before or at each of `t_us`, no older than `limit_us`, else NaN; `last` came before `series`."""
    if len(series.t_us) == len(t_us) and np.array_equal(series.t_us, t_us):
        return series.values
    times, values = np.append(last[0], series.t_us), np.append(last[1], series.values)
    at = np.searchsorted(times, t_us, side="right") - 1
    out: NDArray[np.float64] = np.where(t_us - times[at] <= limit_us, values[at], np.nan)
    return out


def last_of(series: Series, before: tuple[int, float]) -> tuple[int, float]:
    """The last sample, or `before` where there is none."""
    return (int(series.t_us[-1]), float(series.values[-1])) if len(series.t_us) else before


def _with(waiting: Series | None, new: Column | None, before_us: int) -> Series:
    t_us, values = waiting or Series.empty()
    if new is None or not len(new[0]):
        return Series(t_us, values)
    is_late = new[0] < before_us
    fresh = new if not is_late.any() else (new[0][~is_late], new[1][~is_late])
    t_us, values = (np.append(t_us, fresh[0]), np.append(values, fresh[1])) if len(t_us) else fresh
    if bool((t_us[1:] < t_us[:-1]).any()):
        order = np.argsort(t_us, kind="stable")
        t_us, values = t_us[order], values[order]
    return Series(t_us, values)


def _split(series: Series, until_us: int) -> tuple[Series, Series]:
    cut = int(np.searchsorted(series.t_us, until_us, side="left"))
    t_us, values = series.t_us[:cut], series.values[:cut]
    is_last = np.append(t_us[1:] != t_us[:-1], True) if cut else np.empty(0, np.bool_)
    if not is_last.all():
        t_us, values = t_us[is_last], values[is_last]
    return Series(t_us, values), Series(series.t_us[cut:], series.values[cut:])
