"""A life of the agent that did not end in order is told, once, with an interval that holds what is lost."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ved.agent import life as lives_module
from ved.agent.life import UNSYNCED_US, Life, close_lives, epoch_ends, lives_in, read_lives, save_lives
from ved.codec.batch import encode_batch
from ved.codec.records import decode_record, encode_record
from ved.journal.journal import Journal
from ved.link.holes import POSTHUMOUS, EpochEnd
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


def loss_of(epoch: bytes, next_seq: int, t_from_us: int) -> bytes:
    return encode_record(replace(loss(next_seq, t_from_us, t_from_us + 5), epoch=epoch))


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
    closed, losses = close_lives(journal, [LIFE], NOW_NS, "boot 1")
    assert losses == [expected]
    assert journal.durable_position == journal.next_position
    at = journal.next_position - 1
    assert decode_record(journal.read(at, 1 << 20)[0].payload) == expected
    assert epoch_ends(closed) == (EpochEnd(EPOCH, at + 1, expected.number - POSTHUMOUS - 1, expected.t_to_us),)
    # Killed before the end was entered: the same loss is told once, and the end is the same.
    assert close_lives(journal, [LIFE], NOW_NS + 10**9, "boot 1") == (closed, [])
    assert close_lives(journal, closed, NOW_NS + 10**9, "boot 1") == (closed, [])
    journal.close()


@pytest.mark.parametrize("boot", ["boot 2", ""])
def test_after_a_power_cut_the_clock_says_nothing(tmp_path: Path, boot: str) -> None:
    journal = journal_of(tmp_path, batch(1))
    assert close_lives(journal, [LIFE], 7, boot)[1] == [loss(11, 10_000, 10_000 + UNSYNCED_US)]
    journal.close()


def test_a_life_that_told_more_than_is_left_was_longer(tmp_path: Path) -> None:
    """After a power cut the newest segment is gone too: the life was heard of last at 60 s."""
    journal = journal_of(tmp_path, batch(1))
    told = replace(LIFE, seq=6000, t_us=60_000_000)
    assert close_lives(journal, [told], 7, "boot 2")[1] == [loss(11, 10_000, 60_000_000 + 10_000_000 + UNSYNCED_US)]
    journal.close()


def test_without_its_files_what_is_in_the_journal_may_have_gone_on_for_a_day(tmp_path: Path) -> None:
    """Notes about an epoch of which nothing else is left make no life of it."""
    about = encode_record(Loss("fs", bytes([9]) * 16, POSTHUMOUS + 1, LossPlace.CAR_DISK, 255, 5, 0, 9, 1, 5))
    records = (batch(1, OTHER), loss_of(OTHER, 11, 10_000), DESCRIPTION, batch(1), b"damaged", batch(11), about)
    journal = journal_of(tmp_path, *records)
    assert read_lives(tmp_path, journal.first_position) is None
    closed, losses = close_lives(journal, lives_in(journal), NOW_NS, "boot 1")
    assert [(life.epoch, life.seq, life.end_position) for life in closed] == [(OTHER, 10, 2), (EPOCH, 20, 8)]
    (told,) = losses  # of the other it was told
    assert (told.epoch, told.number, told.t_from_us) == (EPOCH, POSTHUMOUS + 21, 20_000)
    assert told.t_to_us >= 20_000 + 24 * 3_600_000_000
    assert close_lives(journal, lives_in(journal), NOW_NS, "boot 1") == (closed, [])
    journal.close()
    empty = Journal.open(tmp_path / "empty")
    assert lives_in(empty) == []
    empty.close()


def test_file_of_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_lives(tmp_path, 0) is None
    ended = replace(LIFE, seq=70, t_us=5, end_position=9)
    save_lives(tmp_path, [ended, LIFE])
    assert read_lives(tmp_path, 8) == [ended, LIFE]
    assert read_lives(tmp_path, 9) == [LIFE]  # all of the other was trimmed
    assert epoch_ends([ended, LIFE]) == (EpochEnd(EPOCH, 9, 70, 5),)
    whole = (tmp_path / "lives").read_bytes()
    (tmp_path / "lives.2").unlink()
    for at in range(len(whole)):
        (tmp_path / "lives").write_bytes(whole[:at])
        assert read_lives(tmp_path, 0) is None
    monkeypatch.setattr(lives_module, "MAX_LIVES", 1)
    save_lives(tmp_path, [ended, LIFE])
    assert read_lives(tmp_path, 0) == [LIFE]
