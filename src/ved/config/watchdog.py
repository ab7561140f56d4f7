"""systemd's watchdog: tells it that the program is up and alive, where systemd started it."""

import os
import socket


class Watchdog:
    """Speaks sd_notify(3) on $NOTIFY_SOCKET; does nothing where there is none."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None

    def ready(self) -> None:
        """The program is up."""
        self._say(b"READY=1")

    def alive(self, status: str) -> None:
        """It still works; `status` is one line for `systemctl status`."""
        self._say(b"WATCHDOG=1\nSTATUS=" + status.encode())

    def close(self) -> None:
        """Say no more."""
        if self._socket is not None:
            self._socket.close()

    def _say(self, message: bytes) -> None:
        if self._socket is not None:
            self._socket.sendto(message, self._address)
