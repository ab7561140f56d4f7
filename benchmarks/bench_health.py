"""Gap ledger and health figures: what watch pays for them at about 6,000 frames/s, and what a strip costs web.

usage: bench_health.py [--seconds 60]

Measured in CPU time of one core: the two parts of watch on batches of 100 ms, everything live, and with every second
batch left out and coming late (so that hundreds of gaps open and close), figures and database writes once per second;
then the answer to a page of 1,200 pixels for the last minute, the last hour and ten hours with 6,000 gaps.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ved.analysis.ledger import BLOCK_SECONDS, MISSING, Head, LedgerChange, Span
from ved.api.ledger import Ledgers
from ved.db.database import Database
from ved.db.epochs import note_clock
from ved.db.ledger import write_change
from ved.model.clockmap import ClockMap
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import Arrival, Clock, ClockSource, Lane
from ved.watch.health import HealthWatcher
from ved.watch.ledger import LedgerKeeper
from ved.watch.parts import Now, Taken

EPOCH = b"e" * 16
UTC0_US = 1_700_000_000_000_000
PER_BATCH = 604
PIXELS = 1200


def now(second: float) -> Now:
    return Now(int(second * 1e6), UTC0_US + int(second * 1e6))


def make_batches(vehicle: str, count: int) -> list[FrameBatch]:
    rng = np.random.default_rng(1)
    n = PER_BATCH
    return [
        FrameBatch(
            vehicle,
            EPOCH,
            1 + i * n,
            FrameColumns(
                i * 100_000 + np.sort(rng.integers(0, 100_000, n)),
                rng.integers(0, 3, n).astype(np.uint8),
                rng.integers(0x100, 0x160, n).astype(np.uint32),
                np.zeros(n, np.uint8),
                np.full(n, 8, np.uint8),
                rng.integers(0, 256, (n, 8)).astype(np.uint8),
            ),
        )
        for i in range(count)
    ]


def watch(db: Database, batches: Sequence[FrameBatch], lanes: Sequence[Lane]) -> float:
    """CPU seconds per second of driving."""
    ledger = LedgerKeeper(db)
    health = HealthWatcher(db, now(0), ledger)
    spent_s = 0.0
    for k, (batch, lane) in enumerate(zip(batches, lanes, strict=True)):
        at = now(k / 10)
        taken = Taken(0, Arrival(at.mono_us, at.utc_us, lane), batch, ClockMap(0, None), batch.frames)
        began_s = time.process_time()
        ledger.take(taken)
        health.take(taken)
        if k % 10 == 9:
            health.tick(at)
            health.publish(lambda _arrival, _record: 0, at)
            with db.engine.begin() as connection:
                ledger.save(connection)
                health.save(connection)
        spent_s += time.process_time() - began_s
    return spent_s * 10 / len(batches)


def strips(db: Database) -> None:
    hours = 10
    rng = np.random.default_rng(2)
    blocks = hours * 3600 // BLOCK_SECONDS
    arrived = {block: rng.integers(0, 6080, (2, BLOCK_SECONDS)) for block in range(blocks)}
    gaps = tuple(
        Span(MISSING, 1 + i * 1000, i * 1000 + 600, i * 6_000_000, i * 6_000_000 + 100_000, 600) for i in range(6000)
    )
    end_us = hours * 3_600_000_000
    note_clock(db, Clock("strip", EPOCH, 1, 0, UTC0_US, ClockSource.NTP, 0))
    with db.engine.begin() as connection:
        write_change(connection, "strip", EPOCH, LedgerChange(Head(6_000_000, end_us, 0, end_us), arrived, (), gaps), 1)
    ledgers = Ledgers(db)
    for name, seconds in (("last minute", 60), ("last hour", 3600), ("ten hours", hours * 3600)):
        began_s = time.process_time()
        for _ in range(10):
            ledgers.strip("strip", UTC0_US + end_us - seconds * 1_000_000, UTC0_US + end_us, PIXELS)
        print(f"strip, {name:12} {(time.process_time() - began_s) * 100:6.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    count = parser.parse_args().seconds * 10
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite:///{Path(folder) / 'db.sqlite'}")
        db.migrate()
        live = watch(db, make_batches("live", count), [Lane.LIVE] * count)
        print(f"watch, all live      {live:6.2%} of a core at {PER_BATCH * 10:,} frames/s")
        holed = make_batches("holed", count)
        half = len(holed[1::2])
        late = watch(db, holed[0::2] + holed[1::2], [Lane.LIVE] * (count - half) + [Lane.BACKFILL] * half)
        print(f"watch, half late     {late:6.2%} of a core")
        strips(db)
        db.close()


if __name__ == "__main__":
    main()
