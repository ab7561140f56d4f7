import psutil
import pytest

from ved.errors import StorageError
from ved.journal.journal import Journal
from ved.journal.layout import MAX_PAYLOAD_BYTES, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES
from ved.journal.reader import JournalReader
from ved.journal.sync import SyncPolicy

SEGMENT_BYTES = 4096


@pytest.fixture
def journal(tmp_path):
    made = Journal.open(tmp_path / "a" / "journal", segment_bytes=SEGMENT_BYTES)
    yield made
    made.close()


def test_new_journal_is_empty(journal):
    assert (journal.first_position, journal.next_position, journal.durable_position) == (0, 0, 0)
    assert (journal.size_bytes, journal.unsynced_bytes) == (0, 0)
    assert journal.report.was_clean
    assert journal.read(0, 1000) == []


def test_positions_count_from_zero_and_figures_follow(journal):
    assert [journal.append(bytes(n)) for n in range(3)] == [0, 1, 2]
    assert journal.unsynced_bytes == 3 * RECORD_HEADER_BYTES + 3
    assert journal.size_bytes == SEGMENT_HEADER_BYTES + 3 * RECORD_HEADER_BYTES + 3
    assert journal.durable_position == 0
    assert journal.sync() == journal.durable_position == journal.next_position == 3
    assert journal.unsynced_bytes == 0
    assert journal.read(0, 1000) == [(0, b""), (1, b"\0"), (2, b"\0\0")]
    assert journal.read(2, 1000) == [(2, b"\0\0")]
    assert journal.read(3, 1000) == []


def test_read_honours_its_budget_but_always_gives_one(journal):
    for n in range(4):
        journal.append(bytes([n]) * 100)
    assert [p for p, _ in journal.read(0, 1)] == [0]
    assert [p for p, _ in journal.read(1, 299)] == [1, 2]
    assert [p for p, _ in journal.read(1, 300)] == [1, 2, 3]


def test_owner_reads_from_several_places_in_turn(journal):
    payloads = [bytes([n]) * 500 for n in range(40)]
    for payload in payloads:
        journal.append(payload)
    places = [0, 5, 17, 23, 31, 39]
    for _ in range(9):
        for at, position in enumerate(places):
            entries = journal.read(position, 1)
            assert entries == ([(position, payloads[position])] if position < 40 else [])
            places[at] = position + 1
    with JournalFiles(journal) as count:
        assert count() <= 4 * 4 + 5


class JournalFiles:
    """How many files this process has open below the journal."""

    def __init__(self, journal):
        self.folder = journal.path

    def __enter__(self):
        return lambda: sum(str(self.folder) in item.path for item in psutil.Process().open_files())

    def __exit__(self, *_):
        return None


def test_segments_rotate_and_an_oversized_record_gets_through(journal):
    journal.append(bytes(3000))
    journal.append(bytes(3000))
    journal.append(bytes(9000))
    journal.append(b"x")
    assert [(s.first_position, s.end_position) for s in journal.segments] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert journal.durable_position == 3  # what lies in finished segments was synced
    assert [len(payload) for _, payload in journal.read(0, 1 << 20)] == [3000]
    reader = JournalReader(journal.path, 0)
    lengths = []
    while entries := reader.read(1 << 20):
        lengths += [len(payload) for _, payload in entries]
    assert lengths == [3000, 3000, 9000, 1]
    reader.close()


def test_bad_arguments_are_refused(tmp_path, journal):
    with pytest.raises(ValueError, match="at most"):
        journal.append(bytes(MAX_PAYLOAD_BYTES + 1))
    for wrong in (0, 100, 1 << 40):
        with pytest.raises(ValueError, match="segment_bytes"):
            Journal.open(tmp_path, segment_bytes=wrong)
    assert journal.append(b"x") == 0


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot open"):
        Journal.open(tmp_path / "file" / "journal")


def test_closed_is_closed(journal):
    journal.append(b"x")
    journal.close()
    journal.close()
    for action in (lambda: journal.append(b"y"), journal.sync, lambda: journal.trim(1), lambda: journal.read(0, 1)):
        with pytest.raises(ValueError, match="closed"):
            action()


