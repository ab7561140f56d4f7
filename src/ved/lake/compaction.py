"""Which files to merge: a pure plan over the live files."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from ved.lake.log import EpochKey, FileEntry

MERGED_ROWS: Final = 1_500_000
"""Rows of a finished file: merging that many takes about 250 MB of memory for a moment."""
SMALL_ROWS: Final = MERGED_ROWS // 8
SMALL_FILES: Final = 16
MIDDLE_FILES: Final = 8


def plan_merges(files: Iterable[FileEntry], is_final: Callable[[EpochKey], bool]) -> list[list[FileEntry]]:
    """Groups of two or more files of one epoch to merge, each of at most MERGED_ROWS rows.

    Files are taken in order of seq, so merged files hardly overlap in time. A final epoch is packed as far as it goes,
    and a second plan over the result is empty. A growing epoch merges only where SMALL_FILES small files (or
    MIDDLE_FILES middle ones) have gathered, so that each row is rewritten two or three times in all.
    """
    epochs: defaultdict[EpochKey, list[FileEntry]] = defaultdict(list)
    for entry in files:
        epochs[entry.key].append(entry)
    out: list[list[FileEntry]] = []
    for key, entries in epochs.items():
        entries.sort(key=lambda entry: (entry.seq_min, entry.path))
        if is_final(key):
            out += _pack(entries)
            continue
        small = [entry for entry in entries if entry.rows < SMALL_ROWS]
        middle = [entry for entry in entries if SMALL_ROWS <= entry.rows < MERGED_ROWS // 2]
        if len(small) >= SMALL_FILES:
            out += _pack(small)
        elif len(middle) >= MIDDLE_FILES:
            out += _pack(middle)
    return out


def _pack(entries: list[FileEntry]) -> list[list[FileEntry]]:
    groups: list[list[FileEntry]] = []
    rows = MERGED_ROWS + 1
    for entry in entries:
        if rows + entry.rows > MERGED_ROWS:
            groups.append([])
            rows = 0
        groups[-1].append(entry)
        rows += entry.rows
    return [group for group in groups if len(group) > 1]
