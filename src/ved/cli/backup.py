"""`ved backup`: one file of all that a data folder holds, taken while the server runs.

What makes it consistent is the order. Each part is older than, or as old as, the part that it is judged by when the
restored server starts:

1. where readers are in the streams, and ingest's checkpoint: both may lag behind the streams, never lead;
2. the database, in one transaction: what watch found belongs to a position that is in the streams;
3. the streams, up to the durable mark: all that was ever acknowledged as stored is below it, or in the lake by then;
4. the lake at its newest version: it has everything that record's position claims to be in it.

Frames that are in the streams and in the lake are no trouble: the lake takes each once.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from rich.console import Console

from ved.broker.cursors import CURSOR_FOLDER
from ved.cli.backupfile import KEYS, ArchiveWriter
from ved.cli.database_copy import copy_postgres, copy_sqlite
from ved.config.settings import ServerSettings
from ved.errors import StorageError, UserError
from ved.journal.files import OS_FILES
from ved.journal.layout import MARK_NAME, STATE_NAME, Mark, State
from ved.journal.segment import list_segments
from ved.journal.state import MarkReader, read_state
from ved.lake.layout import FRAMES, SAMPLES
from ved.lake.snapshot import Snapshot, take_snapshot

STREAMS: Final = ("events", "frames")
STDOUT: Final = Path("-")
_PLAIN: Final = ("vehicles", "influx")
_LAKE_TRIES: Final = 5
console = Console(highlight=False, soft_wrap=True, markup=False, stderr=True)


@dataclass(slots=True)
class _Journal:
    """What is copied of a stream: segments with the number of bytes of each (None: all), and the small files."""

    segments: list[tuple[Path, int | None]]
    mark: Mark | None
    state: State


def run_backup(settings: ServerSettings, file: Path, *, with_keys: bool) -> None:
    """Write `file` (`-`: standard output) and say what is in it. UserError when it is there already."""
    data = settings.data.resolve()
    try:
        is_data = (data / "streams").is_dir() or (data / "db.sqlite").is_file() or bool(settings.db_url)
    except OSError as error:
        raise UserError(f"{settings.data}: cannot be read ({error.strerror}); run this as the server's user") from None
    if not is_data:
        raise UserError(f"{settings.data}: no data folder of ved; name one with --data")
    began_s = time.monotonic()
    with _output(file) as out:
        try:
            archive = ArchiveWriter(out, with_keys=with_keys)
            notes = _fill(archive, settings, data, with_keys=with_keys)
            count, size = archive.close()
        except OSError as error:
            raise StorageError(f"{error.filename or file}: {error.strerror or error}") from error
    console.print(f"{count:,} files, {size:,} bytes, in {time.monotonic() - began_s:.1f} s: {file}")
    for note in notes:
        console.print(note)
    if with_keys:
        console.print(
            "It holds the server's private keys: keep it where nobody else reads it. --no-keys leaves them out."
        )


def _fill(archive: ArchiveWriter, settings: ServerSettings, data: Path, *, with_keys: bool) -> list[str]:
    """All parts in their order; what a person must know besides."""
    notes = []
    if with_keys:
        for name in KEYS:
            _add_tree(archive, data, data / name)
    for stream in STREAMS:
        _add_tree(archive, data, data / "streams" / stream / CURSOR_FOLDER)
    _add_tree(archive, data, data / "ingest")
    if settings.db_url and not settings.db_url.startswith("sqlite"):
        notes.append(copy_postgres(settings.db_url, archive, with_keys=with_keys))
    else:
        copy_sqlite(settings.database, archive, with_keys=with_keys)
    for stream in STREAMS:
        _add_journal(archive, data / "streams" / stream, f"streams/{stream}")
    for name in _PLAIN:
        _add_tree(archive, data, data / name)
    notes += _add_lake(archive, settings.lake)
    return notes


def _add_tree(archive: ArchiveWriter, data: Path, folder: Path) -> None:
    """Small files as they are; one that is replaced or goes away meanwhile is taken whole or not at all."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and not path.name.endswith(".new") and path.name[0] != ".":
            with contextlib.suppress(FileNotFoundError):
                archive.add_bytes(str(path.relative_to(data)), path.read_bytes())


