"""What the car's side costs, and what one server takes.

Agent: the synthetic load (about 6,000 frames/s) played at its own pace by a real agent process, over TLS on loopback,
into a real ingest process. Printed: time from process start to the first frame stored at the server, share of one core,
peak memory (the load itself, held as arrays, is in it), and bytes per frame through the socket in both directions (TLS
and WebSocket included, TCP/IP headers not). Budgets: 15 % of one core, 120 MB, up in 2 s.

Ingest: 40 cars send batches of 100 ms, coded for the wire beforehand, as fast as the server takes them, until all is
stored. Printed: frames/s, that in cars of 6,000 frames/s, and the server's time on a processor. Budget: 40 cars.

`python benchmarks/bench_link.py [seconds of the agent's part, 0: leave it out] [runs of ingest] [cars]`
"""

import asyncio
import contextlib
import itertools
import json
import secrets
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from synthetic_load import synthetic_load

from ved.codec.batch import decode_batch, encode_batch
from ved.codec.learn import LayoutBook
from ved.codec.link import FEATURE_WIRE, NO_TIME, Hello, Space, Stored, WireData, encode_message
from ved.codec.records import peek
from ved.codec.wire import WireEncoder
from ved.db.database import Database
from ved.db.keys import add_car_key
from ved.db.vehicles import ensure_vehicle_name
from ved.link.certificates import ensure_server_certificates
from ved.link.connection import Answer, LinkConnection, Sent, Wiring
from ved.link.credentials import Credentials, parse_server_url, save_credentials
from ved.link.dial import Dialer
from ved.link.span import span_of
from ved.link.trust import client_context
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.intervals import Intervals
from ved.model.records import Lane

CARS = 40
BATCHES = 200
DOOR = 8
"""Cars that connect at the same time: the server bounds those of one address."""

FRAMES_PER_S = 6_000
WINDOW_BYTES = 8 << 10
"""The least that a car's live lane keeps on its way: cars take a server that answers late for a dead link."""

SERVER = """
import asyncio, pathlib, signal, sys
from ved.ingest.role import run_ingest
from ved.ingest.settings import IngestSettings

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = IngestSettings(pathlib.Path(sys.argv[1]), sys.argv[2], "127.0.0.1", 0, (), 1 << 30, 10**15)
    await run_ingest(settings, lambda said: print(said["port"], flush=True), stop)

asyncio.run(main())
"""


class Bench:
    """A data folder with a running server and keys for cars."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.db_url = f"sqlite:///{folder / 'ved.db'}"
        self.ca_pem = ensure_server_certificates(folder / "keys", ()).ca_pem
        self.port = 0
        self.server = psutil.Process()
        Database(self.db_url).migrate()

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        command = [sys.executable, "-c", SERVER, str(self.folder), self.db_url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            self.port = int(process.stdout.readline())
            self.server = psutil.Process(process.pid)
            try:
                yield
            finally:
                process.send_signal(signal.SIGTERM)

    def credentials(self, vehicle: str, port: int) -> Credentials:
        key = secrets.token_bytes(32)
        db = Database(self.db_url)
        ensure_vehicle_name(db, vehicle)
        add_car_key(db, vehicle, key)
        db.close()
        return Credentials((f"wss://127.0.0.1:{port}",), vehicle, key, self.ca_pem)

    def server_cpu_s(self) -> float:
        used = self.server.cpu_times()
        return used.user + used.system


class CountingRelay:
    """A TCP relay that counts the bytes of both directions, and the TCP segments on the car's side."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self.up_bytes = 0
        self.down_bytes = 0
        self.segments = 0

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        pipes = self._pipe(reader, up_writer, "up_bytes"), self._pipe(up_reader, writer, "down_bytes")
        counting = asyncio.create_task(self._count_segments(writer))
        await asyncio.gather(*pipes)
        counting.cancel()

    async def _count_segments(self, writer: asyncio.StreamWriter) -> None:
        """Segments both ways, acknowledgements of TCP included, from the kernel's tcp_info."""
        before = 0
        while True:
            with contextlib.suppress(OSError):
                info = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 144)
                now = sum(struct.unpack_from("<II", info, 136))
                self.segments += now - before
                before = now
            await asyncio.sleep(0.05)

    async def _pipe(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, counter: str) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(1 << 16):
                setattr(self, counter, getattr(self, counter) + len(data))
                sink.write(data)
                await sink.drain()
        sink.close()


