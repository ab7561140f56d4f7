"""What the tests of a journal on a simulated disk share: filling it, and reading all of it."""

import contextlib
import random
from pathlib import Path

from ved.errors import StorageError
from ved.journal.journal import Journal
from ved.journal.layout import RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, SegmentName
from ved.journal.reader import JournalReader
from ved.journal.segment import list_segments

FOLDER = Path("/sim/journal")
OTHER = Path("/sim/other")
SEGMENT_BYTES = 4096


def open_journal(disk, folder=FOLDER):
    return Journal.open(folder, segment_bytes=SEGMENT_BYTES, files=disk)


def payload_of(number):
    return random.Random(number).randbytes(40 + number % 90)


def fill(disk, count, folder=FOLDER, *, is_clean=True):
    """`count` records, all synced; closed in order or killed."""
    journal = open_journal(disk, folder)
    written = {}
    for _ in range(count):
        payload = payload_of(journal.next_position)
        written[journal.append(payload)] = payload
    journal.sync()
    if is_clean:
        journal.close()
    else:
        disk.kill()
    return written


def fill_up(journal):
    """Append until the disk is full; what was taken."""
    written = {}
    with contextlib.suppress(StorageError):
        while True:
            payload = payload_of(journal.next_position)
            written[journal.append(payload)] = payload
    assert len(written) > 100
    return written


def read_all(disk, position=0):
    """(entries, reader) from `position` to the end."""
    reader = JournalReader(FOLDER, position, disk)
    out = {}
    while entries := reader.read(500):
        out.update(entries)
    return out, reader


def segment_paths(disk):
    return [FOLDER / name.text for name in list_segments(FOLDER, disk)]


def offsets(disk, path):
    """(position, first byte, end byte) of every record in a segment."""
    name = SegmentName.parse(path.name)
    out, at, position = [], SEGMENT_HEADER_BYTES, name.first_position
    size = len(disk.content(path))
    while at < size:
        end = at + RECORD_HEADER_BYTES + len(payload_of(position))
        out.append((position, at, end))
        at, position = end, position + 1
    return out
