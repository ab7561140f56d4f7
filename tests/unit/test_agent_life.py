"""A life of the agent that did not end in order is told, once, with an interval that holds what is lost."""

from pathlib import Path

import numpy as np
import pytest

from ved.agent.life import POSTHUMOUS, UNSYNCED_US, Life, begin_life, declare_crash, end_life, read_life
from ved.codec.batch import encode_batch
from ved.codec.records import decode_record, encode_record
from ved.journal.journal import Journal
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import Description, Loss, LossPlace

EPOCH, OTHER = bytes(range(16)), bytes(16)
LIFE = Life("fs", EPOCH, 5_000_000_000, "boot 1")
NOW_NS = LIFE.origin_ns + 90_000_000_000


def batch(first_seq: int, epoch: bytes = EPOCH) -> bytes:
    """Ten frames, a millisecond each."""
    frames = FrameColumns(
        np.arange(first_seq, first_seq + 10, dtype=np.int64) * 1000,
        np.zeros(10, np.uint8),
        np.full(10, 5, np.uint32),
        np.zeros(10, np.uint8),
        np.full(10, 8, np.uint8),
        np.zeros((10, 8), np.uint8),
    )
    return encode_batch(FrameBatch("fs", epoch, first_seq, frames))


def journal_of(path: Path, *records: bytes) -> Journal:
    journal = Journal.open(path / "journal")
    for record in records:
        journal.append(record)
    return journal


def loss(next_seq: int, t_from_us: int, t_to_us: int) -> Loss:
    return Loss("fs", EPOCH, POSTHUMOUS + next_seq, LossPlace.CAR_CRASH, 255, -1, t_from_us, t_to_us)


DESCRIPTION = encode_record(Description("fs", EPOCH, 1, "car", ()))


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ((), loss(1, 0, 90_000_000)),  # not one frame was kept
        ((DESCRIPTION,), loss(1, 0, 90_000_000)),
        ((batch(1, OTHER), DESCRIPTION, batch(1), batch(11)), loss(21, 20_000, 90_000_000)),
        ((batch(1), b"damaged"), loss(11, 10_000, 90_000_000)),
        (tuple(batch(first) for first in range(1, 4000, 10)), loss(4001, 4_000_000, 90_000_000)),
    ],
)
def test_the_loss_begins_behind_the_last_frame_kept(tmp_path: Path, records: tuple[bytes, ...], expected: Loss) -> None:
    journal = journal_of(tmp_path, *records)
    assert declare_crash(journal, LIFE, NOW_NS, "boot 1") == expected
    assert journal.durable_position == journal.next_position
    entries = journal.read(journal.next_position - 1, 1 << 20)
    assert decode_record(entries[0].payload) == expected
    assert declare_crash(journal, LIFE, NOW_NS + 10**9, "boot 1") is None  # the same loss is told once
    journal.close()


@pytest.mark.parametrize("boot", ["boot 2", ""])
def test_after_a_power_cut_the_clock_says_nothing(tmp_path: Path, boot: str) -> None:
    journal = journal_of(tmp_path, batch(1))
    assert declare_crash(journal, LIFE, 7, boot) == loss(11, 10_000, 10_000 + UNSYNCED_US)
    journal.close()


def test_life_file(tmp_path: Path) -> None:
    assert read_life(tmp_path) is None
    begin_life(tmp_path, LIFE)
    assert read_life(tmp_path) == LIFE
    whole = (tmp_path / "life").read_bytes()
    for at in range(len(whole)):
        (tmp_path / "life").write_bytes(whole[:at])
        assert read_life(tmp_path) is None
    end_life(tmp_path)
    end_life(tmp_path)
    assert read_life(tmp_path) is None
