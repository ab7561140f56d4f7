"""The reader's side of waking: a datagram socket that turns readable when the writer appended or synced."""

import asyncio
import contextlib
import os
import secrets
import socket
from pathlib import Path
from typing import Final

from ved.journal.layout import WAKE_FOLDER
from ved.journal.notify import SOCKET_SUFFIX, FolderAddress, has_sockets

POLL_S: Final = 0.05


class WakeListener:
    """Registers with the journal's writer, now or when it comes. Without Unix sockets `wait` polls instead.

    Belongs to one event loop; one waiter at a time.
    """

    def __init__(self, path: Path) -> None:
        """`path` is the journal's folder; never raises for want of sockets."""
        self._folder = path / WAKE_FOLDER
        self._name = f"{os.getpid()}-{secrets.token_hex(6)}{SOCKET_SUFFIX}"
        self._socket: socket.socket | None = None
        if has_sockets():
            self._bind()

    def _bind(self) -> None:
        made: socket.socket | None = None
        address: FolderAddress | None = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            address = FolderAddress(self._folder)
            made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            made.setblocking(False)
            made.bind(address.of(self._name))
            self._socket, made = made, None
        except OSError:
            # A read-only folder, a path too long, a file system without sockets: polling does.
            self._socket = None
        finally:
            if made is not None:
                made.close()
            if address is not None:
                address.close()

    def fileno(self) -> int:
        """The socket's descriptor, or -1 when there is only polling."""
        return self._socket.fileno() if self._socket is not None else -1

    def drain(self) -> None:
        """Forget the wake bytes that wait; call it before reading, so that later ones are seen."""
        while self._socket is not None:
            try:
                self._socket.recv(16)
            except (BlockingIOError, InterruptedError):
                return

    async def wait(self, timeout_s: float) -> bool:
        """True when woken (or when it is time to poll), False after `timeout_s`."""
        if self._socket is None:
            await asyncio.sleep(min(timeout_s, POLL_S))
            return timeout_s > POLL_S
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        try:
            loop.add_reader(self._socket.fileno(), _set, woken)
        except NotImplementedError:  # an event loop that watches no files, as on Windows
            await asyncio.sleep(min(timeout_s, POLL_S))
            return timeout_s > POLL_S
        try:
            async with asyncio.timeout(timeout_s):
                await woken
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._socket.fileno())
        self.drain()
        return True

    def close(self) -> None:
        """Take the socket away."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            with contextlib.suppress(OSError):
                (self._folder / self._name).unlink(missing_ok=True)


def _set(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
