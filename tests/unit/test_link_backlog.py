"""What the sending side knows: the ledger, the live queue, the backlog and the frontier."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from ved.codec.batch import encode_batch
from ved.codec.link import Held, Received, Space, Stored
from ved.codec.records import encode_record
from ved.journal.journal import Journal
from ved.link.backlog import Backlog
from ved.link.frontier import Frontier, LossReport
from ved.link.holes import NOTE_LOSSES
from ved.link.ledger import Ledger
from ved.link.livequeue import Fresh, LiveQueue
from ved.link.span import Span
from ved.link.walker import Kept
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import ALL_BUSES, Clock, ClockSource, Loss, LossPlace

EPOCH, OLDER = bytes(range(16)), bytes(16)


def batch(first_seq: int, epoch: bytes = EPOCH) -> bytes:
    frames = FrameColumns(
        np.arange(10, dtype=np.int64),
        np.zeros(10, np.uint8),
        np.full(10, 5, np.uint32),
        np.zeros(10, np.uint8),
        np.full(10, 8, np.uint8),
        np.zeros((10, 8), np.uint8),
    )
    return encode_batch(FrameBatch("fs", epoch, first_seq, frames))


def clock(number: int) -> bytes:
    return encode_record(Clock("fs", EPOCH, number, 0, 0, ClockSource.HOST, 0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal: an older epoch's batch at 0, a damaged record at 1, then batches of 10 frames and a note at 4."""
    journal = Journal.open(tmp_path / "journal")
    for record in (batch(1, OLDER), b"no record", batch(1), batch(11), clock(1), batch(21)):
        journal.append(record)
    journal.close()
    return tmp_path / "journal"


def seq(first: int) -> Span:
    return Span(Space.SEQ, first, first + 9)


def test_stored_counts_as_received_and_is_never_taken_back() -> None:
    ledger = Ledger()
    ledger.acknowledge(Received(EPOCH, Space.SEQ, ((1, 20),)))
    ledger.acknowledge(Stored(EPOCH, Space.SEQ, ((1, 10),)))
    assert ledger.is_received(EPOCH, seq(11))
    assert not ledger.is_stored(EPOCH, seq(11))
    assert ledger.replace(Held(EPOCH, ()))  # the server lost 11..20
    assert not ledger.is_received(EPOCH, seq(11))
    assert ledger.is_received(EPOCH, seq(1))
    assert ledger.is_stored(EPOCH, seq(1))
    assert not ledger.replace(Held(EPOCH, (Stored(EPOCH, Space.SEQ, ((1, 20),)),)))
    assert ledger.is_stored(EPOCH, seq(11))
    assert not ledger.is_stored(OLDER, seq(1))
    assert not ledger.is_stored(EPOCH, Span(Space.NOTE, 1, 1))


def test_live_queue_lets_old_records_go_and_counts_its_bytes() -> None:
    queue = LiveQueue(1.0)
    for first, made_s in ((1, 0.0), (11, 0.5), (21, 2.0)):
        queue.put(Fresh(seq(first), b"12345", made_s))
    assert queue.pending_bytes == 15
    assert [fresh.span for fresh in queue.expire(1.2)] == [seq(1)]
    sent, passed_over = queue.pop(0.9)
    assert sent is not None
    assert sent.span == seq(11)
    assert passed_over == []
    assert queue.pending_bytes == 10  # on its way is still pending
    assert queue.find(seq(11)) is sent
    assert queue.settle(seq(11)) is sent
    assert queue.settle(seq(11)) is None
    received = Ledger().epoch(EPOCH).received
    received[Space.SEQ].add(21, 30)
    queue.settle_received(received)
    assert queue.pending_bytes == 0
    assert queue.expire(99.0) == []  # settled already, so nobody gives it up


def test_a_patient_queue_never_lets_go() -> None:
    queue = LiveQueue(None)
    queue.put(Fresh(seq(1), b"x", 0.0))
    assert queue.expire(1e9) == []
    assert queue.pop(1e9)[0] is not None


