"""What viewers get of a flush, with a real DBC and the real codec."""

import asyncio

import numpy as np
import pytest

from ved.analysis.decimate import Buckets, buckets, merge
from ved.api.decoding import decoding_of_sources
from ved.codec.live import MAX_TICKS, LiveKind, decode_message
from ved.dbc.load import DbcSource
from ved.model.clockmap import ClockPair
from ved.model.frames import FrameColumns
from ved.model.records import ClockSource
from ved.web.fanout import Fanout
from ved.web.messages import Watch
from ved.web.outbox import Outbox
from ved.web.subscription import Subscription
from ved.web.vehicle import EpochFeed, VehicleFeed

DBC = """VERSION ""
BU_: X
BO_ 256 Fast: 8 X
 SG_ a : 0|16@1- (1,0) [0|0] "V" X
 SG_ b : 16|32@1- (0.5,0) [0|0] "" X
BO_ 512 Slow: 8 X
 SG_ c : 0|8@1+ (1,0) [0|0] "" X
"""
OFFSET_US = 1_700_000_000_000_000


@pytest.fixture(scope="module")
def decoding():
    return decoding_of_sources(DbcSource(None, "", "t.dbc", DBC))


def frames(t, arbitration_id, values):
    n = len(t)
    payload = np.zeros((n, 8), np.uint8)
    payload[:, :2] = np.array(values, "<i2").reshape(n, 1).view(np.uint8)
    return FrameColumns(
        np.array(t, np.int64),
        np.zeros(n, np.uint8),
        np.full(n, arbitration_id, np.uint32),
        np.zeros(n, np.uint8),
        np.full(n, 8, np.uint8),
        payload,
    )


class Bench:
    def __init__(self, decoding):
        self.feed = VehicleFeed("fs", 0)
        self.epoch = EpochFeed(b"e" * 16, decoding, {ClockPair(0, OFFSET_US, ClockSource.HOST)})
        self.fanout = Fanout(self.feed)

    def watch(self, *channels, rate_hz=100, window_s=60, subscription=1):
        one = Subscription(
            Watch(
                type="watch",
                id=subscription,
                vehicle="fs",
                channels=list(channels),
                rate_hz=rate_hz,
                window_s=window_s,
            ),
            Outbox(),
        )
        self.fanout.add(one)
        return one

    def publish(self, columns):
        high_us = int(columns.t_us.max()) + OFFSET_US
        self.feed.edge_utc_us = max(high_us, self.feed.edge_utc_us or 0)
        return self.fanout.publish(self.epoch, columns)


def taken(subscription):
    async def drain():
        out = []
        while subscription.outbox._items:
            out.append(await subscription.outbox.take())
        return out

    return asyncio.run(drain())


def decoded(subscription):
    return [decode_message(data) for data in taken(subscription)]


def test_an_increment_carries_the_watched_channels_alone(decoding):
    bench = Bench(decoding)
    viewer = bench.watch("Fast.a", "Slow.c")
    bench.publish(frames([0, 5_000, 15_000], 256, [1, 9, 3]))
    (message,) = decoded(viewer)
    assert message.header.kind == LiveKind.INCREMENT
    assert message.header.subscription == 1
    (column,) = message.columns
    assert column.channel == bench.feed.number_of("Fast.a")
    assert (column.t_utc_us - OFFSET_US).tolist() == [5_000, 15_000]
    assert column.last.tolist() == [9, 3]
    assert column.minimum.tolist() == [1, 3]
    assert column.maximum.tolist() == [9, 3]


def test_no_range_where_every_bucket_has_one_sample(decoding):
    bench = Bench(decoding)
    viewer = bench.watch("Fast.a")
    bench.publish(frames([0, 10_000], 256, [1, 2]))
    assert decoded(viewer)[0].columns[0].minimum is None


def test_viewers_with_the_same_wish_share_the_bytes(decoding):
    bench = Bench(decoding)
    viewers = [bench.watch("Fast.a") for _ in range(3)]
    other = bench.watch("Fast.a", subscription=2)
    assert bench.publish(frames([0], 256, [1])) == 4
    first, *rest = [taken(one)[0] for one in viewers]
    assert all(data is first for data in rest)
    assert decode_message(taken(other)[0]).header.subscription == 2


def test_each_viewer_has_its_own_rate(decoding):
    bench = Bench(decoding)
    fast, slow = bench.watch("Fast.a"), bench.watch("Fast.a", rate_hz=1)
    bench.publish(frames([0, 20_000, 40_000], 256, [5, -7, 6]))
    assert len(decoded(fast)[0].columns[0].last) == 3
    (column,) = decoded(slow)[0].columns
    assert (column.last.tolist(), column.minimum.tolist(), column.maximum.tolist()) == ([6], [-7], [6])


def test_nothing_watched_nothing_sent(decoding):
    bench = Bench(decoding)
    viewer = bench.watch("Slow.c")
    nobody = bench.watch("No.such")
    assert bench.publish(frames([0], 256, [1])) == 0
    assert taken(viewer) == taken(nobody) == []


def test_a_removed_viewer_gets_no_more(decoding):
    bench = Bench(decoding)
    viewer = bench.watch("Fast.a")
    bench.fanout.remove(viewer)
    assert bench.publish(frames([0], 256, [1])) == 0


def test_late_data_goes_to_those_whose_window_it_is_in(decoding):
    bench = Bench(decoding)
    short, long = bench.watch("Fast.a", window_s=10), bench.watch("Fast.a", window_s=60, subscription=2)
    bench.publish(frames([100_000_000], 256, [1]))
    taken(short)
    taken(long)
    bench.publish(frames([70_000_000], 256, [2]))
    assert taken(short) == []
    assert decoded(long)[0].columns[0].last.tolist() == [2]


def test_a_batch_longer_than_a_message_can_span_is_split(decoding):
    bench = Bench(decoding)
    viewer = bench.watch("Fast.a", window_s=86_400)
    t = np.linspace(0, 3 * MAX_TICKS, 10).astype(np.int64)
    bench.publish(frames(t, 256, range(10)))
    messages = decoded(viewer)
    assert len(messages) > 3
    assert [v for message in messages for v in message.columns[0].last] == list(range(10))


def test_any_cut_into_batches_gives_the_same_summary(decoding):
    rng = np.random.default_rng(1)
    t = np.sort(rng.integers(0, 3_000_000, 900))
    values = rng.integers(-1000, 1000, 900)
    for rate_hz in (1, 7, 100):
        for cuts in ([], [1], [450], sorted(rng.integers(0, 900, 30).tolist())):
            bench = Bench(decoding)
            viewer = bench.watch("Fast.a", rate_hz=rate_hz)
            for part in np.split(np.arange(900), cuts):
                if len(part):
                    bench.publish(frames(t[part], 256, values[part]))
            total = Buckets.empty()
            for message in decoded(viewer):
                (column,) = message.columns
                low = column.last if column.minimum is None else column.minimum
                high = column.last if column.maximum is None else column.maximum
                total = merge(total, Buckets(column.t_utc_us, low, high, column.last), viewer.bucket_us)
            expected = buckets(t + OFFSET_US, values.astype(np.float64), viewer.bucket_us)
            for ours, theirs in zip(total, expected, strict=True):
                assert np.array_equal(ours, theirs)
