"""One connection of one car: its messages in, its acknowledgements out."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from ved.codec.batch import BatchWriter
from ved.codec.link import (
    FEATURE_PREVIEWS,
    FEATURE_SAMPLES,
    FEATURE_WIRE,
    NO_TIME,
    Ask,
    Data,
    Held,
    Hello,
    Message,
    Ping,
    Pong,
    Received,
    RefusalCode,
    Refused,
    Space,
    Stored,
    Unknown,
    Welcome,
    WireData,
    decode_message,
    encode_message,
    split_runs,
)
from ved.codec.records import decode_record, encode_record, verify
from ved.errors import CorruptDataError, LinkRefusedError
from ved.ingest.accepted import Accepted
from ved.ingest.rebuild import Rebuilder
from ved.ingest.store import Store
from ved.link.span import Span, span_of
from ved.metrics import BATCHES_CORRUPT_TOTAL, Counters
from ved.model.clockmap import OLDEST_UTC_US
from ved.model.intervals import Intervals
from ved.model.records import Clock, ClockSource, Lane, LinkState, RecordKind

HELLO_TIMEOUT_S: Final = 5.0
SILENCE_S: Final = 10.0
PING_S: Final = 2.0
LINK_STATE_S: Final = 5.0
CLOCK_S: Final = 10.0
MAX_OUTBOX: Final = 256
SERVER_NAME: Final = "ved ingest"

_FROM_CARS: Final = (
    RecordKind.BATCH,
    RecordKind.LOSS,
    RecordKind.CLOCK,
    RecordKind.DESCRIPTION,
    RecordKind.PREVIEW,
    RecordKind.SAMPLES,
)
_NOTES: Final = (RecordKind.LOSS, RecordKind.CLOCK, RecordKind.DESCRIPTION)
_COUNTED: Final = (RecordKind.BATCH, RecordKind.PREVIEW, RecordKind.SAMPLES)
FEATURES: Final = FEATURE_PREVIEWS | FEATURE_WIRE | FEATURE_SAMPLES
_RTT_WEIGHT: Final = 8
_MAX_TOKEN: Final = 0xFFFFFFFF


class RefusedCarError(LinkRefusedError):
    """The car must be told why, with a code, before the connection closes."""

    def __init__(self, code: RefusalCode, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class CarIdentity:
    """What the key says: which vehicle it may publish for."""

    key: bytes
    key_id: int
    vehicle: str


class Outbox:
    """What waits to be sent: acknowledgements are merged, so a slow reader costs no memory."""

    def __init__(self, find_held: Callable[[bytes], Held]) -> None:
        self._find_held = find_held
        self._acks: dict[tuple[type[Received] | type[Stored], bytes, Space], Intervals] = {}
        self._asked: dict[bytes, None] = {}
        self._others: deque[Message] = deque()
        self._filled = asyncio.Event()

    def acknowledge(self, kind: type[Received] | type[Stored], epoch: bytes, span: Span) -> None:
        """Add to the next acknowledgement of this kind."""
        self._acks.setdefault((kind, epoch, span.space), Intervals()).add(span.first, span.last)
        self._filled.set()

    def put(self, message: Message) -> bool:
        """Queue any other message; False when too many wait because the peer does not read."""
        if len(self._others) >= MAX_OUTBOX:
            return False
        self._others.append(message)
        self._filled.set()
        return True

    def answer(self, epoch: bytes) -> bool:
        """Queue what is held of `epoch` at the time of sending; False when too many answers wait."""
        if len(self._asked) >= MAX_OUTBOX:
            return False
        self._asked[epoch] = None
        self._filled.set()
        return True

    async def wait(self) -> list[Message]:
        """All that waits, at least one message.

        Acknowledgements come first and what is held last: it must not be older than an acknowledgement sent before.
        """
        await self._filled.wait()
        self._filled.clear()
        out: list[Message] = []
        for (kind, epoch, space), intervals in self._acks.items():
            out += [kind(epoch, space, runs) for runs in split_runs(intervals)]
        out += [*self._others, *(self._find_held(epoch) for epoch in self._asked)]
        self._acks.clear()
        self._others.clear()
        self._asked.clear()
        return out


class CarConnection:
    """Runs the protocol on an authenticated WebSocket until either side ends it."""

    def __init__(
        self,
        socket: ServerConnection,
        car: CarIdentity,
        store: Store,
        accepted: Accepted,
        counters: Counters,
        writer: BatchWriter,
    ) -> None:
        self.car = car
        self.peer = peer_of(socket)
        self.hello: Hello | None = None
        self.outbox = Outbox(lambda epoch: accepted.held(car.vehicle, epoch))
        self._socket = socket
        self._store = store
        self._accepted = accepted
        self._counters = counters
        self._rebuilder = Rebuilder(car.vehicle, writer)
        self._rtt_us = -1
        self._pings: dict[int, float] = {}
        self._next_token = 0
        self.opened_s = self.heard_s = time.monotonic()
        self._clock_s = 0.0
        self._is_announced = False

    @property
    def epoch(self) -> bytes:
        """The epoch that the car is in; empty before its Hello."""
        return b"" if self.hello is None else self.hello.epoch

    async def open(self) -> Hello:
        """Take the Hello and answer it. RefusedCarError, CorruptDataError or ConnectionClosed when it is not right."""
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                message = await self._receive()
        except TimeoutError as error:
            raise CorruptDataError("says nothing") from error
        if not isinstance(message, Hello):
            raise CorruptDataError(f"begins with {type(message).__name__}")
        if message.vehicle != self.car.vehicle:
            raise RefusedCarError(
                RefusalCode.VEHICLE, f"this key is for vehicle {self.car.vehicle!r}, not {message.vehicle!r}"
            )
        self.hello = message
        features = message.features & FEATURES
        await self._send(Welcome(SERVER_NAME, time.time_ns() // 1000, self._store.is_storing, features))
        await self._send(self._accepted.held(message.vehicle, message.epoch))
        return message

    @property
    def has_samples(self) -> bool:
        """True when the epoch holds samples."""
        return self.hello is not None and bool(self.hello.features & FEATURE_SAMPLES)

    def announce(self, *, is_up: bool) -> None:
        """Write into the stream that this connection came, lives on (with its RTT) or went; a last word only once."""
        if self.hello is None or self.has_samples or (not is_up and not self._is_announced):
            return  # of samples: whether sensors are there says nothing of the car
        self._is_announced = is_up
        state = LinkState(self.car.vehicle, self.hello.epoch, is_up, self.hello.lane, self.peer, self._rtt_us)
        self._store.put_own(encode_record(state), self.hello.lane)

    async def run(self) -> None:
        """Serve an opened connection. Ends by ConnectionClosed, CorruptDataError or RefusedCarError only."""
        assert self.hello is not None
        self._note_clock(self.hello.t_us)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write())
            group.create_task(self._watch())
            while True:
                await self._handle(await self._receive())

    async def refuse(self, code: RefusalCode, text: str) -> None:
        """Tell the car why, as well as that still works, and close."""
        try:
            async with asyncio.timeout(1.0):
                await self._send(Refused(code, text))
                await self._socket.close()
        except (TimeoutError, ConnectionClosed):
            self.abort()

    def abort(self) -> None:
        """Close without a word: for a peer that is not there any more."""
        self._socket.transport.abort()

    async def _receive(self) -> Message:
        data = await self._socket.recv()
        if not isinstance(data, bytes):
            raise CorruptDataError("sends text")
        self.heard_s = time.monotonic()
        return decode_message(data)

    async def _send(self, message: Message) -> None:
        await self._socket.send(encode_message(message))

    async def _handle(self, message: Message) -> None:
        if isinstance(message, Data):
            await self._take(message.record)
        elif isinstance(message, WireData):
            await self._take(self._rebuild(message.body))
        elif isinstance(message, Ping):
            self._must_fit(self.outbox.put(Pong(message.token)))
            self._note_clock(message.t_us)
        elif isinstance(message, Pong):
            self._measure(message.token)
        elif isinstance(message, Ask):
            self._must_fit(self.outbox.answer(message.epoch))
        elif not isinstance(message, Unknown):
            raise CorruptDataError(f"sends {type(message).__name__}")

    @staticmethod
    def _must_fit(fits: bool) -> None:
        if not fits:
            raise CorruptDataError("asks for more than it reads")

    def _rebuild(self, body: bytes) -> bytes:
        """The self-contained record of a batch that was coded against earlier ones."""
        try:
            return self._rebuilder.record(body)
        except CorruptDataError:
            self._counters.add(BATCHES_CORRUPT_TOTAL)
            raise

    async def _take(self, record: bytes) -> None:
        assert self.hello is not None
        try:
            header = verify(record)
            if header.kind in _NOTES:
                decode_record(record)  # what is told by it goes into the database
        except CorruptDataError:
            self._counters.add(BATCHES_CORRUPT_TOTAL)
            raise
        if header.vehicle != self.car.vehicle:
            raise RefusedCarError(
                RefusalCode.VEHICLE, f"this key is for vehicle {self.car.vehicle!r}, not {header.vehicle!r}"
            )
        if header.kind not in _FROM_CARS or header.number < 1 or (header.kind in _COUNTED and not header.count):
            self._counters.add(BATCHES_CORRUPT_TOTAL)
            raise CorruptDataError(f"sends a record that cars do not send ({header.kind.name} {header.number})")
        span = span_of(header)
        if header.kind == RecordKind.PREVIEW:
            self._store.pass_on(record, self.hello.lane)
            self.outbox.acknowledge(Received, header.epoch, span)
            return
        was_stored = await self._store.take(record, header, self.hello.lane, self)
        self.outbox.acknowledge(Received, header.epoch, span)
        if was_stored:
            self.outbox.acknowledge(Stored, header.epoch, span)

    def _note_clock(self, t_us: int) -> None:
        """Now and then a pair (the car's time, the server's UTC); it is late by the way here, never early."""
        assert self.hello is not None
        now_s = time.monotonic()
        if t_us == NO_TIME or self.hello.lane != Lane.LIVE or (self._clock_s and now_s - self._clock_s < CLOCK_S):
            return
        utc_us = time.time_ns() // 1000
        if utc_us < OLDEST_UTC_US:
            return  # this server's clock was never set
        self._clock_s = now_s
        error_us = self._rtt_us if self._rtt_us >= 0 else 1_000_000
        pair = Clock(self.car.vehicle, self.hello.epoch, 0, t_us, utc_us, ClockSource.SERVER, error_us)
        self._store.put_own(encode_record(pair), self.hello.lane)

    def _measure(self, token: int) -> None:
        sent_s = self._pings.pop(token, None)
        if sent_s is None:
            return
        rtt_us = int((time.monotonic() - sent_s) * 1e6)
        self._rtt_us = rtt_us if self._rtt_us < 0 else self._rtt_us + (rtt_us - self._rtt_us) // _RTT_WEIGHT

    async def _write(self) -> None:
        """Send what waits. A peer that does not read holds up only itself."""
        while True:
            for message in await self.outbox.wait():
                await self._send(message)
                await asyncio.sleep(0)  # that a write failed comes through the loop, and ends this

    async def _watch(self) -> None:
        """Ping, tell the stream the RTT, and end a connection that has gone silent."""
        told_s = time.monotonic()
        while True:
            token = self._next_token
            self._next_token = (token + 1) & _MAX_TOKEN
            self._pings[token] = time.monotonic()
            if len(self._pings) > MAX_OUTBOX:
                self._pings.pop(next(iter(self._pings)))
            self.outbox.put(Ping(token))
            await asyncio.sleep(PING_S)
            now_s = time.monotonic()
            if now_s - self.heard_s > SILENCE_S:
                self.abort()
                return
            if now_s - told_s >= LINK_STATE_S:
                told_s = now_s
                self.announce(is_up=True)


def peer_of(socket: ServerConnection) -> str:
    """Address of the other side, as text; "?" when it has gone already."""
    address = socket.remote_address
    return f"{address[0]}:{address[1]}" if address else "?"


def address_of(socket: ServerConnection) -> str:
    """The other side without its port; "?" when it has gone already."""
    address = socket.remote_address
    return str(address[0]) if address else "?"
