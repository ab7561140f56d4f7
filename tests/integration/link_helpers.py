"""What the link's integration tests share: frames, a source, and a server with its database in a folder."""

import asyncio
import contextlib
import dataclasses
import json
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ved.broker.open import open_journal
from ved.codec.records import decode_record
from ved.db.database import Database
from ved.db.keys import add_car_key
from ved.db.vehicles import ensure_vehicle_name
from ved.ingest.role import run_ingest
from ved.ingest.settings import IngestSettings
from ved.link.certificates import ensure_server_certificates
from ved.link.credentials import Credentials, save_credentials
from ved.metrics import Counters
from ved.model.clockmap import ClockPair
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.intervals import Intervals
from ved.model.records import BusDescription, Clock, ClockSource, Description, Loss, Record


def make_frames(first: int, count: int) -> FrameColumns:
    """Frames whose payload holds their number, so that any mix-up shows."""
    number = np.arange(first, first + count, dtype=np.int64)
    payload = number.astype("<u8").view(np.uint8).reshape(count, 8).copy()
    return FrameColumns(
        number * 167,
        (number % 3).astype(np.uint8),
        (0x100 + number % 60).astype(np.uint32),
        np.zeros(count, np.uint8),
        np.full(count, 8, np.uint8),
        payload,
    )


class ListSource:
    """Plays `total` frames in chunks: at once (a recording), or one chunk every `interval_s` (a live bus)."""

    def __init__(self, total: int, chunk: int = 500, interval_s: float = 0.0, *, is_realtime: bool = False) -> None:
        self.total = total
        self.chunk = chunk
        self.interval_s = interval_s
        self._is_realtime = is_realtime
        self.sent = 0
        self.allowed = total
        """Nothing past this frame is delivered until a test raises it."""
        self.is_open = False

    @property
    def is_realtime(self) -> bool:
        return self._is_realtime

    def open(self, origin_mono_ns: int) -> None:
        self.is_open = True

    def read(self, timeout_s: float) -> FrameColumns | None:
        if self.sent >= self.total and not self.is_realtime:
            return None
        if self.sent >= self.allowed:
            time.sleep(timeout_s)
            return FrameColumns.empty()
        if self.interval_s:
            time.sleep(self.interval_s)
        count = min(self.chunk, self.allowed - self.sent)
        frames = make_frames(self.sent + 1, count)
        self.sent += count
        return frames

    def clock(self, now_mono_ns: int) -> ClockPair | None:
        return ClockPair(0, 1_700_000_000_000_000, ClockSource.RECORDED)

    def close(self) -> None:
        self.is_open = False


DESCRIPTION = Description("fs", bytes(16), 0, "test car", (BusDescription(0, "powertrain", ()),))


@dataclass
class Site:
    """A data folder with a database, a certificate and a vehicle, ready for a server."""

    data: Path
    port: int = 0

    @property
    def db_url(self) -> str:
        return f"sqlite:///{self.data / 'ved.db'}"

    def prepare(self, *vehicles: str) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        db = Database(self.db_url)
        db.migrate()
        for vehicle in vehicles or ("fs",):
            ensure_vehicle_name(db, vehicle)
        db.close()

    def settings(self) -> IngestSettings:
        return IngestSettings(self.data, self.db_url, "127.0.0.1", self.port, (), 1 << 30, 10**15)

    def credentials(self, vehicle: str = "fs", key: bytes | None = None) -> Credentials:
        """Credentials of a newly added key (or of `key`, which is not added)."""
        certificates = ensure_server_certificates(self.data / "keys", ())
        if key is None:
            key = secrets.token_bytes(32)
            db = Database(self.db_url)
            add_car_key(db, vehicle, key)
            db.close()
        return Credentials((f"wss://127.0.0.1:{self.port}",), vehicle, key, certificates.ca_pem)

    def enrol_here(self, state_dir: Path, vehicle: str = "fs", port: int | None = None) -> None:
        """Give the car in `state_dir` a key; `port` is that of a relay, when there is one."""
        credentials = self.credentials(vehicle)
        if port is not None:
            credentials = replace(credentials, server_urls=(f"wss://127.0.0.1:{port}",))
        save_credentials(state_dir, credentials)

    @contextlib.asynccontextmanager
    async def serving(self, counters: Counters | None = None) -> AsyncIterator[int]:
        """A server in this event loop; yields its port, which later ones on this site take again."""
        stop = asyncio.Event()
        ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        role = asyncio.create_task(
            run_ingest(self.settings(), lambda said: ready.set_result(int(str(said["port"]))), stop, counters)
        )
        try:
            await asyncio.wait([role, ready], return_when=asyncio.FIRST_COMPLETED)
            if role.done():
                await role
            self.port = ready.result()
            yield self.port
        finally:
            stop.set()
            await role

    def records(self) -> list[Record]:
        """Everything in the stream, decoded, in order."""

        async def read() -> list[Record]:
            reader = open_journal(self.data, "frames").reader("earliest")
            try:
                out: list[Record] = []
                while entries := await reader.read(timeout_s=0):
                    out += [decode_record(entry.record) for entry in entries]
                assert reader.corrupt == 0
                return out
            finally:
                reader.close()

        return asyncio.run(read())


