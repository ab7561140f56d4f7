"""Files that were cut, flipped, lost or swapped: each costs what it must cost, is counted, and needs no human."""

import errno
import random

import pytest
from tests.faults.journal_disk import SimDisk
from tests.faults.journal_files import FOLDER, OTHER, fill, offsets, open_journal, payload_of, read_all, segment_paths

from ved.errors import StorageError
from ved.journal.layout import SEGMENT_HEADER_BYTES, SegmentName
from ved.journal.reader import JournalReader
from ved.journal.segment import list_segments


@pytest.mark.parametrize("is_clean", [True, False])
def test_tail_cut_at_every_byte(is_clean):
    """The records before the cut stay, the cut one goes, and later appends are found by everybody."""
    whole = SimDisk()
    fill(whole, 5)
    length = len(whole.content(segment_paths(whole)[0]))
    for size in range(length):
        disk = SimDisk()
        written = fill(disk, 5, is_clean=is_clean)
        path = segment_paths(disk)[0]
        records = offsets(disk, path)
        disk.damage(path, lambda data, size=size: data.__delitem__(slice(size, None)))
        kept = {p: written[p] for p, _, end in records if end <= size}
        journal = open_journal(disk)
        assert journal.next_position >= 5
        assert journal.report.lost_durable_bytes == length - max(
            [end for _, _, end in records if end <= size], default=SEGMENT_HEADER_BYTES
        )
        position = journal.append(b"after")
        found, reader = read_all(disk)
        assert found == kept | {position: b"after"}, size
        assert reader.corrupt == 5 - len(kept), size
        assert reader.skipped == 0
        reader.close()
        journal.close()


def test_unsynced_torn_tail_is_cut_and_counted():
    disk = SimDisk()
    fill(disk, 3, is_clean=False)
    path = segment_paths(disk)[0]
    size = len(disk.content(path))
    disk.damage(path, lambda data: data.extend(b"\xa7VJr torn"))
    journal = open_journal(disk)
    assert journal.report.cut_bytes == 9
    assert journal.report.lost_durable_bytes == 0
    assert not journal.report.was_clean
    assert len(disk.content(path)) == size
    journal.close()


