"""Every single call to the disk fails once, in every way; nothing promised is lost, nothing false is shown."""

import errno
import random
from pathlib import Path

import pytest
from tests.faults.journal_disk import Fault, SimDisk

from ved.errors import StorageError
from ved.journal.journal import Journal
from ved.journal.reader import JournalReader

FOLDER = Path("/sim/journal")
SEGMENT_BYTES = 4096


class Story:
    """A short life of a journal that tries on after each StorageError, and knows what it was promised."""

    def __init__(self, disk):
        self.disk = disk
        self.kept = {}
        self.durable = 0
        self.errors = 0
        self.journal = None
        self.seen = {}
        self.reader = JournalReader(FOLDER, 0, disk)

    def tolerate(self, action):
        try:
            return action()
        except StorageError:
            self.errors += 1
            return None

    def open(self):
        self.journal = self.tolerate(self._open) or self._open()

    def _open(self):
        return Journal.open(FOLDER, segment_bytes=SEGMENT_BYTES, files=self.disk)

    def append(self, count, size):
        for _ in range(count):
            payload = random.Random(len(self.kept)).randbytes(size)
            position = self.tolerate(lambda payload=payload: self.journal.append(payload))
            if position is not None:
                assert position not in self.kept
                self.kept[position] = payload

    def sync(self):
        durable = self.tolerate(self.journal.sync)
        if durable is not None:
            assert durable == self.journal.next_position
        assert self.journal.durable_position >= self.durable
        self.durable = self.journal.durable_position

    def look(self):
        entries = self.tolerate(lambda: self.reader.read(900))
        for position, payload in entries or []:
            assert self.kept[position] == payload
            assert position not in self.seen
            self.seen[position] = payload

    def trim(self, before):
        self.tolerate(lambda: self.journal.trim(before))
        first = self.journal.first_position
        assert not [p for p in self.kept if before <= p < first]

    def run(self):
        self.open()
        self.append(5, 300)
        self.sync()
        self.look()
        self.append(14, 500)
        self.look()
        self.sync()
        self.trim(12)
        self.append(3, 100)
        self.tolerate(self.journal.close)
        self.open()
        self.append(4, 700)
        self.look()
        self.sync()
        self.append(2, 50)
        for _ in range(30):
            self.look()


def survivors(disk):
    """What a new reader finds, from the oldest record on."""
    reader = JournalReader(FOLDER, 0, disk)
    out = {}
    while entries := reader.read():
        out.update(entries)
    reader.close()
    return out


def calls_of_a_story():
    disk = SimDisk()
    story = Story(disk)
    story.run()
    assert story.errors == 0
    return disk.calls


CALLS = calls_of_a_story()
FAULTS = [Fault(errno.EIO, 0.0), Fault(errno.ENOSPC, 0.5), Fault(errno.EIO, 1.0), Fault(0, 0.3)]


@pytest.mark.parametrize("fault", FAULTS, ids=["eio", "half-enospc", "eio-after-all", "short-write"])
def test_any_one_call_fails(fault):
    failed = 0
    for number in range(CALLS):
        disk = SimDisk(evicts_after_failed_sync=number % 2 == 1)
        disk.fail_at(number, fault)
        story = Story(disk)
        story.run()
        failed += story.errors
        disk.heal()
        story.journal.sync()
        first = story.journal.first_position
        expected = {p: v for p, v in story.kept.items() if p >= first}
        assert survivors(disk) == expected, number
        while entries := story.reader.read():
            story.seen.update(entries)
        assert all(story.seen[p] == story.kept[p] for p in story.seen), number
        assert set(expected) <= set(story.seen), number
        story.reader.close()
        story.journal.close()
        assert disk.open_files == 0, number
    if fault.number:
        assert failed > CALLS // 10


@pytest.mark.parametrize("evicts", [False, True])
def test_power_goes_after_any_one_failed_call(evicts):
    """What sync promised before or after the fault is there when the power comes back."""
    for number in range(CALLS):
        disk = SimDisk(evicts_after_failed_sync=evicts)
        disk.fail_at(number, Fault(errno.EIO, 0.4))
        story = Story(disk)
        story.run()
        disk.heal()
        first = story.journal.first_position
        promised = {p: v for p, v in story.kept.items() if first <= p < story.durable}
        disk.lose_power(random.Random(number))
        journal = Journal.open(FOLDER, segment_bytes=SEGMENT_BYTES, files=disk)
        assert journal.next_position > max(story.kept), number
        found = survivors(disk)
        assert promised.items() <= found.items() <= story.kept.items(), number
        journal.close()


def test_power_goes_at_any_one_call():
    """The call, and all after it, never happen: the process is gone."""

    class PowerCutError(Exception):
        pass

    for number in range(CALLS):
        disk = SimDisk()
        story = Story(disk)

        def plan(kind, n, number=number):
            if n == number:
                raise PowerCutError
            return

        disk.plan = plan
        with pytest.raises(PowerCutError):
            story.run()
        disk.heal()
        seen_end = max(story.seen, default=-1) + 1
        first = story.journal.first_position if story.journal else 0
        disk.lose_power(random.Random(number))
        journal = Journal.open(FOLDER, segment_bytes=SEGMENT_BYTES, files=disk)
        found = survivors(disk)
        promised = {p: v for p, v in story.kept.items() if first <= p < story.durable}
        # A trim under way may have removed whole segments below its mark, never more.
        promised = {p: v for p, v in promised.items() if p >= journal.first_position}
        assert journal.first_position <= 12
        assert promised.items() <= found.items(), number
        assert journal.next_position >= seen_end, number
        position = journal.append(b"new")
        assert position not in story.kept
        reader = JournalReader(FOLDER, seen_end, disk)
        new = []
        while entries := reader.read():
            new += entries
        assert new[-1] == (position, b"new"), number
        reader.close()
        journal.close()
