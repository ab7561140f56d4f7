"""The parts of the agent: epoch, frame queue, capture, packer, keeper."""

import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ved.agent.capture import Capture
from ved.agent.epoch import new_epoch
from ved.agent.framequeue import FrameQueue, Overflow
from ved.agent.keeper import Keeper, KeeperEvents
from ved.agent.packer import Packer, PackerSettings
from ved.codec.batch import encode_batch
from ved.codec.records import RecordHeader, decode_record, encode_record, peek
from ved.errors import StorageError, UserError
from ved.journal.journal import Journal
from ved.link.holes import POSTHUMOUS
from ved.model.clockmap import ClockPair
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import Clock, ClockSource, Description, Loss, LossPlace

EPOCH, OLDER = bytes(range(16)), bytes(16)
DESCRIPTION = Description("fs", EPOCH, 0, "car", ())
PAIR = ClockPair(0, 1_700_000_000_000_000, ClockSource.HOST)


def frames(first: int, count: int) -> FrameColumns:
    number = np.arange(first, first + count, dtype=np.int64)
    return FrameColumns(
        number * 10,
        (number % 2).astype(np.uint8),
        number.astype(np.uint32),
        np.zeros(count, np.uint8),
        np.full(count, 8, np.uint8),
        number.astype("<u8").view(np.uint8).reshape(count, 8).copy(),
    )


def test_epochs_count_boots_and_never_repeat(tmp_path: Path) -> None:
    made = [new_epoch(tmp_path) for _ in range(3)]
    assert [int.from_bytes(epoch[:4], "big") for epoch in made] == [1, 2, 3]
    assert len({epoch[4:] for epoch in made}) == 3
    (tmp_path / "boots").write_text("torn\0")
    assert int.from_bytes(new_epoch(tmp_path)[:4], "big") == 1
    (tmp_path / "boots").write_text(str(2**32 - 1))
    assert len(new_epoch(tmp_path)) == 16
    refused = [new_epoch(tmp_path / "not there") for _ in range(2)]  # it goes without the counter
    assert refused[0] != refused[1]


def test_a_full_queue_counts_what_it_loses_per_bus() -> None:
    queue = FrameQueue(10)
    queue.put(frames(0, 8))
    queue.put(frames(8, 8))  # 8 and 9 fit
    queue.put(frames(16, 4))
    items = queue.take(0)
    assert items is not None
    kept = FrameColumns.concatenate([item for item in items if isinstance(item, FrameColumns)])
    assert kept.equals(frames(0, 10))
    lost = {item.bus: item for item in items if isinstance(item, Overflow)}
    assert lost == {0: Overflow(0, 5, 100, 180), 1: Overflow(1, 5, 110, 190)}
    queue.put(frames(20, 1))
    again = queue.take(0)
    assert again is not None
    assert len(again) == 1  # the loss was told once


def test_a_patient_writer_waits_for_room_and_leaves_when_closed() -> None:
    queue = FrameQueue(10)
    queue.put_patiently(frames(0, 10))
    writer = threading.Thread(target=queue.put_patiently, args=(frames(10, 10),))
    writer.start()
    first = queue.take(5)
    writer.join(5)
    assert not writer.is_alive()
    second = queue.take(5)
    assert first is not None
    assert second is not None
    assert [len(item) for item in (*first, *second) if isinstance(item, FrameColumns)] == [10, 10]
    queue.close()
    queue.put_patiently(frames(0, 99))
    assert queue.take(5) is None


class ShortSource:
    """Ten frames, then `end`: None, or an error."""

    is_realtime = False

    def __init__(self, end: Exception | None = None, at_open: Exception | None = None) -> None:
        self.end, self.at_open = end, at_open
        self.calls: Counter[str] = Counter()
        self.threads: set[int] = set()

    def _note(self, call: str) -> None:
        self.calls[call] += 1
        self.threads.add(threading.get_ident())

    def open(self, origin_mono_ns: int) -> None:
        self._note("open")
        if self.at_open is not None:
            raise self.at_open

    def read(self, timeout_s: float) -> FrameColumns | None:
        self._note("read")
        if self.calls["read"] == 1:
            return frames(0, 10)
        if self.end is not None:
            raise self.end
        return None

    def clock(self, now_mono_ns: int) -> ClockPair | None:
        self._note("clock")
        return PAIR

    def close(self) -> None:
        self._note("close")