def test_a_lane_that_cannot_keep_up_sends_the_newest() -> None:
    queue = LiveQueue(1.0)
    for first in range(1, 72, 10):
        queue.put(Fresh(seq(first), b"12345", first / 100))
    queue.settle(seq(21))
    first, passed_over = queue.pop(0.4)
    assert first is not None
    assert (first.span, passed_over) == (seq(1), [])  # in order, as long as it keeps up
    newest, passed_over = queue.pop(0.75)
    assert newest is not None
    assert newest.span == seq(71)
    assert [one.span for one in passed_over] == [seq(11), seq(31), seq(41), seq(51), seq(61)]
    assert queue.pending_bytes == 10
    assert queue.pop(0.8) == (None, [])


async def drain(backlog: Backlog, ledger: Ledger) -> list[tuple[bytes, Span]]:
    out = []

    def is_wanted(kept: Kept) -> bool:
        return not ledger.is_received(kept.epoch, kept.span)

    while (kept := await backlog.next(is_wanted)) is not None:
        out.append((kept.epoch, kept.span))
    return out


NOTE = Span(Space.NOTE, 1, 1)


def test_backlog_walks_what_is_not_received(path: Path) -> None:
    async def go() -> None:
        ledger = Ledger()
        ledger.acknowledge(Received(EPOCH, Space.SEQ, ((1, 10),)))
        backlog = Backlog(path, 0, 6)
        assert await drain(backlog, ledger) == [(OLDER, seq(1)), (EPOCH, seq(11)), (EPOCH, NOTE), (EPOCH, seq(21))]
        assert backlog.is_empty
        backlog.add(3)
        assert not backlog.is_empty
        assert await drain(backlog, ledger) == [(EPOCH, seq(11)), (EPOCH, NOTE), (EPOCH, seq(21))]
        backlog.rescan(0, 6)
        assert len(await drain(backlog, ledger)) == 4
        backlog.close()

    asyncio.run(go())


def test_backlog_stops_at_its_end_and_goes_on_when_that_moves(path: Path) -> None:
    async def go() -> None:
        ledger, backlog = Ledger(), Backlog(path, 2, 3)
        assert await drain(backlog, ledger) == [(EPOCH, seq(1))]
        backlog.add(5)  # 3 and 4 are on the live lane
        assert await drain(backlog, ledger) == [(EPOCH, seq(21))]
        backlog.add(4)
        backlog.add(3)
        assert await drain(backlog, ledger) == [(EPOCH, seq(11)), (EPOCH, NOTE), (EPOCH, seq(21))]
        backlog.close()

    asyncio.run(go())


def test_backlog_that_was_trimmed_ends(path: Path) -> None:
    async def go() -> None:
        backlog = Backlog(path, 6, 50)  # positions that were never written
        assert await drain(backlog, Ledger()) == []
        assert backlog.is_empty
        backlog.close()

    asyncio.run(go())


def test_frontier_passes_what_is_stored_and_what_is_damaged(path: Path) -> None:
    losses: list[Loss] = []

    async def go() -> None:
        ledger, frontier = Ledger(), Frontier(path, 0, LossReport("fs", (), lambda *_: False, losses.append))
        assert await frontier.advance(ledger, 6) == 0
        assert frontier.waiting_epoch == OLDER
        ledger.acknowledge(Received(OLDER, Space.SEQ, ((1, 10),)))
        assert await frontier.advance(ledger, 6) == 0  # received is not enough
        ledger.acknowledge(Stored(OLDER, Space.SEQ, ((1, 10),)))
        # The damaged record lies between two epochs: it may have been a note of either.
        for epoch, until_us in ((OLDER, 9), (EPOCH, 9)):
            assert await frontier.advance(ledger, 6) == 1
            assert frontier.asks == epoch
            ledger.replace(Held(epoch, ()))
            assert await frontier.advance(ledger, 6) == 1
            number = NOTE_LOSSES + 1
            assert losses.pop() == Loss("fs", epoch, number, LossPlace.CAR_DISK, ALL_BUSES, -1, 0, until_us)
            ledger.acknowledge(Stored(epoch, Space.NOTE, ((number, number),)))
        assert await frontier.advance(ledger, 6) == 2
        ledger.acknowledge(Stored(EPOCH, Space.SEQ, ((1, 30),)))
        assert await frontier.advance(ledger, 6) == 4  # the note
        ledger.acknowledge(Stored(EPOCH, Space.NOTE, ((1, 1),)))
        assert await frontier.advance(ledger, 6) == 6
        assert frontier.waiting_epoch is None
        assert frontier.trim_before == 5  # the last batch stays
        frontier.close()
        assert losses == []

    asyncio.run(go())