def test_trim_takes_whole_segments_and_never_the_one_being_written(journal):
    for n in range(12):
        journal.append(bytes([n]) * 1000)
    journal.trim(2)
    assert journal.first_position == 0
    journal.trim(4)
    assert journal.first_position == 3
    journal.trim(1000)
    assert journal.first_position == 9
    assert [p for p, _ in journal.read(0, 1 << 20)] == [9, 10, 11]
    assert len(list(journal.path.glob("*.seg"))) == 1
    journal.trim(0)
    assert journal.first_position == 9


def test_reader_may_come_first_and_last(tmp_path):
    early = JournalReader(tmp_path / "j", 0)
    assert early.read() == []
    assert (early.durable_position(), early.next_position(), early.first_position()) == (0, 0, 0)
    journal = Journal.open(tmp_path / "j", segment_bytes=SEGMENT_BYTES)
    assert early.read() == []
    journal.append(b"x" * 3000)
    assert early.read() == [(0, b"x" * 3000)]
    journal.append(b"y" * 3000)
    assert (early.durable_position(), early.next_position()) == (1, 2)
    journal.sync()
    assert early.durable_position() == 2
    late = JournalReader(tmp_path / "j", early.next_position())
    assert late.read() == []
    journal.append(b"z")
    assert early.read() == [(1, b"y" * 3000), (2, b"z")]
    assert late.read() == [(2, b"z")]
    journal.close()
    assert early.read() == late.read() == []
    early.close()
    late.close()


def test_reader_below_the_trim_mark_counts_what_it_skipped(journal):
    for n in range(12):
        journal.append(bytes([n]) * 1000)
    slow = JournalReader(journal.path, 0)
    assert [p for p, _ in slow.read(1)] == [0]
    journal.trim(9)
    new = JournalReader(journal.path, 2)
    assert [p for p, _ in new.read(1)] == [9]
    assert (new.skipped, new.corrupt) == (7, 0)
    # It still has its segment open, so it loses only what lies between.
    assert [p for p, _ in slow.read(1 << 20)] == [1, 2]
    assert [p for p, _ in slow.read(1 << 20)] == [9, 10, 11]
    assert (slow.skipped, slow.corrupt) == (6, 0)
    slow.close()
    new.close()


def test_next_run_goes_on_where_the_last_one_closed(tmp_path):
    for n in range(5):
        journal = Journal.open(tmp_path, segment_bytes=SEGMENT_BYTES)
        assert journal.report.was_clean
        assert journal.append(b"x") == n
        journal.close()
    reader = JournalReader(tmp_path, 0)
    found = []
    while entries := reader.read():
        found += [p for p, _ in entries]
    assert found == [0, 1, 2, 3, 4]
    assert (reader.skipped, reader.corrupt) == (0, 0)
    reader.close()


def test_replaced_journal_is_noticed(tmp_path):
    first = Journal.open(tmp_path / "j")
    first.append(b"x")
    reader = JournalReader(tmp_path / "j", 0)
    assert reader.read() == [(0, b"x")]
    other = Journal.open(tmp_path / "k")
    (tmp_path / "j" / "durable").write_bytes((tmp_path / "k" / "durable").read_bytes())
    with pytest.raises(StorageError, match="replaced"):
        reader.read()
    reader.close()
    first.close()
    other.close()


def test_sync_policy(journal):
    policy = SyncPolicy(interval_s=0.2, unsynced_bytes=1000)
    assert not policy.is_due(journal, 100.0)
    journal.append(bytes(10))
    assert not policy.is_due(journal, 101.0)
    assert not policy.is_due(journal, 101.1)
    assert policy.is_due(journal, 101.3)
    journal.sync()
    assert not policy.is_due(journal, 101.4)
    journal.append(bytes(10))
    assert not policy.is_due(journal, 200.0)
    journal.append(bytes(1000))
    assert policy.is_due(journal, 200.01)