@pytest.mark.parametrize("times", [300, pytest.param(5000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("is_reader_first", [False, True])
def test_any_flipped_bit_costs_one_record(is_reader_first, times):
    """Of two segments, closed in order: a flip in a record costs that record, elsewhere it costs nothing."""
    rng = random.Random(7)
    sample = SimDisk()
    fill(sample, 60)
    paths = segment_paths(sample)
    assert len(paths) >= 2
    for number in range(times):
        disk = SimDisk()
        written = fill(disk, 60)
        path = rng.choice(segment_paths(disk))
        records = offsets(disk, path)
        at = rng.randrange(len(disk.content(path))) if number % 4 else rng.randrange(SEGMENT_HEADER_BYTES)
        bit = 1 << rng.randrange(8)
        disk.damage(path, lambda data, at=at, bit=bit: data.__setitem__(at, data[at] ^ bit))
        lost = {p for p, start, end in records if start <= at < end}
        if is_reader_first:
            found, reader = read_all(disk)
            # The last record of all can only be given up once the writer has gone on.
            assert {p: v for p, v in written.items() if p not in lost} == found
            reader.close()
        journal = open_journal(disk)
        journal.append(b"after")
        found, reader = read_all(disk)
        assert found == {p: v for p, v in written.items() if p not in lost} | {60: b"after"}, (path, at)
        assert reader.corrupt == len(lost)
        assert reader.skipped == 0
        reader.close()
        journal.close()


def test_overwritten_stretch_is_stepped_over():
    """Garbage over several records, with record markers in it."""
    disk = SimDisk()
    written = fill(disk, 60)
    path = segment_paths(disk)[0]
    records = offsets(disk, path)
    start, end = records[4][1] + 7, records[9][2] - 3
    garbage = (b"\xa7VJr" * (end - start))[: end - start]
    disk.damage(path, lambda data: data.__setitem__(slice(start, end), garbage))
    found, reader = read_all(disk)
    assert found == {p: v for p, v in written.items() if not 4 <= p <= 9}
    assert reader.corrupt == 6
    reader.close()


def test_a_record_copied_elsewhere_is_not_taken():
    """A valid record at a wrong place (its position does not fit) is no reason to go backwards."""
    disk = SimDisk()
    written = fill(disk, 60)
    first, second = segment_paths(disk)[:2]
    position, start, end = offsets(disk, first)[2]
    copy = disk.content(first)[start:end]
    target = offsets(disk, second)
    disk.damage(second, lambda data: data.__setitem__(slice(target[3][1], target[3][1] + len(copy)), copy))
    found, reader = read_all(disk)
    touched = {p for p, a, b in target if a < target[3][1] + len(copy) and b > target[3][1]}
    assert found == {p: v for p, v in written.items() if p not in touched}
    assert reader.corrupt == len(touched)
    assert position not in touched
    reader.close()


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_missing_segment_is_a_counted_hole(gone):
    disk = SimDisk()
    written = fill(disk, 150)
    paths = segment_paths(disk)
    assert len(paths) >= 4
    lost = {p for p, _, _ in offsets(disk, paths[gone])}
    disk.remove(paths[gone])
    journal = open_journal(disk)
    assert journal.report.missing_segments == (1 if gone else 0)
    found, reader = read_all(disk)
    assert found == {p: v for p, v in written.items() if p not in lost}
    assert (reader.skipped, reader.corrupt) == (len(lost), 0)
    assert journal.append(b"after") == 150
    assert reader.read() == [(150, b"after")]
    reader.close()
    journal.close()


@pytest.mark.parametrize("is_clean", [True, False])
def test_missing_last_segment_is_a_counted_hole_and_its_positions_are_not_reused(is_clean):
    disk = SimDisk()
    written = fill(disk, 150, is_clean=is_clean)
    path = segment_paths(disk)[-1]
    lost = {p for p, _, _ in offsets(disk, path)}
    disk.remove(path)
    journal = open_journal(disk)
    assert journal.report.missing_segments == 1
    assert journal.next_position >= 150
    position = journal.append(b"after")
    found, reader = read_all(disk)
    assert found == {p: v for p, v in written.items() if p not in lost} | {position: b"after"}
    assert (reader.skipped, reader.corrupt) == (len(lost), 0)
    reader.close()
    journal.close()


def test_all_segments_missing_is_a_hole_too():
    disk = SimDisk()
    fill(disk, 50)
    for path in segment_paths(disk):
        disk.remove(path)
    journal = open_journal(disk)
    assert journal.next_position >= 50
    position = journal.append(b"after")
    found, reader = read_all(disk)
    assert found == {position: b"after"}
    assert reader.skipped >= 50
    reader.close()
    journal.close()


@pytest.mark.parametrize("name", ["state", "durable"])
@pytest.mark.parametrize("how", ["removed", "emptied", "scrambled"])
@pytest.mark.parametrize("is_clean", [True, False])
def test_small_files_are_not_needed(name, how, is_clean):
    disk = SimDisk()
    written = fill(disk, 60, is_clean=is_clean)
    path = FOLDER / name
    if how == "removed":
        disk.remove(path)
    elif how == "emptied":
        disk.damage(path, lambda data: data.clear())
    else:
        disk.damage(path, lambda data: data.__setitem__(slice(None), random.Random(3).randbytes(len(data))))
    journal = open_journal(disk)
    assert journal.next_position >= 60
    position = journal.append(b"after")
    journal.sync()
    found, reader = read_all(disk)
    assert found == written | {position: b"after"}
    assert (reader.corrupt, reader.skipped) == (0, 0)
    assert reader.durable_position() == journal.next_position
    reader.close()
    journal.close()
    again = open_journal(disk)
    assert again.next_position == position + 1
    again.close()


def test_torn_state_slot_falls_back_to_the_other():
    disk = SimDisk()
    written = fill(disk, 60)
    for slot in (0, 4096):
        disk.damage(FOLDER / "state", lambda data, slot=slot: data.__setitem__(slice(slot, slot + 40), bytes(40)))
        journal = open_journal(disk)
        assert journal.next_position >= 60
        found, reader = read_all(disk)
        assert found == written
        reader.close()
        journal.close()


def test_foreign_segment_is_left_alone():
    disk = SimDisk()
    written = fill(disk, 60)
    fill(disk, 70, OTHER)
    foreign = max(list_segments(OTHER, disk))
    content = disk.content(OTHER / foreign.text)
    path = FOLDER / SegmentName(foreign.serial + 9, 90).text
    fd = disk.open(path, "create")
    disk.append(fd, content)
    disk.close(fd)
    journal = open_journal(disk)
    assert journal.report.foreign_segments == 1
    assert journal.next_position == 60
    assert journal.append(b"after") == 60
    found, reader = read_all(disk)
    assert found == written | {60: b"after"}
    assert (reader.corrupt, reader.skipped) == (0, 0)
    assert disk.content(path) == content
    reader.close()
    journal.close()


def test_durable_mark_from_the_future_is_not_believed():
    """The disk lied about its last fdatasync: what is gone is counted, and appends go on above it."""
    disk = SimDisk()
    written = fill(disk, 10, is_clean=False)
    path = segment_paths(disk)[0]
    cut = offsets(disk, path)[6][1]
    disk.damage(path, lambda data: data.__delitem__(slice(cut, None)))
    journal = open_journal(disk)
    assert journal.report.lost_durable_bytes > 0
    found, reader = read_all(disk)
    assert found == {p: v for p, v in written.items() if p < 6}
    position = journal.append(b"after")
    assert position >= 10
    assert reader.read() == [(position, b"after")]
    assert reader.corrupt == 4
    reader.close()
    journal.close()


def test_block_that_cannot_be_read_costs_its_records():
    """A reader gets an error twice, as the disk may recover; then it goes around."""
    disk = SimDisk()
    written = fill(disk, 150)
    path = segment_paths(disk)[0]
    bad = range(1000, 1100)
    lost = {p for p, start, end in offsets(disk, path) if start < 4096}
    segment = disk._names[str(path)]
    plain_read = disk.read

    def read(fd, count, offset):
        if disk._fds[fd] is segment and offset < bad.stop and offset + count > bad.start:
            raise OSError(errno.EIO, "bad block")
        return plain_read(fd, count, offset)

    disk.read = read
    reader = JournalReader(FOLDER, 0, disk)
    for _ in range(2):
        with pytest.raises(StorageError):
            reader.read()
    out = {}
    while entries := reader.read():
        out.update(entries)
    assert out == {p: v for p, v in written.items() if p not in lost}
    assert reader.corrupt == len(lost)
    reader.close()


def test_unreadable_last_segment_does_not_stop_the_writer():
    disk = SimDisk()
    written = fill(disk, 150, is_clean=False)
    path = segment_paths(disk)[-1]
    segment = disk._names[str(path)]
    content = disk.content(path)
    plain_read = disk.read

    def read(fd, count, offset):
        if disk._fds[fd] is segment:
            raise OSError(errno.EIO, "bad block")
        return plain_read(fd, count, offset)

    disk.read = read
    journal = open_journal(disk)
    assert journal.report.unreadable_segments == 1
    position = journal.append(b"after")
    assert position >= 150
    disk.read = plain_read
    assert disk.content(path) == content
    found, reader = read_all(disk)
    assert found == written | {position: b"after"}
    assert reader.corrupt == 0
    reader.close()
    journal.close()


def test_bytes_that_are_not_valid_yet_are_waited_for():
    """Above the durable mark, in the newest segment: that is the writer's business, whatever follows."""
    disk = SimDisk()
    journal = open_journal(disk)
    written = {journal.append(payload_of(i)): payload_of(i) for i in range(6)}
    path = segment_paths(disk)[0]
    whole = disk.content(path)
    position, start, _ = offsets(disk, path)[2]
    disk.damage(path, lambda data: data.__setitem__(start + 30, data[start + 30] ^ 1))
    found, reader = read_all(disk)
    assert found == {p: v for p, v in written.items() if p < position}
    assert reader.read() == []
    disk.damage(path, lambda data: data.__setitem__(slice(None), whole))
    assert dict(reader.read()) == {p: v for p, v in written.items() if p >= position}
    assert reader.corrupt == 0
    reader.close()
    journal.close()


@pytest.mark.parametrize("is_newest", [True, False])
def test_bad_bytes_that_were_seen_once_are_read_again(is_newest):
    """A reader that met the writer half way must not give a record up."""
    disk = SimDisk()
    written = fill(disk, 60)
    path = segment_paths(disk)[-1 if is_newest else 0]
    _, start, _ = offsets(disk, path)[3]
    segment = disk._names[str(path)]
    plain_read = disk.read
    spoiled = []

    def read(fd, count, offset):
        data = plain_read(fd, count, offset)
        at = start + 30 - offset
        if disk._fds[fd] is segment and 0 <= at < len(data) and len(spoiled) < 2:
            spoiled.append(offset)
            data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        return data

    disk.read = read
    # Twice: once behind the records before it, once as the first of its read.
    found, reader = read_all(disk)
    assert len(spoiled) == 2
    assert found == written
    assert reader.corrupt == 0
    reader.close()