def _add_journal(archive: ArchiveWriter, folder: Path, name: str) -> None:
    try:
        journal = _look_at(folder)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be read: {error}") from error
    if journal is None:
        return
    for path, size in journal.segments:
        try:
            source = path.open("rb")
        except FileNotFoundError:
            continue  # trimmed meanwhile: record has carried it into the lake, which comes last
        with source:
            archive.add_file(f"{name}/{path.name}", source, size)
    if journal.mark is not None:
        archive.add_bytes(f"{name}/{MARK_NAME}", journal.mark.pack())
    archive.add_bytes(f"{name}/{STATE_NAME}", journal.state.pack())


def _look_at(folder: Path) -> _Journal | None:
    """The segments up to the durable mark, then the state: it must know every position and serial that they use."""
    marks = MarkReader(folder, OS_FILES)
    try:
        mark = marks.read()
    finally:
        marks.close()
    segments: list[tuple[Path, int | None]] = []
    for one in list_segments(folder, OS_FILES):
        if mark is None or one.serial < mark.serial:
            segments.append((folder / one.text, None))
        elif one.serial == mark.serial:
            segments.append((folder / one.text, mark.offset))
    state = read_state(folder, OS_FILES)
    if state is None:
        return None
    # Even-numbered states lie at the file's start, where this copy is written; and the copy was not closed in order.
    return _Journal(segments, mark, State(state.identity, state.sequence + state.sequence % 2, state.first_position,
                                          state.reserved_end, state.next_serial, state.last_serial, False))  # fmt: skip


def _add_lake(archive: ArchiveWriter, url: str) -> list[str]:
    """Both tables as of one version each."""
    if "://" in url:
        return [f"The lake at {url} is not in it: copy that with the object store's own tools."]
    for layout in (FRAMES, SAMPLES):
        _add_table(archive, Path(url) / layout.name, f"lake/{layout.name}")
    return []


def _add_table(archive: ArchiveWriter, table: Path, name: str) -> None:
    """A merge may take a file away between the look and the copy: then again, from a newer version."""
    done: set[str] = set()
    for _ in range(_LAKE_TRIES):
        snapshot = take_snapshot(str(table))
        if snapshot is None:
            return
        if _add_data(archive, table, name, snapshot, done):
            for path in snapshot.log:
                archive.add_bytes(f"{name}/{path}", (table / path).read_bytes())
            return
    raise StorageError(f"{table}: files are merged faster than they can be copied; try again at a calmer time")


def _add_data(archive: ArchiveWriter, table: Path, name: str, snapshot: Snapshot, done: set[str]) -> bool:
    """The data files that are not there yet; False when one is gone."""
    for path in snapshot.data:
        if path in done:
            continue
        try:
            source = (table / path).open("rb")
        except FileNotFoundError:
            return False
        with source:
            archive.add_file(f"{name}/{path}", source, None)
        done.add(path)
    return True


@contextlib.contextmanager
def _output(file: Path) -> Iterator[BinaryIO]:
    """The file under a draft name, given its own when it is whole; never in the place of another."""
    if file == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if os.path.exists(file):  # noqa: PTH110  (Path.exists raises where this user may not look; the try below tells that)
        raise UserError(f"{file}: is there already and stays as it is; choose another name")
    draft = file.with_name(f"{file.name}.part")
    try:
        draft.unlink(missing_ok=True)
        draft.touch(0o600)
        with draft.open("wb") as out:
            yield out
        draft.rename(file)
    except OSError as error:
        raise UserError(f"{file}: cannot be written ({error.strerror}); choose another place") from None
    finally:
        with contextlib.suppress(OSError):  # what cannot be written has no draft
            draft.unlink(missing_ok=True)
