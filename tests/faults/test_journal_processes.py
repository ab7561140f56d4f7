"""Real processes on a real file system: a writer that is killed again and again, and readers that must not notice."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.faults.journal_process import SEGMENT_BYTES, TOLD_BYTES, payload_of

from ved.errors import UserError
from ved.journal.journal import Journal
from ved.journal.reader import JournalReader

SCRIPT = Path(__file__).with_name("journal_process.py")
pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")


def start(*arguments):
    return subprocess.Popen([sys.executable, str(SCRIPT), *map(str, arguments)], stdout=subprocess.PIPE)


def told_positions(path):
    """(all appended, highest durable) as the writers told."""
    text = path.read_bytes()
    lines = [text[at : at + TOLD_BYTES] for at in range(0, len(text), TOLD_BYTES)]
    appended = [int(line[1:]) for line in lines if line[:1] == b"a"]
    return appended, max(int(line[1:]) for line in lines if line[:1] == b"s")


def write_and_kill(path, told, lines, keep):
    size = told.stat().st_size if told.exists() else 0
    with start("write", path, told, keep) as writer:
        while not told.exists() or told.stat().st_size < size + TOLD_BYTES * lines:
            assert writer.poll() is None
            time.sleep(0.001)
        writer.kill()


@pytest.mark.parametrize("keep", [0, 300])
def test_killed_writer_loses_nothing_that_was_appended(tmp_path, keep):
    path, told, end_file = tmp_path / "journal", tmp_path / "told", tmp_path / "end"
    with start("read", path, end_file) as reading:
        for turn in range(4):
            write_and_kill(path, told, 300 + 170 * turn, keep)
        journal = Journal.open(path, segment_bytes=SEGMENT_BYTES)
        appended, durable = told_positions(told)
        assert len(set(appended)) == len(appended)
        assert journal.next_position > max(appended)
        assert journal.durable_position >= durable
        last = journal.append(payload_of(journal.next_position))
        journal.close()
        end_file.touch()
        met = json.loads(reading.communicate(timeout=60)[0])
    assert (met["wrong"], met["is_rising"], met["corrupt"]) == (0, True, 0)
    assert met["positions"][-1] == last
    if not keep:
        assert met["skipped"] == 0
        # One that was written but not yet told may be there as well.
        assert set(appended) <= set(met["positions"])
    again = JournalReader(path, 0)
    found = []
    while entries := again.read():
        found += [position for position, _ in entries]
    first = again.first_position()
    assert (first > 0) == bool(keep)
    assert {position for position in appended if position >= first} <= set(found)
    assert again.corrupt == 0
    again.close()


def test_second_writer_is_refused_while_the_first_lives(tmp_path):
    with start("hold", tmp_path) as first:
        assert first.stdout.readline() == b"0\n"
        with pytest.raises(UserError, match="another process"):
            Journal.open(tmp_path)
        first.kill()
    journal = Journal.open(tmp_path)
    assert journal.append(b"x") == 0
    journal.close()
