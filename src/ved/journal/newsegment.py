"""Making a segment file: it shows under its name only when all that it begins with is on the disk."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from ved.journal.files import FileLayer, append_all
from ved.journal.layout import TEMPORARY_SUFFIX, SegmentHeader, SegmentName


def make_segment(folder: Path, header: SegmentHeader, records: Sequence[bytes], files: FileLayer) -> tuple[int, int]:
    """A handle to append with, and the file's size. OSError: see `take_back`."""
    path = folder / SegmentName(header.serial, header.first_position).text
    temporary = path.with_suffix(TEMPORARY_SUFFIX)
    data = b"".join((header.pack(), *records))
    fd = files.open(temporary, "create")
    try:
        append_all(files, fd, data)
        files.sync(fd)
    finally:
        files.close(fd)
    files.rename(temporary, path)
    files.sync_folder(folder)
    return files.open(path, "append"), len(data)


def take_back(folder: Path, name: SegmentName, files: FileLayer) -> bool:
    """Remove a segment that could not be made; False when it may still be there, and must be removed later."""
    path = folder / name.text
    with contextlib.suppress(OSError):
        files.unlink(path.with_suffix(TEMPORARY_SUFFIX))
    try:
        files.unlink(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
