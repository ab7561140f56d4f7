"""From a sample at the server to its alarm at a page: the roles watch and web as processes, beside a plain echo.

usage: bench_alarm_latency.py [--seconds 30] [--rules 200]

This process stands in for ingest (it appends batches of 100 ms of the synthetic load, about 6,040 frames/s, to the
stream `frames`) and for one page (a WebSocket that watches the vehicle). Twice a second a batch ends with a frame that
crosses a rule's limit. Measured: from just before that batch is appended (the sample is at the server) to the alarm
message at the page. Beside it, on the same stream: from append to the same samples at the page, which no rule delays.
The first five seconds do not count: the roles compile DBCs and rules then.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np
from bench_alarms import batches_of, make_rules
from synthetic_load import synthetic_load
from websockets.asyncio.client import connect

from ved.broker.open import open_stream
from ved.codec.live import LiveKind, decode_message
from ved.codec.records import encode_record
from ved.db.alarmrules import put_rule
from ved.db.database import Database
from ved.db.epochs import note_clock, note_epoch
from ved.db.people import create_signin_token
from ved.db.vehicles import ensure_vehicle
from ved.dbc.decode import Decoder
from ved.dbc.load import DbcSource, load_set
from ved.model.alarmrule import Rule
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import Arrival, Clock, ClockSource, Lane
from ved.model.vehicle import Vehicle, VehicleBus

BUDGET_MS = 150.0
EPOCH = b"l" * 16
SPIKE = 'VERSION ""\nBU_: X\nBO_ 2000 Spike: 8 X\n SG_ Value : 0|16@1- (1,0) [0|0] "" X\n'
PAUSE_BATCHES = 5
WARM_UP_SPIKES = 10


class Role:
    """A role as `ved serve` starts it."""

    def __init__(self, name: str, settings: dict) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ved.cli.role", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.process.stdin.write(json.dumps(settings) + "\n")
        self.process.stdin.flush()
        self.ready = json.loads(self.process.stdout.readline())["ready"]

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


def spike(t_us: int, value: int) -> FrameColumns:
    payload = np.zeros((1, 8), np.uint8)
    payload[0, :2] = np.array([value], "<i2").view(np.uint8)
    one = np.zeros(1, np.uint8)
    return FrameColumns(np.array([t_us]), one, np.array([2000], np.uint32), one, np.array([8], np.uint8), payload)


async def measure(folder: Path, seconds: float, rules: int) -> tuple[list[float], list[float]]:
    load = synthetic_load(seconds)
    texts = [(f"bus{bus}.dbc", text) for bus, text in enumerate(load.dbc_texts)]
    buses = [VehicleBus(bus, f"bus{bus}", 500_000, "", (name,), (text,)) for bus, (name, text) in enumerate(texts)]
    buses[0] = VehicleBus(0, "bus0", 500_000, "", ("bus0.dbc", "spike.dbc"), (texts[0][1], SPIKE))
    decoder = Decoder(load_set([DbcSource(bus, "", name, text) for bus, (name, text) in enumerate(texts)]))
    decoded = decoder.decode(load.frames)
    ranges = [
        (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
        for values in (decoded.column(number)[1] for number in range(len(decoder.channels)))
    ]
    db = Database(f"sqlite:///{folder / 'db.sqlite'}")
    db.migrate()
    ensure_vehicle(db, Vehicle("fs", "F", "F", tuple(buses)))
    for rule in make_rules(rules, decoder.channels, ranges):
        named = {**{key: getattr(rule, key) for key in rule.__slots__}, "title_en": "x", "title_fr": "x"}
        put_rule(db, "fs", Rule(**named), "bench")
    put_rule(
        db, "fs", Rule("spike", "above", "s", "s", "critical", "Spike.Value", limit=100.0, off_delay_ms=0), "bench"
    )
    offset_us = time.time_ns() // 1000
    clock = Clock("fs", EPOCH, 1, 0, offset_us, ClockSource.NTP, 0)
    note_epoch(db, "fs", EPOCH, offset_us)
    note_clock(db, clock)
    writer = open_stream(folder, "frames").writer()
    writer.append(Arrival(time.monotonic_ns() // 1000, time.time_ns() // 1000, Lane.LIVE), encode_record(clock))
    common = {"data": str(folder), "db_url": db.url}
    watch = Role("watch", common)
    page = folder / "page"
    page.mkdir()
    web_settings = {"lake_url": str(folder / "lake"), "host": "127.0.0.1", "port": 0, "page_dir": str(page)}
    web = Role("web", {**common, **web_settings, "secret_path": str(folder / "secret")})
    try:
        return await drive(load.frames, writer, f"http://127.0.0.1:{web.ready['port']}", create_signin_token(db))
    finally:
        web.stop()
        watch.stop()
        writer.close()
        db.close()


async def drive(frames: FrameColumns, writer, url: str, token: str) -> tuple[list[float], list[float]]:
    async with httpx.AsyncClient(base_url=url) as client:
        await client.get("/signin", params={"token": token})
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    sent_s: dict[int, float] = {}
    alarms_ms: list[float] = []
    samples_ms: list[float] = []

    async with connect(
        url.replace("http", "ws") + "/api/live", additional_headers={"Cookie": cookie}, origin=url, compression=None
    ) as live:
        watch = {"type": "watch", "id": 1, "vehicle": "fs", "channels": ["Spike.Value"], "rate_hz": 100, "window_s": 5}
        await live.send(json.dumps(watch))
        done = asyncio.Event()

        async def read() -> None:
            seen: set[str] = set()
            async for data in live:
                now_s = time.perf_counter()
                if isinstance(data, str):
                    message = json.loads(data)
                    alarm = message.get("alarm", {})
                    if message["type"] == "alarm" and alarm["rule"] == "spike" and alarm["id"] not in seen:
                        seen.add(alarm["id"])
                        alarms_ms.append(1000 * (now_s - sent_s[len(alarms_ms)]))
                else:
                    message = decode_message(data)
                    is_news = message.header.kind == LiveKind.INCREMENT
                    if is_news and any((column.last > 100).any() for column in message.columns):
                        samples_ms.append(1000 * (now_s - sent_s[len(samples_ms)]))
                if done.is_set() and len(alarms_ms) == len(sent_s):
                    return

        reading = asyncio.create_task(read())
        await asyncio.sleep(2.0)
        seq, start_s, spikes = 1, time.perf_counter(), 0
        for number, batch in enumerate(batches_of(frames, 100_000)):
            await asyncio.sleep(max(0.0, start_s + 0.1 * (number + 1) - time.perf_counter()))
            is_spike = number % PAUSE_BATCHES == PAUSE_BATCHES - 1
            value = 200 if is_spike else 0
            parts = [batch, spike(int(batch.t_us[-1]), value)]
            record = FrameBatch("fs", EPOCH, seq, FrameColumns.concatenate(parts))
            seq += record.count
            data = encode_record(record)
            if is_spike:
                sent_s[spikes] = time.perf_counter()
                spikes += 1
            writer.append(Arrival(time.monotonic_ns() // 1000, time.time_ns() // 1000, Lane.LIVE), data)
            writer.sync()
        done.set()
        await asyncio.wait_for(reading, 20)
    return alarms_ms, samples_ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rules", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        alarms_ms, samples_ms = asyncio.run(measure(Path(folder), options.seconds + 5, options.rules))
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    print(f"{options.rules} rules; other work on this machine: {load:.1f} processes for each core")
    for name, values in (("alarm at the page", alarms_ms), ("samples at the page", samples_ms)):
        p50, p99 = np.percentile(values[WARM_UP_SPIKES:], (50, 99))
        print(f"{name:20} p50 {p50:6.1f} ms   p99 {p99:6.1f} ms   of {len(values) - WARM_UP_SPIKES}")
    p99 = float(np.percentile(alarms_ms[WARM_UP_SPIKES:], 99))
    print(f"budget p99 {BUDGET_MS:.0f} ms: {'met' if p99 <= BUDGET_MS else 'MISSED'}")


if __name__ == "__main__":
    main()
