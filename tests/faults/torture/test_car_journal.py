"""The car's journal is damaged while the car is off: what cannot be read is declared lost, exactly; the rest comes."""

import os
import random
import shutil
from pathlib import Path

import pytest
from tests.faults.torture.checker import Verdict
from tests.faults.torture.site import Figures, Places, Site, copy_state
from tests.faults.torture.test_kills import journal_rows

from ved.agent.life import FILE_NAMES
from ved.codec.records import decode_record
from ved.journal.reader import JournalReader
from ved.model.frames import FrameBatch
from ved.model.records import LossPlace

RATE = 3000


def segments(state: Path) -> list[Path]:
    """Segment files, oldest first (their names sort by position)."""
    return sorted((state / "journal").glob("*.seg"))


def batches(state: Path) -> int:
    reader = JournalReader(state / "journal", 0)
    count = 0
    try:
        while entries := reader.read():
            count += sum(isinstance(decode_record(entry.payload), FrameBatch) for entry in entries)
    finally:
        reader.close()
    return count


class Card:
    """A card with a journal that never reached a server, and its copy for each damage."""

    def __init__(self, root: Path, frames: int, journal_bytes: int) -> None:
        self.root, self.journal_bytes = root, journal_bytes
        self.places = Places.under(root / "made")
        with Site(self.places, journal_bytes=journal_bytes) as site:
            site.prepare()
            site.rate = RATE
            site.enrol(port=9)  # nobody listens there
            site.start_car()
            site.wait_driving(frames)
            site.kill_car()

    def copy(self, name: str) -> Places:
        """A world of its own with this card in the car."""
        places = Places.under(self.root / name)
        places.state.rmdir()
        copy_state(self.places.state, places.state)
        for path in self.places.truth.glob("1.*"):
            shutil.copy(path, places.truth)
        return places


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Card:
    return Card(tmp_path_factory.mktemp("card"), 4500, 1 << 30)


@pytest.fixture(scope="module")
def split_card(tmp_path_factory: pytest.TempPathFactory) -> Card:
    """Segments of 4 KiB: many of them."""
    return Card(tmp_path_factory.mktemp("split"), 4500, 1 << 16)


def drive_again(card: Card, places: Places, most_lost: int, name: str, *, least_lost: int = 0) -> None:
    """The next life of the car brings what is readable, and declares the rest; the life after it adds nothing."""
    readable = journal_rows(places.state)
    with Site(places, journal_bytes=card.journal_bytes) as site:
        site.life = 1
        site.prepare()
        site.start_server()
        site.enrol()
        site.start_car()
        site.wait_stored()
        verdict = site.settle(allowed=lambda verdict: is_whole(verdict, len(readable)))
        lost = len(verdict.lives[0].missing)
        assert least_lost <= lost <= most_lost, verdict.text()
        before = verdict.lives[0].losses
        site.stop_car()
        site.start_car()
        site.wait_driving()
        site.wait_stored()
        verdict = site.settle(allowed=lambda verdict: is_whole(verdict, len(readable)))
        assert verdict.lives[0].losses == before, "the same damage was declared again"
        Figures(name).add(verdict)


def is_whole(verdict: Verdict, readable: int) -> bool:
    """All that was readable is stored, all else is declared, and what was counted is counted right."""
    damaged = verdict.lives[0]
    declared = [loss for loss in damaged.losses if loss.place == LossPlace.CAR_DISK]
    assert damaged.counted <= len(damaged.missing), verdict.text()
    return (
        damaged.stored == readable
        and damaged.undeclared == 0
        and damaged.counted in (len(damaged.missing) - damaged.tail, len(damaged.missing))
        and len({loss.first_seq for loss in declared}) == len(declared)
        and all(not len(life.missing) for life in verdict.lives[1:])
    )


BATCH = 900
"""More than the frames of one batch at this rate, on a busy machine."""


@pytest.mark.parametrize("offset", [1, 7, 30, 150, 700, 2000])
@pytest.mark.slow
@pytest.mark.timeout(200)
def test_the_tail_is_cut_off(card: Card, offset: int):
    places = card.copy(f"cut{offset}")
    newest = segments(places.state)[-1]
    used = len(newest.read_bytes().rstrip(b"\0"))
    os.truncate(newest, used - offset)
    assert len(journal_rows(places.state)) < len(journal_rows(card.places.state)), "the cut did not hit"
    drive_again(card, places, BATCH * 2 + offset, f"car journal cut {offset} bytes before its end", least_lost=1)


@pytest.mark.parametrize("seed", range(1, 8))
@pytest.mark.slow
@pytest.mark.timeout(200)
def test_one_bit_flips(card: Card, seed: int):
    """A flipped bit costs one record."""
    places = card.copy(f"flip{seed}")
    newest = segments(places.state)[-1]
    data = bytearray(newest.read_bytes())
    used = len(bytes(data).rstrip(b"\0"))
    at = random.Random(seed).randrange(200, used)
    data[at] ^= 1 << (seed % 8)
    newest.write_bytes(data)
    assert batches(card.places.state) - batches(places.state) in (0, 1), "more than one record is gone"
    drive_again(card, places, BATCH * 2, f"bit flip at {at / used:.0%} of the car's journal")


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("name", ["state", "durable"])
def test_a_file_beside_the_segments_is_garbage(card: Card, name: str):
    """They can be made anew from the segments: nothing is lost."""
    places = card.copy(f"garbage-{name}")
    path = places.state / "journal" / name
    path.write_bytes(random.Random(2).randbytes(path.stat().st_size))
    assert len(journal_rows(places.state)) == len(journal_rows(card.places.state))
    drive_again(card, places, BATCH, f"garbage in the car journal's file {name}")


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_nobody_knows_how_the_life_ended(card: Card):
    """Both copies of the file of lives are garbage, and the end of the journal is gone."""
    places = card.copy("lives")
    for name in FILE_NAMES:
        (places.state / name).write_bytes(random.Random(3).randbytes(200))
    newest = segments(places.state)[-1]
    os.truncate(newest, len(newest.read_bytes().rstrip(b"\0")) - 700)
    what = "garbage in both copies of lives, and the car journal cut 700 bytes before its end"
    drive_again(card, places, BATCH * 2 + 700, what, least_lost=1)


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("which", ["first", "middle", "newest"])
def test_a_segment_is_missing(split_card: Card, which: str):
    places = split_card.copy(f"missing-{which}")
    found = segments(places.state)
    assert len(found) >= 3
    found[{"first": 0, "middle": len(found) // 2, "newest": -1}[which]].unlink()
    drive_again(split_card, places, RATE * 2, f"the {which} segment of the car's journal is missing", least_lost=1)


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_foreign_segment(split_card: Card):
    """A segment of another journal stands in the place of an own one."""
    places = split_card.copy("foreign")
    found = segments(places.state)
    found[len(found) // 2].write_bytes(random.Random(1).randbytes(4096))
    drive_again(split_card, places, RATE * 2, "a foreign segment in the car's journal", least_lost=1)