@pytest.mark.parametrize(
    ("source", "frame_count"),
    [
        (ShortSource(), 10),
        (ShortSource(end=UserError("unplugged")), 10),
        (ShortSource(at_open=UserError("no such bus")), 0),
    ],
)
def test_capture_ends_in_order_whatever_the_source_does(source: ShortSource, frame_count: int) -> None:
    queue, ended = FrameQueue(100), threading.Event()
    capture = Capture(source, queue, 0, ended.set)
    capture.start()
    assert ended.wait(5)
    capture.join()
    assert capture.failure is (source.end or source.at_open)
    assert capture.frames == frame_count
    assert source.calls["close"] == 1
    assert len(source.threads) == 1
    assert threading.get_ident() not in source.threads
    items = queue.take(0) or []
    assert sum(len(item) for item in items if isinstance(item, FrameColumns)) == frame_count
    assert items.count(PAIR) == (1 if frame_count else 0)  # the same pair is not told twice
    assert queue.take(0) is None


def pack(queue: FrameQueue, max_batch_frames: int = 8192) -> tuple[list[bytes], Packer]:
    """What a packer makes of a queue that is closed."""
    out: list[bytes] = []

    def emit(record: bytes, header: RecordHeader) -> None:
        assert header == peek(record)
        out.append(record)

    settings = PackerSettings(
        "fs", DESCRIPTION.epoch, DESCRIPTION, 0.01, max_batch_frames, lambda: True, emit, lambda: None
    )
    packer = Packer(queue, settings)
    packer.start()
    packer.join()
    assert packer.failure is None
    return out, packer


def test_packer_numbers_frames_and_notes_without_holes() -> None:
    queue = FrameQueue(1000)
    queue.put_note(PAIR)
    queue.put(frames(0, 90))
    queue.put(frames(90, 40))
    queue.put_note(Loss("fs", EPOCH, 0, LossPlace.CAR_DISK, 255, 3, 0, 9, 1, 3))
    queue.put_note(Loss("fs", OLDER, POSTHUMOUS + 7, LossPlace.CAR_DISK, 255, 2, 0, 9, 7, 8))
    queue.close()
    made, packer = pack(queue, max_batch_frames=50)
    records = [decode_record(record) for record in made]
    batches = [one for one in records if isinstance(one, FrameBatch)]
    assert [(one.first_seq, one.count) for one in batches] == [(1, 50), (51, 50), (101, 30)]
    assert FrameColumns.concatenate([one.frames for one in batches]).equals(frames(0, 130))
    notes = [one for one in records if not isinstance(one, FrameBatch)]
    assert notes == [
        Description("fs", EPOCH, 1, "car", ()),
        Clock("fs", EPOCH, 2, 0, PAIR.utc_us, ClockSource.HOST, 0),
        Loss("fs", EPOCH, 3, LossPlace.CAR_DISK, 255, 3, 0, 9, 1, 3),
        Loss("fs", OLDER, POSTHUMOUS + 7, LossPlace.CAR_DISK, 255, 2, 0, 9, 7, 8),
    ]
    assert records[0] == notes[0]
    assert packer.lost_frames == 5
    assert (packer.next_seq, packer.next_note) == (131, 4)


def test_an_overflow_becomes_a_loss_record() -> None:
    queue = FrameQueue(4)
    queue.put(frames(0, 10))
    queue.close()
    made, packer = pack(queue)
    losses = [one for one in map(decode_record, made) if isinstance(one, Loss)]
    assert [(one.place, one.bus, one.count, one.t_from_us, one.t_to_us, one.first_seq) for one in losses] == [
        (LossPlace.SOURCE_QUEUE, 0, 3, 40, 80, 0),
        (LossPlace.SOURCE_QUEUE, 1, 3, 50, 90, 0),
    ]
    assert packer.lost_frames == 6


class Recorder:
    """What a keeper tells, with a server that stored the seqs in `stored`."""

    def __init__(self) -> None:
        self.kept: list[tuple[int, RecordHeader]] = []
        self.losses: list[Loss] = []
        self.stored: set[int] = set()
        self.failed = threading.Event()

    def events(self) -> KeeperEvents:
        return KeeperEvents(self.kept.extend, self._find, self.losses.append, self.failed.set)

    def _find(self, headers: list[RecordHeader]) -> list[bool]:
        return [header.number not in self.stored for header in headers]


def put_batches(keeper: Keeper, numbers: range, epoch: bytes = EPOCH) -> None:
    for first in numbers:
        record = encode_batch(FrameBatch("fs", epoch, first, frames(first, 10)))
        keeper.put(record, peek(record))


