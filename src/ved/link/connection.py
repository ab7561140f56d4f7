"""One open connection of the car: what is on its way, how long the way takes, and when it is dead."""

import asyncio
import base64
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from ved.codec.batch import decode_batch
from ved.codec.learn import LayoutBook
from ved.codec.link import (
    FEATURE_WIRE,
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
    Storage,
    Stored,
    Unknown,
    Welcome,
    WireData,
    decode_message,
    encode_message,
)
from ved.codec.records import peek
from ved.codec.wire import WireEncoder
from ved.errors import CorruptDataError, LinkLostError, LinkRefusedError
from ved.link.dial import PUBLISH_PATH, Dialer
from ved.link.pace import DeliveryRate, ShortestTrip, live_window_bytes, wire_bytes
from ved.link.span import Span
from ved.link.tcpprogress import TcpProgress
from ved.link.watchdog import Watchdog
from ved.link.wireuse import WireUse
from ved.model.records import RecordKind

WELCOME_TIMEOUT_S: Final = 5.0
PING_S: Final = 2.0
FAST_PING_S: Final = 0.13
"""While the backlog follows. No divisor of a batch's 0.1 s: not every ping may wait behind a batch."""

_CHECK_S: Final = 0.1
_MAX_PINGS: Final = 256
_LATE_S: Final = 0.3

RecordKey = tuple[bytes, Space, int]
"""Epoch, space and first number: names a record on its way."""

Answer = Received | Stored | Held | Storage


