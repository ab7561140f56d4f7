"""A small HTTP server for InfluxDB's line protocol, in a thread of its own: `/write` and `/api/v2/write`.

HTTP/1.1 is h11's work; here are the limits: connections (of one address, and all), time, size, and what waits to be
read. What does not fit is answered 503: it stays with its sender, which tries again.
"""

import asyncio
import base64
import binascii
import hmac
import json
import os
import socket
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs, urlsplit

import h11

from ved.sensors.lineprotocol import PRECISIONS_NS, Lines, parse_lines

MAX_BODY: Final = 1 << 20
"""Of a body, before and after gzip."""

MAX_HEAD: Final = 16 << 10
MAX_CONNECTIONS: Final = 64
MAX_OF_ADDRESS: Final = 16
MAX_WAITING: Final = 200_000
REQUEST_S: Final = 10.0
IDLE_S: Final = 60.0
_PIECE: Final = 64 << 10
_JOIN_S: Final = 2.0
_WRITE_PATHS: Final = ("/write", "/api/v2/write")
_ALIVE_PATHS: Final = ("/ping", "/health")

Answer = tuple[int, dict[str, str]]


class RefusedError(Exception):
    """A request is answered with this status and text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class LineInbox:
    """Listens until `close`. `fd` becomes readable when there is something to take. OSError when it cannot listen."""

    def __init__(self, host: str, port: int, token: str, read_timeout_s: float = REQUEST_S) -> None:
        self._token = token.encode()
        self._timeout_s = read_timeout_s
        self._lock = threading.Lock()
        self._lines: list[tuple[Lines, int]] = []
        self._waiting = 0
        self._refused = 0
        self._connections: Counter[str] = Counter()
        self._sock = socket.create_server((host, port), backlog=MAX_CONNECTIONS)
        self.port: int = self._sock.getsockname()[1]
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="line-protocol", daemon=True)
        self._thread.start()

    def take(self) -> tuple[list[tuple[Lines, int]], int]:
        """What came, with the monotonic ns of each, and how many requests and lines were refused."""
        with self._lock:
            lines, self._lines, self._waiting = self._lines, [], 0
            refused, self._refused = self._refused, 0
            if lines:
                os.eventfd_read(self.fd)
        return lines, refused

    def close(self) -> None:
        """Stop to listen, drop the connections, end the thread."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(_JOIN_S)
        if not self._thread.is_alive():
            os.close(self.fd)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._talk, sock=self._sock)
        async with server:
            await self._ended.wait()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        address = str((writer.get_extra_info("peername") or ("?",))[0])
        if self._connections.total() >= MAX_CONNECTIONS or self._connections[address] >= MAX_OF_ADDRESS:
            self._refuse()
            writer.transport.abort()
            return
        self._connections[address] += 1
        try:
            talk = _Talk(reader, writer, self._answer, self._timeout_s)
            if not await talk.run():
                self._refuse()
        except (OSError, TimeoutError):
            self._refuse()
        finally:
            self._connections[address] -= 1
            self._connections += Counter()  # keep those that are not 0
            writer.transport.abort()

    def _refuse(self, count: int = 1) -> None:
        with self._lock:
            self._refused += count

    def _answer(self, request: h11.Request, body: bytes) -> tuple[int, str]:
        """Status and text. RefusedError: the same, and counted."""
        try:
            return self._take(request, body)
        except RefusedError as error:
            self._refuse()
            return error.status, str(error)

    def _take(self, request: h11.Request, body: bytes) -> tuple[int, str]:
        parts = urlsplit(request.target.decode("latin-1"))
        asked = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
        if parts.path in _ALIVE_PATHS:
            return (200, "") if parts.path == "/health" else (204, "")
        if parts.path not in _WRITE_PATHS:
            raise RefusedError(404, "write to /write or /api/v2/write")
        if self._token and not hmac.compare_digest(_token_of(headers, asked).encode(), self._token):
            raise RefusedError(401, "the token is missing or wrong")
        if request.method != b"POST":
            raise RefusedError(405, "use POST")
        unit_ns = PRECISIONS_NS.get(asked.get("precision", "ns"))
        if unit_ns is None:
            raise RefusedError(400, f"precision is one of {', '.join(PRECISIONS_NS)}")
        lines = parse_lines(_unpack(body, headers.get("content-encoding", "identity")), unit_ns)
        self._put(lines)
        if lines.refused:
            self._refuse(lines.refused)
            said = f"line {lines.first_refused} is no point; {lines.points} lines were taken, {lines.refused} not"
            return 400, said
        return 204, ""

    def _put(self, lines: Lines) -> None:
        with self._lock:
            if self._waiting + len(lines.values) > MAX_WAITING:
                self._refused += 1
                raise RefusedError(503, "too much is waiting; try again")
            if not len(lines.values):
                return
            if not self._lines:
                os.eventfd_write(self.fd, 1)
            self._waiting += len(lines.values)
            self._lines.append((lines, time.monotonic_ns()))


