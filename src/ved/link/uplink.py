"""The car's side of the link: a live lane for what is fresh, a backfill lane for what is not, and what is stored.

Everything here belongs to one event loop. Invariants: a record is in exactly one of these states: waiting for the live
lane, on its way over a lane, in the backlog, received (the server's word, which a restart may take back), stored. Only
what is stored may be trimmed from the car's journal.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from websockets.asyncio.client import ClientConnection

from ved.codec.batch import decode_batch
from ved.codec.learn import LayoutBook
from ved.codec.link import FEATURE_PREVIEWS, Held, Hello, Space, Storage
from ved.codec.records import RecordHeader
from ved.errors import LinkLostError, LinkRefusedError, StorageError
from ved.link.backfill import BackfillLane, BackfillTies
from ved.link.backlog import Backlog
from ved.link.connection import Answer, LinkConnection, Sent, Wiring, dial, first_leaf
from ved.link.credentials import Credentials, parse_server_url
from ved.link.dial import Dialer
from ved.link.following import Follower, FollowerEvents
from ved.link.frontier import Frontier, LossReport
from ved.link.holes import EpochEnd
from ved.link.ledger import Ledger
from ved.link.livequeue import LIVE_DEADLINE_S, Fresh, LiveQueue
from ved.link.preview import Overload, Previews
from ved.link.span import span_of
from ved.link.spare import Spare
from ved.link.trust import client_context
from ved.link.walker import Kept
from ved.model.records import Lane, Loss, RecordKind

BULK_WINDOW_BYTES: Final = 1 << 20
RECONNECT_S: Final = (0.3, 1.0)
REFUSED_S: Final = 15.0
_EXPIRE_S: Final = 0.25
_log: Final = logging.getLogger("ved.agent")


@dataclass(frozen=True, slots=True)
class UplinkSettings:
    """`is_realtime`: fresh records grow old and go over the backfill lane. `hello` makes the greeting for a lane.

    `ends`: earlier epochs in the journal, in order. `declare` hears of frames that the journal lost.
    """

    credentials: Credentials
    epoch: bytes
    journal: Path
    first_position: int
    next_position: int
    is_realtime: bool
    hello: Callable[[Lane], Hello]
    time_us: Callable[[], int]
    ends: tuple[EpochEnd, ...]
    declare: Callable[[Loss], None]


class Uplink:
    """Run `run` as a task; feed it with `offer` and `note_kept`; `on_trim` hears what the server has stored."""

    def __init__(self, settings: UplinkSettings) -> None:
        self._settings = settings
        self._dialer = Dialer([parse_server_url(url) for url in settings.credentials.server_urls])
        self._spare = Spare(self._dial)
        self._queue = LiveQueue(LIVE_DEADLINE_S if settings.is_realtime else None)
        backlog = Backlog(settings.journal, settings.first_position, settings.next_position)
        ties = BackfillTies(settings.epoch, settings.is_realtime, lambda: self._live, self._is_wanted)
        self._backfill = BackfillLane(backlog, ties)
        report = LossReport(settings.credentials.vehicle, settings.ends, self._is_on_way, settings.declare)
        frontier = Frontier(settings.journal, settings.first_position, report)
        self._fresh = asyncio.Event()
        self._live_up = asyncio.Event()
        self._live_down = asyncio.Event()
        self._settled = asyncio.Event()
        self._live: LinkConnection | None = None
        self._layouts = LayoutBook()
        self._overload = Overload()
        self._previews = Previews(settings.credentials.vehicle, settings.epoch)
        self._said: dict[Lane, str] = {}
        self.ledger = Ledger()
        self.refusal: str | None = None
        self.on_trim: Callable[[int], None] = lambda _: None
        events = FollowerEvents(
            lambda: self._live,
            self._settled.set,
            self._trim,
            lambda text: self._say(Lane.BACKFILL, text),
        )
        self._follower = Follower(frontier, self.ledger, settings.next_position, events)

    @property
    def trouble(self) -> str | None:
        """What a person should know: the server refuses this car, or cannot store."""
        if self.refusal is not None or self._backfill.is_storing:
            return self.refusal
        return "the server cannot store at the moment (its disk is full?); the data stays in the car"

    @property
    def is_up(self) -> bool:
        """True while the live lane is connected."""
        return self._live is not None

    @property
    def rtt_s(self) -> float | None:
        """Smoothed round trip of the live lane."""
        return None if self._live is None else self._live.watchdog.rtt_s

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait for the live lane or are on their way over it."""
        return self._queue.pending_bytes

    def offer(self, record: bytes, header: RecordHeader) -> None:
        """A fresh record. When the uplink is too slow for all, batches become previews and wait.

        One of an earlier epoch goes over the backfill lane, once the journal has it.
        """
        if header.epoch != self._settings.epoch:
            return
        if header.kind == RecordKind.BATCH and self._is_thinned():
            self._previews.add(decode_batch(record).frames)
        else:
            self._queue.put(Fresh(span_of(header), record, time.monotonic()))
        self._fresh.set()

    def _is_thinned(self) -> bool:
        if self._live is None or not self._live.features & FEATURE_PREVIEWS:
            return False
        return self._settings.is_realtime and self._overload.is_thinned(time.monotonic())

    def note_kept(self, position: int, header: RecordHeader) -> None:
        """The car's journal has this record now, at `position`."""
        self._follower.end = max(self._follower.end, position + 1)
        span = span_of(header)
        fresh = self._queue.find(span)
        if fresh is not None:
            fresh.position = position
        elif not self.ledger.is_received(header.epoch, span):
            self._backfill.add(position)
        elif self.ledger.is_stored(header.epoch, span):
            self._follower.note_change()

    def give_up(self, header: RecordHeader) -> bool:
        """A record leaves the car unsent; False when the server has it on disk, so that nothing is lost."""
        span = span_of(header)
        if self.ledger.is_stored(header.epoch, span):
            return False
        if span.space == Space.SEQ:
            self.ledger.give_up(header.epoch, span.first, span.last)
        return True

    async def wait_settled(self) -> None:
        """Return once everything that the journal has is stored and nothing is on its way."""
        while self._queue.pending_bytes or not self._follower.is_at_end:
            self._settled.clear()
            await self._settled.wait()

    async def run(self) -> None:
        """Keep the link until cancelled. LinkRefusedError when the server refuses a sender that need not go on."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._run_lane(Lane.LIVE))
                group.create_task(self._run_lane(Lane.BACKFILL))
                group.create_task(self._follower.run())
                group.create_task(self._expire())
        except* LinkRefusedError as errors:
            raise first_leaf(errors) from None
        finally:
            self._spare.close()
            self._backfill.close()
            self._follower.close()

    async def _run_lane(self, lane: Lane) -> None:
        """Connect, use the connection, and again. The backfill lane waits for the live one and for something to do."""
        while True:
            if lane == Lane.BACKFILL:
                await self._backfill.wait_for_work()
                await self._live_up.wait()
            pause_s, began_s = random.uniform(*RECONNECT_S), time.monotonic()
            try:
                await (self._connect(lane) if lane == Lane.LIVE else self._connect_while_live())
            except (LinkLostError, StorageError) as error:
                self._say(lane, str(error))
            except LinkRefusedError as error:
                self.refusal = str(error)
                self._say(lane, str(error))
                if not self._settings.is_realtime:
                    raise
                pause_s, began_s = REFUSED_S, time.monotonic()
            # What stood long needs no pause: its end was noticed here, and each moment counts.
            await asyncio.sleep(max(0.0, began_s + pause_s - time.monotonic()))

    async def _connect(self, lane: Lane) -> None:
        await self._use(await self._open(lane), lane)

    async def _connect_while_live(self) -> None:
        """The backfill lane goes with the live one: what does not let that pass does not let this pass either."""
        using = asyncio.create_task(self._connect(Lane.BACKFILL))
        down = asyncio.create_task(self._live_down.wait())
        try:
            await asyncio.wait([using, down], return_when=asyncio.FIRST_COMPLETED)
        finally:
            down.cancel()
            using.cancel()
            await asyncio.wait([using])
        if not using.cancelled():
            await using

    async def _open(self, lane: Lane) -> LinkConnection:
        settings = self._settings
        is_backfill = lane == Lane.BACKFILL

        def note_delivered(size_bytes: int, late_s: float) -> None:
            self._backfill.note_delivered(size_bytes, is_backfill=is_backfill)
            if not is_backfill:
                self._overload.note_trip(late_s, time.monotonic())

        wiring = Wiring(settings.time_us, self._hear, note_delivered, layouts=self._layouts)
        if not is_backfill:  # the backfill lane may wait behind itself
            wiring = replace(wiring, on_trip=self._backfill.note_trip)
        socket = await (self._dial() if is_backfill else self._spare.take())
        return await LinkConnection.begin(socket, settings.hello(lane), wiring)

    async def _dial(self) -> ClientConnection:
        trust = self._settings.credentials
        return await dial(self._dialer, client_context(trust.ca_pem, time.time()), trust.key)

    async def _use(self, connection: LinkConnection, lane: Lane) -> None:
        """Send until the connection ends (LinkLostError, LinkRefusedError) or the lane has nothing left to do."""
        self._say(lane, "up")
        self.refusal = None
        if lane == Lane.LIVE:
            self._live = connection
            self._backfill.note_new_way()
            self._overload.note_new_way()
            self._live_down.clear()
            self._live_up.set()
        try:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(connection.run())
                if lane == Lane.LIVE:
                    group.create_task(self._spare.watch(connection))
                pump = self._pump_live if lane == Lane.LIVE else self._backfill.pump
                await group.create_task(pump(connection))
                await connection.close()
                reading.cancel()
        except* (LinkLostError, LinkRefusedError, StorageError) as errors:
            raise first_leaf(errors) from None
        finally:
            if lane == Lane.LIVE:
                self._live = None
                self._live_up.clear()
                self._live_down.set()
            else:
                self._backfill.end()
            self._take_back(connection, lane)

    def _take_back(self, connection: LinkConnection, lane: Lane) -> None:
        """What was on its way over a connection that ended goes into the backlog."""
        for sent in connection.take_unreceived():
            position = sent.position
            if lane == Lane.LIVE:
                fresh = self._queue.settle(sent.span)
                position = None if fresh is None else fresh.position
            if position is not None:
                self._backfill.add(position)
        self._settled.set()
        self._follower.note_change()

    async def _pump_live(self, connection: LinkConnection) -> None:
        window = connection.live_window_bytes if self._settings.is_realtime else _bulk_window
        epoch = self._settings.epoch
        while True:
            await connection.wait_for_room(window)
            fresh, passed_over = self._queue.pop(time.monotonic())
            if passed_over:
                self._give_up_fresh(passed_over)
                self._overload.note(time.monotonic())
            if fresh is None:
                await self._send_preview(connection)
            elif self.ledger.is_received(epoch, fresh.span):
                self._queue.settle(fresh.span)
            else:
                await connection.send_record(fresh.record, Sent.now(epoch, fresh.span, fresh.record, fresh.position))
                self._backfill.note_live_sent()

    async def _send_preview(self, connection: LinkConnection) -> None:
        """Send what waits for it, or wait for anything fresh."""
        preview = self._previews.take()
        if preview is None:
            self._fresh.clear()
            await self._fresh.wait()
        else:
            record, span = preview
            await connection.send_record(record, Sent.now(self._settings.epoch, span, record, None))
            self._backfill.note_live_sent()

    def _is_wanted(self, kept: Kept) -> bool:
        """True when the server lacks this record and no lane has it."""
        if self.ledger.is_received(kept.epoch, kept.span):
            return False
        fresh = self._queue.find(kept.span)
        if fresh is not None and fresh.position == kept.position:
            return False
        connection = self._backfill.connection
        return connection is None or not connection.is_on_way(kept.epoch, kept.span)

    def _is_on_way(self, epoch: bytes, first: int, last: int) -> bool:
        """True when some of these seqs wait for the live lane, or are on their way over either one."""
        if epoch == self._settings.epoch and self._queue.has_any(first, last):
            return True
        lanes = [lane for lane in (self._live, self._backfill.connection) if lane is not None]
        return any(lane.has_on_way(epoch, first, last) for lane in lanes)

    def _give_up_fresh(self, given_up: Sequence[Fresh]) -> None:
        """These go into the backlog; those that the journal does not have yet do so once it has them."""
        for fresh in given_up:
            if fresh.position is not None:
                self._backfill.add(fresh.position)

    def _hear(self, answer: Answer) -> None:
        """Enter an answer of the server, whichever connection it came over."""
        if isinstance(answer, Storage):
            self._note_storage(is_storing=answer.is_storing)
            return
        if isinstance(answer, Held):
            if self.ledger.replace(answer):
                # Something that was received is not there any more (the server restarted): look at all of it again.
                self._backfill.rescan(self._follower.position, self._follower.end)
        else:
            self.ledger.acknowledge(answer)
        if answer.epoch == self._settings.epoch:
            self._queue.settle_received(self.ledger.epoch(answer.epoch).received)
        self._follower.note_change()
        self._settled.set()

    def _note_storage(self, *, is_storing: bool) -> None:
        """The server's disk is full, or takes again: then what it had to let go of meanwhile must be found out.

        A server that let go of more after it said so says it once more.
        """
        self._backfill.note_storage(is_storing=is_storing)
        if is_storing:
            self._follower.note_change(must_ask=True)

    def _trim(self, before: int) -> None:
        self.on_trim(before)

    async def _expire(self) -> None:
        """Fresh records that grew old go into the backlog."""
        while True:
            await asyncio.sleep(_EXPIRE_S)
            self._give_up_fresh(self._queue.expire(time.monotonic()))

    def _say(self, lane: Lane, text: str) -> None:
        """Log what changed, once."""
        if self._said.get(lane) != text:
            self._said[lane] = text
            _log.info("%s lane: %s", lane.name.lower(), text)


def _bulk_window() -> int:
    return BULK_WINDOW_BYTES
