"""The broker suite on journals, and what is special about them."""

import asyncio
import subprocess
import sys

import pytest
from tests.integration.broker_suite import BrokerSuite, arrival_of, put, take

from ved.broker.journal import JournalStream
from ved.broker.open import open_journal
from ved.errors import StorageError, UserError
from ved.journal.journal import Journal

SEGMENT_BYTES = 4096


class Now:
    """A clock that stands where it was put."""

    def __init__(self):
        self.us = 1_700_000_000_000_000

    def __call__(self):
        return self.us


@pytest.fixture
def now():
    return Now()


@pytest.fixture
def stream(tmp_path, now):
    return JournalStream(tmp_path / "frames", segment_bytes=SEGMENT_BYTES, now_us=now)


class TestJournalBroker(BrokerSuite):
    @pytest.fixture
    def reopen(self, tmp_path, now):
        return lambda: JournalStream(tmp_path / "frames", segment_bytes=SEGMENT_BYTES, now_us=now)

    @pytest.fixture
    def set_now_us(self, now):
        return lambda us: setattr(now, "us", us)


def test_streams_have_their_places(tmp_path):
    for name in ("frames", "events"):
        writer = open_journal(tmp_path, name).writer()
        writer.close()
    assert sorted(path.name for path in (tmp_path / "streams").iterdir()) == ["events", "frames"]


def test_second_writer_is_refused(stream):
    writer = stream.writer()
    with pytest.raises(UserError):
        stream.writer()
    writer.close()


def test_cursor_of_another_journal_does_not_count(stream):
    """The folder was wiped and filled anew, the cursor file stayed: its position means nothing."""
    writer = stream.writer()
    put(writer, 0, 3)
    writer.close()
    stream.commit_cursor("record", 3)
    for path in stream.path.iterdir():
        if path.is_file():
            path.unlink()
    assert stream.cursor("record") is None
    writer = stream.writer()
    assert stream.cursor("record") is None
    writer.close()


@pytest.mark.parametrize("content", [b"", b"ved-cursor 1 00 3 0\n", b"\0" * 80])
def test_damaged_cursor_counts_as_none(stream, content):
    writer = stream.writer()
    stream.commit_cursor("record", 3)
    path = stream.path / "cursors" / "record"
    assert stream.cursor("record") == 3
    path.write_bytes(content)
    assert stream.cursor("record") is None
    stream.commit_cursor("record", 3)
    path.write_bytes(path.read_bytes().replace(b" 3 ", b" 4 "))
    assert stream.cursor("record") is None
    writer.close()


def test_leftover_of_a_killed_commit_is_no_hindrance(stream):
    writer = stream.writer()
    stream.commit_cursor("record", 3)
    (stream.path / "cursors" / "record.new").write_bytes(b"half")
    stream.commit_cursor("record", 4)
    assert stream.cursor("record") == 4
    assert [path.name for path in (stream.path / "cursors").iterdir()] == ["record"]
    writer.close()


def test_cursor_needs_a_stream(stream):
    with pytest.raises(StorageError, match="does not exist"):
        stream.commit_cursor("record", 3)


def test_payload_that_is_no_entry_is_counted_and_passed_over(stream):
    journal = Journal.open(stream.path)
    journal.append(b"not an entry")
    journal.close()

    async def main():
        writer = stream.writer()
        put(writer, 1, 1)
        reader = stream.reader("earliest")
        assert [entry.position for entry in await take(reader, 1)] == [1]
        assert reader.corrupt == 1
        reader.close()
        writer.close()

    asyncio.run(main())


def test_entries_reach_another_process(stream):
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from ved.broker.journal import JournalStream\n"
        "async def main():\n"
        "    reader = JournalStream(Path(sys.argv[1])).reader('earliest')\n"
        "    print('ready', flush=True)\n"
        "    count = 0\n"
        "    while count < 50:\n"
        "        count += len(await reader.read(timeout_s=30))\n"
        "    print(count, reader.position, reader.skipped, reader.corrupt)\n"
        "    reader.close()\n"
        "asyncio.run(main())\n"
    )
    writer = stream.writer()
    with subprocess.Popen([sys.executable, "-c", code, str(stream.path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "ready\n"
        for n in range(50):
            writer.append(arrival_of(n), bytes(500))
        assert other.communicate(timeout=60)[0] == "50 50 0 0\n"
    writer.close()