async def agent_part(bench: Bench, frames_path: Path, seconds: float) -> None:
    relay = CountingRelay(bench.port)
    save_credentials(bench.folder / "car", bench.credentials("fs", await relay.start()))
    cpu_s, begun_s = bench.server_cpu_s(), time.monotonic()
    command = [sys.executable, str(Path(__file__).with_name("link_agent.py")), str(bench.folder / "car")]
    process = await asyncio.create_subprocess_exec(
        *command, str(frames_path), str(seconds), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    result = json.loads(out)
    server_core = (bench.server_cpu_s() - cpu_s) / (time.monotonic() - begun_s)
    frames = result["frames"]
    print(f"agent     {frames} frames in {seconds:.0f} s, {result['stored_frames']} stored when it ended")
    print(f"          first frame stored {result['first_stored_s']:.2f} s after process start (budget 2 s)")
    core, rss = result["core"] * 100, result["rss_bytes"] / 1e6
    print(f"          {core:.1f} % of one core (budget 15), {rss:.0f} MB (budget 120)")
    print(f"          wire: {relay.up_bytes / frames:.2f} B/frame up, {relay.down_bytes / frames:.2f} B/frame down")
    print(f"ingest    {server_core * 100:.1f} % of one core beside it")


@dataclass(frozen=True)
class Drive:
    """Records, and what a car puts on the wire for them: of any vehicle, whose name is not in it."""

    records: list[bytes]
    messages: list[bytes]


def make_drive(frames: FrameColumns) -> Drive:
    """Coded for the wire beforehand, so that the cars' own work is not in what is measured."""
    records = make_records(frames, "car")
    encoder = WireEncoder(LayoutBook())
    bodies = [encoder.encode(decode_batch(record)) for record in records]
    assert None not in bodies
    return Drive(records, [encode_message(WireData(body)) for body in bodies if body is not None])


async def send_all(credentials: Credentials, drive: Drive, calling: asyncio.Barrier, door: asyncio.Semaphore) -> None:
    """One car: once all are connected, everything as fast as it goes, until all is stored."""
    stored, done = Intervals(), asyncio.Event()
    records = drive.records
    header = peek(records[0])
    total = sum(peek(record).count for record in records)

    def hear(answer: Answer) -> None:
        if isinstance(answer, Stored) and answer.space == Space.SEQ:
            for first, last in answer.runs:
                stored.add(first, last)
            if stored.count() == total:
                done.set()

    dialer = Dialer([parse_server_url(credentials.server_urls[0])])
    hello = Hello(Lane.LIVE, credentials.vehicle, "bench", header.epoch, total + 1, 1, features=FEATURE_WIRE)
    wiring = Wiring(lambda: NO_TIME, hear)
    tls = client_context(credentials.ca_pem, time.time())
    async with door:
        connection = await LinkConnection.open(dialer, tls, credentials.key, hello, wiring)
    assert connection.features & FEATURE_WIRE
    connection._pack = dict(zip(records, drive.messages, strict=True)).__getitem__  # noqa: SLF001
    reading = asyncio.create_task(connection.run())
    await calling.wait()
    for record in records:
        await connection.wait_for_room(lambda: WINDOW_BYTES)
        sent = peek(record)
        await connection.send_record(record, Sent.now(sent.epoch, span_of(sent), record, None))
    waiting = asyncio.create_task(done.wait())
    await asyncio.wait([waiting, reading], return_when=asyncio.FIRST_COMPLETED)
    if reading.done():
        await reading  # says why the server let go of this car
    reading.cancel()


def make_records(frames: FrameColumns, vehicle: str) -> list[bytes]:
    edges = np.flatnonzero(np.diff(frames.t_us // 100_000)) + 1
    ends = [0, *edges.tolist()][: BATCHES + 1]
    epoch = secrets.token_bytes(16)
    return [
        encode_batch(FrameBatch(vehicle, epoch, first + 1, frames.take(slice(first, last))))
        for first, last in itertools.pairwise(ends)
    ]


async def ingest_part(bench: Bench, cars: list[Credentials], drive: Drive) -> tuple[float, float]:
    """Frames/s, and the server's seconds of processor for a million frames."""
    frames = len(cars) * sum(peek(record).count for record in drive.records)
    calling, door = asyncio.Barrier(len(cars) + 1), asyncio.Semaphore(DOOR)
    sending = asyncio.gather(*(send_all(car, drive, calling, door) for car in cars))
    await asyncio.wait([sending, asyncio.ensure_future(calling.wait())], return_when=asyncio.FIRST_COMPLETED)
    cpu_s, begun_s = bench.server_cpu_s(), time.monotonic()
    await sending
    took_s = time.monotonic() - begun_s
    return frames / took_s, (bench.server_cpu_s() - cpu_s) / frames * 1e6


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    count = int(sys.argv[3]) if len(sys.argv) > 3 else CARS
    frames = synthetic_load(max(seconds + 5, BATCHES / 10 + 1)).frames
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        frames_path = Path(folder) / "frames.npz"
        names = ("t_us", "bus", "arbitration_id", "flags", "length", "payload")
        np.savez(frames_path, **{name: getattr(frames, name) for name in names})
        with bench.serving():
            if seconds > 0:
                asyncio.run(agent_part(bench, frames_path, seconds))
            results = []
            for _ in range(runs):
                cars = [bench.credentials(f"car{number}", bench.port) for number in range(count)]
                results.append(asyncio.run(ingest_part(bench, cars, make_drive(frames))))
            rate = statistics.median(rate for rate, _ in results)
            cpu_s = statistics.median(cpu_s for _, cpu_s in results)
            print(
                f"ingest    {count} cars at once: {rate:,.0f} frames/s = {rate / FRAMES_PER_S:.0f} cars (budget {CARS})"
            )
            print(
                f"          {cpu_s:.2f} s of processor for a million frames: one core carries "
                f"{1e6 / cpu_s / FRAMES_PER_S:.0f} cars;"
            )
            print(f"          the senders share the machine; median of {runs} runs")


if __name__ == "__main__":
    main()
