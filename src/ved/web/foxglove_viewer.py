"""One Foxglove (or Lichtblick) that is connected: what it may have, what it wants, and what waits for it."""

import asyncio
import contextlib
import secrets
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from ved.api.samples import NO_ID
from ved.db.database import Database
from ved.db.vehicles import list_vehicles
from ved.model.frames import FrameColumns
from ved.web import foxglove
from ved.web.clock import utc_us
from ved.web.foxglove import Subscribe, Topic
from ved.web.hub import Hub
from ved.web.outbox import Outbox
from ved.web.vehicle import EpochFeed, VehicleFeed
from ved.web.viewer import CLOSE_S, GOING_AWAY

MAX_WAITING: Final = 4096
TIME_S: Final = 0.2
LOOK_S: Final = 2.0
LATE_US: Final = 10_000_000
"""Frames that lie further before the live edge came late: this protocol has no place for them."""


class FoxgloveOutbox(Outbox):
    """Tells what was missed as Foxglove shows it."""

    def _tell_missed(self) -> str:
        number = sum(span.messages for span in self._missed.values())
        self._missed.clear()
        return foxglove.status(f"this connection is too slow: {number} messages were left out")


class FoxgloveViewer:
    """A connection that was accepted."""

    def __init__(self, socket: WebSocket, hub: Hub, db: Database) -> None:
        self._socket = socket
        self._hub = hub
        self._db = db
        self._outbox = FoxgloveOutbox(MAX_WAITING)
        self._topics: dict[int, Topic] = {}
        self._wishes: dict[int, int] = {}
        self._next_number = 1

    async def run(self, closing: asyncio.Event) -> None:
        """Serve until the client goes away, or until `closing`."""
        self._outbox.put_answer(foxglove.server_info(secrets.token_hex(8)))
        self._hub.taps.add(self)
        work = (self._receive(), self._send(), self._tell_time(), self._look(), closing.wait())
        tasks = [asyncio.create_task(one) for one in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except (WebSocketDisconnect, WebSocketDisconnected):
            return
        finally:
            self._hub.taps.discard(self)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if closing.is_set():
            with contextlib.suppress(TimeoutError, WebSocketDisconnect, WebSocketDisconnected):
                async with asyncio.timeout(CLOSE_S):
                    await self._socket.close(GOING_AWAY)

    def take(self, feed: VehicleFeed, epoch: EpochFeed, frames: FrameColumns) -> None:
        """New frames of a vehicle: those that are wanted go into the outbox, where the oldest make room."""
        wanted: dict[Topic, list[int]] = {}
        for subscription, number in self._wishes.items():
            topic = self._topics.get(number)
            if topic is not None and topic.vehicle == feed.name:
                wanted.setdefault(topic, []).append(subscription)
        if not wanted or not len(frames) or epoch.offset_us is None:
            return
        times = frames.t_us + epoch.offset_us
        high_us = int(times.max())
        if feed.edge_utc_us is not None and high_us < feed.edge_utc_us - LATE_US:
            return
        decoder = epoch.decoding.at(high_us)
        for topic, row, payload in foxglove.read_messages(decoder, feed.aliases, frames, list(wanted)):
            at_us = int(times[row])
            for subscription in wanted[topic]:
                self._outbox.put_increment(
                    subscription, foxglove.message_frame(subscription, at_us, payload), at_us, at_us
                )

    async def _receive(self) -> None:
        while True:
            await self._outbox.room()
            received = await self._socket.receive()
            if received["type"] == "websocket.disconnect":
                return
            try:
                message = foxglove.parse_client_message(received.get("text") or "")
            except ValueError as error:
                self._outbox.put_answer(foxglove.status(str(error)))
                continue
            if isinstance(message, Subscribe):
                self._subscribe(message)
                continue
            for number in message.subscriptionIds:
                if self._wishes.pop(number, None) is not None:
                    self._outbox.forget(number)

    def _subscribe(self, message: Subscribe) -> None:
        for wish in message.subscriptions:
            if wish.channelId not in self._topics:
                self._outbox.put_answer(foxglove.status(f"there is no channel {wish.channelId}"))
            elif len(self._wishes) >= foxglove.MAX_SUBSCRIPTIONS:
                self._outbox.put_answer(foxglove.status(f"at most {foxglove.MAX_SUBSCRIPTIONS} subscriptions"))
            else:
                self._wishes[wish.id] = wish.channelId

    async def _look(self) -> None:
        """For ever: offer what there is, and what has changed since."""
        while True:
            found: list[Topic] = []
            for vehicle in await self._vehicles():
                channels = [one for one in await self._hub.channels(vehicle) if one.arbitration_id != NO_ID]
                found += foxglove.topics_of(vehicle, channels)
            known = set(self._topics.values())
            gone = [number for number, topic in self._topics.items() if topic not in set(found)]
            new = {self._next_number + at: topic for at, topic in enumerate(one for one in found if one not in known)}
            self._next_number += len(new)
            if gone:
                self._drop(gone)
            if new:
                self._topics |= new
                self._outbox.put_answer(foxglove.advertise(new))
            await asyncio.sleep(LOOK_S)

    def _drop(self, numbers: list[int]) -> None:
        for number in numbers:
            del self._topics[number]
        for subscription in [one for one, number in self._wishes.items() if number in numbers]:
            del self._wishes[subscription]
            self._outbox.forget(subscription)
        self._outbox.put_answer(foxglove.unadvertise(numbers))

    async def _vehicles(self) -> list[str]:
        stored = {row.name for row in await asyncio.to_thread(list_vehicles, self._db)}
        return sorted(stored | {name for name, feed in self._hub.feeds().items() if feed.epochs})

    async def _tell_time(self) -> None:
        """For ever: the time of the newest data, so that a replay of last year plays then; without data, now."""
        while True:
            edges = [feed.edge_utc_us for feed in self._hub.feeds().values() if feed.edge_utc_us is not None]
            self._outbox.put_state("time", foxglove.time_frame(max(edges, default=utc_us())))
            await asyncio.sleep(TIME_S)

    async def _send(self) -> None:
        while True:
            message = await self._outbox.take()
            if isinstance(message, str):
                await self._socket.send_text(message)
            else:
                await self._socket.send_bytes(message)
