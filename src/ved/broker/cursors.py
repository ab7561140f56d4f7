"""Durable cursors of a journal stream: one small file per consumer, replaced as a whole."""

import re
from pathlib import Path
from typing import Final

from ved.errors import StorageError
from ved.journal.files import FileLayer, append_all
from ved.journal.layout import crc32c
from ved.journal.state import read_state

CURSOR_FOLDER: Final = "cursors"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LINE: Final = re.compile(rb"(ved-cursor 1 ([0-9a-f]{32}) (\d{1,20})) ([0-9a-f]{8})\n")
_MAX_BYTES: Final = 128


def _path(stream: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise ValueError(f"a cursor is named with a-z, 0-9, _ and -, not {name!r}")
    return stream / CURSOR_FOLDER / name


def read_cursor(stream: Path, name: str, files: FileLayer) -> int | None:
    """The position, or None when there is none, it is damaged, or it belongs to an earlier journal in this folder.

    None makes the consumer start at the oldest entry, which is always safe: stores refuse what they have.
    """
    path = _path(stream, name)
    try:
        state = read_state(stream, files)
        fd = files.open(path, "read")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"cursor {path}: cannot read: {error}") from error
    try:
        found = _LINE.fullmatch(files.read(fd, _MAX_BYTES, 0))
    except OSError as error:
        raise StorageError(f"cursor {path}: cannot read: {error}") from error
    finally:
        files.close(fd)
    if not found or crc32c(found[1]) != int(found[4], 16):
        return None
    if state is None or state.identity.hex().encode() != found[2]:
        return None
    return int(found[3])


def write_cursor(stream: Path, name: str, position: int, files: FileLayer) -> None:
    """Replace the cursor durably: after a crash it is the old one or the new one. StorageError when refused."""
    path = _path(stream, name)
    temporary = path.with_name(f"{name}.new")
    try:
        state = read_state(stream, files)
        if state is None:
            raise StorageError(f"cursor {path}: the stream does not exist yet")
        body = f"ved-cursor 1 {state.identity.hex()} {position}".encode()
        files.make_folder(path.parent)
        try:
            fd = files.open(temporary, "create")
        except FileExistsError:
            files.unlink(temporary)
            fd = files.open(temporary, "create")
        try:
            append_all(files, fd, body + f" {crc32c(body):08x}\n".encode())
            files.sync(fd)
        finally:
            files.close(fd)
        files.rename(temporary, path)
        files.sync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"cursor {path}: cannot write: {error}") from error
