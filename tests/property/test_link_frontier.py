"""Damage in the car's journal against a model: every frame lost is declared once, and nothing else is."""

import asyncio
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.codec.batch import encode_batch
from ved.codec.link import Held, Received, Space, Stored
from ved.codec.records import decode_record, encode_record, peek
from ved.journal.journal import Journal
from ved.link.frontier import Frontier, LossReport
from ved.link.holes import NOTE_LOSSES, POSTHUMOUS, EpochEnd
from ved.link.ledger import Ledger
from ved.link.span import span_of
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.intervals import Intervals
from ved.model.records import ALL_BUSES, Clock, ClockSource, Loss, LossPlace

COUNT = 10


def epoch_of(number: int) -> bytes:
    return bytes([number]) * 16


def batch(epoch: int, index: int) -> bytes:
    first = 1 + index * COUNT
    frames = FrameColumns(
        np.arange(first, first + COUNT, dtype=np.int64) * 1000,
        np.zeros(COUNT, np.uint8),
        np.full(COUNT, 5, np.uint32),
        np.zeros(COUNT, np.uint8),
        np.full(COUNT, 8, np.uint8),
        np.random.default_rng(index).integers(0, 256, (COUNT, 8), np.uint8),
    )
    return encode_batch(FrameBatch("fs", epoch_of(epoch), first, frames))


def clock(epoch: int, number: int = 1) -> bytes:
    return encode_record(Clock("fs", epoch_of(epoch), number, 0, 0, ClockSource.HOST, 0))


