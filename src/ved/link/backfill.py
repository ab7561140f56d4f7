"""The backfill lane: what the live lane will not deliver goes over a connection of its own, behind the live records."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ved.link.backlog import Backlog
from ved.link.connection import FAST_PING_S, PING_S, LinkConnection, Sent
from ved.link.pace import MOST_BACKFILL_BYTES, BackfillPacer
from ved.link.walker import Kept

IDLE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class BackfillTies:
    """What the lane asks of the rest: the live connection, and whether no lane has a record that the server lacks.

    `is_paced`: there is a live lane to protect, unlike a recording's.
    """

    epoch: bytes
    is_paced: bool
    live: Callable[[], LinkConnection | None]
    is_wanted: Callable[[Kept], bool]


class BackfillLane:
    """One connection after the other is its `connection`, while there is something to send."""

    def __init__(self, backlog: Backlog, ties: BackfillTies) -> None:
        self._backlog = backlog
        self._ties = ties
        self._pacer = BackfillPacer()
        self._work = asyncio.Event()
        self._live_went = asyncio.Event()
        self._server_stores = asyncio.Event()
        self._server_stores.set()
        self.connection: LinkConnection | None = None

    @property
    def is_storing(self) -> bool:
        """False while the server says that it cannot: then nothing is sent."""
        return self._server_stores.is_set()

    def note_storage(self, *, is_storing: bool) -> None:
        """What the server says of its disk."""
        if is_storing:
            self._server_stores.set()
        else:
            self._server_stores.clear()

    def add(self, position: int) -> None:
        """The record at this place in the journal has to be sent, or sent again."""
        self._backlog.add(position)
        self._work.set()

    def rescan(self, first: int, end: int) -> None:
        """Look at everything from `first` to `end` again."""
        self._backlog.rescan(first, end)
        self._work.set()

    async def wait_for_work(self) -> None:
        """Return once there is something to look at."""
        while self._backlog.is_empty:
            self._work.clear()
            await self._work.wait()

    def note_delivered(self, size_bytes: int, *, is_backfill: bool) -> None:
        """The server received so much over one of the lanes."""
        self._pacer.note_delivered(size_bytes, time.monotonic(), is_backfill=is_backfill)

    def note_live_sent(self) -> None:
        """A record of the live lane was put on its way."""
        self._pacer.note_live_sent(time.monotonic())
        self._live_went.set()

    def note_trip(self, rtt_s: float) -> None:
        """A ping of the live lane took so long."""
        self._pacer.note_trip(rtt_s, time.monotonic())

    def note_new_way(self) -> None:
        """The live lane has a new connection."""
        self._pacer.note_new_way()

    async def pump(self, connection: LinkConnection) -> None:
        """Send the backlog; returns when there has been none for a while."""
        asked = {self._ties.epoch}
        self.connection = connection
        while True:
            await self._server_stores.wait()
            await connection.wait_for_room(self._window_bytes)
            await self._wait_for_turn()
            kept = await self._backlog.next(self._ties.is_wanted)
            if kept is None:
                self._pacer.note_empty()
                self._ping_calmly()
                try:
                    async with asyncio.timeout(IDLE_S):
                        await self.wait_for_work()
                except TimeoutError:
                    return
            elif kept.epoch in asked:
                sent = Sent.now(kept.epoch, kept.span, kept.record, kept.position)
                self._pacer.note_sent(await connection.send_record(kept.record, sent), time.monotonic())
            else:
                asked.add(kept.epoch)
                self._backlog.add(kept.position)  # it comes up again, and then its epoch is known
                await connection.ask(kept.epoch)

    def end(self) -> None:
        """The connection ended."""
        self._pacer.note_lost()
        self._ping_calmly()

    def close(self) -> None:
        """Give the files back."""
        self._backlog.close()

    def _window_bytes(self) -> int:
        return self._pacer.window_bytes(time.monotonic()) if self._ties.is_paced else MOST_BACKFILL_BYTES

    async def _wait_for_turn(self) -> None:
        """Hold the backlog back so that the live lane does not feel it."""
        while self._ties.is_paced:
            self._pacer.is_following = True
            if (live := self._ties.live()) is not None:
                live.ping_s = FAST_PING_S
            self._live_went.clear()
            wait_s = self._pacer.wait_s(time.monotonic())
            if not wait_s:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._live_went.wait()

    def _ping_calmly(self) -> None:
        """The backlog is empty, or the lane that carries it went."""
        self._pacer.is_following = False
        if (live := self._ties.live()) is not None:
            live.ping_s = PING_S
