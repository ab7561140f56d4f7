"""Resampling: against a plain model, and the properties that people rely on."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.analysis.resample import gap_limit_us, resample, time_grid

steps = st.lists(st.integers(0, 400_000), min_size=1, max_size=40)
kinds = st.sampled_from(["continuous", "discrete"])


def samples_of(gaps: list[int], seed: int, *, with_nan: bool = True) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    t_us = np.cumsum(np.array(gaps, np.int64))
    values = rng.integers(-50, 50, len(t_us)).astype(float)
    if with_nan:
        values[rng.random(len(t_us)) < 0.1] = np.nan
    return t_us, values


def model(samples: list[tuple[int, float]], now: int, kind: str, gap_us: int) -> float:
    """One value, looked up the slow way."""
    last = dict(samples)
    before = [t for t in last if t <= now]
    after = [t for t in last if t > now]
    if not before:
        return math.nan
    left = max(before)
    if kind == "discrete":
        return last[left] if now - left <= gap_us else math.nan
    if left == now:
        return last[left]
    if not after or min(after) - left > gap_us:
        return math.nan
    right = min(after)
    return last[left] + (now - left) / (right - left) * (last[right] - last[left])


@settings(max_examples=60, deadline=None)
@given(steps, st.integers(0, 1000), kinds, st.integers(1, 800_000))
def test_without_thinning_it_is_the_model(gaps, seed, kind, gap_us):
    t_us, values = samples_of(gaps, seed)
    rate_hz = 1e6 / max(1.0, float(np.median(np.diff(t_us))) if len(t_us) > 1 else 1.0)
    grid = np.sort(np.r_[np.random.default_rng(seed).integers(-5, t_us[-1] + 9, 30), t_us[:5]])
    found = resample(t_us, values, grid, kind, max(rate_hz, 1e-3), gap_us)
    pairs = list(zip(t_us.tolist(), values.tolist(), strict=True))
    np.testing.assert_allclose(found, [model(pairs, now, kind, gap_us) for now in grid.tolist()], atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(steps, st.integers(0, 1000), st.floats(0.5, 20), st.integers(1, 800_000))
def test_a_thinned_channel_stays_in_its_range_and_has_values_where_the_interpolant_has(gaps, seed, rate_hz, gap_us):
    t_us, values = samples_of(gaps, seed)
    grid = time_grid(0, int(t_us[-1]) + 1, rate_hz)
    found = resample(t_us, values, grid, "continuous", rate_hz, gap_us)
    pairs = list(zip(t_us.tolist(), values.tolist(), strict=True))
    expected = np.array([model(pairs, now, "continuous", gap_us) for now in grid.tolist()])
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    kept = found[~np.isnan(found)]
    if len(kept):
        assert kept.min() >= np.nanmin(values) - 1e-6
        assert kept.max() <= np.nanmax(values) + 1e-6


def test_a_ramp_stays_a_ramp_and_a_constant_a_constant():
    t_us = np.cumsum(np.random.default_rng(1).integers(3_000, 9_000, 5_000)).astype(np.int64)
    grid = time_grid(int(t_us[0]), int(t_us[-1]), 10)
    ramp = resample(t_us, 1e6 + 3e-3 * t_us, grid, "continuous", 10)
    inside = slice(2, -2)
    np.testing.assert_allclose(ramp[inside], (1e6 + 3e-3 * grid)[inside], rtol=1e-9)
    np.testing.assert_allclose(resample(t_us, np.full(5_000, 7.25), grid, "continuous", 10)[:-1], 7.25, rtol=1e-12)


@pytest.mark.parametrize(("tone_hz", "least", "most"), [(0.5, 0.95, 1.0), (9.0, 0.0, 0.03), (23.0, 0.0, 0.03)])
def test_what_the_new_rate_cannot_carry_is_filtered_out(tone_hz, least, most):
    """From 200 Hz to 10 Hz: 9 Hz would show up as 1 Hz, 23 Hz as 3 Hz."""
    t_us = np.arange(0, 20_000_000, 5_000)
    tone = np.sin(2 * np.pi * tone_hz * t_us / 1e6)
    grid = time_grid(1_000_000, 19_000_000, 10)
    found = resample(t_us, tone, grid, "continuous", 10)
    assert least <= np.abs(found).max() <= most


def test_gaps_stay_gaps_and_the_limit_follows_the_channel():
    t_us = np.r_[np.arange(0, 1_000_000, 10_000), np.arange(3_000_000, 4_000_000, 10_000)]
    assert gap_limit_us(t_us) == 100_000
    assert gap_limit_us(t_us[:1]) == 1_000_000
    assert gap_limit_us(np.arange(0, 10_000_000, 1_000_000)) == 5_000_000
    assert gap_limit_us(np.arange(0, 1_000_000_000, 100_000_000)) == 60_000_000
    for kind, rate in (("continuous", 100), ("continuous", 10), ("discrete", 100)):
        grid = time_grid(0, 4_000_000, rate)
        found = resample(t_us, np.ones(len(t_us)), grid, kind, rate)
        assert np.isnan(found[(grid > 1_100_000) & (grid < 3_000_000)]).all()
        assert (found[(grid < 990_000) | ((grid >= 3_000_000) & (grid <= 3_990_000))] == 1).all()


def test_nothing_gives_nothing_and_the_last_of_equal_times_counts():
    none = np.empty(0, np.int64)
    assert np.isnan(resample(none, np.empty(0), np.arange(3), "continuous", 10)).all()
    assert len(resample(np.arange(3), np.ones(3), none, "discrete", 10)) == 0
    found = resample(np.array([0, 10, 10, 20]), np.array([0.0, 1, 5, 9]), np.array([10, 15]), "continuous", 2e5)
    assert found.tolist() == [5.0, 7.0]


@settings(max_examples=40, deadline=None)
@given(st.integers(-(10**15), 10**15), st.integers(-5, 10**7), st.floats(0.1, 1000))
def test_a_grid_begins_at_its_start_and_ends_before_its_end(start, span, rate_hz):
    grid = time_grid(start, start + span, rate_hz)
    if span <= 0:
        assert len(grid) == 0
        return
    assert grid[0] == start
    assert grid[-1] < start + span <= grid[-1] + 1e6 / rate_hz + 1
    assert (np.abs(np.diff(grid) - 1e6 / rate_hz) <= 1).all()


@pytest.mark.parametrize("rate_hz", [0, -1, float("nan"), 2e6])
def test_a_rate_must_be_one(rate_hz):
    with pytest.raises(ValueError, match="rate_hz"):
        time_grid(0, 10, rate_hz)
