"""Delivers records that can be read again (recordings, another database): kept in memory until the server has them.

Nothing is written on the way: what a stop leaves behind is read again from its source, and the server says what it has.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from ved.codec.link import NO_TIME, Held, Hello, Space, Storage
from ved.codec.records import peek
from ved.errors import LinkLostError, VedError
from ved.link.connection import Answer, LinkConnection, Sent, Wiring, first_leaf
from ved.link.credentials import Credentials, parse_server_url
from ved.link.dial import Dialer
from ved.link.ledger import Ledger
from ved.link.span import Span, span_of
from ved.link.trust import client_context
from ved.model.records import Lane

IN_FLIGHT_BYTES: Final = 4 << 20
WINDOW_BYTES: Final = 1 << 20
RECONNECT_S: Final = (0.3, 1.0)
RECHECK_S: Final = 30.0
"""How long something may be received without becoming stored before the server is asked what it holds."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """The records of one epoch, numbered and cut the same whenever they are made, and how many rows they hold."""

    vehicle: str
    epoch: bytes
    records: Iterator[bytes]
    rows: int


class Courier:
    """Brings parcels to a server, one after the other. All methods belong to one event loop."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._dialer = Dialer([parse_server_url(url) for url in credentials.server_urls])

    async def deliver(self, parcel: Parcel, told: Callable[[int], None] = lambda _: None) -> None:
        """Return when the server has all of it on disk; `told` hears how many rows are. Waits for a server for ever.

        LinkRefusedError when the server refuses.
        """
        delivery = _Delivery(parcel, told)
        while not delivery.is_done:
            try:
                await self._connect(delivery)
            except LinkLostError:
                await asyncio.sleep(random.uniform(*RECONNECT_S))

    async def _connect(self, delivery: "_Delivery") -> None:
        trust = self._credentials
        tls = client_context(trust.ca_pem, time.time())
        wiring = Wiring(lambda: NO_TIME, delivery.hear)
        connection = await LinkConnection.open(self._dialer, tls, trust.key, delivery.hello(), wiring)
        try:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(connection.run())
                await group.create_task(delivery.send_over(connection))
                await connection.close()
                reading.cancel()
        except* VedError as errors:
            raise first_leaf(errors) from None


class _Delivery:
    """One parcel on its way: what was read and is not stored yet waits here."""

    def __init__(self, parcel: Parcel, told: Callable[[int], None]) -> None:
        self._parcel = parcel
        self._told = told
        self._ledger = Ledger()
        self._waiting: dict[Span, bytes] = {}
        self._waiting_bytes = 0
        self._is_read = False
        self._is_storing = True
        self._must_look = False
        self._changed = asyncio.Event()
        self._reading: asyncio.Future[bytes | None] | None = None

    @property
    def is_done(self) -> bool:
        """Everything was read and is stored."""
        return self._is_read and not self._waiting

    def hello(self) -> Hello:
        """The greeting."""
        parcel = self._parcel
        return Hello(Lane.LIVE, parcel.vehicle, f"ved {version('ved')}", parcel.epoch, parcel.rows + 1, 1)

    def hear(self, answer: Answer) -> None:
        """What the server says."""
        if isinstance(answer, Storage):
            self._must_look |= answer.is_storing and not self._is_storing
            self._is_storing = answer.is_storing
        elif isinstance(answer, Held):
            self._ledger.replace(answer)
        else:
            self._ledger.acknowledge(answer)
        self._let_go()
        self._changed.set()

    async def send_over(self, connection: LinkConnection) -> None:
        """Send what waits, then what comes, until all of it is stored. LinkLostError."""
        await self._send_again(connection)
        while not self.is_done:
            if self._is_read or self._waiting_bytes >= IN_FLIGHT_BYTES or not self._is_storing:
                await self._wait(connection)
                continue
            record = await self._next()
            if record is None:
                self._is_read = True
                continue
            span = span_of(peek(record))
            if not self._ledger.is_stored(self._parcel.epoch, span):
                self._waiting[span] = record
                self._waiting_bytes += len(record)
                await self._send(connection, span, record)
            self._told(self._stored_rows())

    async def _next(self) -> bytes | None:
        """The next record; one that was being read when a connection ended comes over the next connection."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(asyncio.to_thread(next, self._parcel.records, None))
        record = await asyncio.shield(self._reading)
        self._reading = None
        return record

    async def _wait(self, connection: LinkConnection) -> None:
        """For any answer; after a long silence, or a full disk that has room again, ask what the server holds."""
        self._changed.clear()
        if not (self._must_look and self._is_storing):
            try:
                async with asyncio.timeout(RECHECK_S):
                    await self._changed.wait()
            except TimeoutError:
                self._must_look = True
        if self._must_look and self._is_storing:
            self._must_look = False
            await connection.ask(self._parcel.epoch)
            await self._send_again(connection)
        self._told(self._stored_rows())

    async def _send_again(self, connection: LinkConnection) -> None:
        for span, record in list(self._waiting.items()):
            if span in self._waiting and not self._ledger.is_received(self._parcel.epoch, span):
                await self._send(connection, span, record)

    async def _send(self, connection: LinkConnection, span: Span, record: bytes) -> None:
        await connection.wait_for_room(lambda: WINDOW_BYTES)
        await connection.send_record(record, Sent.now(self._parcel.epoch, span, record, None))

    def _let_go(self) -> None:
        epoch = self._parcel.epoch
        for span in [span for span in self._waiting if self._ledger.is_stored(epoch, span)]:
            self._waiting_bytes -= len(self._waiting.pop(span))

    def _stored_rows(self) -> int:
        return self._ledger.epoch(self._parcel.epoch).stored[Space.SEQ].count()
