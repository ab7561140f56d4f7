import numpy as np
import pytest

from ved.analysis.decimate import Buckets, bucket_columns, buckets, merge


def cut(t, v, bucket_us=10):
    return buckets(np.array(t, np.int64), np.array(v, np.float64), bucket_us)


def rows(result: Buckets):
    return list(
        zip(
            result.t_us.tolist(),
            result.minimum.tolist(),
            result.maximum.tolist(),
            result.last.tolist(),
            strict=True,
        )
    )


def test_a_spike_inside_a_bucket_stays():
    assert rows(cut([0, 3, 9, 10, 25], [1, 99, 2, 3, 4])) == [(9, 1, 99, 2), (10, 3, 3, 3), (25, 4, 4, 4)]


def test_grid_is_floor_also_before_zero():
    assert rows(cut([-11, -10, -1, 0], [1, 2, 3, 4])) == [(-11, 1, 1, 1), (-1, 2, 3, 3), (0, 4, 4, 4)]


def test_nan_counts_only_alone():
    result = cut([0, 1, 10, 20, 21], [np.nan, 5, np.nan, 7, np.nan])
    assert result.minimum[[0, 2]].tolist() == [5, 7]
    assert result.maximum[[0, 2]].tolist() == [5, 7]
    assert np.isnan([result.minimum[1], result.maximum[1], result.last[1], result.last[2]]).all()
    assert result.last[0] == 5


def test_unordered_samples_are_sorted_and_ties_keep_arrival_order():
    assert rows(cut([5, 3, 5, 12], [1, 2, 3, 4])) == [(5, 1, 3, 3), (12, 4, 4, 4)]


def test_nothing_in_nothing_out():
    assert rows(cut([], [])) == []


def test_columns_do_not_mix():
    starts = np.array([0, 0, 2, 2, 4, 4], np.int64)
    t = np.array([8, 9, 1, 2], np.int64)
    out, result = bucket_columns(starts, t, np.array([1.0, 2.0, 3.0, 4.0]), 10)
    assert out.tolist() == [0, 0, 1, 1, 2, 2]
    assert rows(result) == [(9, 1, 2, 2), (2, 3, 4, 4)]


def test_columns_share_a_bucket_at_the_border():
    out, result = bucket_columns(np.array([0, 1, 2]), np.array([1, 1]), np.array([5.0, 6.0]), 10)
    assert out.tolist() == [0, 1, 2]
    assert rows(result) == [(1, 5, 5, 5), (1, 6, 6, 6)]


def test_unordered_columns_are_sorted_each():
    starts = np.array([0, 2, 4])
    _, result = bucket_columns(starts, np.array([9, 8, 2, 1]), np.array([1.0, 2.0, 3.0, 4.0]), 1)
    assert rows(result) == [(8, 2, 2, 2), (9, 1, 1, 1), (1, 4, 4, 4), (2, 3, 3, 3)]


def test_merge_takes_the_newer_at_the_same_time():
    assert rows(merge(cut([5], [1]), cut([5], [2]), 10)) == [(5, 1, 2, 2)]
    assert rows(merge(cut([5], [1]), Buckets.empty(), 10)) == [(5, 1, 1, 1)]


def test_bad_arguments():
    with pytest.raises(ValueError, match="bucket_us"):
        cut([1], [1], 0)
    with pytest.raises(ValueError, match="length"):
        buckets(np.zeros(2, np.int64), np.zeros(1), 1)
