"""What the journal costs: appends, group fdatasync, tail-reading, opening after a kill; SQLite (WAL) as the peer.

Payloads are 4 KB, about one 100 ms batch of frames. Both sync once per 64 KiB (`synchronous=FULL` for SQLite, one
transaction per group). "append alone" leaves syncing out. Reading is from the page cache. Medians of several runs.

    python benchmarks/bench_journal.py [--records 20000] [--runs 5] [--folder DIR]
"""

import argparse
import os
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ved.journal.journal import Journal
from ved.journal.reader import JournalReader

PAYLOAD_BYTES = 4096
GROUP = (64 << 10) // PAYLOAD_BYTES


def journal_append(folder: Path, payload: bytes, records: int) -> float:
    journal = Journal.open(folder)
    start_s = time.perf_counter()
    for _ in range(records):
        journal.append(payload)
    took_s = time.perf_counter() - start_s
    journal.close()
    return took_s


def journal_durable(folder: Path, payload: bytes, records: int) -> float:
    journal = Journal.open(folder)
    start_s = time.perf_counter()
    for number in range(records):
        journal.append(payload)
        if number % GROUP == GROUP - 1:
            journal.sync()
    took_s = time.perf_counter() - start_s
    journal.close()
    return took_s


def journal_read(folder: Path, payload: bytes, records: int) -> float:
    journal_append(folder, payload, records)
    reader = JournalReader(folder, 0)
    start_s = time.perf_counter()
    count = 0
    while entries := reader.read():
        count += len(entries)
    took_s = time.perf_counter() - start_s
    assert count == records
    reader.close()
    return took_s


def journal_reopen(folder: Path, payload: bytes, records: int) -> float:
    journal = Journal.open(folder)
    for _ in range(records):
        journal.append(payload)
    os.close(journal._lock)  # noqa: SLF001 - as if it had been killed
    start_s = time.perf_counter()
    again = Journal.open(folder)
    took_s = time.perf_counter() - start_s
    assert again.next_position >= records
    again.close()
    return took_s


def open_sqlite(folder: Path) -> sqlite3.Connection:
    folder.mkdir()
    database = sqlite3.connect(folder / "peer.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE log (position INTEGER PRIMARY KEY, payload BLOB)")
    return database


def sqlite_durable(folder: Path, payload: bytes, records: int) -> float:
    database = open_sqlite(folder)
    start_s = time.perf_counter()
    database.execute("BEGIN")
    for number in range(records):
        database.execute("INSERT INTO log (payload) VALUES (?)", (payload,))
        if number % GROUP == GROUP - 1:
            database.execute("COMMIT")
            database.execute("BEGIN")
    database.execute("COMMIT")
    took_s = time.perf_counter() - start_s
    database.close()
    return took_s


def sqlite_read(folder: Path, payload: bytes, records: int) -> float:
    sqlite_durable(folder, payload, records)
    database = sqlite3.connect(folder / "peer.db")
    start_s = time.perf_counter()
    count = sum(1 for _ in database.execute("SELECT position, payload FROM log ORDER BY position"))
    took_s = time.perf_counter() - start_s
    assert count == records
    database.close()
    return took_s


def median_s(action: Callable[[Path, bytes, int], float], records: int, runs: int, root: Path) -> float:
    payload = os.urandom(PAYLOAD_BYTES)
    times = []
    for run in range(runs):
        folder = root / f"{action.__name__}-{run}"
        times.append(action(folder, payload, records))
        shutil.rmtree(folder)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None, help="where to write (default: the temporary folder)")
    args = parser.parse_args()
    mib = args.records * PAYLOAD_BYTES / 1e6
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        root = Path(name)

        def measure(action: Callable[[Path, bytes, int], float]) -> float:
            return median_s(action, args.records, args.runs, root)

        rows = [
            ("append alone, µs/record", measure(journal_append) / args.records * 1e6, None),
            (
                "append, durable every 64 KiB, µs/record",
                measure(journal_durable) / args.records * 1e6,
                measure(sqlite_durable) / args.records * 1e6,
            ),
            ("tail-read, MB/s", mib / measure(journal_read), mib / measure(sqlite_read)),
            ("open after a kill, ms", measure(journal_reopen) * 1e3, None),
        ]
    print(f"{'':42}{'journal':>12}{'SQLite WAL':>12}{'ratio':>8}")
    for label, ours, peer in rows:
        if peer is None:
            print(f"{label:42}{ours:12.1f}{'-':>12}{'-':>8}")
        else:
            better = ours / peer if "MB/s" in label else peer / ours
            print(f"{label:42}{ours:12.1f}{peer:12.1f}{better:7.1f}x")


if __name__ == "__main__":
    main()
