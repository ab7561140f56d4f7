"""The few file operations that a journal needs, as a protocol, so that tests can put a failing disk under it."""

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import Final, Literal, Protocol

from ved.errors import UserError

OpenMode = Literal["read", "create", "append", "update"]

if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


_BINARY: Final[int] = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_FLAGS: Final[dict[str, int]] = {
    "read": os.O_RDONLY,
    "create": os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND,
    "append": os.O_RDWR | os.O_APPEND,
    "update": os.O_RDWR | os.O_CREAT,
}
_BUSY: Final = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, errno.EDEADLK)


class FileLayer(Protocol):
    """Files as a journal uses them. Every call may raise OSError; `append` and `write_at` may write less than asked."""

    def open(self, path: Path, mode: OpenMode) -> int:
        """A handle. "create" fails when the file exists; "append" and "read" when it does not; "update" makes it."""
        ...

    def close(self, fd: int) -> None:
        """Give the handle back."""
        ...

    def size(self, fd: int) -> int:
        """Bytes in the file."""
        ...

    def read(self, fd: int, count: int, offset: int) -> bytes:
        """Up to `count` bytes from `offset`; fewer only at the file's end."""
        ...

    def append(self, fd: int, data: bytes) -> int:
        """Write at the end of the file; the number of bytes taken."""
        ...

    def write_at(self, fd: int, data: bytes, offset: int) -> int:
        """Write at `offset`; the number of bytes taken."""
        ...

    def truncate(self, fd: int, size: int) -> None:
        """Cut the file to `size` bytes."""
        ...

    def sync(self, fd: int) -> None:
        """Return once the file's bytes and its size are on the disk."""
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Move a file within its folder, replacing `target`."""
        ...

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        ...

    def names(self, folder: Path) -> list[str]:
        """The names in a folder, in no order."""
        ...

    def make_folder(self, folder: Path) -> None:
        """Make the folder and its parents, durably."""
        ...

    def sync_folder(self, folder: Path) -> None:
        """Return once created, renamed and removed names of the folder are on the disk."""
        ...

    def lock(self, path: Path) -> int:
        """An exclusive lock for as long as the handle is open; UserError when another process has it."""
        ...


class OsFiles:
    """The operating system's files."""

    def open(self, path: Path, mode: OpenMode) -> int:
        """See FileLayer."""
        return os.open(path, _FLAGS[mode] | _BINARY, 0o640)

    def close(self, fd: int) -> None:
        """See FileLayer."""
        os.close(fd)

    def size(self, fd: int) -> int:
        """See FileLayer."""
        return os.fstat(fd).st_size

    def read(self, fd: int, count: int, offset: int) -> bytes:
        """See FileLayer."""
        if sys.platform == "win32":
            os.lseek(fd, offset, os.SEEK_SET)
            return os.read(fd, count)
        else:  # noqa: RET505 - the form that the type checker knows for platforms
            return os.pread(fd, count, offset)

    def append(self, fd: int, data: bytes) -> int:
        """See FileLayer."""
        return os.write(fd, data)

    def write_at(self, fd: int, data: bytes, offset: int) -> int:
        """See FileLayer."""
        if sys.platform == "win32":
            os.lseek(fd, offset, os.SEEK_SET)
            return os.write(fd, data)
        else:  # noqa: RET505 - the form that the type checker knows for platforms
            return os.pwrite(fd, data, offset)

    def truncate(self, fd: int, size: int) -> None:
        """See FileLayer."""
        os.ftruncate(fd, size)

    def sync(self, fd: int) -> None:
        """See FileLayer. macOS keeps data in the drive's cache after fsync, so it is asked for more."""
        if sys.platform == "darwin":
            try:
                fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY):
                    raise
                os.fsync(fd)
        elif hasattr(os, "fdatasync"):
            os.fdatasync(fd)
        else:
            os.fsync(fd)

    def rename(self, source: Path, target: Path) -> None:
        """See FileLayer."""
        source.replace(target)

    def unlink(self, path: Path) -> None:
        """See FileLayer."""
        path.unlink()

    def names(self, folder: Path) -> list[str]:
        """See FileLayer."""
        return os.listdir(folder)  # noqa: PTH208 - names alone, no Path per file

    def make_folder(self, folder: Path) -> None:
        """See FileLayer."""
        if folder.is_dir():
            return
        self.make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        self.sync_folder(folder.parent)

    def sync_folder(self, folder: Path) -> None:
        """See FileLayer. Windows has no such call."""
        if sys.platform == "win32":
            return
        fd = os.open(folder, os.O_RDONLY | _BINARY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def lock(self, path: Path) -> int:
        """See FileLayer."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | _BINARY, 0o640)
        try:
            _lock(fd)
        except OSError as error:
            os.close(fd)
            if error.errno in _BUSY:
                raise UserError(f"journal {path.parent}: another process writes it; stop that one first") from error
            raise
        return fd


OS_FILES: Final[FileLayer] = OsFiles()


def append_all(files: FileLayer, fd: int, data: bytes) -> None:
    """Append every byte, however often that takes."""
    done = files.append(fd, data)
    while done < len(data):
        taken = files.append(fd, data[done:])
        if taken <= 0:
            raise OSError(errno.EIO, "write took no bytes")
        done += taken


def write_all_at(files: FileLayer, fd: int, data: bytes, offset: int) -> None:
    """Write every byte at `offset`, however often that takes."""
    done = 0
    while done < len(data):
        taken = files.write_at(fd, data[done:], offset + done)
        if taken <= 0:
            raise OSError(errno.EIO, "write took no bytes")
        done += taken


def read_or_nothing(files: FileLayer, fd: int, count: int, offset: int) -> bytes:
    """Read; once more after an error, then b"": for headers, which others can stand in for."""
    for _ in range(2):
        with contextlib.suppress(OSError):
            return files.read(fd, count, offset)
    return b""
