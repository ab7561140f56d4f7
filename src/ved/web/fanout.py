"""From a flush of frames to the increments of every viewer: decoded once, cut into buckets once per rate, and the bytes
of a column (and of a whole message, where viewers ask for the same) made once.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ved.analysis.decimate import Buckets, bucket_columns
from ved.analysis.series import Series
from ved.api.decoding import Piece
from ved.api.samples import channel_of
from ved.codec.live import MAX_TICKS, LiveColumn, LiveHeader, LiveKind, encode_column, encode_message
from ved.dbc.decode import Decoder
from ved.model.channel import Channel
from ved.model.frames import FrameColumns
from ved.model.samples import SampleBatch
from ved.web.subscription import Subscription
from ved.web.vehicle import EpochFeed, VehicleFeed

MAX_PLANS: Final = 8


class Fanout:
    """The subscriptions to one vehicle, and what each decoder must decode for them."""

    def __init__(self, feed: VehicleFeed) -> None:
        self._feed = feed
        self.subscriptions: set[Subscription] = set()
        self._plans: dict[Decoder, _Plan] = {}

    def add(self, subscription: Subscription) -> None:
        """From the next flush on, this subscription gets increments."""
        self.subscriptions.add(subscription)
        self._plans.clear()

    def remove(self, subscription: Subscription) -> None:
        """No more increments for this subscription."""
        self.subscriptions.discard(subscription)
        self._plans.clear()

    def publish(self, epoch: EpochFeed, frames: FrameColumns) -> int:
        """Give the frames of one epoch to all who watch; returns the number of messages.

        Frames that lie before a subscription's window are not sent to it. The epoch must have a clock.
        """
        if not self.subscriptions or not len(frames):
            return 0
        assert epoch.offset_us is not None
        low_us = int(frames.t_us.min()) + epoch.offset_us
        high_us = int(frames.t_us.max()) + epoch.offset_us
        if high_us - low_us > MAX_TICKS:
            is_early = frames.t_us < (low_us + high_us) // 2 - epoch.offset_us
            return self.publish(epoch, frames.take(is_early)) + self.publish(epoch, frames.take(~is_early))
        pieces = epoch.decoding.between(low_us, high_us + 1)
        if len(pieces) > 1:
            return self._publish_pieces(epoch, frames, frames.t_us + epoch.offset_us, pieces)
        decoder = pieces[0].decoder
        plan = self._plan_for(decoder)
        if not plan.wanted.any():
            return 0
        decoded = decoder.decode(frames, plan.wanted)
        utc_us = decoded.t_us + epoch.offset_us
        if not len(utc_us):
            return 0
        return self._send_columns(plan, _Columns(decoded.starts, utc_us, decoded.values))

    def publish_samples(self, batch: SampleBatch, offset_us: int) -> int:
        """Give samples of an epoch with this clock to all who watch them; returns the number of messages."""
        numbers = {one.name: at for at, one in enumerate(batch.channels)}
        plan = _Plan(self._feed, [channel_of(one) for one in batch.channels], numbers, self.subscriptions)
        if not plan.wanted.any():
            return 0
        rows = np.flatnonzero(plan.wanted[batch.samples.channel])
        rows = rows[np.argsort(batch.samples.channel[rows], kind="stable")]
        if not len(rows):
            return 0
        samples = batch.samples.take(rows)
        utc_us = samples.t_us + offset_us
        high_us = int(utc_us.max())
        if high_us - int(utc_us.min()) > MAX_TICKS:
            return 0  # hours in one record: the window brings them
        starts = np.searchsorted(samples.channel, np.arange(len(batch.channels) + 1))
        return self._send_columns(plan, _Columns(starts.astype(np.int64), utc_us, samples.value))

    def publish_series(self, channels: Sequence[Channel], series: Sequence[Series]) -> int:
        """Give new samples (UTC) of computed channels to all who watch them; returns the number of messages."""
        plan = _Plan(self._feed, channels, {one.name: at for at, one in enumerate(channels)}, self.subscriptions)
        utc_us = np.concatenate([one.t_us for one in series])
        if not plan.wanted.any() or not len(utc_us) or int(utc_us.max()) - int(utc_us.min()) > MAX_TICKS:
            return 0
        starts = np.cumsum([0, *(len(one.t_us) for one in series)], dtype=np.int64)
        return self._send_columns(plan, _Columns(starts, utc_us, np.concatenate([one.values for one in series])))

    def _send_columns(self, plan: "_Plan", columns: "_Columns") -> int:
        low_us, high_us = int(columns.utc_us.min()), int(columns.utc_us.max())
        self._feed.sequence += 1
        edge_us = high_us if self._feed.edge_utc_us is None else self._feed.edge_utc_us
        sent = 0
        for bucket_us, viewers in plan.by_bucket.items():
            wanting = [one for one in viewers if high_us >= edge_us - one.window_us and low_us >= one.allowed[0]]
            if wanting:
                sent += self._send(_Flush(plan, columns, bucket_us, self._feed.sequence), wanting)
        return sent

    def _publish_pieces(
        self, epoch: EpochFeed, frames: FrameColumns, utc_us: NDArray[np.int64], pieces: Sequence[Piece]
    ) -> int:
        """Other DBCs begin to hold within these frames: each piece by itself."""
        return sum(
            self.publish(epoch, frames.take((one.utc_from_us <= utc_us) & (utc_us < one.utc_to_us))) for one in pieces
        )

    def _send(self, flush: "_Flush", viewers: Iterable[Subscription]) -> int:
        sent = 0
        for viewer in viewers:
            data = flush.message_for(viewer)
            if data is not None:
                viewer.outbox.put_increment(viewer.watch.id, data, flush.low_us, flush.high_us)
                sent += 1
        return sent

    def _plan_for(self, decoder: Decoder) -> "_Plan":
        plan = self._plans.get(decoder)
        if plan is None:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            numbers = decoder.dbc_set.numbers
            plan = self._plans[decoder] = _Plan(self._feed, decoder.channels, numbers, self.subscriptions)
        return plan


class _Plan:
    """Which channels of a decoder (or of a batch of samples) are wanted, and by whom at which bucket width."""

    def __init__(
        self,
        feed: VehicleFeed,
        channels: Sequence[Channel],
        numbers: Mapping[str, int],
        subscriptions: Iterable[Subscription],
    ) -> None:
        self.channels = channels
        self.wanted: NDArray[np.bool_] = np.zeros(len(channels), np.bool_)
        self.by_bucket: dict[int, list[Subscription]] = defaultdict(list)
        self.wishes: dict[tuple[str, ...], tuple[tuple[int, int], ...]] = {}
        """Asked names -> (index in `channels`, number on the wire) of each that is there."""
        for one in subscriptions:
            self.by_bucket[one.bucket_us].append(one)
            if one.channels not in self.wishes:
                found = [(feed.aliases.index(numbers, name), name) for name in one.channels]
                self.wishes[one.channels] = tuple(
                    (index, feed.number_of(name)) for index, name in found if index is not None
                )
        for wishes in self.wishes.values():
            for index, _ in wishes:
                self.wanted[index] = True


class _Columns(NamedTuple):
    """Samples by channel: those of channel k are rows starts[k]..starts[k + 1] - 1."""

    starts: NDArray[np.int64]
    utc_us: NDArray[np.int64]
    values: NDArray[np.float64]


class _Flush:
    """One flush at one bucket width; columns and messages are encoded when the first viewer wants them."""

    def __init__(self, plan: _Plan, columns: _Columns, bucket_us: int, sequence: int) -> None:
        self._plan = plan
        starts, self._buckets = bucket_columns(*columns, bucket_us)
        self._starts: list[int] = starts.tolist()
        self._samples: list[int] = np.diff(columns.starts).tolist()
        self.low_us = int(columns.utc_us.min())
        self.high_us = int(columns.utc_us.max())
        self._sequence = sequence
        self._columns: dict[tuple[int, int], bytes] = {}
        self._messages: dict[tuple[int, tuple[str, ...]], bytes | None] = {}

    def message_for(self, viewer: Subscription) -> bytes | None:
        """The increment for one viewer, or None when it holds nothing."""
        key = (viewer.watch.id, viewer.channels)
        if key not in self._messages:
            self._messages[key] = self._encode(viewer.watch.id, self._plan.wishes[viewer.channels])
        return self._messages[key]

    def _encode(self, subscription: int, wishes: Sequence[tuple[int, int]]) -> bytes | None:
        columns = [self._column(*wish) for wish in wishes if self._starts[wish[0]] < self._starts[wish[0] + 1]]
        if not columns:
            return None
        header = LiveHeader(LiveKind.INCREMENT, subscription, self.low_us, 1, self._sequence)
        return encode_message(header, columns)

    def _column(self, index: int, number: int) -> bytes:
        known = self._columns.get((index, number))
        if known is None:
            part = self._buckets.slice(self._starts[index], self._starts[index + 1])
            has_range = len(part.t_us) < self._samples[index]
            column = live_column(number, part, self._plan.channels[index].is_wide, has_range)
            known = self._columns[index, number] = encode_column(column, self.low_us, 1)
        return known


def live_column(number: int, part: Buckets, is_wide: bool, has_range: bool) -> LiveColumn:
    """Buckets as a column of a message; without `has_range` minimum and maximum are left out."""
    if not has_range:
        return LiveColumn(number, part.t_us, part.last, is_wide=is_wide)
    return LiveColumn(number, part.t_us, part.last, part.minimum, part.maximum, is_wide)
