"""One car of a load test: the real link client, with batches that were made beforehand."""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Final

from ved.codec.link import FEATURE_WIRE, NO_TIME, Held, Hello, Space, Storage
from ved.codec.records import encode_record
from ved.errors import LinkLostError, LinkRefusedError
from ved.link.connection import Answer, LinkConnection, Sent, Wiring, first_leaf
from ved.link.credentials import Credentials, parse_server_url
from ved.link.dial import Dialer
from ved.link.ledger import Ledger
from ved.link.span import Span
from ved.link.trust import client_context
from ved.loadtest.drive import Drive, Part
from ved.model.records import BusDescription, Clock, ClockSource, Description, Lane

RECONNECT_S: Final = (0.3, 1.0)


@dataclass(frozen=True, slots=True)
class CarSettings:
    """Who the car is; where it connects (`port` of a relay on this machine, or None: the server itself); its buses."""

    credentials: Credentials
    buses: tuple[BusDescription, ...]
    port: int | None = None


class Car:
    """Run `run` as a task. All methods belong to one event loop."""

    def __init__(self, settings: CarSettings, drive: Drive) -> None:
        self._credentials = settings.credentials
        self._drive = drive
        address = parse_server_url(settings.credentials.server_urls[0])
        self._dialer = Dialer([address if settings.port is None else replace(address, port=settings.port)])
        self._ledger = Ledger()
        vehicle = settings.credentials.vehicle
        described = Description(vehicle, drive.epoch, 1, f"Load test ({vehicle})", settings.buses)
        self._notes = [(Span(Space.NOTE, 1, 1), encode_record(described))]
        self._begin_s: float | None = None
        self._next = 0
        self._has_begun = asyncio.Event()
        self._is_first = True
        self._waiting: dict[Span, Part] = {}
        self.connected = asyncio.Event()
        self.refusal = ""
        self.sent = 0
        self.resent = 0
        self.reconnects = 0
        self.sent_bytes = 0

    def begin(self, begin_us: int) -> None:
        """The drive begins at this UTC (µs): what the car says of its clock makes the server count from there."""
        self._begin_s = time.monotonic() + (begin_us - time.time_ns() // 1000) / 1e6
        clock = Clock(self._credentials.vehicle, self._drive.epoch, 2, 0, begin_us, ClockSource.NTP, 0)
        self._notes.append((Span(Space.NOTE, 2, 2), encode_record(clock)))
        self._has_begun.set()

    @property
    def stored(self) -> int:
        """Frames that the server says are on its disk."""
        return self._ledger.epoch(self._drive.epoch).stored[Space.SEQ].count()

    @property
    def is_done(self) -> bool:
        """The whole drive is stored."""
        return self.stored >= self._drive.frames

    async def run(self) -> None:
        """Drive, and come back when the link is lost, until cancelled or refused."""
        while True:
            try:
                await self._connect()
            except LinkLostError:
                await asyncio.sleep(random.uniform(*RECONNECT_S))
            except LinkRefusedError as error:
                self.refusal = str(error)
                return

    async def _connect(self) -> None:
        trust = self._credentials
        hello = Hello(
            Lane.LIVE,
            trust.vehicle,
            f"ved {version('ved')} loadtest",
            self._drive.epoch,
            self._drive.frames + 1,
            3,
            features=FEATURE_WIRE,
        )
        wiring = Wiring(lambda: NO_TIME, self._hear)
        if self._is_first:
            wiring = replace(wiring, coded=self._coded())
        tls = client_context(trust.ca_pem, time.time())
        connection = await LinkConnection.open(self._dialer, tls, trust.key, hello, wiring)
        self.reconnects += not self._is_first
        self._is_first = False
        self.connected.set()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(connection.run())
                group.create_task(self._send_over(connection))
        except* (LinkLostError, LinkRefusedError) as errors:
            raise first_leaf(errors) from None

    def _coded(self) -> "_Coded":
        return _Coded(iter(self._drive.parts))

    def _hear(self, answer: Answer) -> None:
        if isinstance(answer, Storage):
            return
        if isinstance(answer, Held):
            self._ledger.replace(answer)
        else:
            self._ledger.acknowledge(answer)
        epoch = self._drive.epoch
        for span in [span for span in self._waiting if self._ledger.is_stored(epoch, span)]:
            del self._waiting[span]

    async def _send_over(self, connection: LinkConnection) -> None:
        """What the server has not got of what was sent, then what comes, each when its time has come."""
        await self._send_notes(connection)
        for span, part in list(self._waiting.items()):
            if not self._ledger.is_received(self._drive.epoch, span):
                self.resent += part.last_seq - part.first_seq + 1
                await self._send(connection, span, part)
        await self._has_begun.wait()
        await self._send_notes(connection)
        assert self._begin_s is not None
        while self._next < len(self._drive.parts):
            part = self._drive.parts[self._next]
            await asyncio.sleep(self._begin_s + part.due_us / 1e6 - time.monotonic())
            span = Span(Space.SEQ, part.first_seq, part.last_seq)
            self._waiting[span] = part
            self._next += 1
            await self._send(connection, span, part)

    async def _send(self, connection: LinkConnection, span: Span, part: Part) -> None:
        await connection.wait_for_room(connection.live_window_bytes)
        is_coded = self.reconnects == 0 and part.message is not None
        record = part.record if is_coded else part.record_of(self._credentials.vehicle)
        self.sent_bytes += await connection.send_record(record, Sent.now(self._drive.epoch, span, record, None))
        self.sent += part.last_seq - part.first_seq + 1

    async def _send_notes(self, connection: LinkConnection) -> None:
        epoch = self._drive.epoch
        for span, record in self._notes:
            if not self._ledger.is_received(epoch, span) and not connection.is_on_way(epoch, span):
                await connection.send_record(record, Sent.now(epoch, span, record, None))


class _Coded:
    """The messages of the drive's records, for as long as they are sent one after the other from the first on."""

    def __init__(self, parts: Iterator[Part]) -> None:
        self._parts = parts
        self._due = next(self._parts, None)

    def __call__(self, record: bytes) -> bytes | None:
        due = self._due
        if due is None or due.record is not record:
            return None
        self._due = None if due.message is None else next(self._parts, None)
        return due.message
