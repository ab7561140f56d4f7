"""The process of the viewers: each watches some channels of one car, and notes how late their samples come.

They speak the live protocol (docs/spec/live.md) over plain sockets and the sans-io half of `websockets`, so that a
thousand of them leave the processors to the server.
"""

import asyncio
import contextlib
import json
import signal
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from ved.codec.live import LAST_HISTORY, LiveKind
from ved.loadtest.histogram import Histogram
from ved.loadtest.lateness import Lateness
from ved.loadtest.plan import Span, ViewersReport

AT_ONCE: Final = 32
CONNECT_S: Final = 120.0
GRACE_S: Final = 5.0
"""How long after the end samples of the span may still come."""
BEHIND_US: Final = 500_000
"""A viewer whose newest sample is further from the span's end is behind."""

_HEAD: Final = struct.Struct("<xBxxHHqI")
_COUNT_AT: Final = 36
_TICKS_AT: Final = 40


@dataclass(frozen=True, slots=True)
class ViewersOrder:
    """What the process is told: the page's address, a signed-in cookie, and what each viewer asks for."""

    web_url: str
    cookie: str
    wishes: tuple[dict[str, Any], ...]


def run_viewers(order: ViewersOrder, pipe: Connection) -> None:
    """Entry of the process: says `None` when all have their window (else why not), hears a Span, answers a report."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who started this process decides
    with contextlib.suppress(EOFError, BrokenPipeError):
        asyncio.run(_watch(order, pipe))


async def _watch(order: ViewersOrder, pipe: Connection) -> None:
    seen = Seen()
    viewers = [Viewer(order, wish, seen) for wish in order.wishes]
    try:
        trouble = await _connect(order, viewers)
        pipe.send(trouble)
        if trouble is None:
            pipe.send(await _measure(viewers, seen, await asyncio.to_thread(pipe.recv)))
    finally:
        for viewer in viewers:
            viewer.leave()


async def _connect(order: ViewersOrder, viewers: "Sequence[Viewer]") -> str | None:
    """Connect all, a few at a time; what went wrong, or None."""
    parts, loop = urlsplit(order.web_url), asyncio.get_running_loop()
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if tls else 80)
    assert parts.hostname is not None
    for begin in range(0, len(viewers), AT_ONCE):
        some = viewers[begin : begin + AT_ONCE]
        try:
            async with asyncio.timeout(CONNECT_S):
                for viewer in some:
                    make = _always(viewer)
                    await loop.create_connection(make, parts.hostname, port, ssl=tls)
                await asyncio.gather(*(viewer.has_window for viewer in some))
        except OSError as error:  # TimeoutError is one
            return f"viewers cannot connect to {order.web_url}: {error.strerror or 'no answer'}"
        except ConnectionRefusedViewerError as error:
            return str(error)
    return None


def _always(viewer: "Viewer") -> "Callable[[], Viewer]":
    return lambda: viewer


async def _measure(viewers: "Sequence[Viewer]", seen: "Seen", span: Span) -> ViewersReport:
    lateness = Lateness()
    watching = asyncio.create_task(lateness.watch())
    try:
        await asyncio.sleep((span.from_us - time.time_ns() // 1000) / 1e6)
        lateness.forget()
        seen.begin(span)
        await asyncio.sleep((span.to_us - time.time_ns() // 1000) / 1e6)
        late_ms, messages, received_bytes = lateness.p99_ms(), seen.messages, seen.received_bytes
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                while any(viewer.edge_us < span.to_us - BEHIND_US for viewer in viewers):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
    finally:
        watching.cancel()
    await asyncio.sleep(0.2)
    behind = sum(viewer.edge_us < span.to_us - BEHIND_US for viewer in viewers)
    closed = sum(viewer.is_closed for viewer in viewers)
    return ViewersReport(seen.delays.counts(), messages, received_bytes, seen.missed, behind, closed, late_ms)


class ConnectionRefusedViewerError(Exception):
    """The page does not let a viewer in, or does not know what it asks for."""


class Seen:
    """What all viewers of this process have seen since `begin`."""

    def __init__(self) -> None:
        self.delays = Histogram()
        self.messages = 0
        self.received_bytes = 0
        self.missed = 0
        self.from_us = self.to_us = 0

    def begin(self, span: Span) -> None:
        """From now on samples captured in the span count."""
        self.from_us, self.to_us = span.from_us, span.to_us
        self.messages = self.received_bytes = self.missed = 0


class Viewer(asyncio.Protocol):
    """One connection. `has_window` is done when the history has come; `edge_us` is the newest sample so far (UTC)."""

    def __init__(self, order: ViewersOrder, wish: dict[str, Any], seen: Seen) -> None:
        self._order = order
        self._wish = wish
        self._seen = seen
        self._web = ClientProtocol(parse_uri(order.web_url.replace("http", "ws", 1).rstrip("/") + "/api/live"))
        self._transport: asyncio.Transport | None = None
        self.has_window: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.edge_us = 0
        self.is_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Shake hands."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        request = self._web.connect()
        request.headers["Origin"] = self._order.web_url.rstrip("/")
        request.headers["Cookie"] = self._order.cookie
        self._web.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Whatever came."""
        self._web.receive_data(data)
        for event in self._web.events_received():
            if isinstance(event, Response):
                self._on_response(event)
            elif isinstance(event, Frame) and event.opcode is Opcode.BINARY:
                self._on_binary(bytes(event.data))
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._on_text(json.loads(bytes(event.data)))
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the protocol's signature
        """The server is gone, or let go of this viewer."""
        self.is_closed = True
        self._fail("the server closed a viewer's connection")

    def leave(self) -> None:
        """Close, at once."""
        if self._transport is not None:
            self._transport.abort()
        if self.has_window.done() and not self.has_window.cancelled():
            self.has_window.exception()  # taken note of: nobody may be waiting any more

    def _flush(self) -> None:
        assert self._transport is not None
        for part in self._web.data_to_send():
            self._transport.write(part)

    def _fail(self, text: str) -> None:
        if not self.has_window.done():
            self.has_window.set_exception(ConnectionRefusedViewerError(text))

    def _on_response(self, response: Response) -> None:
        if response.status_code != 101:
            self._fail(f"{self._order.web_url} does not let viewers in (HTTP status {response.status_code})")
            return
        self._web.send_text(json.dumps(self._wish).encode())

    def _on_text(self, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "missed":
            self._seen.missed += int(message["messages"])
        elif kind == "error":
            self._fail(f"the server refuses a viewer's wish: {message['message']}")
        elif kind == "watching" and message["unknown"]:
            self._fail(f"{message['vehicle']} has no channel {message['unknown'][0]}")

    def _on_binary(self, data: bytes) -> None:
        now_us = time.time_ns() // 1000
        kind, columns, flags, base_us, tick_us = _HEAD.unpack_from(data)
        if kind == LiveKind.HISTORY:
            if flags & LAST_HISTORY and not self.has_window.done():
                self.has_window.set_result(None)
            return
        seen = self._seen
        seen.messages += 1
        seen.received_bytes += len(data)
        if not columns:
            return
        (count,) = struct.unpack_from("<I", data, _COUNT_AT)
        ticks = struct.unpack_from(f"<{count}I", data, _TICKS_AT)
        newest_us = base_us + ticks[-1] * tick_us
        self.edge_us = max(self.edge_us, newest_us)
        if seen.from_us <= base_us and newest_us < seen.to_us:
            seen.delays.note(now_us - base_us, ticks if tick_us == 1 else [tick * tick_us for tick in ticks])