class Car:
    """A journal of some epochs, a server that has some of it, and an agent's frontier that starts anew each time."""

    def __init__(self, folder: Path, sizes: list[int]) -> None:
        self.path = folder / "journal"
        self.ends: list[EpochEnd] = []
        self.places: list[tuple[int, int, int]] = []  # epoch, batch, position
        self.notes: dict[int, int] = {}  # position: epoch
        for epoch, size in enumerate(sizes):
            journal = Journal.open(self.path, segment_bytes=4096)
            self.notes[journal.append(clock(epoch))] = epoch
            self.places += [(epoch, index, journal.append(batch(epoch, index))) for index in range(size)]
            last = size * COUNT
            self.ends.append(EpochEnd(epoch_of(epoch), journal.next_position, last, last * 1000))
            journal.close()
        self.stored: dict[bytes, dict[Space, Intervals]] = {}
        self.losses: dict[tuple[bytes, int], Loss] = {}
        journal = Journal.open(self.path, segment_bytes=4096)
        journal.append(clock(len(sizes)))  # the life that runs now
        journal.close()

    def drive(self, notes: list[int]) -> None:
        """One more epoch: so many notes before each batch, and the last of them at its end."""
        epoch, number = len(self.ends) + 1, 1
        journal = Journal.open(self.path, segment_bytes=4096)
        for index, count in enumerate(notes):
            for _ in range(count):
                self.notes[journal.append(clock(epoch, number))] = epoch
                number += 1
            if index + 1 < len(notes):
                self.places.append((epoch, index, journal.append(batch(epoch, index))))
        last = (len(notes) - 1) * COUNT
        self.ends.append(EpochEnd(epoch_of(epoch), journal.next_position, last, last * 1000))
        journal.append(clock(epoch + 1))
        journal.close()

    def store(self, record: bytes) -> None:
        header = peek(record)
        span = span_of(header)
        spaces = self.stored.setdefault(header.epoch, {space: Intervals() for space in (Space.SEQ, Space.NOTE)})
        spaces[span.space].add(span.first, span.last)

    def damage(self, positions: set[int]) -> None:
        """One bit of each of these records flips."""
        for path in self.path.glob("*.seg"):
            data = bytearray(path.read_bytes())
            at = 76
            while at + 24 <= len(data):
                length, position = (
                    int.from_bytes(data[at + 4 : at + 8], "little"),
                    int.from_bytes(data[at + 8 : at + 16], "little"),
                )
                if position in positions:
                    data[at + 24 + length // 2] ^= 4
                at += 24 + length
            path.write_bytes(data)

    def remove_segment(self, number: int) -> set[int]:
        """A segment file is gone (not that of the life that runs); the positions that lay in it."""
        names = sorted(path.name for path in self.path.glob("*.seg"))
        starts = [int(name.split("-")[1].removesuffix(".seg")) for name in names]
        at = number % (len(names) - 1)
        (self.path / names[at]).unlink()
        return set(range(starts[at], starts[at + 1]))

    def check_notes(self, hit: set[int]) -> None:
        """What a lost note told lies in a declared interval; and nothing is declared where none can be lost."""
        found = [loss for (_, number), loss in self.losses.items() if number >= NOTE_LOSSES]
        for position in hit & self.notes.keys():
            epoch = self.notes[position]
            end_us = next(end.end_us for end in self.ends if end.epoch == epoch_of(epoch))
            later = [at for one, at, place in self.places if one == epoch and place > position]
            latest_us = (later[0] + 1) * COUNT * 1000 if later else end_us
            covering = [loss for loss in found if loss.epoch == epoch_of(epoch) and loss.t_to_us >= latest_us]
            assert covering, f"the note at {position} is lost, and nothing says so"
        for loss in found:
            assert (loss.count, loss.first_seq, loss.last_seq, loss.t_from_us) == (-1, 0, 0, 0)
            at = loss.number - NOTE_LOSSES
            read = [place for _, _, place in self.places if place > at and place not in hit]
            region = {one for one in hit if at <= one < min(read, default=1 << 60)}
            assert at in region
            assert len(region) > 1 or region <= self.notes.keys(), "a batch was taken for a note"
            assert self.stored[loss.epoch][Space.NOTE].contains(loss.number, loss.number)

    async def life(self, steps: int) -> bool:
        """The agent runs until it has nothing to do (True), or dies after `steps` turns of the link."""
        journal = Journal.open(self.path, segment_bytes=4096)
        ledger, fresh = Ledger(), []
        report = LossReport("fs", tuple(self.ends), lambda *_: False, fresh.append)
        frontier = Frontier(self.path, journal.first_position, report)
        try:
            for _ in range(steps):
                before = frontier.position
                await frontier.advance(ledger, journal.next_position)
                journal.trim(frontier.trim_before)
                for loss in fresh:
                    assert self.losses.setdefault((loss.epoch, loss.number), loss) == loss, "another under its number"
                    journal.append(encode_record(loss))
                    journal.sync()
                declared, asked = len(fresh), frontier.asks or frontier.waiting_epoch
                fresh.clear()
                if frontier.position == journal.next_position:
                    return True
                if asked is None and not declared:
                    assert frontier.position > before, "stuck"
                if frontier.asks:
                    self.tell(ledger, frontier.asks)
                else:
                    self.send_one(journal, ledger, frontier.position)
        finally:
            frontier.close()
            journal.close()
        return False

    def tell(self, ledger: Ledger, epoch: bytes) -> None:
        sets = [Stored(epoch, space, tuple(runs.runs())) for space, runs in self.stored.get(epoch, {}).items() if runs]
        ledger.replace(Held(epoch, tuple(sets)))

    def send_one(self, journal: Journal, ledger: Ledger, position: int) -> None:
        """The backfill lane brings the first record that the server lacks."""
        while entries := journal.read(position, 1 << 16):
            for entry in entries:
                header = peek(entry.payload)
                if not ledger.is_stored(header.epoch, span_of(header)):
                    self.tell(ledger, header.epoch)
                    self.store(entry.payload)
                    span = span_of(header)
                    ledger.acknowledge(Received(header.epoch, span.space, ((span.first, span.last),)))
                    ledger.acknowledge(Stored(header.epoch, span.space, ((span.first, span.last),)))
                    return
            position = entries[-1].position + 1


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_the_journal_loses_is_declared_exactly(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(0, 25), min_size=1, max_size=3))
    with tempfile.TemporaryDirectory() as folder:
        car = Car(Path(folder), sizes)
        places = car.places
        before = data.draw(st.sets(st.integers(0, max(0, len(places) - 1)), max_size=12)) if places else set()
        for at in before:  # the live lane brought these
            car.store(batch(*places[at][:2]))
        spots = data.draw(st.lists(st.tuples(st.integers(0, 80), st.integers(1, 30)), max_size=3))
        hit = {position for first, count in spots for position in range(first, first + count)}
        hit -= {position for position in hit if position > places[-1][2]} if places else hit
        car.damage(hit)
        for number in data.draw(st.lists(st.integers(0, 9), max_size=2)):
            if len(list(car.path.glob("*.seg"))) > 1:
                hit |= car.remove_segment(number)
        steps = data.draw(st.integers(12, 60))

        async def lives() -> None:
            while not await car.life(steps):
                pass

        asyncio.run(lives())
        lost = Intervals()
        true_lost = [(e, i) for at, (e, i, position) in enumerate(places) if position in hit and at not in before]
        car.check_notes(hit)
        exact = [loss for loss in car.losses.values() if loss.number < NOTE_LOSSES]
        for loss in exact:
            epoch = loss.epoch[0]
            assert (loss.place, loss.bus, loss.number) == (LossPlace.CAR_DISK, ALL_BUSES, POSTHUMOUS + loss.first_seq)
            assert loss.count == loss.last_seq - loss.first_seq + 1
            assert loss.t_from_us <= loss.first_seq * 1000 <= loss.last_seq * 1000 <= loss.t_to_us
            first, last = epoch * 10_000 + loss.first_seq, epoch * 10_000 + loss.last_seq
            assert not lost.overlaps(first, last), "declared twice"
            lost.add(first, last)
        expected = Intervals()
        for epoch, index in true_lost:
            first = epoch * 10_000 + 1 + index * COUNT
            expected.add(first, first + COUNT - 1)
        assert lost.runs() == expected.runs()
        for loss in exact:
            assert isinstance(decode_record(encode_record(loss)), Loss)
            assert car.stored[loss.epoch][Space.NOTE].contains(loss.number, loss.number)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_what_a_lost_note_told_is_declared(data: st.DataObject) -> None:
    """Also at the begin of an epoch, behind its last batch, and beside lost batches."""
    with tempfile.TemporaryDirectory() as folder:
        car = Car(Path(folder), [])
        for _ in range(data.draw(st.integers(1, 3))):
            car.drive(data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=8)))
        batches = [position for _, _, position in car.places]
        hit = set(data.draw(st.lists(st.sampled_from(batches), max_size=3))) if batches else set()
        hit |= set(data.draw(st.lists(st.sampled_from(sorted(car.notes)), max_size=4))) if car.notes else set()
        car.damage(hit)
        steps = data.draw(st.integers(12, 60))

        async def lives() -> None:
            while not await car.life(steps):
                pass

        asyncio.run(lives())
        car.check_notes(hit)


def test_a_damaged_batch_alone_is_no_note(tmp_path: Path) -> None:
    car = Car(tmp_path, [6, 6])
    hit = {car.places[2][2], car.places[5][2], car.places[7][2]}
    car.damage(hit)

    async def lives() -> None:
        while not await car.life(60):
            pass

    asyncio.run(lives())
    assert [loss.first_seq for loss in car.losses.values()] == [21, 51, 11]
    car.check_notes(hit)
