"""Ingest's store: a disk that refuses, the checkpoint, and the limit on log lines."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ved.broker.open import open_stream
from ved.codec.batch import decode_batch, encode_batch
from ved.codec.link import Space
from ved.codec.records import decode_record, encode_record, peek
from ved.errors import StorageError
from ved.ingest import loglimit
from ved.ingest.accepted import MAX_EPOCHS, Accepted, LastEntry
from ved.ingest.checkpoint import encode_checkpoint, load_checkpoint, rebuild, save_checkpoint
from ved.ingest.loglimit import LogLimit
from ved.ingest.rebuild import record_writer
from ved.ingest.store import Store
from ved.ingest.writer import Taken, TrimOrder
from ved.link.span import Span
from ved.metrics import BATCHES_CONFLICT_TOTAL, BATCHES_DUPLICATE_TOTAL, RECORDS_DROPPED_TOTAL, Counters
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.intervals import Intervals
from ved.model.records import Arrival, Lane, LinkState

EPOCH = bytes(range(16))


def batch(first_seq: int, count: int = 10) -> bytes:
    frames = FrameColumns(
        np.arange(count, dtype=np.int64),
        np.zeros(count, np.uint8),
        np.full(count, 5, np.uint32),
        np.zeros(count, np.uint8),
        np.full(count, 8, np.uint8),
        np.full((count, 8), first_seq % 256, np.uint8),
    )
    return encode_batch(FrameBatch("fs", EPOCH, first_seq, frames))


class FlakyWriter:
    """A stream writer on a disk that a test fills and empties: `append` or `sync` refuse while asked to."""

    def __init__(self, stream) -> None:
        self._writer = stream.writer()
        self.refuses: set[str] = set()
        self.log: list[str] = []

    def _check(self, what: str) -> None:
        if what in self.refuses:
            self.log.append(f"{what} refused")
            raise StorageError("no space left on device")

    def append(self, arrival: Arrival, record: bytes) -> int:
        self._check("append")
        return self._writer.append(arrival, record)

    def sync(self) -> int:
        self._check("sync")
        return self._writer.sync()

    def __getattr__(self, name: str):
        return getattr(self._writer, name)


class Bench:
    def __init__(self, tmp_path: Path) -> None:
        self.stream = open_stream(tmp_path, "frames")
        self.writer = FlakyWriter(self.stream)
        self.accepted, self.counters = Accepted(), Counters()
        self.store = Store(self.stream, self.writer, self.accepted, self.counters)
        self.stored, self.storing = Intervals(), []
        self.changed = asyncio.Event()
        self.store.tell_stored = self._on_stored
        self.store.tell_storing = self._on_storing
        self.store.start()

    def _on_stored(self, stored: list[Taken]) -> None:
        for taken in stored:
            assert taken.origin == "origin"
            self.stored.add(taken.span.first, taken.span.last)
        self.changed.set()

    def _on_storing(self, is_storing: bool) -> None:
        self.storing.append(is_storing)
        self.changed.set()

    async def take(self, first_seq: int) -> bool:
        return await self.take_record(batch(first_seq))

    async def take_record(self, record: bytes) -> bool:
        return await self.store.take(record, peek(record), Lane.LIVE, "origin")

    async def until(self, condition) -> None:
        while not condition():
            self.changed.clear()
            await self.changed.wait()

    async def close(self) -> None:
        await self.store.stop()
        self.writer.close()

    async def positions(self) -> list[int]:
        """First seqs in the stream, in order."""
        reader = self.stream.reader("earliest")
        entries = await reader.read(timeout_s=0)
        reader.close()
        return [peek(entry.record).number for entry in entries if peek(entry.record).number]


@pytest.mark.parametrize("what", ["append", "sync"])
def test_a_full_disk_stops_stored_and_nothing_else(tmp_path: Path, what: str) -> None:
    async def go() -> None:
        bench = Bench(tmp_path)
        await bench.take(1)
        await bench.until(lambda: bench.stored.contains(1, 10))
        bench.writer.refuses = {what}
        for first_seq in (11, 21, 31):
            assert not await bench.take(first_seq)
        await bench.until(lambda: bench.storing == [False])
        assert not bench.store.is_storing
        assert bench.stored.runs() == [(1, 10)]
        state = bench.accepted.state("fs", EPOCH)
        assert state.received[Space.SEQ].runs() == [(1, 40)]
        assert state.stored[Space.SEQ].runs() == [(1, 10)]
        assert not await bench.take(21)  # sent again meanwhile: known, and still not stored
        bench.writer.refuses = set()
        await bench.until(lambda: bench.storing == [False, True] and bench.stored.contains(1, 40))
        assert await bench.take(21)
        await bench.close()
        assert await bench.positions() == [1, 11, 21, 31]
        assert bench.counters[BATCHES_DUPLICATE_TOTAL] == 2

    asyncio.run(go())


@pytest.mark.parametrize("is_waiting", [True, False])
def test_the_same_batch_is_known_however_it_was_encoded(tmp_path: Path, is_waiting: bool) -> None:
    """As the car wrote it, and as ingest does: also while the first one waits for the disk."""

    async def go() -> None:
        bench = Bench(tmp_path)
        if is_waiting:
            bench.writer.refuses = {"append"}
        as_ingest = record_writer().encode(decode_batch(batch(1, 2000)))
        assert as_ingest != batch(1, 2000)
        await bench.take_record(as_ingest)
        if not is_waiting:
            await bench.until(lambda: bench.stored.contains(1, 2000))
        await bench.take_record(batch(1, 2000))
        assert bench.counters[BATCHES_DUPLICATE_TOTAL] == 1
        assert bench.counters[BATCHES_CONFLICT_TOTAL] == 0
        other = replace(decode_batch(batch(2, 2000)), first_seq=1)
        await bench.take_record(encode_batch(other))
        assert bench.counters[BATCHES_CONFLICT_TOTAL] == 1
        bench.writer.refuses = set()
        await bench.close()

    asyncio.run(go())


def test_memory_is_bounded_while_the_disk_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is let go, is not held, and can be sent again later."""
    monkeypatch.setattr("ved.ingest.store.MAX_PENDING_BYTES", 2 * len(batch(1)) + 10)

    async def go() -> None:
        bench = Bench(tmp_path)
        bench.writer.refuses = {"append"}
        for first_seq in (1, 11, 21):
            await bench.take(first_seq)
        bench.store.put_own(encode_record(LinkState("fs", EPOCH, True, Lane.LIVE, "p", 0)), Lane.LIVE)
        await bench.until(lambda: bench.storing == [False])
        bench.store.put_own(encode_record(LinkState("fs", EPOCH, True, Lane.LIVE, "p", 0)), Lane.LIVE)
        assert bench.counters[RECORDS_DROPPED_TOTAL] == 2
        assert bench.accepted.state("fs", EPOCH).received[Space.SEQ].runs() == [(1, 20)]
        bench.writer.refuses = set()
        await bench.until(lambda: bench.stored.contains(1, 20))
        await bench.take(21)
        await bench.until(lambda: bench.stored.contains(1, 30))
        await bench.close()
        assert await bench.positions() == [1, 11, 21]

    asyncio.run(go())