def test_keeper_keeps_in_order_and_closes_the_journal(tmp_path: Path) -> None:
    recorder = Recorder()
    keeper = Keeper(Journal.open(tmp_path), 1 << 20, recorder.events())
    keeper.start()
    put_batches(keeper, range(1, 101, 10))
    keeper.wait_kept()
    assert keeper.waiting_bytes == 0
    keeper.stop()
    assert keeper.failure is None
    assert [position for position, _ in recorder.kept] == list(range(10))
    again = Journal.open(tmp_path)  # closed in order: it opens, and all is there
    assert again.durable_position == 10
    again.close()


def headers_in(folder: Path) -> list[RecordHeader]:
    journal = Journal.open(folder, segment_bytes=4096)
    left, position = [], journal.first_position
    while entries := journal.read(position, 1 << 20):
        left += [peek(entry.payload) for entry in entries]
        position = entries[-1].position + 1
    journal.close()
    return left


@pytest.mark.parametrize("before", range(48, 64, 4))
def test_keeper_keeps_the_description_also_when_it_makes_room_last_of_all(tmp_path: Path, before: int) -> None:
    recorder = Recorder()
    keeper = Keeper(Journal.open(tmp_path, segment_bytes=4096), 3 * 4096, recorder.events())
    description = encode_record(Description("fs", EPOCH, 1, "car", ()))
    put_batches(keeper, range(1, 1 + 10 * before, 10))
    keeper.put(description, peek(description))
    put_batches(keeper, range(1 + 10 * before, 1501, 10))
    keeper.start()
    keeper.stop()  # all comes at once: room is made after the last record
    assert keeper.failure is None
    assert any(header.count == 0 for header in headers_in(tmp_path))


def test_keeper_gives_up_the_oldest_segment_and_tells_exactly_what_was_lost(tmp_path: Path) -> None:
    """Stored batches are no loss; consecutive lost ones are one record; the description is kept again."""
    recorder = Recorder()
    recorder.stored = {21, 31}
    keeper = Keeper(Journal.open(tmp_path, segment_bytes=4096), 3 * 4096, recorder.events())
    description = encode_record(Description("fs", EPOCH, 1, "car", ()))
    keeper.put(description, peek(description))
    keeper.start()
    put_batches(keeper, range(1, 2001, 10))
    keeper.wait_kept()
    keeper.stop()
    assert keeper.failure is None
    assert keeper.size_bytes <= 4 * 4096
    assert [(one.first_seq, one.last_seq) for one in recorder.losses[:2]] == [
        (1, 20),
        (41, recorder.losses[1].last_seq),
    ]
    for loss in recorder.losses:
        assert (loss.epoch, loss.number) == (EPOCH, POSTHUMOUS + loss.first_seq)
        assert loss.count == loss.last_seq - loss.first_seq + 1
        assert (loss.t_from_us, loss.t_to_us) == (loss.first_seq * 10, loss.last_seq * 10)
    left = headers_in(tmp_path)
    assert any(header.count == 0 for header in left)  # the description
    there = sorted(header.number for header in left if header.count)
    assert there[0] == recorder.losses[-1].last_seq + 1
    assert there == list(range(there[0], 2001, 10))


class RefusingJournal:
    """A journal on a disk that is full, with one segment, so that there is nothing to make room with."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.is_full = True
        self.refused = threading.Event()

    def append(self, payload: bytes) -> int:
        if self.is_full:
            self.refused.set()
            raise StorageError("no space left on device")
        return self._journal.append(payload)

    def __getattr__(self, name: str):
        return getattr(self._journal, name)


def test_keeper_waits_for_a_disk_that_refuses(tmp_path: Path) -> None:
    recorder = Recorder()
    journal = RefusingJournal(Journal.open(tmp_path))
    keeper = Keeper(journal, 1 << 20, recorder.events())  # type: ignore[arg-type]
    keeper.start()
    put_batches(keeper, range(1, 51, 10))
    assert journal.refused.wait(5)
    while keeper.trouble is None:
        pass
    assert "no space" in keeper.trouble
    journal.is_full = False
    keeper.wait_kept()
    keeper.stop()
    assert [header.number for _, header in recorder.kept] == [1, 11, 21, 31, 41]
    assert keeper.trouble is None
    assert recorder.losses == []


def test_keeper_that_fails_says_so(tmp_path: Path) -> None:
    class Broken(RefusingJournal):
        def append(self, payload: bytes) -> int:
            raise ValueError("a defect")

    recorder = Recorder()
    journal = Journal.open(tmp_path)
    keeper = Keeper(Broken(journal), 1 << 20, recorder.events())  # type: ignore[arg-type]
    keeper.start()
    put_batches(keeper, range(1, 11, 10))
    assert recorder.failed.wait(5)
    keeper.wait_kept()  # does not hang
    keeper.stop()
    assert isinstance(keeper.failure, ValueError)
    journal.close()
