"""Who watches which vehicle: keeps the feeds and the subscriptions together, and answers new ones with their window."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from ved.analysis.maths.liverun import LiveRun
from ved.analysis.series import Series
from ved.api.history import History
from ved.api.registry import load_registry
from ved.api.samples import NO_ID, channel_of
from ved.db.database import Database
from ved.db.epochs import clock_pairs, list_epochs
from ved.db.maths import list_maths
from ved.db.people import User
from ved.db.sessions import find_session
from ved.db.vehicles import get_vehicle
from ved.errors import StorageError, VedError
from ved.lake.lake import Lake
from ved.metrics import VIEWER_MESSAGES_TOTAL, Counters
from ved.model.aliases import Aliases
from ved.model.channel import Channel
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.maths import MathsDef
from ved.model.samples import SampleBatch, SampleChannel
from ved.web import messages
from ved.web.clock import monotonic_us
from ved.web.fanout import Fanout
from ved.web.guests import hidden_from
from ved.web.livemaths import LiveMaths, Wish
from ved.web.outbox import Outbox
from ved.web.past import Answer, Numbering, Window, YoungEpoch, history_messages, read_window, slices, stored_edge
from ved.web.subscription import Subscription
from ved.web.trace import Traces
from ved.web.vehicle import EpochFeed, VehicleFeed

HISTORIES_AT_ONCE: Final = 2
RETRY_S: Final = 1.0
log = logging.getLogger(__name__)


class Tap(Protocol):
    """Somebody who wants all new frames."""

    def take(self, feed: VehicleFeed, epoch: EpochFeed, frames: FrameColumns) -> None:
        """New frames of an epoch with a clock."""


class Hub:
    """All vehicles and all subscriptions of this process; used on the event loop only."""

    def __init__(self, db: Database, lake: Lake, history: History, counters: Counters | None = None) -> None:
        self.counters = counters or Counters()
        self.started_us = monotonic_us()
        self.traces = Traces()
        self.taps: set[Tap] = set()
        self._db = db
        self._lake = lake
        self._history = history
        # Threads of their own: they work on large arrays, and each thread that does keeps memory of its own.
        self._readers = ThreadPoolExecutor(HISTORIES_AT_ONCE, "window")
        self._feeds: dict[str, VehicleFeed] = {}
        self._fanouts: dict[str, Fanout] = {}
        self._maths: dict[str, LiveMaths] = {}
        self._definitions: dict[str, list[MathsDef]] = {}
        self._stored: dict[str, list[Channel]] = {}
        self._bringing: set[asyncio.Task[None]] = set()
        self._open: dict[str, set[Subscription]] = {}

    def shut(self) -> None:
        """Give the reading threads back."""
        self._readers.shutdown(wait=False, cancel_futures=True)

    def waiting(self) -> int:
        """Messages that wait to be sent to viewers."""
        return sum(outbox.waiting for outbox in {one.outbox for ones in self._open.values() for one in ones})

    def feed_of(self, vehicle: str) -> VehicleFeed:
        """The live state of a vehicle, made when it is not there."""
        if vehicle not in self._feeds:
            self._feeds[vehicle] = VehicleFeed(vehicle, self.started_us)
            self._fanouts[vehicle] = Fanout(self._feeds[vehicle])
            self._maths[vehicle] = LiveMaths(self._feeds[vehicle])
            self._open[vehicle] = set()
        return self._feeds[vehicle]

    def feeds(self) -> dict[str, VehicleFeed]:
        """All vehicles that were seen or asked for."""
        return self._feeds

    async def is_vehicle(self, name: str) -> bool:
        """True for a vehicle that is live or in the database."""
        if name in self._feeds and self._feeds[name].epochs:
            return True
        return await asyncio.to_thread(get_vehicle, self._db, name) is not None

    async def guest_span(self, user: User, vehicle: str, asked: Sequence[str]) -> tuple[int, int | None] | None:
        """From when until when (UTC in µs; None: it goes on) a guest may watch these channels; None: not at all."""
        scope = user.scope
        if scope is None or scope.vehicle != vehicle:
            return None
        session = await asyncio.to_thread(find_session, self._db, scope.session)
        if session is None or session.vehicle != vehicle:
            return None
        channels = await self.channels(vehicle)
        hidden = await asyncio.to_thread(hidden_from, user, self._db, vehicle, channels, self.feed_of(vehicle).aliases)
        until_us = None if session.is_open else session.utc_to_us
        return (session.utc_from_us, until_us) if hidden.isdisjoint(asked) else None

    async def channels(self, vehicle: str) -> list[Channel]:
        """The channels of a known vehicle: of the current epoch, then of its registry and its other epochs.

        While the database is away, those that were known before; StorageError where none were.
        """
        feed = self.feed_of(vehicle)
        try:
            self._stored[vehicle] = await asyncio.to_thread(self._history.channels, vehicle)
            if feed.registry is None:
                feed.registry = await asyncio.to_thread(load_registry, self._db, vehicle)
        except StorageError:
            if vehicle not in self._stored:
                raise
        known = {one.name: one for one in (() if feed.decoder is None else feed.decoder.channels)}
        live = [channel_of(one) for one in feed.samples.channels.values()]
        for one in (*self._stored[vehicle], *live):
            known.setdefault(one.name, one)
        return [one for one in known.values() if not feed.aliases.is_former(one.name, known)]

    def publish(self, feed: VehicleFeed, epoch: EpochFeed, frames: FrameColumns) -> None:
        """Give new frames to all who watch the vehicle."""
        for tap in self.taps:
            tap.take(feed, epoch, frames)
        sent = self._fanouts[feed.name].publish(epoch, frames)
        sent += self._send_maths(feed, self._maths[feed.name].publish(epoch, frames))
        self.counters.add(VIEWER_MESSAGES_TOTAL, sent)
        self._bring_up_maths(feed)

    def _send_maths(self, feed: VehicleFeed, found: Mapping[str, Series]) -> int:
        if not found:
            return 0
        told = {
            name: channel
            for one in self._fanouts[feed.name].subscriptions
            for name, channel in one.told.items()
            if channel is not None and name in found
        }
        return self._fanouts[feed.name].publish_series(list(told.values()), [found[name] for name in told])

    def _bring_up_maths(self, feed: VehicleFeed) -> None:
        """Begin with the maths channels that somebody asks for and nobody did before."""
        for wish in self._maths[feed.name].want(self._fanouts[feed.name].subscriptions):
            # The window of whoever asked ends at this edge: the run must begin there, whatever comes meanwhile.
            edge_us = feed.edge_utc_us
            recent: list[FrameBatch | SampleBatch] = [*(one.batch for one in feed.recent), *feed.samples.recent()]
            read = partial(self._history.maths_run, feed.name, wish.name, edge_us, recent)
            task = asyncio.create_task(self._bring_up(feed, wish, edge_us, read))
            self._bringing.add(task)
            task.add_done_callback(self._bringing.discard)

    async def _bring_up(
        self, feed: VehicleFeed, wish: Wish, edge_us: int | None, read: Callable[[], LiveRun | None]
    ) -> None:
        try:
            run = await asyncio.get_running_loop().run_in_executor(self._readers, read)
        except VedError as error:
            log.warning("%s of %s: %s", wish.name, feed.name, error)
            await asyncio.sleep(RETRY_S)
            self._maths[feed.name].forget(wish)
            return
        self._send_maths(feed, self._maths[feed.name].start(wish, run, edge_us))

    def publish_samples(self, feed: VehicleFeed, batch: SampleBatch, offset_us: int) -> None:
        """Give new samples to all who watch the vehicle."""
        sent = self._fanouts[feed.name].publish_samples(batch, offset_us)
        self.counters.add(VIEWER_MESSAGES_TOTAL, sent)

    def redefine_samples(self, feed: VehicleFeed) -> None:
        """Channels of samples are new or others: start anew where somebody asked for one that was told differently."""
        for subscription in list(self._fanouts[feed.name].subscriptions):
            if any(told != channel_of(one) for one, told in _told_samples(feed, subscription)):
                self._reset(subscription)

    def open(self, subscription: Subscription) -> None:
        """Begin: `watching`, the window, and increments follow."""
        feed = self.feed_of(subscription.watch.vehicle)
        if subscription.until_utc_us is None:
            self._open[feed.name].add(subscription)
            subscription.outbox.put_state(feed.name, self.state_text(feed))
        self._answer(subscription)

    def close(self, subscription: Subscription) -> None:
        """End: nothing more is put into the subscription's outbox."""
        self._open[subscription.watch.vehicle].discard(subscription)
        self._quiet(subscription)

    def reset(self, feed: VehicleFeed, moved: tuple[int, int] | None = None) -> None:
        """Everything that viewers have of this vehicle no longer holds. `moved`: from when (UTC in µs), by how many."""
        for subscription in list(self._fanouts[feed.name].subscriptions):
            self._reset(subscription, moved)

    async def reload_maths(self, feed: VehicleFeed) -> None:
        """Take up what people changed of the maths channels: viewers start anew."""
        definitions = await asyncio.to_thread(list_maths, self._db, feed.name)
        before, self._definitions[feed.name] = self._definitions.get(feed.name, definitions), definitions
        if before != definitions:
            self._history.forget_maths(feed.name)
            self.reset(feed)

    def redefine(self, feed: VehicleFeed) -> None:
        """The current epoch or its decoder is another one: start anew where it defines a channel differently."""
        decoder = feed.decoder
        if decoder is None:
            return
        for subscription in list(self._fanouts[feed.name].subscriptions):
            for name, told in subscription.told.items():
                index = feed.aliases.index(decoder.dbc_set.numbers, name)
                if index is not None and decoder.channels[index] != told:
                    self._reset(subscription)
                    break

    def send_state(self, feed: VehicleFeed) -> None:
        """Tell all who watch the vehicle how it is."""
        outboxes = {one.outbox for one in self._open[feed.name]}
        if outboxes:
            text = self.state_text(feed)
            for outbox in outboxes:
                outbox.put_state(feed.name, text)

    def tell(self, vehicle: str, of: str, text: str) -> None:
        """Send a text to all who watch the vehicle; it replaces one of the same `of` that still waits."""
        for outbox in {one.outbox for one in self._open.get(vehicle, ())}:
            outbox.put_alarm(of, text)

    def state_text(self, feed: VehicleFeed) -> str:
        """The `state` message of a vehicle now."""
        now_us = monotonic_us()
        return messages.to_text(
            {
                "type": "state",
                "vehicle": feed.name,
                "link": feed.link,
                "age_ms": feed.age_ms(now_us),
                "epoch": epoch_text(feed),
                "edge_utc_us": feed.edge_utc_us,
                "frames_per_s": round(feed.frames_per_s(now_us)),
                "rtt_ms": None if feed.rtt_us < 0 else round(feed.rtt_us / 1000, 1),
                "sample_channels": len(feed.samples.channels),
                "previews_from_utc_us": feed.previews_from_utc_us,
            }
        )

    def _reset(self, subscription: Subscription, moved: tuple[int, int] | None = None) -> None:
        self._maths[subscription.watch.vehicle].clear()
        self._quiet(subscription)
        subscription.outbox.forget(subscription.watch.id)
        subscription.outbox.put_answer(messages.reset(subscription.watch.id, moved), subscription.watch.id)
        self._answer(subscription)

    def _quiet(self, subscription: Subscription) -> None:
        """No more increments, and no more of its window."""
        if subscription.history is not None:
            subscription.history.cancel()
        self._fanouts[subscription.watch.vehicle].remove(subscription)

    def _answer(self, subscription: Subscription) -> None:
        subscription.history = asyncio.create_task(self._bring_window(subscription))
        subscription.history.add_done_callback(partial(_tell_unexpected, subscription))

    async def _bring_window(self, subscription: Subscription) -> None:
        watch, outbox = subscription.watch, subscription.outbox
        feed = self._feeds[watch.vehicle]
        channels = {one.name: one for one in await self._ask_until_told(feed, subscription)}
        # From here to the first await is one turn of the loop: no frame falls between the snapshot and the increments,
        # and what lies in both does no harm (docs/spec/live.md: entries are merged).
        subscription.told = {
            name: channels.get(feed.aliases.current(name, channels) or "") for name in subscription.channels
        }
        found = {name: one for name, one in subscription.told.items() if one is not None}
        numbers = {name: Numbering(feed.number_of(name), one.is_wide) for name, one in found.items()}
        answer = Answer(watch.id, feed.sequence, numbers)
        edge_us = feed.edge_utc_us if subscription.until_utc_us is None else subscription.until_utc_us
        past = _Past(
            _window_of(subscription, list(found), edge_us),
            [*(one.batch for one in feed.recent), *feed.samples.recent()],
            feed.current,
            feed.aliases,
        )
        outbox.put_answer(self._watching(subscription, feed, found, edge_us), watch.id)
        if subscription.until_utc_us is None:
            self._fanouts[feed.name].add(subscription)
            self._bring_up_maths(feed)
        try:
            await self._send_past(past, answer, outbox)
        except VedError as error:
            self._tell_failed(subscription, error)

    async def _ask_until_told(self, feed: VehicleFeed, subscription: Subscription) -> list[Channel]:
        """What a window begins with, from database and lake; however long they are away, the viewer comes to it."""
        is_told = False
        while True:
            try:
                await self._look_up(feed)
                return await self.channels(feed.name)
            except StorageError as error:
                if not is_told:
                    self._tell_failed(subscription, error)
                is_told = True
                await asyncio.sleep(RETRY_S)

    async def _look_up(self, feed: VehicleFeed) -> None:
        if feed.edge_utc_us is None:
            # Nothing came since the start: the newest of what is stored. A replay that begins before it is told apart.
            stored = await asyncio.to_thread(stored_edge, self._lake, self._db, feed.name)
            if feed.edge_utc_us is None:
                feed.edge_utc_us = stored
        if feed.name not in self._definitions:  # what `reload_maths` compares with
            self._definitions[feed.name] = await asyncio.to_thread(list_maths, self._db, feed.name)

    def _tell_failed(self, subscription: Subscription, error: VedError) -> None:
        watch = subscription.watch
        log.warning("history of %s: %s", watch.vehicle, error)
        subscription.outbox.put_answer(messages.error("history_failed", str(error), watch.id), watch.id)

    async def _send_past(self, past: "_Past", answer: Answer, outbox: Outbox) -> None:
        for part in slices(past.window):
            made = await asyncio.get_running_loop().run_in_executor(self._readers, self._read, past, part, answer)
            for data in made:
                await outbox.room()
                outbox.put_history(answer.subscription, data)
        await outbox.room()
        outbox.put_history(answer.subscription, *history_messages(answer, {}, is_last=True))

    def _read(self, past: "_Past", part: Window, answer: Answer) -> list[bytes]:
        """The messages of one slice; in a thread."""
        young = None
        if past.epoch is not None and past.epoch.offset_us is not None and self._is_young(part.vehicle, past.epoch):
            young = YoungEpoch(
                past.epoch,
                [one for one in past.recent if isinstance(one, FrameBatch) and one.epoch == past.epoch.epoch],
                past.aliases,
            )
        return list(history_messages(answer, read_window(self._history, part, past.recent, young), is_last=False))

    def _is_young(self, vehicle: str, epoch: EpochFeed) -> bool:
        """True while the database lacks the epoch's clock, or the buses that its description told."""
        if not clock_pairs(self._db, vehicle, epoch.epoch):
            return True
        rows = [row for row in list_epochs(self._db, vehicle) if row.epoch == epoch.epoch]
        return not rows or (epoch.description is not None and not rows[0].buses)

    def _watching(
        self, subscription: Subscription, feed: VehicleFeed, found: Mapping[str, Channel], edge_us: int | None
    ) -> str:
        watch = subscription.watch
        return messages.to_text(
            {
                "type": "watching",
                "id": watch.id,
                "vehicle": watch.vehicle,
                "channels": [messages.live_channel(feed.number_of(name), name, one) for name, one in found.items()],
                "unknown": [name for name in subscription.channels if name not in found],
                "rate_hz": watch.rate_hz,
                "window_s": watch.window_s,
                "bucket_us": subscription.bucket_us,
                "epoch": epoch_text(feed),
                "edge_utc_us": edge_us,
            }
        )


