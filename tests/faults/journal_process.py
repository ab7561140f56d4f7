"""What the other processes of the journal's tests do: run as a script, `journal_process.py ROLE PATH ...`."""

import json
import os
import sys
import time
from itertools import pairwise
from pathlib import Path

from ved.journal.journal import Journal
from ved.journal.reader import JournalReader

SEGMENT_BYTES = 64 << 10
TOLD_BYTES = 21


def payload_of(position):
    """Says its own position, so that a reader can check it."""
    return position.to_bytes(8, "little") * (8 + position % 400)


def write(path, told_path, keep):
    """Append and sync for ever; tell every position after its append, the durable one after each sync."""
    told = os.open(told_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    journal = Journal.open(path, segment_bytes=SEGMENT_BYTES)
    os.write(told, b"s%020d" % journal.durable_position)
    count = 0
    while True:
        position = journal.append(payload_of(journal.next_position))
        os.write(told, b"a%020d" % position)
        count += 1
        if count % 16 == 0:
            os.write(told, b"s%020d" % journal.sync())
        if keep and count % 64 == 0:
            journal.trim(position - keep)


def read(path, end_file):
    """Follow the journal until `end_file` exists and nothing more comes; print what was met."""
    reader = JournalReader(path, 0)
    wrong = 0
    positions = []
    while True:
        is_last = end_file.exists()
        entries = reader.read(200_000)
        for position, payload in entries:
            wrong += payload != payload_of(position)
            positions.append(position)
        if not entries and is_last:
            break
        if not entries:
            time.sleep(0.002)
    is_rising = all(a < b for a, b in pairwise(positions))
    figures = {"wrong": wrong, "is_rising": is_rising, "corrupt": reader.corrupt, "skipped": reader.skipped}
    print(json.dumps(figures | {"positions": positions}))
    reader.close()


def hold(path):
    """Be the writer, say so, and stay."""
    journal = Journal.open(path)
    print(journal.next_position, flush=True)
    time.sleep(600)


if __name__ == "__main__":
    role, folder = sys.argv[1], Path(sys.argv[2])
    if role == "write":
        write(folder, sys.argv[3], int(sys.argv[4]))
    elif role == "read":
        read(folder, Path(sys.argv[3]))
    else:
        hold(folder)
