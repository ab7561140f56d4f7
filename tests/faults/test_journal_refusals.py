"""A disk that is full, or refuses to sync, create or remove: what was taken stays, and the journal goes on after it."""

import random

import pytest
from tests.faults.journal_disk import Fault, SimDisk
from tests.faults.journal_files import FOLDER, fill, fill_up, offsets, open_journal, payload_of, read_all, segment_paths

from ved.errors import StorageError
from ved.journal.reader import JournalReader
from ved.journal.state import read_state


def test_full_disk_refuses_then_goes_on():
    disk = SimDisk(capacity_bytes=40_000)
    journal = open_journal(disk)
    written = fill_up(journal)
    for _ in range(20):
        with pytest.raises(StorageError):
            journal.append(bytes(3000))
    journal.sync()
    found, reader = read_all(disk)
    assert found == written
    journal.trim(len(written) // 2)
    for _ in range(20):
        payload = payload_of(journal.next_position)
        position = journal.append(payload)
        written[position] = payload
        assert reader.read() == [(position, payload)]
    assert (reader.corrupt, reader.skipped) == (0, 0)
    reader.close()
    journal.close()


def test_opens_and_trims_on_a_full_disk():
    """After a kill with unsynced records, too: they wait for room."""
    disk = SimDisk(capacity_bytes=40_000)
    journal = open_journal(disk)
    written = fill_up(journal)
    disk.kill()
    disk.capacity_bytes = disk.used_bytes
    journal = open_journal(disk)
    assert journal.unsynced_bytes > 0
    assert journal.durable_position < journal.next_position
    reader = JournalReader(FOLDER, 0, disk)
    assert reader.durable_position() == journal.durable_position
    reader.close()
    with pytest.raises(StorageError):
        journal.append(b"no room")
    with pytest.raises(StorageError):
        journal.sync()
    journal.trim(len(written) // 2)
    assert journal.append(b"room") > max(written)
    journal.sync()
    assert journal.unsynced_bytes == 0
    found, reader = read_all(disk, journal.first_position)
    expected = {p: v for p, v in written.items() if p >= journal.first_position}
    assert found == expected | {journal.next_position - 1: b"room"}
    assert reader.corrupt == 0
    reader.close()
    journal.close()


def test_failed_fdatasync_is_never_believed_later():
    """The kernel drops the pages and says yes to the next fdatasync: the records are written again, elsewhere."""
    disk = SimDisk(evicts_after_failed_sync=True)
    journal = open_journal(disk)
    first = {journal.append(payload_of(i)): payload_of(i) for i in range(3)}
    journal.sync()
    second = {journal.append(payload_of(i)): payload_of(i) for i in range(3, 6)}
    number = disk.calls
    disk.plan = lambda kind, n: Fault() if kind == "sync" and n == number else None
    assert journal.sync() == 6
    assert journal.sync_failures_total == 1
    third = {journal.append(payload_of(6)): payload_of(6)}
    found, reader = read_all(disk)
    assert found == first | second | third
    assert reader.corrupt == 0
    reader.close()
    disk.lose_power(random.Random(1))
    journal = open_journal(disk)
    found, reader = read_all(disk)
    assert (first | second).items() <= found.items()
    reader.close()
    journal.close()


def test_nothing_is_taken_while_the_disk_refuses_to_sync():
    disk = SimDisk(evicts_after_failed_sync=True)
    journal = open_journal(disk)
    written = {journal.append(payload_of(i)): payload_of(i) for i in range(3)}
    disk.fail_always(("sync",), Fault())
    for _ in range(3):
        with pytest.raises(StorageError):
            journal.sync()
        with pytest.raises(StorageError):
            journal.append(b"refused")
    assert journal.durable_position == 0
    disk.heal()
    position = journal.append(b"taken")
    found, reader = read_all(disk)
    assert found == written | {position: b"taken"}
    assert position == 3
    reader.close()
    journal.close()


def test_trim_mark_comes_before_unlink():
    """Killed between the two: the next writer finishes, and positions go on."""
    disk = SimDisk()
    fill(disk, 150)
    journal = open_journal(disk)
    before = len(segment_paths(disk))
    disk.fail_always(("unlink",), Fault())
    with pytest.raises(StorageError):
        journal.trim(90)
    first = journal.first_position
    assert first > 0
    assert len(segment_paths(disk)) == before
    disk.kill()
    disk.heal()
    journal = open_journal(disk)
    assert journal.first_position == first
    assert len(segment_paths(disk)) < before
    assert journal.append(b"after") >= 150
    reader = JournalReader(FOLDER, 0, disk)
    assert reader.read(1)[0].position == first
    assert reader.skipped == first
    reader.close()
    journal.close()


def test_everything_trimmed_still_counts_on():
    disk = SimDisk()
    fill(disk, 150)
    journal = open_journal(disk)
    journal.trim(150)
    assert segment_paths(disk) == []
    assert (journal.first_position, journal.next_position, journal.size_bytes) == (150, 150, 0)
    disk.kill()
    journal = open_journal(disk)
    reader = JournalReader(FOLDER, 150, disk)
    assert reader.read() == []
    assert journal.append(b"after") == 150
    assert reader.read() == [(150, b"after")]
    assert (reader.skipped, reader.corrupt) == (0, 0)
    reader.close()
    journal.close()


def test_positions_are_not_reused_when_the_state_is_lost_too():
    """Power went with unsynced records that a reader had seen, and the state file went with it."""
    disk = SimDisk()
    fill(disk, 10, is_clean=False)
    journal = open_journal(disk)
    seen = [journal.append(payload_of(i)) for i in range(20)]
    disk.lose_power(random.Random(2))  # nothing survives that was not synced
    for name in ("state", "durable"):
        if name in disk.names(FOLDER):
            disk.remove(FOLDER / name)
    journal = open_journal(disk)
    assert journal.next_position > max(seen)
    journal.close()


def test_state_left_in_the_page_cache_is_made_durable_before_it_counts():
    """Its fdatasync failed and the process died: the next one reads it, so it must not depend on it unwritten."""
    disk = SimDisk()
    fill(disk, 10)
    journal = open_journal(disk)
    calls = disk.calls
    disk.plan = lambda kind, number: Fault() if kind == "sync" and number <= calls + 1 else None
    with pytest.raises(StorageError):
        journal.append(b"refused")
    disk.heal()
    seen = read_state(FOLDER, disk)
    disk.kill()
    open_journal(disk)
    disk.lose_power(random.Random(2))  # nothing survives that was not synced
    assert read_state(FOLDER, disk) == seen


@pytest.mark.parametrize("bad", [[3], [4], [3, 4, 5], [5]])
@pytest.mark.parametrize("start", [0, 3, 4])
def test_old_copies_of_rewritten_records_need_not_be_whole(bad, start):
    """After a failed fdatasync the older segment holds whatever of them; the newer one has them all."""
    disk = SimDisk()
    journal = open_journal(disk)
    written = {journal.append(payload_of(i)): payload_of(i) for i in range(3)}
    journal.sync()
    written |= {journal.append(payload_of(i)): payload_of(i) for i in range(3, 6)}
    number = disk.calls
    disk.plan = lambda kind, n: Fault() if n == number else None
    assert journal.sync() == 6
    written[journal.append(payload_of(6))] = payload_of(6)
    older, newer = segment_paths(disk)
    places = offsets(disk, older)
    for position in bad:
        disk.damage(older, lambda data, at=places[position][1]: data.__setitem__(at + 9, data[at + 9] ^ 4))
    assert [p for p, _, _ in offsets(disk, newer)] == [3, 4, 5, 6]
    found, reader = read_all(disk, start)
    assert found == {p: v for p, v in written.items() if p >= start}
    assert (reader.corrupt, reader.skipped) == (0, 0)
    reader.close()
    journal.close()


@pytest.mark.parametrize("kinds", [("sync_folder", "unlink"), ("sync_folder",)])
def test_reader_that_saw_a_segment_that_failed_misses_nothing(kinds):
    """The new segment showed for a moment and was taken back; the older one must not grow behind the reader's back."""
    disk = SimDisk()
    journal = open_journal(disk)
    journal.append(bytes(3000))
    reader = JournalReader(FOLDER, 0, disk)
    assert len(reader.read()) == 1
    disk.fail_always(kinds, Fault())
    if "unlink" not in kinds:
        # Look at the very moment when it shows.
        plain_sync_folder = disk.sync_folder

        def sync_folder(folder):
            assert reader.read() == []
            plain_sync_folder(folder)

        disk.sync_folder = sync_folder
    with pytest.raises(StorageError):
        journal.append(bytes(2000))
    assert reader.read() == []
    disk.heal()
    assert journal.append(b"small") == 1
    assert reader.read() == [(1, b"small")]
    assert (reader.corrupt, reader.skipped) == (0, 0)
    reader.close()
    journal.close()
    assert len(segment_paths(disk)) == 2
    assert disk.open_files == 0