def stored_frames(records: list[Record], epoch: bytes) -> tuple[FrameColumns, Intervals]:
    """The frames of an epoch in order of seq, and the seqs; an AssertionError when a seq came twice."""
    batches = sorted(
        (one for one in records if isinstance(one, FrameBatch) and one.epoch == epoch), key=lambda one: one.first_seq
    )
    seqs = Intervals()
    for batch in batches:
        assert not seqs.overlaps(batch.first_seq, batch.last_seq), "a seq is stored twice"
        seqs.add(batch.first_seq, batch.last_seq)
    return FrameColumns.concatenate([batch.frames for batch in batches]), seqs


def notes(records: list[Record], epoch: bytes) -> list[Record]:
    """The car's own notes of an epoch."""
    return [one for one in records if isinstance(one, Clock | Loss | Description) and one.epoch == epoch and one.number]


_SERVER = """
import asyncio, json, logging, pathlib, signal, sys
from ved.ingest.role import run_ingest
from ved.ingest.settings import IngestSettings
logging.basicConfig(level=logging.INFO)
given = json.loads(sys.argv[1])
given["data"] = pathlib.Path(given["data"])
given["names"] = tuple(given["names"])

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run_ingest(IngestSettings(**given), lambda said: print(said["port"], flush=True), stop)

asyncio.run(main())
"""


class ServerProcess:
    """A server of its own process, for the tests that kill it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        settings = dataclasses.asdict(self.site.settings())
        settings["data"] = str(settings["data"])
        command = [sys.executable, "-c", _SERVER, json.dumps(settings)]
        with (self.site.data / "server.log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, (self.site.data / "server.log").read_text()
        self.site.port = int(line)

    def end(self, how: int = signal.SIGKILL) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(how)
        code = self.process.wait(20)
        self.process.stdout.close()
        self.process = None
        return code

    def __enter__(self) -> "ServerProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.end()


class SlowUplink:
    """A TCP relay whose way up is one queue of `rate` bytes/s for all connections, and `way_s` long in each direction.

    `buffer_bytes` wait in the queue at most; then the senders are held back, as by a modem.
    """

    def __init__(self, target_port: int, rate: float, way_s: float = 0.03, buffer_bytes: int = 256 << 10) -> None:
        self._target_port = target_port
        self.rate = rate
        self._way_s = way_s
        self._queue: asyncio.Queue[tuple[asyncio.StreamWriter, bytes]] = asyncio.Queue(buffer_bytes // 1400)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.passed_bytes = 0

    async def __aenter__(self) -> "SlowUplink":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=1400)
        self.port = self._server.sockets[0].getsockname()[1]
        self._start(self._drain())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, coroutine) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        self._writers |= {writer, up_writer}
        self._start(self._take(reader, up_writer))
        self._start(self._return(up_reader, writer))

    async def _take(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(1400):
            await self._queue.put((sink, data))
        await self._queue.put((sink, b""))

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        free_s = loop.time()
        while True:
            sink, data = await self._queue.get()
            free_s = max(free_s, loop.time()) + len(data) / self.rate
            await asyncio.sleep(free_s - loop.time())
            self.passed_bytes += len(data)
            loop.call_later(self._way_s, _deliver, sink, data)

    async def _return(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(1 << 16):
            asyncio.get_running_loop().call_later(self._way_s, _deliver, sink, data)
        asyncio.get_running_loop().call_later(self._way_s, _deliver, sink, b"")


def _deliver(sink: asyncio.StreamWriter, data: bytes) -> None:
    if data:
        sink.write(data)
    else:
        sink.close()


class Relay:
    """A TCP relay in front of the server that can cut, freeze, or swallow one direction."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.accepted = 0
        self.is_deaf = False
        """True: what the server says is swallowed (acknowledgements are lost)."""
        self.is_closed = False
        """True: nobody gets through (a dead zone)."""
        self.cut_after_bytes: int | None = None
        """Cut a connection after this many bytes from the car."""
        self._lost = 0

    async def __aenter__(self) -> "Relay":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def lose_server(self) -> None:
        """From now on what goes over the connections that stand is swallowed; new ones reach the server."""
        self._lost = self.accepted

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        number = self.accepted
        if self.is_closed:
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, up_writer}
        for source, sink, is_up in ((reader, up_writer, True), (up_reader, writer, False)):
            task = asyncio.create_task(self._pipe(source, sink, number, is_up=is_up))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pipe(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, number: int, *, is_up: bool
    ) -> None:
        passed = 0
        try:
            while data := await source.read(1 << 16):
                if is_up and self.cut_after_bytes is not None and passed + len(data) > self.cut_after_bytes:
                    sink.write(data[: max(0, self.cut_after_bytes - passed)])
                    await sink.drain()
                    break
                passed += len(data)
                if number <= self._lost or (not is_up and self.is_deaf):
                    continue
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()
            self._writers.discard(sink)
