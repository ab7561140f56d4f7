"""The writer's side of waking readers: one byte to each socket that a reader left in the journal's `wake` folder."""

import os
import socket
import sys
import time
from pathlib import Path
from typing import Final

from ved.journal.layout import WAKE_FOLDER

SOCKET_SUFFIX: Final = ".sock"
SOCKET_PATH_BYTES: Final = 100
_RELIST_S: Final = 0.25


def has_sockets() -> bool:
    """True when this system has Unix datagram sockets."""
    return hasattr(socket, "AF_UNIX") and sys.platform != "win32"


class FolderAddress:
    """Addresses of sockets in one folder, also where its path is too long for a socket address (Linux)."""

    def __init__(self, folder: Path) -> None:
        """OSError when there is no such folder."""
        self._folder = folder
        self._fd = os.open(folder, os.O_RDONLY) if sys.platform == "linux" else -1

    def of(self, name: str) -> str:
        """The address to bind or send to."""
        direct = str(self._folder / name)
        if self._fd >= 0 and len(os.fsencode(direct)) > SOCKET_PATH_BYTES:
            return f"/proc/self/fd/{self._fd}/{name}"
        return direct

    def close(self) -> None:
        """Give the folder back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class WakeSender:
    """Sends without ever waiting; a reader whose queue is full has wake bytes enough. Never raises OSError."""

    def __init__(self, journal: Path) -> None:
        self._folder = journal / WAKE_FOLDER
        self._address: FolderAddress | None = None
        self._socket: socket.socket | None = None
        self._addresses: dict[str, str] = {}
        self._listed_s = float("-inf")
        self._is_able = has_sockets()

    def wake(self) -> None:
        """Tell every reader that there is something new."""
        if not self._is_able:
            return
        now_s = time.monotonic()
        if now_s - self._listed_s >= _RELIST_S:
            self._listed_s = now_s
            self._list()
        if not self._addresses or self._socket is None:
            return
        for name, address in tuple(self._addresses.items()):
            try:
                self._socket.sendto(b"\0", address)
            except (BlockingIOError, InterruptedError):
                continue
            except (ConnectionRefusedError, FileNotFoundError):
                self._forget(name)
            except OSError:
                # Not ours to send to, or no buffers: that reader polls.
                del self._addresses[name]

    def close(self) -> None:
        """Give the socket back; nobody is woken any more."""
        self._is_able = False
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._address is not None:
            self._address.close()
            self._address = None

    def _list(self) -> None:
        try:
            if self._address is None:
                self._address = FolderAddress(self._folder)
            names = os.listdir(self._folder)  # noqa: PTH208 - names alone, no Path per file
            of = self._address.of
            self._addresses = {name: of(name) for name in names if name.endswith(SOCKET_SUFFIX)}
            if self._addresses and self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
        except OSError:
            self._addresses = {}

    def _forget(self, name: str) -> None:
        """The reader died without removing its socket."""
        del self._addresses[name]
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError:
            return
