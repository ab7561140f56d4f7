"""What datagrams cost ingest: processor time for each, at several rates, and that of a flood that is refused.

The sender is a process of its own on loopback, full datagrams of 61 frames of 8 bytes (98 each second are one car of
6,000 frames/s). What the system's buffer drops while ingest does not get the processor is a hole, and is printed.

    python benchmarks/bench_datagrams.py [--seconds 5]
"""

import argparse
import asyncio
import multiprocessing
import os
import secrets
import socket
import tempfile
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from ved.codec.datagram import Datagram, encode_datagram
from ved.db.database import Database
from ved.db.keys import add_datagram_key
from ved.db.vehicles import ensure_vehicle_name
from ved.ingest.role import run_ingest
from ved.ingest.settings import IngestSettings
from ved.link.datagramkeys import datagram_secret, derive_key
from ved.metrics import DATAGRAMS_LIMITED_TOTAL, DATAGRAMS_REFUSED_TOTAL, DATAGRAMS_TOTAL, Counters
from ved.model.frames import FrameColumns

FRAMES = 61
RATES = (98, 400, 800)
FLOOD_RATE = 10_000


def datagrams(key_id: int, key: bytes, count: int) -> list[bytes]:
    """Consecutive datagrams of a new epoch, as a car of 6,000 frames/s fills them."""
    epoch = secrets.token_bytes(16)
    out = []
    for first in range(1, count * FRAMES, FRAMES):
        number = np.arange(first, first + FRAMES, dtype=np.int64)
        fields = (
            (number % 3, np.uint8),
            (0x100 + number % 60, np.uint32),
            (number * 0, np.uint8),
            (number * 0 + 8, np.uint8),
        )
        columns = [column.astype(kind) for column, kind in fields]
        payload = (number // 7).astype("<u8").view(np.uint8).reshape(FRAMES, 8)
        frames = FrameColumns(number * 167, *columns, payload)
        out.append(encode_datagram(Datagram(key_id, epoch, first, int(frames.t_us[-1]), frames), key))
    return out


def send(port: int, packets: list[bytes], rate: float) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        began_s = time.monotonic()
        for number, packet in enumerate(packets):
            while time.monotonic() - began_s < number / rate:
                time.sleep(0.0005)
            sender.sendto(packet, ("127.0.0.1", port))


async def served(settings: IngestSettings, packets: list[bytes], rate: float) -> tuple[Counters, float]:
    """What ingest counted, and its processor time in seconds."""
    counters, stop = Counters(), asyncio.Event()
    ready = asyncio.get_running_loop().create_future()
    role = asyncio.create_task(run_ingest(settings, ready.set_result, stop, counters))
    await ready
    began_s = time.process_time()
    sender: BaseProcess = multiprocessing.get_context("fork").Process(
        target=send, args=(settings.datagram_port, packets, rate)
    )
    sender.start()
    await asyncio.to_thread(sender.join)
    await asyncio.sleep(0.5)
    took_s = time.process_time() - began_s
    stop.set()
    await role
    return counters, took_s


async def measure(folder: Path, seconds: float) -> None:
    db_url = f"sqlite:///{folder / 'ved.db'}"
    db = Database(db_url)
    db.migrate()
    ensure_vehicle_name(db, "fs")
    secret = datagram_secret(folder / "keys")
    key_id, key = add_datagram_key(db, "fs", lambda number: derive_key(secret, "fs", number))
    db.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = IngestSettings(folder, db_url, "127.0.0.1", 0, (), 1 << 30, 10**15, datagram_port=port)
    size = len(datagrams(key_id, key, 1)[0])
    print(f"{size} bytes for {FRAMES} frames: {size / FRAMES:.2f} B/frame")
    for rate in RATES:
        packets = datagrams(key_id, key, round(rate * seconds))
        counters, took_s = await served(settings, packets, rate)
        taken = counters[DATAGRAMS_TOTAL]
        print(
            f"{rate:6,}/s ({rate * FRAMES:6,} frames/s): {taken} of {len(packets)} taken, "
            f"{took_s / taken * 1e6:.0f} us each, {took_s / seconds:.0%} of a core"
        )
    packets = [datagrams(key_id, key, 1)[0][:-1] + b"x"] * round(FLOOD_RATE * seconds)
    counters, took_s = await served(settings, packets, FLOOD_RATE)
    print(
        f"flood of {FLOOD_RATE:,}/s with a wrong MAC: {counters[DATAGRAMS_REFUSED_TOTAL]:,} refused, "
        f"{counters[DATAGRAMS_LIMITED_TOTAL]:,} over the rate, {took_s / seconds:.0%} of a core"
    )


def main() -> None:
    """Print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    chosen = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), chosen.seconds))


if __name__ == "__main__":
    main()