def test_rebuild_with_and_without_a_checkpoint_gives_the_same(tmp_path: Path) -> None:
    path = tmp_path / "accepted.json"

    async def go() -> None:
        bench = Bench(tmp_path)
        await bench.take(1)
        await bench.until(lambda: bench.stored.contains(1, 10))
        assert bench.store.last_durable is not None
        save_checkpoint(path, encode_checkpoint(bench.accepted, bench.store.last_durable))
        await bench.take(11)
        await bench.take(31)
        await bench.close()
        end = bench.writer.next_position

        whole, from_checkpoint = Accepted(), Accepted()
        last = await rebuild(bench.stream, end, tmp_path / "none", whole)
        assert await rebuild(bench.stream, end, path, from_checkpoint) == last
        for accepted in (whole, from_checkpoint):
            state = accepted.state("fs", EPOCH)
            assert state.stored[Space.SEQ].runs() == [(1, 20), (31, 40)]
            assert state.received[Space.SEQ] == state.stored[Space.SEQ]
        assert last is not None
        assert last.position == end - 1

    asyncio.run(go())


def test_a_checkpoint_never_claims_what_was_only_received(tmp_path: Path) -> None:
    accepted = Accepted()
    state = accepted.state("fs", EPOCH)
    state.received[Space.SEQ].add(1, 20)
    state.stored[Space.SEQ].add(1, 10)
    save_checkpoint(tmp_path / "c", encode_checkpoint(accepted, LastEntry(3, 4)))
    loaded = load_checkpoint(tmp_path / "c")
    assert loaded is not None
    assert loaded.last == LastEntry(3, 4)
    fresh = Accepted()
    loaded.apply(fresh)
    assert fresh.state("fs", EPOCH).received[Space.SEQ].runs() == [(1, 10)]


