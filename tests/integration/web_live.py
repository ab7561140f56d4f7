"""For the tests of web: a server with the hands of ingest and record; a page that merges as the specification says."""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import numpy as np
from websockets.asyncio.client import connect

from ved.analysis.decimate import Buckets, merge
from ved.broker.open import open_journal
from ved.codec.live import LiveKind, decode_message
from ved.codec.records import encode_record
from ved.db.database import Database
from ved.db.epochs import note_clock, note_epoch
from ved.db.people import create_signin_token
from ved.lake.lake import Lake
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import Arrival, Clock, ClockSource, Lane
from ved.model.vehicle import Vehicle, VehicleBus
from ved.web.role import run_web
from ved.web.settings import WebSettings

DBC = """VERSION ""
BU_: X
BO_ 256 Motor: 8 X
 SG_ speed : 0|16@1- (1,0) [0|0] "rpm" X
"""
FS = Vehicle("fs", "Formula", "Formule", (VehicleBus(0, "main", 500_000, "can0", ("t.dbc",), (DBC,)),))
START_UTC_US = 1_700_000_000_000_000
E1, E2 = b"1" * 16, b"2" * 16


def frames_of(t, values) -> FrameColumns:
    n = len(t)
    payload = np.zeros((n, 8), np.uint8)
    payload[:, :2] = np.asarray(values, "<i2").reshape(n, 1).view(np.uint8)
    zeros = np.zeros(n, np.uint8)
    return FrameColumns(
        np.asarray(t, np.int64), zeros, np.full(n, 256, np.uint32), zeros, np.full(n, 8, np.uint8), payload
    )


class Server:
    """A running web role, with the hands of ingest and record on its stream, database and lake."""

    def __init__(self, folder: Path, db_url: str = "") -> None:
        self.settings = WebSettings(
            data=folder / "data",
            db_url=db_url or f"sqlite:///{folder / 'db.sqlite'}",
            lake_url=str(folder / "lake"),
            host="127.0.0.1",
            port=0,
            secret_path=folder / "web.secret",
            page_dir=folder / "page",
        )
        self.db = Database(self.settings.db_url)
        self.db.migrate()
        self.stream = open_journal(self.settings.data, "frames")
        self.writer = self.stream.writer()
        self.lake = Lake(self.settings.lake_url)
        self.next_seq: dict[bytes, int] = {}
        self.uncommitted: list[FrameBatch] = []
        self.url = ""
        self.headers: dict[str, str] = {}

    @contextlib.asynccontextmanager
    async def running(self):
        stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
        task = asyncio.create_task(run_web(self.settings, ready.set_result, stop))
        await asyncio.wait((task, ready), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        self.url = f"http://127.0.0.1:{ready.result()['port']}"
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as client:
            await client.get("/signin", params={"token": create_signin_token(self.db)})
            cookies = [f"{name}={value}" for name, value in client.cookies.items()]
            self.headers = {"Cookie": "; ".join(cookies)}
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(task, 10)

    def append(self, record, lane=Lane.LIVE, *, is_durable=True) -> None:
        arrival = Arrival(time.monotonic_ns() // 1000, time.time_ns() // 1000, lane)
        self.writer.append(arrival, encode_record(record))
        if is_durable:
            self.writer.sync()

    def send(self, t, values, epoch=E1, lane=Lane.LIVE, vehicle="fs", *, is_durable=True) -> None:
        first_seq = self.next_seq.get(epoch, 1)
        self.next_seq[epoch] = first_seq + len(t)
        batch = FrameBatch(vehicle, epoch, first_seq, frames_of(t, values))
        self.uncommitted.append(batch)
        self.append(batch, lane, is_durable=is_durable)

    def send_clock(self, offset_us=START_UTC_US, epoch=E1, number=1, vehicle="fs", source=ClockSource.NTP) -> None:
        clock = Clock(vehicle, epoch, number, 0, offset_us, source, 0)
        self.append(clock)
        note_epoch(self.db, vehicle, epoch, time.time_ns() // 1000)
        note_clock(self.db, clock)

    def commit(self) -> None:
        """What record does: the lake first, then the cursor."""
        self.lake.append(self.uncommitted)
        self.uncommitted = []
        self.stream.commit_cursor("record", self.writer.next_position)

    @contextlib.asynccontextmanager
    async def page(self):
        url = self.url.replace("http", "ws") + "/api/live"
        async with connect(url, additional_headers=self.headers, origin=self.url, compression=None) as live:
            page = Page(live)
            task = asyncio.create_task(page.read())
            try:
                yield page
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    def close(self) -> None:
        self.writer.close()
        self.db.close()


class Page:
    """A client that keeps what the specification tells it to keep."""

    def __init__(self, live) -> None:
        self._live = live
        self.texts: list[dict] = []
        self.kinds: list[LiveKind] = []
        self.samples: dict[int, Buckets] = {}
        self.watching: dict | None = None
        self.state: dict = {}
        self.is_history_done = False
        self.largest_bytes = 0

    async def watch(self, *channels, rate_hz=100, window_s=60, vehicle="fs", until_utc_us=None) -> None:
        message = {"vehicle": vehicle, "channels": channels, "rate_hz": rate_hz, "window_s": window_s}
        message |= {} if until_utc_us is None else {"until_utc_us": until_utc_us}
        await self._live.send(json.dumps({"type": "watch", "id": 1, **message}))

    async def read(self) -> None:
        async for data in self._live:
            if isinstance(data, str):
                self._take_text(json.loads(data))
                continue
            self.largest_bytes = max(self.largest_bytes, len(data))
            message = decode_message(data)
            self.kinds.append(message.header.kind)
            self.is_history_done |= message.header.is_last_history
            for column in message.columns:
                low = column.last if column.minimum is None else column.minimum
                high = column.last if column.maximum is None else column.maximum
                new = Buckets(column.t_utc_us, low, high, column.last)
                old = self.samples.get(column.channel, Buckets.empty())
                self.samples[column.channel] = merge(old, new, self.watching["bucket_us"])

    def _take_text(self, message: dict) -> None:
        self.texts.append(message)
        if message["type"] == "watching":
            self.watching = message
        elif message["type"] == "state":
            self.state = message
        elif message["type"] == "reset":
            self.samples, self.watching, self.is_history_done = {}, None, False

    def column(self, name="Motor.speed") -> Buckets:
        if self.watching is None:
            return Buckets.empty()
        numbers = {one["name"]: one["index"] for one in self.watching["channels"]}
        return self.samples.get(numbers.get(name, -1), Buckets.empty())

    def last(self, name="Motor.speed") -> list[float]:
        return self.column(name).last.tolist()

    def count(self, kind: str) -> int:
        return sum(one["type"] == kind for one in self.texts)


async def until(is_so: Callable[[], bool], what: str = "") -> None:
    """Wait for it; the test's own time limit ends a wait that is in vain."""
    async with asyncio.timeout(40):
        while not is_so():
            await asyncio.sleep(0.01)
    assert is_so(), what


def run(folder: Path, test: Callable[[Server], Awaitable[None]], db_url: str = "") -> None:
    server = Server(folder, db_url)
    try:
        asyncio.run(test(server))
    finally:
        server.close()