@dataclass(frozen=True, slots=True)
class _Past:
    """What a window is made of, as it was when `watching` was sent."""

    window: Window
    recent: Sequence[FrameBatch | SampleBatch]
    epoch: EpochFeed | None
    aliases: Aliases


def _told_samples(feed: VehicleFeed, subscription: Subscription) -> list[tuple[SampleChannel, Channel | None]]:
    """The channels of samples that somebody asked for and no DBC defines, each as it was told to them."""
    pairs = [(feed.samples.channels.get(name), told) for name, told in subscription.told.items()]
    return [(one, told) for one, told in pairs if one is not None and (told is None or told.arbitration_id == NO_ID)]


def _window_of(subscription: Subscription, channels: Sequence[str], edge_us: int | None) -> Window:
    """The window that ends at the edge; an empty one without an edge or channels."""
    bucket_us = subscription.bucket_us
    if edge_us is None or not channels:
        return Window(subscription.watch.vehicle, (), 0, 0, bucket_us)
    from_us = (edge_us - subscription.window_us) // bucket_us * bucket_us
    from_us = max(from_us, subscription.allowed[0])
    if from_us > edge_us:
        return Window(subscription.watch.vehicle, (), 0, 0, bucket_us)
    return Window(subscription.watch.vehicle, tuple(channels), from_us, edge_us + 1, bucket_us)


def epoch_text(feed: VehicleFeed) -> str | None:
    """The current epoch in hex, or None."""
    return None if feed.current is None else feed.current.epoch.hex()


def _tell_unexpected(subscription: Subscription, task: asyncio.Task[None]) -> None:
    """A task that failed for a reason that nobody foresaw must not end in silence."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log.error("the window of %s could not be made", subscription.watch.vehicle, exc_info=error)
        text = messages.error("history_failed", "the server could not read this window", subscription.watch.id)
        subscription.outbox.put_answer(text, subscription.watch.id)