def test_a_damaged_checkpoint_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "c"
    accepted = Accepted()
    accepted.state("fs", EPOCH).stored[Space.SEQ].add(1, 10)
    save_checkpoint(path, encode_checkpoint(accepted, LastEntry(0, 0)))
    good = path.read_bytes()
    for at in range(len(good)):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        loaded = load_checkpoint(path)
        assert loaded is None or path.read_bytes()[:8].lower() == good[:8]  # a hex digit's case is no damage
        path.write_bytes(good[:at])
        assert load_checkpoint(path) is None
    with pytest.raises(StorageError):
        save_checkpoint(path / "below a file", good)


def test_accepted_forgets_the_longest_unused_epochs() -> None:
    accepted = Accepted()
    first = accepted.state("fs", bytes(16))
    for number in range(1, MAX_EPOCHS):
        accepted.state("fs", number.to_bytes(16, "big"))
    assert accepted.state("fs", bytes(16)) is first  # used again, so the next one goes
    accepted.state("fs", EPOCH)
    assert len(accepted.items()) == MAX_EPOCHS
    assert ("fs", (1).to_bytes(16, "big")) not in dict(accepted.items())


def test_what_came_lately_is_kept_of_the_last_epochs_of_a_vehicle_alone() -> None:
    """An agent that starts anew for months makes epoch after epoch: what a dead one holds must not add up."""
    accepted = Accepted()
    other = accepted.state("pe", bytes(16))
    other.recent.add_written(Span(Space.SEQ, 1, 10), 1, 0)
    states = []
    for number in range(10):
        states.append(accepted.state("fs", number.to_bytes(16, "big")))
        states[-1].recent.add_written(Span(Space.SEQ, 1, 10), 1, 0)
        states[-1].received[Space.SEQ].add(1, 10)
    assert [len(state.recent) for state in states] == [0] * 6 + [1] * 4
    assert len(other.recent) == 1
    assert all(state.received[Space.SEQ].contains(1, 10) for state in states), "what came stays known"


def test_held_is_cut_to_what_fits_a_message() -> None:
    accepted = Accepted()
    state = accepted.state("fs", EPOCH)
    for first in range(1, 12_000, 2):
        state.received[Space.SEQ].add(first, first)
    held = state.held(EPOCH)
    assert len(held.sets) == 1
    assert len(held.sets[0].runs) == 4096
    assert held.sets[0].runs[-1] == (11_999, 11_999)


def test_a_flood_of_bad_lines_is_cut_and_counted(caplog: pytest.LogCaptureFixture, monkeypatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr(loglimit.time, "monotonic", lambda: now_s[0])
    limit = LogLimit(logging.getLogger("ved.test"))
    for number in range(100):
        limit.warning("garbage", "line %d", number)
    limit.warning("other", "another topic")
    now_s[0] = 11.0
    limit.warning("garbage", "later")
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [*(f"line {number}" for number in range(5)), "another topic", lines[6], "later"]
    assert lines[6] == "95 more such lines (garbage) were left out"


def test_decode_is_what_was_taken(tmp_path: Path) -> None:
    """The record in the stream is the car's record, byte for byte."""

    async def go() -> None:
        bench = Bench(tmp_path)
        await bench.take(1)
        await bench.until(lambda: bench.stored.contains(1, 10))
        await bench.close()
        reader = bench.stream.reader("earliest")
        [entry] = await reader.read(timeout_s=0)
        reader.close()
        assert entry.record == batch(1)
        assert entry.arrival.lane == Lane.LIVE
        assert decode_record(entry.record).frames.equals(decode_record(batch(1)).frames)

    asyncio.run(go())


def test_trim_reaches_the_writer_and_a_refusal_stops_nothing(tmp_path: Path) -> None:
    async def go() -> None:
        bench = Bench(tmp_path)
        asked: list[tuple[int, int, tuple[str, ...]]] = []

        def trim(keep_bytes: int, keep_us: int, never_past: tuple[str, ...]) -> None:
            asked.append((keep_bytes, keep_us, never_past))
            raise StorageError("cannot trim")

        bench.writer.trim = trim
        bench.store.trim(TrimOrder(1, 2, ("record",)))
        await bench.until(lambda: bench.storing == [False])
        await bench.take(1)
        await bench.until(lambda: bench.stored.contains(1, 10))
        await bench.close()
        assert asked == [(1, 2, ("record",))]

    asyncio.run(go())
