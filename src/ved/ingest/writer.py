"""The thread that owns the stream's writer: append, fsync in groups, trim. The event loop never waits for the disk."""

import asyncio
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

from ved.broker.base import StreamWriter
from ved.errors import StorageError
from ved.link.span import Span
from ved.model.records import Arrival

SYNC_INTERVAL_S: Final = 0.2
SYNC_BYTES: Final = 64 << 10
RETRY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Taken:
    """A numbered record on its way to the disk; `origin` says who is to hear of it."""

    vehicle: str
    epoch: bytes
    span: Span
    origin: object


@dataclass(frozen=True, slots=True)
class Item:
    """One entry for the stream; `taken` is None for the server's own records."""

    arrival: Arrival
    record: bytes
    taken: Taken | None


@dataclass(frozen=True, slots=True)
class TrimOrder:
    """How much of the stream to keep, whatever the cursors in `never_past` have read."""

    keep_bytes: int
    keep_us: int
    never_past: tuple[str, ...]


class Listener(Protocol):
    """What the event loop hears of the thread's work, in the order in which it happened."""

    def on_written(self, written: list[tuple[int, Item]]) -> None:
        """These items are in the stream at these positions."""

    def on_durable(self, position: int) -> None:
        """Everything below `position` is on the disk."""

    def on_storing(self, is_storing: bool, why: str) -> None:
        """The disk began to refuse, or takes again."""


class WriterThread:
    """Takes items from the event loop that made it. While the disk refuses, items wait here and are tried again."""

    def __init__(self, writer: StreamWriter, listener: Listener) -> None:
        self._writer = writer
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._inbox: queue.SimpleQueue[Item | TrimOrder | None] = queue.SimpleQueue()
        self._waiting: deque[Item] = deque()
        self._unsynced_bytes = 0
        self._unsynced_since_s = 0.0
        self._retry_at_s = 0.0
        self._is_storing = True
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="stream writer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def put(self, item: Item | TrimOrder) -> None:
        """Queue an item; the caller bounds how much waits."""
        self._inbox.put(item)

    async def stop(self) -> None:
        """Write and sync what waits, as far as the disk lets, and end."""
        self._inbox.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while not self._is_stopping:
            self._fetch()
            self._append()
            if self._is_due():
                self._sync()
        self._retry_at_s = 0.0
        self._append()
        if self._unsynced_bytes:
            self._sync()

    def _fetch(self) -> None:
        """Wait for work or until something is due, then take all that is there."""
        try:
            item = self._inbox.get(timeout=self._wait_s())
            while True:
                if item is None:
                    self._is_stopping = True
                elif isinstance(item, TrimOrder):
                    self._trim(item)
                else:
                    self._waiting.append(item)
                item = self._inbox.get_nowait()
        except queue.Empty:
            return

    def _wait_s(self) -> float | None:
        now_s = time.monotonic()
        due_s = []
        if self._unsynced_bytes:
            due_s.append(max(self._unsynced_since_s + SYNC_INTERVAL_S, self._retry_at_s))
        if self._waiting:
            due_s.append(self._retry_at_s)
        return max(0.0, min(due_s) - now_s) if due_s else None

    def _append(self) -> None:
        if time.monotonic() < self._retry_at_s:
            return
        written: list[tuple[int, Item]] = []
        while self._waiting:
            item = self._waiting[0]
            try:
                position = self._writer.append(item.arrival, item.record)
            except StorageError as error:
                self._refused(error)
                break
            self._waiting.popleft()
            written.append((position, item))
            if not self._unsynced_bytes:
                self._unsynced_since_s = time.monotonic()
            self._unsynced_bytes += len(item.record)
        if written:
            self._loop.call_soon_threadsafe(self._listener.on_written, written)

    def _is_due(self) -> bool:
        now_s = time.monotonic()
        if not self._unsynced_bytes or now_s < self._retry_at_s:
            return False
        return self._unsynced_bytes >= SYNC_BYTES or now_s - self._unsynced_since_s >= SYNC_INTERVAL_S

    def _sync(self) -> None:
        try:
            durable = self._writer.sync()
        except StorageError as error:
            self._refused(error)
            return
        self._unsynced_bytes = 0
        self._loop.call_soon_threadsafe(self._listener.on_durable, durable)
        if not self._waiting:
            self._tell(is_storing=True, why="")

    def _trim(self, order: TrimOrder) -> None:
        try:
            self._writer.trim(order.keep_bytes, order.keep_us, order.never_past)
        except StorageError as error:
            self._refused(error)

    def _refused(self, error: StorageError) -> None:
        self._retry_at_s = time.monotonic() + RETRY_S
        self._tell(is_storing=False, why=str(error))

    def _tell(self, *, is_storing: bool, why: str) -> None:
        if is_storing != self._is_storing:
            self._is_storing = is_storing
            self._loop.call_soon_threadsafe(self._listener.on_storing, is_storing, why)
