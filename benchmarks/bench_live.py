"""Live latency: from the capture of a frame to the message in a viewer's hands, on loopback.

The synthetic load (60 messages, 360 signals, about 6,000 frames/s) is cut into batches as an agent cuts them and
written straight into the server's stream `frames`; the role web runs in a process of its own, and the viewers are
WebSocket clients in another one: the first 50 are measured, further ones only take what comes, so that two cores serve
the server rather than its viewers. Each viewer watches 20 channels at 100 samples/s. The latency of a sample is the
time at which its message was received less the time at which its frame was captured, so waiting for the batch to be
full is in it; the car's link is not. `newest` is the same for the newest sample of each message. CPU is that of the web
process in per cent of one core, RSS its memory at the end.

    python benchmarks/bench_live.py [--viewers 50 500] [--seconds 20] [--batch-ms 100]
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import struct
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from synthetic_load import SyntheticLoad, synthetic_load
from websockets.asyncio.client import connect

from ved.broker.open import open_stream
from ved.codec.records import encode_record
from ved.db.database import Database
from ved.db.epochs import note_clock, note_epoch
from ved.db.people import create_signin_token
from ved.db.vehicles import ensure_vehicle
from ved.model.frames import FrameBatch
from ved.model.records import Arrival, Clock, ClockSource, Lane
from ved.model.vehicle import Vehicle, VehicleBus
from ved.web.role import run_web
from ved.web.settings import WebSettings

EPOCH = b"benchmark epoch."
CHANNELS = 20
MEASURED = 50
SETTLE_S = 3.0
INCREMENT = 2


def serve(settings: WebSettings, pipe: Connection) -> None:
    """The web process."""

    async def go() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().run_in_executor(None, lambda: (pipe.recv(), loop.call_soon_threadsafe(stop.set)))
        await run_web(settings, pipe.send, stop)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(go())


def view(url: str, count: int, channels: list[str], pipe: Connection) -> None:
    """The viewers' process: says when all have their window, and at the end what was measured."""

    wish = {"type": "watch", "id": 1, "vehicle": "load", "channels": channels, "rate_hz": 100, "window_s": 60}

    async def measured(cookie: str, ready: asyncio.Semaphore, found: list[tuple[int, int, Any]]) -> int:
        address = url.replace("http", "ws") + "/api/live"
        async with connect(address, origin=url, additional_headers={"Cookie": cookie}, compression=None) as live:
            await live.send(json.dumps(wish))
            messages = 0
            async for data in live:
                if isinstance(data, str):
                    if '"missed"' in data:
                        raise RuntimeError(data)
                elif data[1] != INCREMENT:
                    if data[6] & 1:
                        ready.release()
                else:
                    messages += 1
                    (base_us,) = struct.unpack_from("<q", data, 8)
                    (n,) = struct.unpack_from("<I", data, 36)
                    found.append((time.time_ns() // 1000, base_us, np.frombuffer(data, "<u4", n, 40)))
            return messages

    async def other(cookie: str, ready: asyncio.Semaphore) -> None:
        """A plain socket that has shaken hands, and sends one masked text frame (with a mask of zeros)."""
        host = url.removeprefix("http://")
        reader, writer = await asyncio.open_connection(*host.split(":"))
        text = json.dumps(wish).encode()
        writer.write(
            f"GET /api/live HTTP/1.1\r\nHost: {host}\r\nOrigin: {url}\r\nCookie: {cookie}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert b" 101 " in await reader.readline()
        writer.write(struct.pack(">BBHI", 0x81, 0x80 | 126, len(text), 0) + text)
        ready.release()
        with contextlib.suppress(ConnectionError):
            while await reader.read(1 << 20):
                pass
        writer.close()

    async def go() -> None:
        async with httpx.AsyncClient(timeout=120) as client:
            await client.get(f"{url}/signin", params={"token": pipe.recv()})
            cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        ready = asyncio.Semaphore(0)
        found: list[tuple[int, int, Any]] = []
        tasks = [asyncio.create_task(measured(cookie, ready, found)) for _ in range(min(count, MEASURED))]
        others = [asyncio.create_task(other(cookie, ready)) for _ in range(count - len(tasks))]
        for _ in range(count):
            await ready.acquire()
        await asyncio.sleep(SETTLE_S)
        found.clear()
        pipe.send("ready")
        messages = sum(await asyncio.gather(*tasks)) / len(tasks) * count
        await asyncio.gather(*others)
        newest = np.array([received - base - int(dt[-1]) for received, base, dt in found])
        samples = np.concatenate([received - base - dt.astype(np.int64) for received, base, dt in found])
        pipe.send({"messages": messages, "newest": newest, "samples": samples})

    asyncio.run(go())


class Feed:
    """Writes the load into the stream as time passes."""

    def __init__(self, folder: Path, load: SyntheticLoad) -> None:
        self._frames = load.frames
        self._t_us = load.frames.t_us - load.frames.t_us[0]
        self._writer = open_stream(folder, "frames").writer()
        self._at = 0
        self.origin_us = 0
        self.frames = 0

    def begin(self, db: Database) -> None:
        """The capture starts now."""
        self.origin_us = time.time_ns() // 1000
        clock = Clock("load", EPOCH, 1, 0, self.origin_us, ClockSource.NTP, 0)
        note_epoch(db, "load", EPOCH, self.origin_us)
        note_clock(db, clock)
        self._append(encode_record(clock))

    def run(self, seconds: float, batch_s: float) -> None:
        """Batches of `batch_s` for so long, each written when its time is over."""
        end_us = time.time_ns() // 1000 - self.origin_us + int(seconds * 1e6)
        to_us = time.time_ns() // 1000 - self.origin_us
        while to_us < end_us:
            to_us += int(batch_s * 1e6)
            time.sleep(max(0.0, (self.origin_us + to_us - time.time_ns() // 1000) / 1e6))
            last = int(np.searchsorted(self._t_us, to_us))
            if last > self._at:
                part = self._frames.take(slice(self._at, last))
                part.t_us[:] = self._t_us[self._at : last]
                self._append(encode_record(FrameBatch("load", EPOCH, self._at + 1, part)))
                self.frames += last - self._at
                self._at = last

    def skip(self) -> None:
        """Leave out what was to be captured until now."""
        self._at = int(np.searchsorted(self._t_us, time.time_ns() // 1000 - self.origin_us))

    def close(self) -> None:
        self._writer.close()

    def _append(self, record: bytes) -> None:
        self._writer.append(Arrival(time.monotonic_ns() // 1000, time.time_ns() // 1000, Lane.LIVE), record)


def measure(viewers: int, seconds: float, batch_s: float, load: SyntheticLoad) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'db.sqlite'}"
        settings = WebSettings(
            folder / "data", url, str(folder / "lake"), "127.0.0.1", 0, folder / "secret", folder / "page"
        )
        db = Database(url)
        db.migrate()
        buses = [
            VehicleBus(k, f"bus{k}", 500_000, f"can{k}", (f"{k}.dbc",), (text,))
            for k, text in enumerate(load.dbc_texts)
        ]
        ensure_vehicle(db, Vehicle("load", "Load", "Load", tuple(buses)))
        feed = Feed(settings.data, load)
        ours, theirs = multiprocessing.Pipe()
        web = multiprocessing.Process(target=serve, args=(settings, theirs))
        web.start()
        address = f"http://127.0.0.1:{ours.recv()['port']}"
        channels = channel_names(settings)
        feed.begin(db)
        feed.run(SETTLE_S, batch_s)
        mine, its = multiprocessing.Pipe()
        people = multiprocessing.Process(target=view, args=(address, viewers, channels, its))
        people.start()
        mine.send(create_signin_token(db))
        mine.recv()
        feed.skip()
        process, before = psutil.Process(web.pid), feed.frames
        cpu_s, started_s = sum(process.cpu_times()[:2]), time.monotonic()
        feed.run(seconds, batch_s)
        cpu_s, took_s = sum(process.cpu_times()[:2]) - cpu_s, time.monotonic() - started_s
        rss_mb = process.memory_info().rss / 1e6
        frames = feed.frames - before
        time.sleep(0.5)
        ours.send("stop")
        said = mine.recv()
        people.join()
        web.join()
        feed.close()
        db.close()
        return {**said, "cpu": 100 * cpu_s / took_s, "rss_mb": rss_mb, "took_s": took_s, "frames": frames}


def channel_names(settings: WebSettings) -> list[str]:
    """The first channels of the load, by the names that the server gives them."""
    from ved.api.history import History
    from ved.lake.lake import Lake

    db = Database(settings.db_url)
    try:
        return [one.name for one in History(Lake(settings.lake_url), db).channels("load")][:CHANNELS]
    finally:
        db.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewers", type=int, nargs="+", default=[50, 500])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--batch-ms", type=float, default=100.0)
    given = parser.parse_args()
    load = synthetic_load(given.seconds + 60)
    print(f"{'viewers':>8} {'frames/s':>9} {'messages/s':>11} {'sample p50':>11} {'p99':>7} {'newest p50':>11} "
          f"{'p99':>7} {'CPU':>6} {'RSS':>8}")  # fmt: skip
    for viewers in given.viewers:
        said = measure(viewers, given.seconds, given.batch_ms / 1000, load)
        sample = np.percentile(said["samples"], (50, 99)) / 1000
        newest = np.percentile(said["newest"], (50, 99)) / 1000
        print(
            f"{viewers:8d} {said['frames'] / said['took_s']:9.0f} {said['messages'] / said['took_s']:11.0f} "
            f"{sample[0]:8.1f} ms {sample[1]:4.0f} ms {newest[0]:8.1f} ms {newest[1]:4.0f} ms "
            f"{said['cpu']:5.0f}% {said['rss_mb']:5.0f} MB"
        )


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    main()