@dataclass(frozen=True, slots=True)
class Sent:
    """A record on its way; `position` is its place in the car's journal (None when that is not known yet)."""

    epoch: bytes
    span: Span
    size_bytes: int
    sent_s: float
    position: int | None

    @staticmethod
    def now(epoch: bytes, span: Span, record: bytes, position: int | None) -> "Sent":
        """A record that is put on its way at this moment."""
        return Sent(epoch, span, len(record), time.monotonic(), position)


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a connection needs of its owner: the time in the epoch (or NO_TIME), and who hears what.

    `on_delivered` hears of each record that was received: how many bytes, and how much longer it took than the shortest
    round trip, in seconds; `on_trip` hears the round trip of each ping. `layouts` is
    what was learned of the frames, kept from connection to connection. `coded` knows the message of a record that was
    coded for the wire beforehand (a load generator's), each in its turn from the connection's first.
    """

    time_us: Callable[[], int]
    on_answer: Callable[[Answer], None]
    on_delivered: Callable[[int, float], None] = lambda _bytes, _late_s: None
    on_trip: Callable[[float], None] = lambda _: None
    layouts: LayoutBook = field(default_factory=LayoutBook)
    coded: Callable[[bytes], bytes | None] = lambda _: None


class LinkConnection:
    """A welcomed connection. `on_answer` hears every acknowledgement, in order, in the event loop."""

    def __init__(self, socket: ClientConnection, wiring: Wiring) -> None:
        self._socket = socket
        self._wiring = wiring
        self._on_answer = wiring.on_answer
        self._delivered = DeliveryRate()
        self._shortest = ShortestTrip()
        self._sent: OrderedDict[RecordKey, Sent] = OrderedDict()
        self._pings: dict[int, float] = {}
        self._control: asyncio.Queue[Message] = asyncio.Queue()
        self._next_token = 1
        self._room = asyncio.Event()
        self._held: dict[bytes, asyncio.Future[None]] = {}
        self.outstanding_bytes = 0
        self.ping_s = PING_S
        self.features = 0
        self._vehicle = ""
        self._encoder = WireEncoder(wiring.layouts)
        self._wire_use = WireUse()
        tcp, own_address = TcpProgress.of(socket.transport), socket.local_address[0]
        self.watchdog = Watchdog(tcp, own_address, time.monotonic())

    @staticmethod
    async def open(dialer: Dialer, tls: ssl.SSLContext, key: bytes, hello: Hello, wiring: Wiring) -> "LinkConnection":
        """Connect and be welcomed. LinkLostError when that does not work now, LinkRefusedError when it never will."""
        return await LinkConnection.begin(await dial(dialer, tls, key), hello, wiring)

    @staticmethod
    async def begin(socket: ClientConnection, hello: Hello, wiring: Wiring) -> "LinkConnection":
        """Be welcomed on what `dial` opened; raises as `open`."""
        connection = LinkConnection(socket, wiring)
        try:
            async with asyncio.timeout(WELCOME_TIMEOUT_S):
                welcome, held = await connection._greet(hello)
        except TimeoutError as error:
            socket.transport.abort()
            raise LinkLostError("the server does not answer Hello") from error
        except (LinkLostError, LinkRefusedError, asyncio.CancelledError):
            socket.transport.abort()
            raise
        connection.features = hello.features & welcome.features
        connection._vehicle = hello.vehicle
        wiring.on_answer(Storage(welcome.is_storing))
        wiring.on_answer(held)
        return connection

    async def _greet(self, hello: Hello) -> tuple[Welcome, Held]:
        await self._send(hello)
        welcome = await self._receive()
        if not isinstance(welcome, Welcome):
            raise LinkLostError(f"the server begins with {type(welcome).__name__}")
        held = await self._receive()
        if not isinstance(held, Held) or held.epoch != hello.epoch:
            raise LinkLostError("the server does not say what it holds")
        return welcome, held

    async def run(self) -> None:
        """Read and watch until the connection ends: LinkLostError, or LinkRefusedError when the server says why."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch())
                group.create_task(self._write_control())
                while True:
                    self._handle(await self._receive())
        except* (LinkLostError, LinkRefusedError) as group_error:
            raise first_leaf(group_error) from None
        finally:
            self._socket.transport.abort()
            self._fail_questions()

    async def send_record(self, record: bytes, sent: Sent) -> int:
        """Put one record on its way; waits while the socket is full. Returns the bytes that it takes on the wire.

        LinkLostError when the connection is gone.
        """
        message = self._pack(record)
        sent = replace(sent, size_bytes=wire_bytes(len(message)))
        if not self._is_waiting:
            self.watchdog.begin(sent.sent_s)
        self._sent[(sent.epoch, sent.span.space, sent.span.first)] = sent
        self.outstanding_bytes += sent.size_bytes
        await self._send_bytes(message)
        return sent.size_bytes

    def _pack(self, record: bytes) -> bytes:
        """A batch is coded against those before it, where the server knows how; all else goes as it stands."""
        ready = self._wiring.coded(record)
        if ready is not None:
            return ready
        header = peek(record)
        is_batch = header.kind == RecordKind.BATCH and header.vehicle == self._vehicle
        if is_batch and self.features & FEATURE_WIRE and self._wire_use.is_next_coded():
            body = self._encoder.encode(decode_batch(record))
            if body is not None:
                self._wire_use.note(len(body), len(record))
                return encode_message(WireData(body))
        return encode_message(Data(record))

    def is_on_way(self, epoch: bytes, span: Span) -> bool:
        """True when a record of these numbers was sent and not acknowledged yet."""
        return (epoch, span.space, span.first) in self._sent

    def has_on_way(self, epoch: bytes, first: int, last: int) -> bool:
        """True when a batch with any of these seqs was sent and not acknowledged yet."""
        return any(
            one.epoch == epoch and one.span.space == Space.SEQ and one.span.first <= last and first <= one.span.last
            for one in self._sent.values()
        )

    def live_window_bytes(self) -> int:
        """How much may be on its way, as far as what arrived so far tells."""
        return live_window_bytes(self._delivered.peak(time.monotonic()), self._shortest.rtt_s)

    async def wait_for_room(self, window_bytes: Callable[[], int]) -> None:
        """Return once less than `window_bytes()` are on their way."""
        while self.outstanding_bytes >= window_bytes():
            self._room.clear()
            await self._room.wait()

    async def ask(self, epoch: bytes) -> None:
        """Have the server say what it holds of `epoch`; returns when `on_answer` has heard it."""
        answer = self._held.setdefault(epoch, asyncio.get_running_loop().create_future())
        await self._send(Ask(epoch))
        await answer

    def take_unreceived(self) -> list[Sent]:
        """What was on its way when the connection ended; it is forgotten here."""
        out = list(self._sent.values())
        self._sent.clear()
        self.outstanding_bytes = 0
        return out

    async def close(self) -> None:
        """Close in order, within a second."""
        await self._socket.close()

    def _fail_questions(self) -> None:
        """Whoever still waits for an answer learns that none will come."""
        for waiting in self._held.values():
            if not waiting.done():
                waiting.set_exception(LinkLostError("the connection closed"))
                waiting.exception()  # seen: nobody may be waiting any more
        self._held.clear()

    async def _receive(self) -> Message:
        try:
            data = await self._socket.recv()
        except ConnectionClosed as error:
            raise LinkLostError("the connection closed") from error
        try:
            message = decode_message(data if isinstance(data, bytes) else b"")
        except CorruptDataError as error:
            raise LinkLostError(f"the server sends what is not understood: {error}") from error
        if isinstance(message, Refused):
            if message.code == RefusalCode.REPLACED:
                raise LinkLostError(message.text)
            raise LinkRefusedError(message.text)
        return message

    async def _send(self, message: Message) -> None:
        await self._send_bytes(encode_message(message))

    async def _send_bytes(self, message: bytes) -> None:
        try:
            await self._socket.send(message)
        except ConnectionClosed as error:
            raise LinkLostError("the connection closed") from error

    def _handle(self, message: Message) -> None:
        if isinstance(message, Received):
            self._note_received(message)
            self._on_answer(message)
        elif isinstance(message, Stored | Storage):
            self._on_answer(message)
        elif isinstance(message, Held):
            self._on_answer(message)
            waiting = self._held.pop(message.epoch, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
        elif isinstance(message, Pong):
            self._note_pong(message.token)
        elif isinstance(message, Ping):
            self._control.put_nowait(Pong(message.token))
        elif not isinstance(message, Unknown):
            raise LinkLostError(f"the server sends {type(message).__name__}")

    def _note_received(self, message: Received) -> None:
        """Take what it names off the list; the newest of it gives the round trip."""
        now_s = time.monotonic()
        for key in [key for key, sent in self._sent.items() if _is_named(message, sent)]:
            sent = self._sent.pop(key)
            self.outstanding_bytes -= sent.size_bytes
            self._delivered.note(sent.size_bytes, now_s)
            trip_s = now_s - sent.sent_s
            self._measure(trip_s)
            self._wiring.on_delivered(sent.size_bytes, trip_s - (self._shortest.rtt_s or trip_s))
        self.watchdog.note_progress(now_s)
        self._room.set()

    def _note_pong(self, token: int) -> None:
        sent_s = self._pings.pop(token, None)
        if sent_s is not None:
            now_s = time.monotonic()
            self.watchdog.note_progress(now_s)
            self._measure(now_s - sent_s)
            self._wiring.on_trip(now_s - sent_s)

    def _measure(self, rtt_s: float) -> None:
        self._shortest.note(rtt_s, time.monotonic())
        self.watchdog.note_trip(rtt_s)

    async def _write_control(self) -> None:
        """Send pings and pongs, beside the records."""
        while True:
            await self._send(await self._control.get())

    async def _watch(self) -> None:
        """Ping now and then; end the connection when what is on its way makes no progress."""
        pinged_s = 0.0
        while True:
            now_s = time.monotonic()
            if now_s - pinged_s >= self.ping_s:
                pinged_s = now_s
                self._ping(now_s)
            await asyncio.sleep(min(_CHECK_S, self.ping_s))
            woken_s = time.monotonic()
            self.watchdog.look(woken_s)
            if woken_s - now_s < _LATE_S:
                self.watchdog.check(woken_s, self._oldest_bytes())
            # else: this program itself stood still, and answers may lie unread in the socket

    def _ping(self, now_s: float) -> None:
        if not self._is_waiting:
            self.watchdog.begin(now_s)
        if len(self._pings) >= _MAX_PINGS:
            return
        token = self._next_token
        self._next_token = token % 0xFFFFFFFF + 1
        self._pings[token] = now_s
        self._control.put_nowait(Ping(token, self._wiring.time_us()))

    @property
    def _is_waiting(self) -> bool:
        """True while something is on its way that the server answers."""
        return bool(self._sent or self._pings)

    def _oldest_bytes(self) -> int | None:
        """Of the oldest record on its way; 0 when only pings are, None when nothing is."""
        if self._sent:
            return next(iter(self._sent.values())).size_bytes
        return 0 if self._pings else None

    @property
    def server_address(self) -> tuple[str, int]:
        """IP address and port of the other side."""
        host, port = self._socket.remote_address[:2]
        return host, port


async def dial(dialer: Dialer, tls: ssl.SSLContext, key: bytes) -> ClientConnection:
    """A connection to a server that knows the key. LinkLostError, LinkRefusedError."""
    token = base64.urlsafe_b64encode(key).decode().rstrip("=")
    return await dialer.open(PUBLISH_PATH, tls, {"Authorization": f"Bearer {token}"})


def _is_named(message: Received, sent: Sent) -> bool:
    return (
        sent.epoch == message.epoch
        and sent.span.space == message.space
        and any(first <= sent.span.first and sent.span.last <= last for first, last in message.runs)
    )


def first_leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first exception in a group that is no group itself."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
