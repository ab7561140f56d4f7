"""The journal against a dictionary: whatever happens, positions keep their meaning and nothing promised is lost."""

import contextlib
import random
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.faults.journal_disk import Fault, SimDisk, SimProcess

from ved.errors import StorageError
from ved.journal.journal import Journal
from ved.journal.reader import JournalReader

FOLDER = Path("/sim/journal")
SEGMENT_BYTES = 4096
SIZES = st.one_of(st.integers(0, 60), st.integers(0, 1500), st.sampled_from([4000, 4096, 9000]))


class Follower(JournalReader):
    """A reader that remembers where it began and what it was given."""

    def __init__(self, position, disk):
        super().__init__(FOLDER, position, disk)
        self.begun = position
        self.seen = set()


class JournalMachine(RuleBasedStateMachine):
    """`given` is every record that append ever took; `alive` those that must be readable now."""

    def __init__(self):
        super().__init__()
        self.disk = SimDisk()
        self.process = SimProcess(self.disk)
        self.journal = None
        self.given = {}
        self.alive = {}
        self.synced = {}
        self.floor = 0  # no new record may have a position below it
        self.readers = []
        self.cursor = 0
        self.counter = 0
        self.has_lost_power = False

    @initialize(evicts=st.booleans())
    def begin(self, evicts):
        self.disk.evicts_after_failed_sync = evicts
        self.journal = Journal.open(FOLDER, segment_bytes=SEGMENT_BYTES, files=self.process)

    # -- writing

    @rule(size=SIZES, count=st.integers(1, 5))
    def append(self, size, count):
        for _ in range(count):
            self.counter += 1
            payload = random.Random(self.counter).randbytes(size)
            position = self.journal.append(payload)
            self.note(position, payload)

    def note(self, position, payload):
        assert position >= self.floor
        assert position not in self.given
        self.given[position] = self.alive[position] = payload
        self.floor = position + 1
        assert self.journal.next_position == position + 1

    @rule()
    def sync(self):
        assert self.journal.sync() == self.journal.next_position
        self.synced = dict(self.alive)
        assert self.journal.unsynced_bytes == 0

    @rule(size=SIZES, part=st.floats(0, 1), number=st.sampled_from([5, 28]))
    def append_fails(self, size, part, number):
        """The very next write goes wrong, part of it already done."""
        payload = random.Random(size).randbytes(size)
        self.disk.fail_always(("append", "write_at"), Fault(number, part))
        try:
            position = self.journal.append(payload)
        except StorageError:
            position = None
        self.disk.heal()
        if position is not None:  # it was there as a whole
            self.note(position, payload)

    @rule(
        kinds=st.sampled_from([("create",), ("rename",), ("sync_folder",), ("sync_folder", "unlink"), ("write_at",)]),
        sizes=st.lists(st.sampled_from([10, 700, 2500]), min_size=1, max_size=4),
    )
    def making_a_segment_fails(self, kinds, sizes):
        """Rotation goes wrong, perhaps when readers can see the new segment already; readers look in between."""
        self.disk.fail_always(kinds, Fault())
        for size in sizes:
            self.counter += 1
            payload = random.Random(self.counter).randbytes(size)
            with contextlib.suppress(StorageError):
                self.note(self.journal.append(payload), payload)
            self.read_some(5000, 2)
        self.disk.heal()

    @rule(calls=st.integers(0, 6))
    def sync_fails(self, calls):
        """fdatasync fails, and perhaps what is tried after it too."""
        at = self.disk.calls
        self.disk.plan = lambda kind, number: Fault() if number <= at + calls and kind != "read" else None
        try:
            self.journal.sync()
            self.synced = dict(self.alive)
        except StorageError:
            pass
        self.disk.heal()

    @rule(fraction=st.floats(0, 1.1))
    def trim(self, fraction):
        before = int(self.journal.next_position * fraction)
        self.journal.trim(before)
        first = self.journal.first_position
        assert first <= self.journal.next_position
        assert not [p for p in self.alive if before <= p < first]
        self.alive = {p: v for p, v in self.alive.items() if p >= first}
        self.synced = {p: v for p, v in self.synced.items() if p >= first}

    # -- reading

    @rule()
    def add_reader(self):
        if len(self.readers) < 3:
            self.readers.append(Follower(self.cursor, self.disk))

    @rule(max_bytes=st.integers(1, 5000), times=st.integers(1, 4))
    def read_some(self, max_bytes, times):
        for reader in self.readers:
            for _ in range(times):
                reader.seen |= {position for position, _ in self.take(reader, max_bytes)}

    @precondition(lambda self: self.readers)
    @rule()
    def commit_cursor(self):
        self.cursor = self.readers[0].position

    def take(self, reader, max_bytes):
        before = reader.position
        entries = reader.read(max_bytes)
        for position, payload in entries:
            assert position >= before
            before = position + 1
            assert self.given[position] == payload
        if entries:
            assert reader.position == before
            assert sum(len(payload) for _, payload in entries[1:]) <= max_bytes
        return entries

    def read_all(self, position):
        reader = JournalReader(FOLDER, position, self.disk)
        out = {}
        while entries := self.take(reader, 3000):
            out.update(entries)
        reader.close()
        return out

    @property
    def is_memory_only(self):
        """Unsynced records were evicted after a failed fsync and are not written again yet: nobody can read them."""
        return self.disk.evicts_after_failed_sync and self.journal._is_poisoned

    def check_read(self, got, position):
        expected = {p: v for p, v in self.alive.items() if p >= position}
        if self.is_memory_only:
            assert {p: v for p, v in self.synced.items() if p >= position}.items() <= got.items() <= expected.items()
        else:
            assert got == expected

    @rule()
    def owner_reads(self):
        out = {}
        position = 0
        while entries := self.journal.read(position, 2500):
            out.update(entries)
            position = entries[-1].position + 1
        self.check_read(out, 0)

    # -- ends and beginnings

    def reopen(self):
        self.journal = Journal.open(FOLDER, segment_bytes=SEGMENT_BYTES, files=self.process)
        assert self.journal.next_position >= self.floor
        assert self.journal.durable_position == self.journal.next_position
        self.synced = dict(self.alive)

    @rule()
    def close_in_order(self):
        end = self.journal.next_position
        self.journal.close()
        self.reopen()
        assert self.journal.next_position == end

    @rule()
    def kill(self):
        """The writer alone: readers in other processes go on."""
        self.process.kill()
        self.reopen()
        if not self.disk.evicts_after_failed_sync:
            assert self.read_all(0) == self.alive
        else:
            self.settle()

    @rule(seed=st.integers(0, 1 << 30))
    def lose_power(self, seed):
        self.has_lost_power = True
        self.readers = []
        self.disk.lose_power(random.Random(seed))
        self.process = SimProcess(self.disk)
        promised = dict(self.synced)
        self.reopen()
        self.settle()
        assert promised.items() <= self.alive.items()

    def settle(self):
        """After a loss: what is readable now is what stays readable."""
        survivors = self.read_all(0)
        assert survivors.items() <= self.alive.items()
        self.alive = survivors
        self.synced = dict(survivors)

    # -- always

    @invariant()
    def cursor_misses_nothing(self):
        """A consumer that goes on at its cursor gets every living record that it has not had."""
        if self.journal is not None and self.counter % 3 == 0:
            self.check_read(self.read_all(self.cursor), self.cursor)

    @invariant()
    def figures_fit(self):
        if self.journal is not None:
            assert self.journal.size_bytes == sum(segment.size_bytes for segment in self.journal.segments)
            assert self.journal.first_position <= self.journal.durable_position <= self.journal.next_position
            reader = JournalReader(FOLDER, 0, self.disk)
            assert reader.durable_position() <= self.journal.durable_position
            assert reader.next_position() <= self.journal.next_position
            reader.close()

    def teardown(self):
        if self.journal is None:
            return
        self.journal.sync()
        assert self.read_all(0) == self.alive
        for reader in self.readers:
            while entries := self.take(reader, 1 << 20):
                reader.seen |= {position for position, _ in entries}
            assert reader.seen >= {position for position in self.alive if position >= reader.begun}
            reader.close()
        self.journal.close()
        assert self.disk.open_files == 0


JournalMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestJournalModel = pytest.mark.timeout(170)(JournalMachine.TestCase)
