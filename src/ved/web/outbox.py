"""What waits to be sent to one viewer: bounded, and when it is full the viewer's own oldest increments go.

History and answers are never dropped: they are bounded by what the viewer asked for, and their makers wait for room. Of
the states of a vehicle only the newest waits.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from ved.web import messages

MAX_INCREMENTS: Final = 256
MAX_INCREMENT_BYTES: Final = 4 << 20
AHEAD_BYTES: Final = 64 << 10
"""Increments and states wait behind no more history than this, however slow the link is."""


class _Kind(Enum):
    ANSWER = auto()
    STATE = auto()
    HISTORY = auto()
    INCREMENT = auto()


@dataclass(slots=True, eq=False)
class _Item:
    kind: _Kind
    data: str | bytes | None
    """None: dropped."""
    subscription: int = -1
    from_utc_us: int = 0
    to_utc_us: int = 0


@dataclass(slots=True)
class _Missed:
    messages: int
    from_utc_us: int
    to_utc_us: int


class Outbox:
    """Filled on the event loop, emptied by one sender."""

    def __init__(self, max_increments: int = MAX_INCREMENTS, max_increment_bytes: int = MAX_INCREMENT_BYTES) -> None:
        self._max_increments = max_increments
        self._max_increment_bytes = max_increment_bytes
        self._items: deque[_Item] = deque()
        self._increments: deque[_Item] = deque()
        self._states: dict[str, _Item] = {}
        self._increment_bytes = 0
        self._ahead_bytes = 0
        self._missed: dict[int, _Missed] = {}
        self._filled = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self.missed_total = 0

    @property
    def waiting(self) -> int:
        """Messages that wait to be sent."""
        return len(self._items)

    async def room(self) -> None:
        """Wait until answers and history that are not sent yet have shrunk below the bound."""
        await self._has_room.wait()

    def put_answer(self, text: str, subscription: int = -1) -> None:
        """A text message, in its turn. Callers that a viewer can drive await `room` first."""
        self._hold(len(text))
        self._put(_Item(_Kind.ANSWER, text, subscription))

    def put_history(self, subscription: int, data: bytes) -> None:
        """A history message, in its turn; await `room` first."""
        self._hold(len(data))
        self._put(_Item(_Kind.HISTORY, data, subscription))

    def put_state(self, of: str, data: str | bytes) -> None:
        """The state of something (a vehicle, an alarm), in place of an older one that still waits."""
        waiting = self._states.get(of)
        if waiting is not None:
            waiting.data = data
            return
        item = _Item(_Kind.STATE, data)
        self._states[of] = item
        self._put(item)

    def put_alarm(self, of: str, text: str) -> None:
        """The newest state of an alarm, in place of an older one that still waits."""
        self.put_state(of, text)

    def put_increment(self, subscription: int, data: bytes, from_utc_us: int, to_utc_us: int) -> None:
        """An increment with samples of this span; the oldest ones go when there is no room."""
        item = _Item(_Kind.INCREMENT, data, subscription, from_utc_us, to_utc_us)
        self._increments.append(item)
        self._increment_bytes += len(data)
        self._put(item)
        while len(self._increments) > self._max_increments or self._increment_bytes > self._max_increment_bytes:
            self._drop_oldest()
        if len(self._items) > 2 * self._max_increments + len(self._increments):
            self._items = deque(item for item in self._items if item.data is not None)

    def forget(self, subscription: int) -> None:
        """Drop everything that waits for a subscription which was replaced, reset or ended, without a word."""
        kept: deque[_Item] = deque()
        for item in self._items:
            if item.data is not None and item.subscription != subscription:
                kept.append(item)
            elif item.data is not None:
                self._release(item)
                item.data = None
        self._items = kept
        self._increments = deque(item for item in self._increments if item.data is not None)
        self._missed.pop(subscription, None)

    async def take(self) -> str | bytes:
        """The next thing to send; waits for it."""
        while True:
            while not self._items:
                self._filled.clear()
                await self._filled.wait()
            item = self._items[0]
            if item.data is not None and self._missed:
                return self._tell_missed()
            self._items.popleft()
            if item.data is None:
                continue
            if item.kind is _Kind.INCREMENT:
                self._increments.popleft()
            elif item.kind is _Kind.STATE:
                self._states = {name: other for name, other in self._states.items() if other is not item}
            self._release(item)
            return item.data

    def _put(self, item: _Item) -> None:
        self._items.append(item)
        self._filled.set()

    def _hold(self, size_bytes: int) -> None:
        self._ahead_bytes += size_bytes
        if self._ahead_bytes >= AHEAD_BYTES:
            self._has_room.clear()

    def _drop_oldest(self) -> None:
        item = self._increments.popleft()
        self._release(item)
        item.data = None
        self.missed_total += 1
        known = self._missed.get(item.subscription)
        if known is None:
            self._missed[item.subscription] = _Missed(1, item.from_utc_us, item.to_utc_us)
            return
        known.messages += 1
        known.from_utc_us = min(known.from_utc_us, item.from_utc_us)
        known.to_utc_us = max(known.to_utc_us, item.to_utc_us)

    def _release(self, item: _Item) -> None:
        size_bytes = len(item.data or b"")
        if item.kind is _Kind.INCREMENT:
            self._increment_bytes -= size_bytes
        elif item.kind is not _Kind.STATE:
            self._ahead_bytes -= size_bytes
            if self._ahead_bytes < AHEAD_BYTES:
                self._has_room.set()

    def _tell_missed(self) -> str:
        subscription = next(iter(self._missed))
        span = self._missed.pop(subscription)
        return messages.missed(subscription, span.messages, span.from_utc_us, span.to_utc_us)


class GuestOutbox(Outbox):
    """A guest's: alarms are not for them (they name channels and people)."""

    def put_alarm(self, of: str, text: str) -> None:
        """Nothing."""