class _Talk:
    """HTTP on one connection."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answer: Callable[[h11.Request, bytes], tuple[int, str]],
        timeout_s: float,
    ) -> None:
        self._reader, self._writer, self._answer, self._timeout_s = reader, writer, answer, timeout_s
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)

    async def run(self) -> bool:
        """Until either side ends it; False when the other side broke the protocol or sent too much."""
        try:
            while True:
                try:
                    async with asyncio.timeout(IDLE_S):
                        request = await self._event()
                except TimeoutError:
                    return True  # nobody asks any more
                if not isinstance(request, h11.Request):
                    return True
                async with asyncio.timeout(self._timeout_s):
                    status, text = self._answer(request, await self._body())
                    await self._respond(status, text)
                if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                    return True
                self._http.start_next_cycle()
        except h11.RemoteProtocolError as error:
            await self._last_word(error.error_status_hint, "this is no HTTP that is understood here")
            return False
        except RefusedError as error:
            await self._last_word(error.status, str(error))
            return False

    async def _body(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        if self._http.they_are_waiting_for_100_continue:
            head = self._http.send(h11.InformationalResponse(status_code=100, headers=[]))
            self._writer.write(head or b"")
        while isinstance(event := await self._event(), h11.Data):
            parts.append(bytes(event.data))
            size += len(event.data)
            if size > MAX_BODY:
                raise RefusedError(413, f"at most {MAX_BODY} bytes a request")
        return b"".join(parts)

    async def _event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(_PIECE))
        return event

    async def _last_word(self, status: int, text: str) -> None:
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            async with asyncio.timeout(self._timeout_s):
                await self._respond(status, text, is_last=True)

    async def _respond(self, status: int, text: str, *, is_last: bool = False) -> None:
        body = json.dumps({"code": "invalid", "message": text, "error": text}).encode() if text else b""
        headers = [("content-type", "application/json")] if body else []
        if status != 204:
            headers.append(("content-length", str(len(body))))
        headers += [("retry-after", "1")] if status == 503 else []
        headers += [("connection", "close")] if is_last else []
        head = self._http.send(h11.Response(status_code=status, headers=headers)) or b""
        data = (self._http.send(h11.Data(data=body)) or b"") if body else b""
        self._writer.write(head + data + (self._http.send(h11.EndOfMessage()) or b""))
        await self._writer.drain()


def _token_of(headers: dict[str, str], asked: dict[str, str]) -> str:
    """As InfluxDB 2 (`Token` or `Bearer`) and 1 (`p=`, or Basic with any name) carry it."""
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme in ("Token", "Bearer"):
        return rest.strip()
    if scheme == "Basic":
        try:
            return base64.b64decode(rest, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return asked.get("p", "")


def _unpack(body: bytes, encoding: str) -> bytes:
    if encoding == "identity":
        return body
    if encoding != "gzip":
        raise RefusedError(415, "content-encoding is gzip or nothing")
    unpacker = zlib.decompressobj(wbits=31)
    try:
        out = unpacker.decompress(body, MAX_BODY + 1)
    except zlib.error:
        raise RefusedError(400, "this is no gzip") from None
    if len(out) > MAX_BODY:
        raise RefusedError(413, f"at most {MAX_BODY} bytes a request, unpacked")
    if not unpacker.eof or unpacker.unused_data:
        raise RefusedError(400, "this is no whole gzip")
    return out
