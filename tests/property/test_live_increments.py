"""Merging the entries of any cut of the samples, in any order and more than once, gives the summary of all samples."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.analysis.decimate import Buckets, buckets, merge
from ved.codec.live import LiveColumn, LiveHeader, LiveKind, decode_message, encode_column, encode_message

VALUES = st.one_of(st.floats(-1e6, 1e6, width=32), st.just(math.nan))
SAMPLES = st.lists(st.tuples(st.integers(-50, 500), VALUES), max_size=60, unique_by=lambda sample: sample[0])


def model(samples, bucket_us):
    """Per sample, in plain Python: bucket -> (time of last, minimum, maximum, last)."""
    out = {}
    for t, v in sorted(samples, key=lambda sample: sample[0]):
        _, low, high, _ = out.get(t // bucket_us, (t, math.nan, math.nan, v))
        if not math.isnan(v):
            low = v if math.isnan(low) else min(low, v)
            high = v if math.isnan(high) else max(high, v)
        out[t // bucket_us] = (t, low, high, v)
    return out


def shown(result: Buckets, bucket_us):
    return {
        int(t) // bucket_us: (int(t), float(low), float(high), float(last))
        for t, low, high, last in zip(result.t_us, result.minimum, result.maximum, result.last, strict=True)
    }


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key], equal_nan=True) for key in a)


def arrays(samples):
    return np.array([t for t, _ in samples], np.int64), np.array([v for _, v in samples], np.float64)


@settings(max_examples=200)
@given(SAMPLES, st.integers(1, 80), st.data())
def test_any_cut_in_any_order_with_repeats(samples, bucket_us, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(samples)), max_size=5)))
    parts = [samples[a:b] for a, b in zip([0, *cuts], [*cuts, len(samples)], strict=True)]
    order = data.draw(st.permutations(range(len(parts))))
    repeats = data.draw(st.lists(st.sampled_from(range(len(parts))), max_size=3))
    total = Buckets.empty()
    for k in [*order, *repeats]:
        total = merge(total, buckets(*arrays(parts[k]), bucket_us), bucket_us)
    assert same(shown(total, bucket_us), model(samples, bucket_us))


@settings(max_examples=100)
@given(SAMPLES.filter(bool), st.sampled_from([1000, 5000, 33_000]), st.sampled_from([1, 1000]), st.booleans())
def test_the_wire_keeps_values_and_buckets(samples, bucket_us, tick_us, is_wide):
    summary = buckets(*arrays([(t * 777, v) for t, v in samples]), bucket_us)
    base = int(summary.t_us[0]) // tick_us * tick_us
    column = LiveColumn(4, summary.t_us, summary.last, summary.minimum, summary.maximum, is_wide)
    header = LiveHeader(LiveKind.INCREMENT, 3, base, tick_us, 1)
    back = decode_message(encode_message(header, [encode_column(column, base, tick_us)])).columns[0]
    assert np.array_equal(back.t_utc_us // bucket_us, summary.t_us // bucket_us)
    assert np.array_equal(back.t_utc_us, summary.t_us // tick_us * tick_us)
    assert np.array_equal(back.last, summary.last, equal_nan=True)
    assert back.minimum is not None
    assert back.maximum is not None
    assert np.array_equal(back.minimum, summary.minimum, equal_nan=True)
    assert np.array_equal(back.maximum, summary.maximum, equal_nan=True)
