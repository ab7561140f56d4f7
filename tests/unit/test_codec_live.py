import numpy as np
import pytest

from ved.codec.live import LiveColumn, LiveHeader, LiveKind, decode_message, encode_column, encode_message, tick_for


def column(t, values, **more):
    return LiveColumn(1, np.array(t, np.int64), np.array(values, np.float64), **more)


def test_ticks():
    assert tick_for(0) == 1
    assert tick_for(2**32 - 1) == 1
    assert tick_for(2**32) == 1000
    with pytest.raises(ValueError, match="span"):
        tick_for(2**32 * 1000)


def test_time_before_the_base_is_refused():
    with pytest.raises(ValueError, match="time"):
        encode_column(column([99], [1.0]), 100, 1)
    with pytest.raises(ValueError, match="time"):
        encode_column(column([100 + 2**32], [1.0]), 100, 1)


def test_base_off_the_tick_is_refused():
    with pytest.raises(ValueError, match="multiple"):
        encode_message(LiveHeader(LiveKind.HISTORY, 1, 1001, 1000, 0), [])


def test_subscription_out_of_range_is_refused():
    with pytest.raises(ValueError, match="range"):
        encode_message(LiveHeader(LiveKind.HISTORY, 65_536, 0, 1, 0), [])


def test_a_coarse_tick_rounds_down():
    header = LiveHeader(LiveKind.HISTORY, 1, 0, 1000, 0)
    message = decode_message(encode_message(header, [encode_column(column([1999, 2000], [1.0, 2.0]), 0, 1000)]))
    assert message.columns[0].t_utc_us.tolist() == [1000, 2000]


def test_too_large_for_f32_becomes_infinite():
    header = LiveHeader(LiveKind.INCREMENT, 1, 0, 1, 0)
    message = decode_message(encode_message(header, [encode_column(column([1], [1e300]), 0, 1)]))
    assert message.columns[0].last.tolist() == [np.inf]


def test_a_signalling_nan_goes_over_as_a_nan():
    header = LiveHeader(LiveKind.INCREMENT, 1, 0, 1, 0)
    values = np.array([0x7FF0000000000001], np.uint64).view(np.float64)
    data = bytearray(encode_message(header, [encode_column(LiveColumn(1, np.array([1]), values), 0, 1)]))
    assert np.isnan(decode_message(bytes(data)).columns[0].last[0])
    data[48:52] = 0x7F800001.to_bytes(4, "little")
    assert np.isnan(decode_message(bytes(data)).columns[0].last[0])
