"""One server per data folder: a lock that lives as long as the server or any of its roles."""

import os
import sys
import time
from pathlib import Path

from ved.errors import UserError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class FolderLock:
    """An exclusive lock on a file. On POSIX it is inherited: roles that outlive a killed server still hold it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def try_take(self) -> bool:
        """True when the lock is now ours."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if sys.platform == "win32":
                msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return False
        self._fd = fd
        return True

    def take(self, wait_s: float, otherwise: str) -> None:
        """Take the lock within `wait_s`; UserError with the text `otherwise` when it stays taken."""
        until_s = time.monotonic() + wait_s
        while not self.try_take():
            if time.monotonic() > until_s:
                raise UserError(otherwise)
            time.sleep(0.1)

    @property
    def inherited_fds(self) -> tuple[int, ...]:
        """What child processes must inherit to keep the lock."""
        return () if self._fd is None or sys.platform == "win32" else (self._fd,)

    def release(self) -> None:
        """Give the lock back (children that inherited it still hold it)."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
