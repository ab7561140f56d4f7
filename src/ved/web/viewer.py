"""One page's WebSocket: reads its wishes, sends its outbox."""

import asyncio
import contextlib
import logging
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from ved.db.people import User
from ved.metrics import VIEWER_MISSED_TOTAL
from ved.web import messages
from ved.web.clock import utc_us
from ved.web.hub import Hub
from ved.web.limits import MAX_SUBSCRIPTIONS
from ved.web.messages import Unwatch, Watch
from ved.web.outbox import GuestOutbox, Outbox
from ved.web.subscription import Subscription

GOING_AWAY: Final = 1001
CLOSE_S: Final = 0.5
WITHDRAW_S: Final = 2.0
NOT_YOURS: Final = "a guest link opens one session, without what it hides"
log = logging.getLogger(__name__)


class Viewer:
    """A connection that was accepted, with its subscriptions by id."""

    def __init__(self, socket: WebSocket, hub: Hub, user: User) -> None:
        self._socket = socket
        self._hub = hub
        self._user = user
        self._outbox = Outbox() if user.scope is None else GuestOutbox()
        self._subscriptions: dict[int, Subscription] = {}

    async def run(self, closing: asyncio.Event) -> None:
        """Serve the page until it goes away, or until `closing`."""
        self._outbox.put_answer(messages.welcome(self._user, utc_us()))
        tasks = [
            asyncio.create_task(self._receive()),
            asyncio.create_task(self._send()),
            asyncio.create_task(closing.wait()),
        ]
        if self._user.scope is not None:
            tasks.append(asyncio.create_task(self._withdraw()))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except (WebSocketDisconnect, WebSocketDisconnected):
            return
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for subscription in self._subscriptions.values():
                self._hub.close(subscription)
            self._hub.counters.add(VIEWER_MISSED_TOTAL, self._outbox.missed_total)
        if closing.is_set():
            await self._say_goodbye()

    async def _say_goodbye(self) -> None:
        """Close, unless the page is gone or so slow that it would hold up the end."""
        with contextlib.suppress(TimeoutError, WebSocketDisconnect, WebSocketDisconnected):
            async with asyncio.timeout(CLOSE_S):
                await self._socket.close(GOING_AWAY)

    async def _receive(self) -> None:
        while True:
            await self._outbox.room()
            received = await self._socket.receive()
            if received["type"] == "websocket.disconnect":
                return
            try:
                message = messages.parse_client_message(received.get("text") or "")
            except ValueError as error:
                self._outbox.put_answer(messages.error("bad_message", str(error)))
                continue
            if isinstance(message, Unwatch):
                self._end(message.id)
            else:
                await self._begin(message)

    async def _begin(self, watch: Watch) -> None:
        if watch.id not in self._subscriptions and len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            text = f"at most {MAX_SUBSCRIPTIONS} subscriptions per connection"
            self._outbox.put_answer(messages.error("too_many_subscriptions", text, watch.id))
            return
        allowed = await self._allowed(watch)
        if allowed is None:
            self._outbox.put_answer(messages.error("not_allowed", NOT_YOURS, watch.id))
            return
        if not await self._hub.is_vehicle(watch.vehicle):
            text = f"no vehicle is named {watch.vehicle!r}"
            self._outbox.put_answer(messages.error("unknown_vehicle", text, watch.id))
            return
        self._start(watch, allowed)

    def _start(self, watch: Watch, allowed: tuple[int, int | None]) -> None:
        self._end(watch.id)
        subscription = Subscription(watch, self._outbox, allowed)
        self._subscriptions[watch.id] = subscription
        self._hub.open(subscription)

    async def _allowed(self, watch: Watch) -> tuple[int, int | None] | None:
        """From when until when (UTC in µs; None: it goes on) the user may see these channels; None: not at all."""
        if self._user.scope is None:
            return (0, None)
        return await self._hub.guest_span(self._user, watch.vehicle, watch.channels)

    async def _withdraw(self) -> None:
        """When a guest's session is over, what follows is not theirs: they get the window that ends with it."""
        while True:
            await asyncio.sleep(WITHDRAW_S)
            for one in list(self._subscriptions.values()):
                allowed = await self._allowed(one.watch)
                if self._subscriptions.get(one.watch.id) is not one:
                    continue
                if allowed is None:
                    self._end(one.watch.id)
                    self._outbox.put_answer(messages.error("not_allowed", NOT_YOURS, one.watch.id))
                elif allowed != one.allowed:
                    self._start(one.watch, allowed)

    def _end(self, subscription_id: int) -> None:
        subscription = self._subscriptions.pop(subscription_id, None)
        if subscription is not None:
            self._hub.close(subscription)
            self._outbox.forget(subscription_id)

    async def _send(self) -> None:
        while True:
            message = await self._outbox.take()
            if isinstance(message, str):
                await self._socket.send_text(message)
            else:
                await self._socket.send_bytes(message)
