"""Samples onto a regular time base: linear or previous by kind of channel, filtered when thinned; gaps stay gaps."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.model.channel import ChannelKind

LEAST_GAP_US: Final = 100_000
MOST_GAP_US: Final = 60_000_000
LONE_GAP_US: Final = 1_000_000
GAP_INTERVALS: Final = 5
THINNING: Final = 0.75
"""A channel is filtered when its usual interval is less than this part of the grid's step."""

_CELLS_PER_STEP: Final = 4
_KERNEL_STEPS: Final = 3
_KERNEL_CELLS: Final = _CELLS_PER_STEP * _KERNEL_STEPS

_Floats = NDArray[np.float64]
_Times = NDArray[np.int64]


def time_grid(from_us: int, to_us: int, rate_hz: float) -> _Times:
    """Times from `from_us` on, every 1/rate_hz, all before `to_us`: i64[n]. ValueError for a rate that is none."""
    if not 0 < rate_hz <= 1e6:
        raise ValueError(f"rate_hz must be above 0 and at most a million, not {rate_hz}")
    count = max(0, int(np.ceil((to_us - from_us) * rate_hz / 1e6)))
    grid: _Times = from_us + np.rint(np.arange(count) * (1e6 / rate_hz)).astype(np.int64)
    return grid[: int(np.searchsorted(grid, to_us))]


def gap_limit_us(t_us: _Times) -> int:
    """The longest pause between two samples that is not a gap: five usual intervals, at least 0.1 s, at most 60 s."""
    if len(t_us) < 2:
        return LONE_GAP_US
    return int(min(max(LEAST_GAP_US, GAP_INTERVALS * _interval_us(t_us)), MOST_GAP_US))


def resample(
    t_us: _Times, values: _Floats, grid_us: _Times, kind: ChannelKind, rate_hz: float, gap_us: int | None = None
) -> _Floats:
    """The values of a channel at the times of a regular grid of `rate_hz`: f64[len(grid_us)]; NaN where there is none.

    `t_us` does not decrease; of samples of one time the last counts. Discrete channels keep the value of the sample
    before, for at most `gap_us` (None: `gap_limit_us`). Continuous ones are linear between two samples not further
    apart than that; where the channel has clearly more samples than the grid, they are averaged with a raised cosine
    of three steps' width around each time (zero phase, no overshoot), over what is not a gap.
    A NaN sample is a gap up to its neighbours (discrete: until the next sample).
    """
    if len(t_us) == 0 or len(grid_us) == 0:
        return np.full(len(grid_us), np.nan)
    limit_us = gap_limit_us(t_us) if gap_us is None else gap_us
    is_last = np.append(t_us[1:] != t_us[:-1], True)
    t_us, values = t_us[is_last], values[is_last]
    if kind == "discrete":
        return _previous(t_us, values, grid_us, limit_us)
    if len(t_us) > 1 and _interval_us(t_us) < THINNING * 1e6 / rate_hz:
        return _filtered(t_us, values, grid_us, 1e6 / rate_hz, limit_us)
    return _linear(t_us, values, grid_us, limit_us)


def _interval_us(t_us: _Times) -> float:
    return float(np.median(np.diff(t_us)))


def _previous(t_us: _Times, values: _Floats, grid_us: _Times, gap_us: int) -> _Floats:
    before = np.searchsorted(t_us, grid_us, side="right") - 1
    at = np.maximum(before, 0)
    is_held = (before >= 0) & (grid_us - t_us[at] <= gap_us)
    return np.where(is_held, values[at], np.nan)


def _linear(t_us: _Times, values: _Floats, grid_us: _Times, gap_us: int) -> _Floats:
    before = np.searchsorted(t_us, grid_us, side="right") - 1
    left = np.clip(before, 0, len(t_us) - 1)
    is_exact = (before >= 0) & (t_us[left] == grid_us)
    right = np.minimum(left + 1, len(t_us) - 1)
    span_us = t_us[right] - t_us[left]
    is_between = (before >= 0) & (right > left) & (span_us <= gap_us)
    share = (grid_us - t_us[left]) / np.maximum(span_us, 1)
    with np.errstate(invalid="ignore"):  # the difference of two infinities is nothing, and so said
        between = values[left] + share * (values[right] - values[left])
    return np.where(is_exact, values[left], np.where(is_between, between, np.nan))


def _filtered(t_us: _Times, values: _Floats, grid_us: _Times, step_us: float, gap_us: int) -> _Floats:
    """Raised-cosine means of the linear interpolant.

    Its integral is known exactly between any two times, so irregular samples weigh what they should. Each step is cut
    into cells; a cell that is partly a gap weighs only its other part.
    """
    centre = _linear(t_us, values, grid_us, gap_us)
    middle = np.nanmean(values) if np.isfinite(values).any() else 0.0
    shifted = values - middle  # small integrals keep their digits
    is_covered = (np.diff(t_us) <= gap_us) & np.isfinite(values[1:]) & np.isfinite(values[:-1])
    widths = np.where(is_covered, np.diff(t_us), 0).astype(np.float64)
    with np.errstate(invalid="ignore"):
        areas = np.where(is_covered, 0.5 * (shifted[1:] + shifted[:-1]) * widths, 0.0)
    half = _KERNEL_CELLS // 2
    cell_us = step_us / _CELLS_PER_STEP
    weights = 1 + np.cos(np.pi * (np.arange(-half, half) + 0.5) / half)
    offsets_us = np.arange(-half, half + 1) * cell_us
    total, weight = np.zeros(len(grid_us)), np.zeros(len(grid_us))
    covered, area = np.append(0.0, np.cumsum(widths)), np.append(0.0, np.cumsum(areas))
    last_covered, last_area = None, None
    for number, offset_us in enumerate(offsets_us):
        now_covered, now_area = _integrals(t_us, shifted, is_covered, (covered, area), grid_us + offset_us)
        if last_covered is not None and last_area is not None:
            weight += weights[number - 1] * (now_covered - last_covered)
            total += weights[number - 1] * (now_area - last_area)
        last_covered, last_area = now_covered, now_area
    mean = middle + total / np.where(weight > 0, weight, 1.0)
    return np.where(np.isnan(centre), np.nan, np.where(weight > 1e-6 * step_us, mean, centre))


def _integrals(
    t_us: _Times,
    shifted: _Floats,
    is_covered: NDArray[np.bool_],
    sums: tuple[_Floats, _Floats],
    at_us: _Floats,
) -> tuple[_Floats, _Floats]:
    """Covered time and area under the interpolant from the first sample up to each time."""
    left = np.clip(np.searchsorted(t_us, at_us, side="right") - 1, 0, len(t_us) - 2)
    span_us = (t_us[left + 1] - t_us[left]).astype(np.float64)
    into_us = np.where(is_covered[left], np.clip(at_us - t_us[left], 0.0, span_us), 0.0)
    with np.errstate(invalid="ignore"):
        value = shifted[left] + 0.5 * (into_us / span_us) * (shifted[left + 1] - shifted[left])
    part = np.where(into_us > 0, value * into_us, 0.0)
    return sums[0][left] + into_us, sums[1][left] + part
