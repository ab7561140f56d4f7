import itertools

import numpy as np
import pytest

from ved.analysis.decimate import Buckets
from ved.codec.live import decode_message
from ved.web.limits import HISTORY_MESSAGE_BYTES
from ved.web.past import Answer, Numbering, Window, history_messages, slices


def column(t, values=None):
    t_us = np.array(t, np.int64)
    last = np.zeros(len(t)) if values is None else np.array(values, np.float64)
    return Buckets(t_us, last, last, last)


@pytest.mark.parametrize(("seconds", "bucket_us"), [(1, 10_000), (60, 33_333), (3600, 1_000_000), (86_400, 7_200_000)])
def test_slices_cover_the_window_once_newest_first(seconds, bucket_us):
    edge_us = 1_700_000_000_123_456
    from_us = (edge_us - seconds * 1_000_000) // bucket_us * bucket_us
    parts = list(slices(Window("fs", ("a",), from_us, edge_us + 1, bucket_us)))
    assert parts[0].utc_to_us == edge_us + 1
    assert parts[-1].utc_from_us == from_us
    for newer, older in itertools.pairwise(parts):
        assert older.utc_to_us == newer.utc_from_us
        assert newer.utc_from_us % bucket_us == 0
    assert all(part.utc_from_us < part.utc_to_us and part.channels == ("a",) for part in parts)


def test_no_window_no_slices():
    assert list(slices(Window("fs", (), 0, 0, 1000))) == []


def decoded(answer, found, *, is_last):
    return [decode_message(data) for data in history_messages(answer, found, is_last=is_last)]


ANSWER = Answer(7, 42, {"a": Numbering(3, is_wide=False), "b": Numbering(9, is_wide=True)})


def test_columns_share_a_base_and_keep_their_numbers():
    found = {"a": column([2000, 5000], [1, 2]), "b": column([1000], [0.1]), "c": column([1]), "d": column([])}
    (message,) = decoded(ANSWER, found, is_last=True)
    assert (message.header.subscription, message.header.sequence) == (7, 42)
    assert message.header.is_last_history
    assert message.header.base_utc_us == 1000
    assert {one.channel: one.last.tolist() for one in message.columns} == {3: [1, 2], 9: [0.1]}
    assert [one.is_wide for one in message.columns] == [False, True]
    assert message.columns[0].minimum is None


def test_a_range_is_told_where_there_is_one():
    one = column([1, 2], [1, 2])
    (message,) = decoded(ANSWER, {"a": one._replace(minimum=np.array([0.0, 2.0]))}, is_last=False)
    assert message.columns[0].minimum.tolist() == [0, 2]
    assert not message.header.is_last_history


def test_nothing_is_one_last_message_or_none():
    assert decoded(ANSWER, {"a": column([])}, is_last=False) == []
    (message,) = decoded(ANSWER, {}, is_last=True)
    assert (message.columns, message.header.is_last_history) == ((), True)


def test_much_is_many_small_messages_and_the_last_is_marked():
    """A page hears nothing while a message is under way: on a slow link a large one would look like a dead server."""
    answer = Answer(1, 0, {str(k): Numbering(k, is_wide=k == 3) for k in range(20)})
    t = np.arange(12_000) * 1000
    found = {str(k): column(t, t + k) for k in range(20)}
    messages = list(history_messages(answer, found, is_last=True))
    assert max(len(data) for data in messages) <= HISTORY_MESSAGE_BYTES + 40 <= 17_000
    decoded_messages = [decode_message(data) for data in messages]
    assert [one.header.is_last_history for one in decoded_messages] == [False] * (len(messages) - 1) + [True]
    for k in range(20):
        parts = [one for message in decoded_messages for one in message.columns if one.channel == k]
        assert np.array_equal(np.concatenate([one.t_utc_us for one in parts]), t)
        assert np.array_equal(np.concatenate([one.last for one in parts]), t + k)


def test_many_channels_with_little_each_share_messages():
    answer = Answer(1, 0, {str(k): Numbering(k, is_wide=False) for k in range(200)})
    messages = list(history_messages(answer, {str(k): column([1000 * k]) for k in range(200)}, is_last=True))
    assert len(messages) == 1


def test_a_span_of_more_than_an_hour_takes_coarse_ticks():
    t = [1_234, 4_000_000_000_567]
    (message,) = decoded(ANSWER, {"a": column(t)}, is_last=True)
    assert message.header.tick_us == 1000
    assert message.columns[0].t_utc_us.tolist() == [1000, 4_000_000_000_000]
